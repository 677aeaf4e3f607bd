"""The head of an upstream request, prepared once when the configuration is loaded.

Per request only the body's length and the body are joined to it. Everything that could break the framing is refused
here, at configuration time: a line break in a key or a header is an error of the configuration, not of a request.
"""

import importlib.metadata
import re
from collections.abc import Sequence
from functools import cache

from standfast.http1.base import Origin

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")  # field-content of RFC 9110, section 5.5, in Latin-1
_TARGET = re.compile(r"/[\x21-\x7e]*")  # origin-form of RFC 9112, section 3.2.1
_HOST = re.compile(r"[0-9A-Za-z._~:%-]+")
_OURS = frozenset(
    (
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_WITHOUT_BODY = frozenset(("GET", "DELETE"))


@cache
def _user_agent() -> str:
    try:
        return f"standfast/{importlib.metadata.version('standfast')}"
    except importlib.metadata.PackageNotFoundError:  # run from a bare source tree
        return "standfast"


def _checked(name: str, value: str) -> bytes:
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is not a header name")
    if name.lower() in _OURS:
        raise ValueError(f"header {name!r} is set by the wire itself and cannot be configured")
    if not _VALUE.fullmatch(value):
        raise ValueError(f"header {name!r} has a line break, a control character or one outside Latin-1 in its value")
    return f"{name}: {value.strip()}\r\n".encode("latin-1")


class RequestHead:
    """Method, path, host and fixed headers of an upstream request, as bytes.

    Args:
        method: `GET`, `POST` or another one; `HEAD` and `CONNECT` have other framing and are refused.
        origin: where it goes; gives the `Host` header.
        path: path and query, percent-encoded.
        headers: fixed headers, authorization included. `user-agent` and `content-type` replace the defaults.

    Raises:
        ValueError: something cannot stand in a request. Names the header, never its value (it may be a key).
    """

    __slots__ = ("_bodyless", "_head")

    def __init__(self, method: str, origin: Origin, path: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        if not _TOKEN.fullmatch(method) or method in ("HEAD", "CONNECT"):
            raise ValueError(f"method {method!r} cannot be sent")
        if not _TARGET.fullmatch(path):
            raise ValueError("the path must begin with / and hold no spaces, control or non-ASCII characters")
        if not _HOST.fullmatch(origin.host):
            raise ValueError("the host is not a name or an address (write international names in their xn-- form)")
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        if origin.port != _DEFAULT_PORTS.get(origin.scheme):
            host = f"{host}:{origin.port}"
        given = {name.lower() for name, _ in headers}
        lines = [f"{method} {path} HTTP/1.1\r\nhost: {host}\r\naccept-encoding: identity\r\n".encode("ascii")]
        if "user-agent" not in given:
            lines.append(f"user-agent: {_user_agent()}\r\n".encode("ascii"))
        lines += [_checked(name, value) for name, value in headers]
        self._bodyless = b"".join(lines) + b"\r\n" if method in _WITHOUT_BODY else b""
        if "content-type" not in given:
            lines.append(b"content-type: application/json\r\n")
        self._head = b"".join(lines) + b"content-length: "

    def __repr__(self) -> str:
        return "RequestHead(...)"  # it holds a key

    def request(self, body: bytes = b"") -> bytes:
        """The complete request. A GET or DELETE without a body announces none."""
        if not body and self._bodyless:
            return self._bodyless
        return b"%b%d\r\n\r\n%b" % (self._head, len(body), body)


def build_request(method: str, origin: Origin, path: str, headers: Sequence[tuple[str, str]] = ()) -> RequestHead:
    """Prepare a request's head; see `RequestHead`."""
    return RequestHead(method, origin, path, headers)
