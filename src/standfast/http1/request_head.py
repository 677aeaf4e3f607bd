"""Reads a request's head: the request line by hand (it decides whose request it is), the headers with llhttp.

Rules (RFC 9112, strict where it leaves a choice; two parsers must never see two different messages):
    - Lines end with CRLF. A bare CR or LF, a folded line, a space before the colon is refused, not repaired.
    - Content-Length is digits, once. Transfer-Encoding is `chunked`, once, in HTTP/1.1 only, never with a length.
    - HTTP/1.1 has exactly one Host.
"""

import re

import httptools
import msgspec

from standfast.http1.base import HttpRequest

CHUNKED = -1
"""The body's length if it is chunked."""
_LENGTH_DIGITS = 16
"""More digits than any body has bytes; the limit keeps a number below 2**63 in every parser on the way."""
_HOST = re.compile(rb"[A-Za-z0-9\-._~%!$&'()*+;=:\[\]]*")
_ONCE = (b"host", b"content-length", b"transfer-encoding", b"expect")
_VERSION_BYTES = len(b" HTTP/1.1")


class HeadError(Exception):
    """The head cannot be accepted.

    Attributes:
        status: the HTTP status to answer with.
        code: stable and machine-readable.
        message: what is wrong.
    """

    def __init__(self, message: str, status: int = 400, code: str = "bad_request") -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code


class RequestLine(msgspec.Struct, frozen=True, gc=False):
    """`path` and `query` are as sent, percent-encoding untouched."""

    method: bytes
    path: bytes
    query: bytes
    newer: bool
    """HTTP/1.1, not 1.0."""


def read_line(line: bytes) -> RequestLine:
    """Take a request line (without CRLF) apart.

    Raises:
        HeadError: it is not `METHOD target HTTP/1.x`.
    """
    newer = line.endswith(b" HTTP/1.1")
    if not newer and not line.endswith(b" HTTP/1.0"):
        raise HeadError("the request line does not end with HTTP/1.1 or HTTP/1.0; only these versions are spoken here")
    method, _, target = line[:-_VERSION_BYTES].partition(b" ")
    if not target or not method or b" " in target or b"#" in target:
        raise HeadError("the request line is not of the form: METHOD target HTTP/1.1")
    path, _, query = target.partition(b"?")
    if not target.startswith(b"/"):
        path = _absolute_path(path)
    return RequestLine(method, path, query, newer)


def _absolute_path(url: bytes) -> bytes:
    """The path of an absolute-form target; authority-form and asterisk-form targets are returned as they are."""
    scheme, found, rest = url.partition(b"://")
    if not found or scheme.lower() not in (b"http", b"https"):
        return url
    _, slash, path = rest.partition(b"/")
    return slash + path if slash else b"/"


def check_lines(head: bytes) -> int:
    """The number of header lines of a complete head.

    Raises:
        HeadError: a bare CR or LF, or a folded line.
    """
    lines = head.count(b"\r\n")
    if head.count(b"\n") != lines or head.count(b"\r") != lines:
        raise HeadError("a line of the request's head does not end with CRLF")
    if b"\r\n " in head or b"\r\n\t" in head:
        raise HeadError("folded header lines are obsolete and not accepted")
    return lines - 2


class HeadParser:
    """One connection's llhttp parser, fed with exactly one message after the other.

    Headers are collected without a line of Python per header: llhttp's callback is `dict.setdefault`. A repeated name
    shows in the count of lines, and only then are they collected one by one.

    Attributes:
        complete: messages that llhttp has seen the end of since the last head; 0 or 1 if both parsers agree.
    """

    __slots__ = ("_found", "_host", "_parser", "complete", "on_header")

    def __init__(self) -> None:
        self._found: dict[bytes, bytes] = {}
        self._host = b""
        self.on_header = self._found.setdefault
        self.complete = 0
        self._parser = httptools.HttpRequestParser(self)

    def on_message_complete(self) -> None:
        """Called by llhttp."""
        self.complete += 1

    def close(self) -> None:
        """Break the reference cycle with llhttp, so that no garbage collection is needed."""
        del self._parser

    def read(self, head: bytes, lines: int) -> dict[bytes, bytes]:
        """The headers of a whole head with `lines` header lines: lower-case names, repeated ones joined with `, `.

        Raises:
            HeadError: llhttp refuses it, or a header that must be unique is repeated.
        """
        found = self._found
        found.clear()
        self.complete = 0
        try:
            self._parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            # Upgrades are not offered here, and a server may ignore them (RFC 9110, section 7.8): the message goes on
            # as if the header were not there. llhttp believes that it has ended, so a new parser takes the body.
            self._restart(found)
        except httptools.HttpParserError as error:
            raise HeadError(f"the request's head is malformed: {error}") from None
        headers = {name.lower(): value.strip() for name, value in found.items()}
        return headers if len(headers) == lines else _joined(head, lines)

    def feed(self, data: bytes) -> None:
        """The body's next bytes, framing included.

        Raises:
            HeadError: llhttp finds them malformed.
        """
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise HeadError(f"the request's body is malformed: {error}") from None

    def check_host(self, headers: dict[bytes, bytes], *, newer: bool) -> None:
        """Refuse a request without a Host (HTTP/1.1), or with one that no URL can have.

        Raises:
            HeadError: such a one.
        """
        host = headers.get(b"host")
        if host is None:
            if newer:
                raise HeadError("an HTTP/1.1 request needs exactly one Host header")
        elif host != self._host:
            if _HOST.fullmatch(host) is None:
                raise HeadError("the Host header is not a host name")
            self._host = host

    def _restart(self, found: dict[bytes, bytes]) -> None:
        headers = dict(found)
        self._parser = httptools.HttpRequestParser(self)
        framing = b""
        for name, value in headers.items():
            if name.lower() in (b"content-length", b"transfer-encoding"):
                framing += b"%b: %b\r\n" % (name, value)
        self.complete = 0
        try:
            self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % framing)
        except httptools.HttpParserError as error:
            raise HeadError(f"the request's head is malformed: {error}") from None
        found.clear()
        found.update(headers)


class _Lines:
    """Collects headers one by one."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.strip()))


def _joined(head: bytes, lines: int) -> dict[bytes, bytes]:
    collector = _Lines()
    try:
        httptools.HttpRequestParser(collector).feed_data(head)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise HeadError(f"the request's head is malformed: {error}") from None
    if len(collector.headers) != lines:
        raise HeadError("the request's head is malformed")
    headers: dict[bytes, bytes] = {}
    for name, value in collector.headers:
        if name in headers:
            if name in _ONCE:
                raise HeadError(f"the header {name.decode()} is repeated")
            headers[name] += b", " + value
        else:
            headers[name] = value
    return headers


def body_length(headers: dict[bytes, bytes], *, newer: bool) -> int:
    """The body's length in bytes, or `CHUNKED`.

    Raises:
        HeadError: the framing is ambiguous or malformed.
    """
    length = headers.get(b"content-length")
    coding = headers.get(b"transfer-encoding")
    if coding is None:
        if length is None:
            return 0
        if not length.isdigit() or len(length) > _LENGTH_DIGITS:
            raise HeadError("Content-Length is not a plain decimal number")
        return int(length)
    if length is not None:
        raise HeadError("Content-Length and Transfer-Encoding exclude each other")
    if not newer or coding.lower() != b"chunked":
        raise HeadError("Transfer-Encoding must be exactly: chunked (in HTTP/1.1)")
    return CHUNKED


def keeps_alive(request: HttpRequest, *, newer: bool) -> bool:
    """May the connection serve again after this request, as far as the client is concerned?"""
    wish = request.headers.get(b"connection")
    if wish is None:
        return newer
    tokens = [token.strip() for token in wish.lower().split(b",")]
    if b"close" in tokens:
        return False
    return newer or b"keep-alive" in tokens
