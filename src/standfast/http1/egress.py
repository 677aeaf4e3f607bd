"""The way out through a proxy, where one is configured; the environment's proxies are never looked at (A12).

A TLS origin is reached through a tunnel (CONNECT, RFC 9110, section 9.3.6), so the proxy sees neither keys nor prompts.
A plain one is asked in absolute form (RFC 9112, section 3.2.2): plain HTTP shows the proxy everything. Loopback is
never reached through a proxy.
"""

import asyncio
import base64
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from standfast.http1.base import Origin

DEFAULT_PORT: Final = 8080
_HEAD_BYTES: Final = 16 * 1024
_STATUS_PARTS: Final = 2


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy.

    Attributes:
        host: name or address, without brackets.
        port: TCP port.
        credentials: the value of Proxy-Authorization; empty for none.
    """

    host: str
    port: int
    credentials: str = ""

    def __repr__(self) -> str:
        return f"Proxy({self.host}:{self.port})"  # the credentials are nobody's business

    def absolute(self, request: bytes, origin: Origin) -> bytes:
        """A request in origin form as the proxy wants it: absolute form, with the credentials."""
        method, _, rest = request.partition(b" ")
        line, _, fields = rest.partition(b"\r\n")
        return b"%b http://%b%b\r\n%b%b" % (method, _authority(origin).encode(), line, self._field(), fields)

    async def tunnel(self, sock: socket.socket, origin: Origin) -> None:
        """Ask the proxy at the other end of `sock` for a way through to the origin.

        Raises:
            OSError: it refuses, or does not speak HTTP.
        """
        loop = asyncio.get_running_loop()
        place = _authority(origin, always_port=True).encode()
        await loop.sock_sendall(sock, b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (place, place, self._field()))
        head = b""
        while b"\r\n\r\n" not in head:
            piece = await loop.sock_recv(sock, 4096)
            head += piece
            if not piece or len(head) > _HEAD_BYTES:
                raise OSError(f"the proxy {self.host}:{self.port} gave no answer to CONNECT")
        status = head.split(b"\r\n", 1)[0].split(b" ", _STATUS_PARTS)
        if len(status) < _STATUS_PARTS or not status[0].startswith(b"HTTP/1.") or not status[1].startswith(b"2"):
            code = status[1].decode("latin-1")[:3] if len(status) >= _STATUS_PARTS else "no HTTP"
            raise OSError(f"the proxy {self.host}:{self.port} refused the tunnel ({code}); check server.upstream.proxy")
        if not head.endswith(b"\r\n\r\n"):
            raise OSError(f"the proxy {self.host}:{self.port} sent bytes that nobody asked for")

    def _field(self) -> bytes:
        return b"proxy-authorization: %b\r\n" % self.credentials.encode() if self.credentials else b""


def read_proxy(url: str) -> Proxy | None:
    """The proxy of a URL; None for an empty one.

    Raises:
        ValueError: it is not of the form `http://[user:password@]host[:port]`; shows nothing of it.
    """
    if not url:
        return None
    right = "must be of the form http://[user:password@]host[:port]"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(right) from None
    if parts.scheme != "http" or not host or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(right)
    credentials = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        credentials = "Basic " + base64.b64encode(pair.encode()).decode()
    return Proxy(host, port or DEFAULT_PORT, credentials)


class Egress:
    """Which origins are reached through the proxy.

    Args:
        proxy: None sends everything directly.
        direct: hosts, with everything below them, that are asked directly.
    """

    def __init__(self, proxy: Proxy | None = None, direct: Iterable[str] = ()) -> None:
        self._proxy = proxy
        self._direct = tuple(host.lower().lstrip(".") for host in direct)

    def proxy(self, origin: Origin) -> Proxy | None:
        """The proxy to the origin; None for the direct way."""
        if self._proxy is None:
            return None
        host = origin.host.lower()
        if _loopback(host) or any(host == name or host.endswith(f".{name}") for name in self._direct):
            return None
        return self._proxy


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _authority(origin: Origin, *, always_port: bool = False) -> str:
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    usual = origin.port == 80 and origin.scheme == "http"  # noqa: PLR2004 - HTTP's own port
    return host if usual and not always_port else f"{host}:{origin.port}"
