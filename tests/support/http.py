"""A small, strict HTTP/1.1 client for tests: it shows exactly what came."""

import asyncio
import json
from dataclasses import dataclass, field


@dataclass
class Response:
    """A complete answer.

    Attributes:
        complete: the body ended as its framing says; False if the connection broke inside it.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool = True
    chunks: list[bytes] = field(default_factory=list)

    def json(self) -> dict[str, object]:
        """The body as JSON."""
        decoded: dict[str, object] = json.loads(self.body)
        return decoded

    @property
    def events(self) -> list[str]:
        """The data of each server-sent event."""
        return [line[6:] for line in self.body.decode().split("\n") if line.startswith("data: ")]

    @property
    def text(self) -> str:
        """The text of a chat answer, streamed or not."""
        if "event-stream" in self.headers.get("content-type", ""):
            pieces = [json.loads(data) for data in self.events if not data.startswith("[DONE]")]
            return "".join(
                choice["delta"].get("content") or "" for piece in pieces for choice in piece.get("choices", ())
            )
        content: str = json.loads(self.body)["choices"][0]["message"]["content"]
        return content


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Status and headers."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.split(": ", 1) for line in head[1:] if line)
    return int(head[0].split(" ")[1]), {name.lower(): value for name, value in pairs}


async def read_response(reader: asyncio.StreamReader) -> Response:
    """One answer, by its framing."""
    status, headers = await read_head(reader)
    if status == 204:
        return Response(status, headers, b"")
    if headers.get("transfer-encoding") == "chunked":
        chunks: list[bytes] = []
        try:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                chunks.append((await reader.readexactly(size + 2))[:-2])
            await reader.readexactly(2)
        except asyncio.IncompleteReadError:
            return Response(status, headers, b"".join(chunks), complete=False, chunks=chunks)
        return Response(status, headers, b"".join(chunks), chunks=chunks)
    if "content-length" in headers:
        return Response(status, headers, await reader.readexactly(int(headers["content-length"])))
    return Response(status, headers, await reader.read())


def request_bytes(path: str, body: object = None, headers: dict[str, str] | None = None, method: str = "POST") -> bytes:
    """A request as bytes; `host` among the headers takes the place of our own."""
    given = dict(headers or {})
    payload = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", f"Host: {given.pop('host', 'test')}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in given.items()]
    lines.append(f"Content-Length: {len(payload)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + payload


async def call(
    port: int, path: str, body: object = None, headers: dict[str, str] | None = None, method: str = "POST"
) -> Response:
    """One request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request_bytes(path, body, headers, method))
        return await asyncio.wait_for(read_response(reader), 20)
    finally:
        writer.close()
        await writer.wait_closed()
