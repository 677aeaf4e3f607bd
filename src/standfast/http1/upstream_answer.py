"""Reading an upstream's answer: the parser's callbacks, which only record, and the limits that they keep.

What the parser (llhttp in its strict mode) refuses by itself: folded headers, control bytes, bare line ends, a length
beside chunks, two lengths, malformed chunk sizes. What is refused here: headers over the limits, codings that nobody
asked for, a switch of protocols, and whatever follows a complete answer.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from httptools import HttpResponseParser

from standfast.http1.answer_head import CHUNKED, CODED, AnswerHead, cut
from standfast.http1.content import ContentError, Decoder
from standfast.http1.settings import UpstreamLimits

HEADER_COUNT: Final = 1000
"""Most header lines of one answer."""

_LINE_BYTES: Final = 4
"""No header line takes fewer, with its end."""

_LENGTH, _TRANSFER, _CODING = b"content-length", b"transfer-encoding", b"content-encoding"
_FIRST_STATUS, _FINAL_STATUS, _SWITCHING = 100, 200, 101
WITHOUT_BODY: Final = frozenset((204, 304))


class InvalidAnswer(Exception):
    """The answer breaks a rule that the parser does not know. Travels through the parser to its caller, no further."""


class AnswerReader(asyncio.Protocol):
    """The half of a connection that the parser calls."""

    __slots__ = (
        "_between",
        "_close_delimited",
        "_complete",
        "_cut",
        "_decoder",
        "_head",
        "_header_bytes",
        "_keep",
        "_limits",
        "_parser",
        "_parts",
        "_quiet",
        "_raw",
        "_seen",
        "_status",
        "on_body",
    )

    def __init__(self, limits: UpstreamLimits) -> None:
        self._limits = limits
        self._header_bytes = limits.header_bytes  # settings are read through Python; this one for every answer
        self._parts: list[bytes] = []
        self.on_body: Callable[[bytes], None] = self._parts.append
        self._raw: bytes | bytearray = b""  # what was seen of this answer, while its head is not complete
        self._head: AnswerHead | None = None  # complete, and the listener has not heard of it yet
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
        self._cut = 0  # so much of it were interim heads (1xx)

    def _more(self, data: bytes) -> bytearray:
        """Another piece of a head; however many there are, each is copied once."""
        raw = self._raw
        if not isinstance(raw, bytearray):
            raw = bytearray(raw)
        raw += data
        return raw

    def on_message_begin(self) -> None:
        """A second message is nobody's: the first one stands, the connection is not trusted any more."""
        if self._complete:
            raise InvalidAnswer("surplus bytes after the answer")

    def on_headers_complete(self) -> None:
        """Check the limits and find out how the body is wrapped."""
        status = self._parser.get_status_code()
        raw, self._cut = cut(self._raw, self._cut)
        if len(raw) > self._header_bytes or len(raw) > HEADER_COUNT * _LINE_BYTES:
            self._check_size(raw)
        if status < _FINAL_STATUS:
            self._pass_over(status)
            return
        self._raw = b""
        lower = raw.lower()
        head = AnswerHead(raw, lower)
        # `in` first takes the needle for a number, and makes an exception of it
        if lower.find(CODED) >= 0 and not (lower.count(CODED) == 1 and lower.find(CHUNKED) >= 0):
            head = self._unwrap(head)
        self._head = head
        self._status = status

    def _unwrap(self, head: AnswerHead) -> AnswerHead:
        """Find out how the body is wrapped; what is left of the head for the listener, who sees the body unwrapped."""
        framed = False
        for name, value in head:
            if name == _LENGTH:
                framed = True
            elif name == _TRANSFER:
                # Other transfer codings would need decoding; twice `chunked` has no meaning.
                if framed or value.lower() != b"chunked":
                    raise InvalidAnswer("unknown transfer-encoding")
                framed = True
            elif name == _CODING and value.lower() not in (b"", b"identity"):
                self._expect_coded(value.lower())
        return head if self._decoder is None else head.without(_CODING, _LENGTH)

    def _pass_over(self, status: int) -> None:
        """An interim answer."""
        if status == _SWITCHING or status < _FIRST_STATUS:
            raise InvalidAnswer(f"status {status}")

    def _check_size(self, raw: bytes) -> None:
        """Only for a head that may be over a limit."""
        lines = raw.partition(b"\r\n")[2]
        if lines.count(b"\r\n") > HEADER_COUNT:
            raise InvalidAnswer(f"more than {HEADER_COUNT} header lines")
        if len(lines) > self._header_bytes:
            raise InvalidAnswer(f"headers of more than {self._header_bytes} bytes")

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
