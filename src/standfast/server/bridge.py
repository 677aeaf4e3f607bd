"""Data-plane requests that reach the ASGI application.

They arrive here only when a client pipelines them behind a request of another kind in the same segment, after the
connection had been handed over. The same handler answers; only the way of the bytes is longer.
"""

import asyncio
from collections.abc import AsyncIterator

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from standfast.engine.collector import Collector
from standfast.http1.base import HttpRequest
from standfast.server.data_plane import DataPlane


def header_map(lines: bytes) -> dict[str, str]:
    """Header lines as a mapping."""
    pairs = (line.partition(": ") for line in lines.decode("latin-1").split("\r\n") if line)
    return {name: value for name, _, value in pairs}


class _Begun(Collector):
    """A collector that tells when the answer's head is known."""

    __slots__ = ("begun",)

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()

    def reply(self, status: int, headers: bytes, body: bytes) -> None:
        """A whole answer."""
        super().reply(status, headers, body)
        self.begun.set()

    def begin(self, status: int, headers: bytes) -> None:
        """The head of a streamed answer."""
        super().begin(status, headers)
        self.begun.set()


async def bridge(plane: DataPlane, request: Request) -> Response:
    """Answer a data-plane request through ASGI."""
    head = HttpRequest(
        method=request.method.encode(),
        path=request.url.path.encode(),
        query=request.url.query.encode(),
        headers=dict(request.headers.raw),
    )
    refusal = plane.admit(head)
    if refusal is not None:
        return Response(refusal.body, refusal.status, header_map(refusal.headers))
    head.body = await request.body()
    out = _Begun()
    out.attach(plane.respond(head, out))
    if not await _begins(request, out):
        return Response(status_code=499)  # nobody reads it
    if out.body:
        return Response(out.body, out.status, header_map(out.headers))

    async def chunks() -> AsyncIterator[bytes]:
        try:
            while (chunk := await out.next_chunk()) is not None:
                yield chunk
        finally:
            out.close()

    return StreamingResponse(chunks(), out.status, header_map(out.headers))


async def _begins(request: Request, out: _Begun) -> bool:
    """Wait for the answer's head; False if the client goes first, and then the request is cancelled."""
    begun = asyncio.create_task(out.begun.wait())
    gone = asyncio.ensure_future(request.receive())  # the body has been read: what comes is http.disconnect
    try:
        await asyncio.wait((begun, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        begun.cancel()
        gone.cancel()
        if not out.begun.is_set():
            out.close()
    return out.begun.is_set()
