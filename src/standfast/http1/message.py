"""Finds the messages in a connection's bytes, sans-IO: sniff whose it is, then head, then body, to the exact last byte.

Two readings of every message must agree on where it ends: ours (Content-Length counted, chunks decoded here) and
llhttp's, which is fed the same bytes. Any disagreement is an error, so that no third party can see yet another message.
"""

import re

from standfast.http1.base import HttpRequest
from standfast.http1.chunked import ChunkedDecoder, ChunkedError, ChunkedTooLargeError
from standfast.http1.repeated import Repetition
from standfast.http1.request_head import (
    CHUNKED,
    HeadError,
    HeadParser,
    RequestLine,
    body_length,
    check_lines,
    read_line,
)
from standfast.http1.settings import ServerLimits

_BLANK_LINES = 4
"""Empty lines tolerated before a request line; RFC 9112, section 2.2 asks for at least one."""
_BARE = re.compile(rb"(?<!\r)\n|\r[^\n]", re.DOTALL)
_DISAGREE = "two readings of this message do not agree on where it ends"


_lines: dict[bytes, RequestLine] = {}
"""Request lines that were read before: the same few come again and again."""
_LINES_KEPT = 512
_LINE_KEPT = 256


def _remember(raw: bytes) -> RequestLine:
    """Read a request line, and keep it if it is short; when there are too many, all are forgotten."""
    line = read_line(raw)
    if len(raw) <= _LINE_KEPT:
        if len(_lines) >= _LINES_KEPT:
            _lines.clear()
        _lines[raw] = line
    return line


class MessageReader:
    """The bytes of one connection and the position in them. Call `sniff`, `head` and `body` in this order, repeatedly.

    Args:
        limits: sizes and counts.

    Attributes:
        data: what no message has consumed yet, and before it bytes that one has; empty if all are consumed.
        line: of the message under way.
        length: its body's length, `CHUNKED` if that is not known.
    """

    __slots__ = (
        "_blank",
        "_chunks",
        "_end",
        "_limits",
        "_line_checked",
        "_lines",
        "_missing",
        "_most",
        "_parser",
        "_parts",
        "_pos",
        "_repetition",
        "_scanned",
        "data",
        "length",
        "line",
    )

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._most = limits.body_bytes  # settings are read through Python; what every request needs is read once
        self._parser = HeadParser()
        self.data: bytes | bytearray = b""
        self._pos = 0
        self._scanned = 0
        self._blank = 0
        self._line_checked = False
        self._end = 0
        self._lines = 0
        self._missing = 0
        self._parts: list[bytes] = []
        self._chunks: ChunkedDecoder | None = None
        self._repetition = Repetition()
        self.line = RequestLine(b"", b"/", b"", newer=True)
        self.length = 0

    @property
    def pending(self) -> int:
        """Bytes that no message has consumed yet."""
        return len(self.data) - self._pos

    @property
    def unfinished(self) -> bool:
        """The message under way has a body that has not arrived whole."""
        return self._missing > 0 or self._chunks is not None

    def push(self, data: bytes) -> None:
        """The next bytes from the network."""
        if not self.data:
            self.data = data
            return
        if not isinstance(self.data, bytearray):
            self.data = bytearray(self.data)
        if self._pos:
            del self.data[: self._pos]
            self._scanned = max(self._scanned - self._pos, 0)
            self._pos = 0
        self.data += data

    def rest(self) -> bytes:
        """All bytes from the message under way on; they are no longer here."""
        rest = bytes(self.data[self._pos :])
        self.clear()
        return rest

    def clear(self) -> None:
        """Forget all bytes."""
        self.data = b""
        self._pos = self._scanned = self._blank = 0
        self._line_checked = False
        self._parts = []

    def close(self) -> None:
        """Forget all bytes, for good."""
        self.clear()
        self._parser.close()

    def repeated(self, data: bytes, peer: str) -> HttpRequest | None:
        """The whole request in `data`, if its head is known from before; else None, and `push` comes next."""
        repetition = self._repetition
        head = repetition.head
        if head is None or self.data:
            return None
        request = head.request(data, self._most, peer)
        if request is not None:
            repetition.misses = 0
            self.line = head.line
        return request

    def sniff(self) -> RequestLine | None:
        """The request line of the next message as soon as its head is complete, None until then.

        Raises:
            HeadError: it cannot become an acceptable request any more.
        """
        data = self.data
        while data.startswith(b"\r\n", self._pos):
            self._pos += 2
            self._blank += 1
            if self._blank > _BLANK_LINES:
                raise HeadError("too many empty lines before the request line")
        pos = self._pos
        found = data.find(b"\r\n\r\n", max(pos, self._scanned))
        end = found + 4
        if (end if found >= 0 else len(data)) - pos > self._limits.header_bytes:
            message = f"the request's head is longer than {self._limits.header_bytes} bytes (raise limits.header_bytes)"
            raise HeadError(message, 431, "headers_too_large")
        if found < 0:
            self._check_early(data, pos)
            return None
        head = bytes(data[pos:end])
        lines = check_lines(head)
        raw = head[: head.index(b"\r\n")]
        self.line = line = _lines.get(raw) or _remember(raw)
        if lines > self._limits.header_count:
            message = f"the request has more than {self._limits.header_count} headers (raise limits.header_count)"
            raise HeadError(message, 431, "headers_too_large")
        self._lines = lines
        self._end = end
        return line

    def head(self, peer: str) -> HttpRequest:
        """The message that `sniff` found, without its body; the body's length is in `length`.

        Raises:
            HeadError: it is malformed or ambiguous.
        """
        line = self.line
        parser = self._parser
        raw = bytes(self.data[self._pos : self._end])
        headers = parser.read(raw, self._lines)
        parser.check_host(headers, newer=line.newer)
        self.length = length = body_length(headers, newer=line.newer)
        if parser.complete != (length == 0):
            raise HeadError(_DISAGREE)
        self._missing = max(length, 0)
        self._chunks = ChunkedDecoder(self._limits.body_bytes) if length == CHUNKED else None
        self._consume(self._end)
        headers.pop(b"content-length", None)
        request = HttpRequest(line.method, line.path, line.query, headers, b"", peer)
        self._repetition.learn(raw, line, request)
        return request

    def body(self) -> bytes | None:
        """The whole body as soon as it is complete, None until then.

        Raises:
            HeadError: it is malformed or too long.
        """
        if self._chunks is None and not self._missing:
            return b""
        if not self.data:
            return None
        if self._chunks is not None:
            return self._chunked(self._chunks)
        stop = min(len(self.data), self._pos + self._missing)
        piece = bytes(self.data[self._pos : stop])
        self._missing -= stop - self._pos
        self._consume(stop)
        self._feed(piece, ends=not self._missing)
        if self._missing:
            self._parts.append(piece)
            return None
        if self._parts:
            self._parts.append(piece)
            piece = b"".join(self._parts)
            self._parts = []
        return piece

    def _chunked(self, chunks: ChunkedDecoder) -> bytes | None:
        data, start = self.data, self._pos
        try:
            stop = chunks.feed(data, start)
        except ChunkedTooLargeError as error:
            raise HeadError(f"{error} (raise limits.body_bytes)", 413, "payload_too_large") from None
        except ChunkedError as error:
            raise HeadError(str(error)) from None
        piece = bytes(data[start:stop])
        self._consume(stop)
        if not chunks.done:
            self._feed(piece, ends=False)
            return None
        # The parser must see the end in the last byte and not in an earlier one.
        self._feed(piece[:-1], ends=False)
        self._feed(piece[-1:], ends=True)
        self._chunks = None
        return chunks.content

    def _feed(self, piece: bytes, *, ends: bool) -> None:
        self._parser.feed(piece)
        if self._parser.complete != ends:
            raise HeadError(_DISAGREE)

    def _consume(self, stop: int) -> None:
        self._scanned = self._blank = 0
        self._line_checked = False
        if stop == len(self.data):
            self.data = b""
            self._pos = 0
        else:
            self._pos = stop

    def _check_early(self, data: bytes | bytearray, pos: int) -> None:
        """An incomplete head that can only become a bad one is refused now, not when its deadline passes.

        For instance a TLS greeting, an HTTP/0.9 request (which has no headers to wait for), lines with bare LF.
        """
        if pos == len(data):
            self.data = b""
            self._pos = 0
            return
        half_a_line = len(data) - pos == 1 and data.endswith(b"\r")
        if not b"A" <= data[pos : pos + 1] <= b"Z" and not half_a_line:
            raise HeadError("these bytes are not an HTTP request")
        if _BARE.search(data, max(pos, self._scanned)):
            raise HeadError("a line of the request's head does not end with CRLF")
        if not self._line_checked:
            first = data.find(b"\r\n", max(pos, self._scanned))
            if first >= 0:
                read_line(bytes(data[pos:first]))
                self._line_checked = True
        self._scanned = max(pos, len(data) - 3)
