"""Raw upstreams for tests of the upstream client: scripted byte by byte, so that they can break HTTP itself."""

import asyncio
import contextlib
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

from standfast.canon.failure import Failure
from standfast.clock import Clock, SystemClock
from standfast.http1.base import Headers, Origin
from standfast.http1.client import Call, UpstreamClient
from standfast.http1.client_request import RequestHead
from standfast.http1.dial import Resolver
from standfast.http1.settings import UpstreamLimits

LIMIT = 5.0
"""Seconds after which a test gives up waiting; none should ever come near."""

OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that other callbacks of the loop bring about."""
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not happen")


class Ear:
    """An `UpstreamListener` that keeps what it hears, in order.

    Attributes:
        events: `head`, `body`, `end`, `lost`; one word per callback.
        then: called with the word after it was recorded; a test acts from inside callbacks here.
    """

    def __init__(self, then: Callable[[str], object] | None = None) -> None:
        self.events: list[str] = []
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.parts: list[bytes] = []
        self.failures: list[Failure] = []
        self.over = asyncio.Event()
        self.then = then

    def _heard(self, word: str) -> None:
        self.events.append(word)
        if word in ("end", "lost"):
            self.over.set()
        if self.then is not None:
            self.then(word)

    def head(self, status: int, headers: Headers) -> None:
        """Of `UpstreamListener`."""
        self.status = status
        self.headers = list(headers)
        self._heard("head")

    def body(self, data: bytes) -> None:
        """Of `UpstreamListener`."""
        assert data, "an empty body callback"
        self.parts.append(data)
        self._heard("body")

    def end(self) -> None:
        """Of `UpstreamListener`."""
        self._heard("end")

    def lost(self, failure: Failure) -> None:
        """Of `UpstreamListener`."""
        self.failures.append(failure)
        self._heard("lost")

    @property
    def data(self) -> bytes:
        """All of the body so far."""
        return b"".join(self.parts)

    @property
    def failure(self) -> Failure:
        """How it was lost; exactly once, and nothing after it."""
        assert len(self.failures) == 1
        assert self.events[-1] == "lost"
        assert "end" not in self.events
        return self.failures[0]

    @property
    def ended(self) -> bool:
        """It ended well-formed, once, and nothing came after it."""
        return self.events.count("end") == 1 and self.events[-1] == "end" and not self.failures

    async def wait(self) -> "Ear":
        """Until `end` or `lost`."""
        await asyncio.wait_for(self.over.wait(), LIMIT)
        return self


class Peer:
    """One accepted connection, as its script sees it."""

    def __init__(self, server: "Server", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.number = server.accepted

    async def request(self) -> bytes:
        """The next whole request.

        Raises:
            asyncio.IncompleteReadError: the client has closed.
        """
        head = await self.reader.readuntil(b"\r\n\r\n")
        size = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        request = head + await self.reader.readexactly(int(size or 0))
        self.server.requests.append(request)
        return request

    async def send(self, *pieces: bytes) -> None:
        """Write pieces; the client gets each in a read of its own, as far as the kernel allows."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            if len(pieces) > 1:
                await asyncio.sleep(0.002)

    async def gone(self) -> None:
        """Until the client has closed its side."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        self.server.seen_gone += 1

    def close(self) -> None:
        """A clean end: FIN."""
        self.writer.close()

    def reset(self) -> None:
        """An RST, also if nothing is unread."""
        sock = self.writer.get_extra_info("socket")
        if sock is None or sock.fileno() < 0:  # the client was faster
            return
        with socket.socket(fileno=os.dup(sock.fileno())) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script: TypeAlias = Callable[[Peer], Awaitable[None]]


class Server:
    """What an upstream has seen.

    Attributes:
        accepted: connections.
        requests: whole requests, in order.
        seen_gone: connections whose client was seen to close (`Peer.gone`).
    """

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.accepted = 0
        self.requests: list[bytes] = []
        self.seen_gone = 0
        self.writers: set[asyncio.StreamWriter] = set()


@contextlib.asynccontextmanager
async def upstream(
    script: Script, *, tls: ssl.SSLContext | None = None, scheme: str = "", ca_file: str = "", host: str = "127.0.0.1"
) -> AsyncIterator[Server]:
    """Serve every connection with a script, on a free loopback port. A script that returns leaves it open."""
    server = Server(Origin(scheme or ("https" if tls else "http"), host, 0, ca_file))
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        server.accepted += 1
        server.writers.add(writer)
        # RuntimeError: uvloop's word for the use of a closed transport
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, RuntimeError):
            await script(Peer(server, reader, writer))
        tasks.discard(task)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls, limit=2**20, backlog=1024)
    server.origin = server.origin._replace(port=listener.sockets[0].getsockname()[1])
    try:
        yield server
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        for writer in server.writers:
            writer.transport.abort()
        for _ in range(4):
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def upstream_client(
    *, resolver: Resolver | None = None, clock: Clock | None = None, **limits: float
) -> AsyncIterator[UpstreamClient]:
    """A client that must leave no connection and no dial behind when it is closed."""
    client = UpstreamClient(UpstreamLimits.model_validate(limits), clock or SystemClock(), resolver=resolver)
    try:
        yield client
    finally:
        await asyncio.wait_for(client.close(), LIMIT)
        assert client.open_connections == 0
        assert client.dialling == 0


def send(
    client: UpstreamClient,
    origin: Origin,
    ear: Ear,
    body: bytes = b"{}",
    *,
    connect_timeout: float = 3.0,
    tls_timeout: float = 3.0,
) -> Call:
    """A POST to an origin."""
    request = RequestHead("POST", origin, "/v1/x", [("authorization", "Bearer sk-secret")]).request(body)
    return client.send(origin, request, ear, connect_timeout=connect_timeout, tls_timeout=tls_timeout)


async def ask(client: UpstreamClient, origin: Origin, body: bytes = b"{}") -> Ear:
    """A POST and the whole of its answer."""
    ear = Ear()
    send(client, origin, ear, body)
    return await ear.wait()
