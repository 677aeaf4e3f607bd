"""An upstream that answers every request with the same bytes, whatever they are."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass
class Raw:
    """What it has seen.

    Attributes:
        base_url: where it is.
        requests: heads of the requests that came.
    """

    base_url: str = ""
    requests: list[bytes] = field(default_factory=list)

    @property
    def provider(self) -> dict[str, object]:
        """Its entry under `providers`."""
        return {"type": "openai_like", "base_url": self.base_url, "keys": ["none"]}


@contextlib.asynccontextmanager
async def raw_upstream(*pieces: bytes, then_close: bool = True, pause: float = 0.0) -> AsyncIterator[Raw]:
    """Serve on a free port; the pieces of an answer are separate writes, `pause` seconds apart."""
    raw = Raw()
    held: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            raw.requests.append(head)
            size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(size)
            for number, piece in enumerate(pieces):
                await asyncio.sleep(pause if number else 0)
                writer.write(piece)
                await writer.drain()
            if then_close:
                writer.close()
            else:
                held.add(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        raw.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        yield raw
    finally:
        server.close()
        for writer in held:
            writer.close()


def http_answer(status: int, body: object, *lines: str) -> bytes:
    """A whole HTTP answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"HTTP/1.1 {status} X", "content-type: application/json", *lines, f"content-length: {len(data)}", "", ""]
    return "\r\n".join(head).encode("latin-1") + data
