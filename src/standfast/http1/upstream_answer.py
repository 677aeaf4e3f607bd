"""Reading an upstream's answer: the parser's callbacks, which only record, and the limits that they keep.

What the parser (llhttp in its strict mode) refuses by itself: folded headers, control bytes, bare line ends, a length
beside chunks, two lengths, malformed chunk sizes. What is refused here: headers over the limits, codings that nobody
asked for, a switch of protocols, and whatever follows a complete answer.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from httptools import HttpResponseParser

from standfast.http1.content import ContentError, Decoder
from standfast.http1.settings import UpstreamLimits

HEADER_COUNT: Final = 1000
"""Most header lines of one answer."""

_LENGTH, _TRANSFER, _CODING = b"content-length", b"transfer-encoding", b"content-encoding"
_WRAPPED = frozenset((_TRANSFER, _CODING))
_FIRST_STATUS, _FINAL_STATUS, _SWITCHING = 100, 200, 101
_WITHOUT_BODY = frozenset((204, 304))


class InvalidAnswer(Exception):
    """The answer breaks a rule that the parser does not know. Travels through the parser to its caller, no further."""


class AnswerReader(asyncio.Protocol):
    """The half of a connection that the parser calls."""

    __slots__ = (
        "_between",
        "_close_delimited",
        "_complete",
        "_decoder",
        "_head",
        "_header_bytes",
        "_headers",
        "_keep",
        "_limits",
        "_parser",
        "_parts",
        "_quiet",
        "_seen",
        "_status",
        "on_body",
    )

    def __init__(self, limits: UpstreamLimits) -> None:
        self._limits = limits
        self._header_bytes = limits.header_bytes  # settings are read through Python; this one for every answer
        self._parts: list[bytes] = []
        self.on_body: Callable[[bytes], None] = self._parts.append
        self._headers: list[tuple[bytes, bytes]] = []
        self._head: list[tuple[bytes, bytes]] | None = None  # complete, and the listener has not heard of it yet
        self._decoder: Decoder | None = None
        self._keep = False
        self._close_delimited = False
        self._between = False  # the parser stands between two chunks, and their bytes are the listener's as they are
        self._reset()
        self._parser = HttpResponseParser(self)

    def _reset(self) -> None:
        """Ready for the next answer; the parser is by itself, and what each head sets anew is not touched."""
        self._seen = 0  # bytes of this answer
        self._quiet = 0  # bytes since the last that was body
        self._status = 0  # of the final answer; 0 until its head is complete
        self._complete = False
        self._decoder = None
        if self._headers:  # trailers
            self._headers = []

    def on_message_begin(self) -> None:
        """A second message is nobody's: the first one stands, the connection is not trusted any more."""
        if self._complete:
            raise InvalidAnswer("surplus bytes after the answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Also called for trailers, which nobody hears of."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Check the limits and find out where the body will end."""
        status = self._parser.get_status_code()
        headers = self._headers
        self._headers = []
        if self._seen > self._header_bytes or len(headers) > HEADER_COUNT:
            self._check_size(headers)
        if status < _FINAL_STATUS:
            self._check_interim(status)
            return
        self._close_delimited = status not in _WITHOUT_BODY
        for name, _ in headers:
            if name in _WRAPPED:
                headers = self._frame(headers)
                break
            if name == _LENGTH:
                self._close_delimited = False
        self._head = headers
        self._status = status

    def _frame(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Find out how the body is wrapped; what is left of the headers for the listener, who sees it unwrapped."""
        for name, value in headers:
            if name == _LENGTH:
                self._close_delimited = False
            elif name == _TRANSFER:
                # Other transfer codings would need decoding; twice `chunked` has no meaning.
                if value.strip().lower() != b"chunked" or not self._close_delimited:
                    raise InvalidAnswer("unknown transfer-encoding")
                self._close_delimited = False
            elif name == _CODING and value.strip().lower() not in (b"", b"identity"):
                self._expect_coded(value.strip().lower())
        if self._decoder is None:
            return headers
        return [header for header in headers if header[0] not in (_CODING, _LENGTH)]

    def _check_interim(self, status: int) -> None:
        if status == _SWITCHING or status < _FIRST_STATUS:
            raise InvalidAnswer(f"status {status}")

    def _check_size(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Only for an answer that may be over a limit; most of what was seen may be its body."""
        limit = self._limits.header_bytes
        if len(headers) > HEADER_COUNT:
            raise InvalidAnswer(f"more than {HEADER_COUNT} header lines")
        if sum(len(name) + len(value) + 4 for name, value in headers) > limit:
            raise InvalidAnswer(f"headers of more than {limit} bytes")

    def _expect_coded(self, coding: bytes) -> None:
        if self._decoder is not None:
            raise InvalidAnswer("more than one content-encoding")
        try:
            self._decoder = Decoder(coding, self._limits.reply_bytes)
        except ContentError as error:
            raise InvalidAnswer(str(error)) from None

    def on_chunk_header(self) -> None:
        """A chunk begins, or the last one, which is empty."""
        self._between = False

    def on_chunk_complete(self) -> None:
        """It is over."""
        self._between = self._decoder is None

    def on_message_complete(self) -> None:
        """Of an interim (1xx) answer too; only the final one has set the status.

        Before this point the parser does not know yet whether it will read another answer: a trailer may say `close`.
        """
        self._between = False
        if self._status:
            self._complete = True
            self._keep = self._parser.should_keep_alive()
