"""A head that comes again: on one connection a client sends the same head with every request, but for the length.

Rules:
    - What comes again is recognised byte for byte, from the request line to the empty line; only the digits of
      Content-Length may differ. So nothing is accepted that both parsers have not read and accepted before.
    - Only plain heads are kept: HTTP/1.1, a Content-Length, no Transfer-Encoding, no expectation, no wish to close.
    - It lives and dies with the connection that sent it, and is offered to no other.
"""

import re
from typing import Final

import msgspec

from standfast.http1.base import HttpRequest
from standfast.http1.request_head import RequestLine, keeps_alive

_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)\r\n", re.IGNORECASE)
_DIGITS: Final = 10
"""More digits than any body has bytes that comes in one read."""
_MISSES: Final = 4
"""After so many different heads in a row a client is taken for one that never repeats itself."""


class KnownHead(msgspec.Struct):
    """A head that was accepted.

    Attributes:
        before, after: its bytes on both sides of the length's digits; `after` ends with the empty line.
        line, headers: what they mean.
        notes: the application's (see `HttpRequest`).
    """

    before: bytes
    after: bytes
    line: RequestLine
    headers: dict[bytes, bytes]
    notes: dict[str, object]


class Repetition:
    """What one connection's client said last.

    Attributes:
        head: None until a plain head has been accepted.
    """

    __slots__ = ("_misses", "head")

    def __init__(self) -> None:
        self.head: KnownHead | None = None
        self._misses = 0

    def learn(self, raw: bytes, line: RequestLine, request: HttpRequest) -> None:
        """A head was read and accepted, and it was not the known one."""
        if self._misses >= _MISSES:
            return
        self._misses += 1
        self.head = None
        headers = request.headers
        if not line.newer or b"transfer-encoding" in headers or b"expect" in headers or b"upgrade" in headers:
            return
        found = _LENGTH.search(raw)
        if found is None or not keeps_alive(request, newer=True):
            return
        self.head = KnownHead(raw[: found.start(1)], raw[found.end(1) :], line, headers, request.notes)

    def whole(self, head: KnownHead, data: bytes, most: int, peer: str) -> HttpRequest | None:
        """The request in `data` if that is the known head with exactly its body, of at most `most` bytes."""
        if not data.startswith(head.before):
            return None
        start = len(head.before)
        stop = data.find(b"\r", start, start + _DIGITS + 1)
        digits = data[start:stop]
        if stop < 0 or not digits.isdigit() or not data.startswith(head.after, stop):
            return None
        body = stop + len(head.after)
        length = int(digits)
        if length > most or len(data) - body != length or not length:
            return None
        self._misses = 0
        line = head.line
        return HttpRequest(line.method, line.path, line.query, head.headers, data[body:], peer, "", head.notes)
