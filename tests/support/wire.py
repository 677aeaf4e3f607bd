"""A blocking HTTP client that shows exactly what came, over one connection or several."""

import http.client
import json
from urllib.parse import urlsplit

from support.http import Response


class Wire:
    """One kept-alive connection.

    Args:
        url: where to.
        limit: seconds that a read may take.
    """

    def __init__(self, url: str, limit: float = 20.0) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=limit)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> http.client.HTTPResponse:
        """Send a request; the answer's head has come, its body is still to be read."""
        payload = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        self._connection.request(method, path, payload, {"content-type": "application/json", **(headers or {})})
        return self._connection.getresponse()

    def ask(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Response:
        """One request and its whole answer."""
        return whole(self.send(method, path, body, headers))

    @property
    def local_port(self) -> int | None:
        """Our end of the connection; None while there is none. It tells whether two requests shared a connection."""
        sock = self._connection.sock
        return sock.getsockname()[1] if sock is not None else None


def whole(answer: http.client.HTTPResponse) -> Response:
    """Read an answer to its end."""
    headers = {name.lower(): value for name, value in answer.getheaders()}
    try:
        return Response(answer.status, headers, answer.read())
    except http.client.IncompleteRead as broken:
        return Response(answer.status, headers, broken.partial, complete=False)


def fetch(url: str, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Response:
    """One request on a connection of its own."""
    with Wire(url) as wire:
        return wire.ask(method, path, body, headers)
