"""A client with one blocking connection: exact times of single requests, and the headers of their answers."""

import socket
from collections.abc import Mapping
from time import perf_counter
from typing import NamedTuple

ATTEMPTS_HEADER = "x-standfast-attempts"


class Answer(NamedTuple):
    """One answer. `seconds` runs from the first byte sent to the last byte received."""

    status: int
    seconds: float
    headers: Mapping[str, str]

    @property
    def attempts(self) -> int:
        """How many upstream attempts the gateway made; 1 if it does not say."""
        return int(self.headers.get(ATTEMPTS_HEADER, "1"))


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers (lower-case names) of an HTTP/1.1 head.

    Raises:
        ValueError: it is none.
    """
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ", 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/1."):
        raise ValueError(f"not an HTTP answer: {lines[0][:80]!r}")
    pairs = (line.partition(":") for line in lines[1:] if line)
    return int(parts[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}


def chat_request(host: str, model: str, key: str) -> bytes:
    """The bytes of a chat completion request that is not streamed."""
    body = f'{{"model":"{model}","messages":[{{"role":"user","content":"Is the door open?"}}],"max_tokens":64}}'
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


class Client:
    """A kept-alive connection to 127.0.0.1.

    Raises:
        OSError: from the constructor, if nobody listens.
    """

    def __init__(self, port: int, model: str, key: str, timeout: float = 10.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = chat_request(f"127.0.0.1:{port}", model, key)

    def ask(self) -> Answer:
        """Send the request and wait for the whole answer.

        Raises:
            OSError: the connection broke or timed out.
            ValueError: the answer has no length or is no HTTP.
        """
        started = perf_counter()
        self._socket.sendall(self._request)
        data = bytearray()
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        status, headers = parse_head(bytes(data[:end]))
        if "content-length" not in headers:
            raise ValueError("an answer without content-length")
        whole = end + 4 + int(headers["content-length"])
        while len(data) < whole:
            data += self._more()
        return Answer(status, perf_counter() - started, headers)

    def _more(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionResetError("the server closed the connection")
        return data

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
