"""The chunked transfer coding (RFC 9112, section 7.1), sans-IO and strict.

Rules:
    - A size is 1 to 16 hexadecimal digits: no sign, no space, no prefix, no underscore.
    - Every line ends with CRLF; a bare CR or LF is an error.
    - Extensions and trailers are skipped, but counted: framing may not outweigh content (see `_FRAMING_BYTES`).
    - The decoder stops at the exact end of the message and says where that is.
"""

import re

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t\x20-\x7e]*)?", re.DOTALL)
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*", re.DOTALL)
_LINE_BYTES = 1024
"""Longest size or trailer line. Size lines of real clients have 1 to 8 bytes; extensions are almost unknown."""
_FRAMING_BYTES = 64 * 1024
"""Framing that a body may have beyond twice its content: a client that sends chunks of 3 bytes passes for ever, one
that sends endless extensions or one-byte chunks does not (the idea of Go's net/http after CVE-2023-39326)."""

_AT_SIZE, _AT_DATA, _AT_DATA_END, _AT_TRAILER, _AT_END = range(5)


class ChunkedError(ValueError):
    """The bytes are not a well-formed chunked body."""


class ChunkedTooLargeError(ChunkedError):
    """The content is longer than allowed."""


class ChunkedDecoder:
    """Takes a chunked body apart.

    Args:
        limit: most content bytes that are accepted.

    Attributes:
        done: the end of the message was reached.
        size: content bytes so far, including those announced by the chunk under way.
    """

    __slots__ = ("_framing", "_left", "_limit", "_line", "_parts", "_state", "done", "size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._state = _AT_SIZE
        self._line = b""
        self._left = 0
        self._framing = 0
        self._parts: list[bytes] = []
        self.size = 0
        self.done = False

    @property
    def content(self) -> bytes:
        """All content so far."""
        return b"".join(self._parts)

    def feed(self, data: bytes | bytearray, start: int = 0) -> int:
        """Take bytes from `data[start:]`; returns where the first byte lies that is not this message's.

        Raises:
            ChunkedError: malformed, or more framing than content can excuse.
            ChunkedTooLargeError: a chunk would go beyond the limit; raised at its size line, before its content.
        """
        end = len(data)
        while start < end and not self.done:
            if self._state == _AT_DATA:
                stop = min(end, start + self._left)
                self._parts.append(bytes(data[start:stop]))
                self._left -= stop - start
                start = stop
                if not self._left:
                    self._state = _AT_DATA_END
                continue
            found = data.find(b"\n", start, start + _LINE_BYTES)
            stop = end if found < 0 else found + 1
            self._line += data[start:stop]
            self._count(stop - start)
            start = stop
            if found >= 0:
                line = self._line
                self._line = b""
                if not line.endswith(b"\r\n"):
                    raise ChunkedError("a line of the chunked body ends with a bare LF")
                self._take(line[:-2])
        return start

    def _count(self, framing: int) -> None:
        self._framing += framing
        if len(self._line) > _LINE_BYTES:
            raise ChunkedError(f"a line of the chunked body is longer than {_LINE_BYTES} bytes")
        if not self._line.endswith(b"\n") and b"\r" in self._line[:-1]:
            raise ChunkedError("a line of the chunked body ends with a bare CR")
        if self._state == _AT_DATA_END and self._line not in (b"\r", b"\r\n"):
            raise ChunkedError("a chunk is longer than its size")
        if self._framing > _FRAMING_BYTES + 2 * self.size:
            raise ChunkedError("the chunked body has more framing (tiny chunks, extensions, trailers) than allowed")

    def _take(self, line: bytes) -> None:
        if self._state == _AT_SIZE:
            self._take_size(line)
        elif self._state == _AT_DATA_END:
            self._state = _AT_SIZE
        elif not line:
            self._state = _AT_END
            self.done = True
        elif not _TRAILER.fullmatch(line):
            raise ChunkedError("a trailer is not a header line")

    def _take_size(self, line: bytes) -> None:
        match = _SIZE.fullmatch(line)
        if match is None:
            raise ChunkedError("a chunk size is not a plain hexadecimal number")
        self._left = int(match[1], 16)
        self.size += self._left
        if self.size > self._limit:
            raise ChunkedTooLargeError(f"the body is longer than {self._limit} bytes")
        self._state = _AT_DATA if self._left else _AT_TRAILER
