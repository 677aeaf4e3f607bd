"""The client's side of a request that has no socket: for the library and for routes that reshape the answer."""

import asyncio
from collections import deque

from standfast.http1.base import Responder
from standfast.http1.splice import Flow

HIGH_WATER = 256


class Collector:
    """A `Downstream` that keeps the answer in memory.

    A whole answer is awaited with `whole()`; a streamed one is iterated with `chunks()`, which pauses the upstream
    while the consumer is slow. One consumer only.
    """

    __slots__ = ("_chunks", "_ended", "_paused", "_responder", "_wake", "aborted", "body", "headers", "status")

    def __init__(self) -> None:
        self.status = 0
        self.headers = b""
        self.body = b""
        self.aborted = False
        self._chunks: deque[bytes] = deque()
        self._ended = False
        self._paused = False
        self._responder: Responder | None = None
        self._wake = asyncio.Event()

    def attach(self, responder: Responder) -> None:
        """Whom to tell when the consumer goes or is slow."""
        self._responder = responder

    def reply(self, status: int, headers: bytes, body: bytes) -> None:
        """A whole answer."""
        self.status, self.headers, self.body = status, headers, body
        self._ended = True
        self._wake.set()

    def begin(self, status: int, headers: bytes) -> None:
        """The head of a streamed answer."""
        self.status, self.headers = status, headers

    def write(self, data: bytes) -> None:
        """The next bytes of a streamed answer."""
        if data:
            self._chunks.append(data)
            self._wake.set()
            if len(self._chunks) >= HIGH_WATER and not self._paused and self._responder is not None:
                self._paused = True
                self._responder.pause()

    def splice(self, flow: Flow) -> None:
        """Nothing is written anywhere."""

    def end(self) -> None:
        """The streamed answer is over."""
        self._ended = True
        self._wake.set()

    def abort(self) -> None:
        """The answer is cut."""
        self.aborted = True
        self.end()

    def header(self, name: str) -> str:
        """A header of the answer, empty if it is not there."""
        for line in self.headers.decode("latin-1").split("\r\n"):
            key, _, value = line.partition(": ")
            if key == name:
                return value
        return ""

    async def whole(self) -> None:
        """Wait until the answer is here. Cancelling the wait cancels the request."""
        try:
            while not self._ended:
                self._wake.clear()
                await self._wake.wait()
        finally:
            self.close()

    async def next_chunk(self) -> bytes | None:
        """The next bytes of the stream; None when it is over."""
        while not self._chunks:
            if self._ended:
                return None
            self._wake.clear()
            await self._wake.wait()
        data = self._chunks.popleft()
        if self._paused and not self._chunks and self._responder is not None:
            self._paused = False
            self._responder.resume()
        return data

    def close(self) -> None:
        """The consumer goes; an unfinished request is cancelled."""
        if not self._ended and self._responder is not None:
            self._ended = True
            self._responder.client_gone()
