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

    def request(self, data: bytes, most: int, peer: str) -> HttpRequest | None:
        """The request in `data` if that is this head with exactly its body, of at most `most` bytes."""
        before, after = self.before, self.after
        if not data.startswith(before):
            return None
        start = len(before)
        digits = data[start : start + _DIGITS].partition(b"\r")[0]
        stop = start + len(digits)
        if not digits.isdigit() or not data.startswith(after, stop):
            return None
        body = data[stop + len(after) :]
        length = int(digits)
        if len(body) != length or length > most or not length:
            return None
        line = self.line
        return HttpRequest(line.method, line.path, line.query, self.headers, body, peer, "", self.notes)


class Repetition:
    """What one connection's client said last.

    Attributes:
        head: None until a plain head has been accepted.
        misses: heads in a row that were not the known one.
    """

    __slots__ = ("head", "misses")

    def __init__(self) -> None:
        self.head: KnownHead | None = None
        self.misses = 0

    def learn(self, raw: bytes, line: RequestLine, request: HttpRequest) -> None:
        """A head was read and accepted, and it was not the known one."""
        if self.misses >= _MISSES:
            return
        self.misses += 1
        self.head = None
        headers = request.headers
        if not line.newer or b"transfer-encoding" in headers or b"expect" in headers or b"upgrade" in headers:
            return
        found = _LENGTH.search(raw)
        if found is None or not keeps_alive(request, newer=True):
            return
        self.head = KnownHead(raw[: found.start(1)], raw[found.end(1) :], line, headers, request.notes)
