"""What the tests of the wire's server side share: a small application, a transport without a network, real servers."""

# ruff: noqa: D102 - doubles of documented contracts

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn

from standfast.clock import Clock, ManualClock, SystemClock
from standfast.http1.base import Downstream, HttpRequest, Refusal
from standfast.http1.bound import server_protocol
from standfast.http1.server import ServerProtocol
from standfast.http1.settings import ServerLimits
from standfast.http1.wheel import Wheel

PLAIN = b"content-type: text/plain\r\n"


class Work:
    """One request at the application, and what the wire told about its client."""

    def __init__(self, request: HttpRequest, out: Downstream) -> None:
        self.request = request
        self.out = out
        self.heard: list[str] = []

    def client_gone(self) -> None:
        self.heard.append("gone")

    def pause(self) -> None:
        self.heard.append("pause")

    def resume(self) -> None:
        self.heard.append("resume")


class FakeApplication:
    """Owns `/v1/`; echoes what it got, or leaves the answer to the test (`/v1/later`)."""

    def __init__(self) -> None:
        self.works: list[Work] = []
        self.heads: list[HttpRequest] = []
        self.raising: set[bytes] = set()
        self.refused: list[bytes] = []

    def owns(self, method: bytes, path: bytes) -> bool:
        return method != b"HEAD" and path.startswith(b"/v1/")

    def admit(self, head: HttpRequest) -> Refusal | None:
        self.heads.append(head)
        if head.path in self.raising and head.path == b"/v1/admit-raises":
            raise RuntimeError("admit")
        return Refusal(401, PLAIN, b"who are you?") if head.path == b"/v1/secret" else None

    def refuse(self, path: bytes, status: int, code: str, message: str) -> Refusal:
        self.refused.append(path)
        return Refusal(status, PLAIN, f"{code}: {message}".encode())

    def respond(self, request: HttpRequest, out: Downstream) -> Work:
        work = Work(request, out)
        self.works.append(work)
        if request.path in self.raising:
            raise RuntimeError("respond")
        if request.path == b"/v1/stream":
            out.begin(200, PLAIN)
            for part in (b"one", b"", b"two"):
                out.write(part)
            out.end()
        elif request.path != b"/v1/later":
            out.reply(200, PLAIN, b"|".join((request.method, request.path, request.query, request.body)))
        return work


class MemoryTransport:
    """A transport that keeps what is written; time and network do not exist."""

    def __init__(self, protocol: ServerProtocol) -> None:
        self.protocol = protocol
        self.written: list[bytes] = []
        self.closed = self.aborted = self.eof = self.paused = False
        self.unsent = 0

    def get_extra_info(self, name: str) -> object:
        return ("127.0.0.1", 5) if name == "peername" else None

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written.append(data)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    @property
    def output(self) -> bytes:
        return re.sub(rb"date: [^\r]*\r\n", b"", b"".join(self.written))


class HandWheel(Wheel):
    """A wheel that only a test turns; needs no event loop."""

    def _arm(self, now: float) -> None:
        pass


class Bench:
    """A protocol class with its collaborators; `connect` gives one connection without a network."""

    def __init__(self, clock: Clock | None = None, **limits: Any) -> None:
        self.application = FakeApplication()
        self.errors: list[BaseException] = []
        self.clock = clock or ManualClock()
        self.wheel = (Wheel if clock else HandWheel)(self.clock, tick=0.05)
        self.protocol = server_protocol(
            self.application, ServerLimits(**limits), self.wheel, self.clock, self.errors.append
        )
        self.state = SimpleNamespace(connections=set(), total_requests=0)

    def make(self) -> ServerProtocol:
        return self.protocol(config=None, server_state=self.state, app_state={})  # type: ignore[arg-type] # never used

    def connect(self) -> tuple[ServerProtocol, MemoryTransport]:
        protocol = self.make()
        transport = MemoryTransport(protocol)
        protocol.connection_made(transport)  # type: ignore[arg-type] # a double
        return protocol, transport

    def turn(self, seconds: float) -> None:
        """Move the clock and let the wheel look."""
        assert isinstance(self.clock, ManualClock)
        self.clock.advance(seconds)
        self.wheel._turn()

    def exchange(self, *pieces: bytes) -> MemoryTransport:
        """A new connection gets `pieces` one after the other."""
        protocol, transport = self.connect()
        for piece in pieces:
            protocol.data_received(piece)
        return transport


async def read_until(client: socket.socket, ending: bytes) -> bytes:
    """Bytes up to `ending`, or up to the end of the connection."""
    loop = asyncio.get_running_loop()
    data = b""
    while not data.endswith(ending):
        piece = await asyncio.wait_for(loop.sock_recv(client, 65536), 5)
        if not piece:
            break
        data += piece
    return data


async def read_all(client: socket.socket) -> bytes:
    """Everything until the other side closes."""
    loop = asyncio.get_running_loop()
    data = b""
    while piece := await asyncio.wait_for(loop.sock_recv(client, 65536), 5):
        data += piece
    return data


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that other callbacks of the loop bring about."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it did not happen")


class Net:
    """A real loopback server, and blocking-free client sockets to it."""

    def __init__(self, bench: Bench, port: int) -> None:
        self.bench = bench
        self.application = bench.application
        self.port = port
        self.clients: list[socket.socket] = []

    async def connect(self, receive_buffer: int = 0) -> socket.socket:
        client = socket.socket()
        self.clients.append(client)
        client.setblocking(False)
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", self.port))
        return client

    async def ask(self, client: socket.socket, data: bytes, ending: bytes) -> bytes:
        await asyncio.get_running_loop().sock_sendall(client, data)
        return await read_until(client, ending)

    def close(self) -> None:
        for client in self.clients:
            client.close()


@contextlib.asynccontextmanager
async def plain_server(**limits: Any) -> AsyncIterator[Net]:
    """The protocol alone on a loopback port."""
    bench = Bench(SystemClock(), **limits)
    server = await asyncio.get_running_loop().create_server(bench.make, "127.0.0.1", 0)
    net = Net(bench, server.sockets[0].getsockname()[1])
    try:
        yield net
    finally:
        net.close()
        server.close()
        for connection in list(bench.state.connections):
            connection._transport.abort()
        await until(lambda: not bench.state.connections)
        bench.wheel.close()


@contextlib.asynccontextmanager
async def uvicorn_server(app: Any, **limits: Any) -> AsyncIterator[tuple[Net, uvicorn.Server]]:
    """A real uvicorn server with our protocol in front of an ASGI application."""
    bench = Bench(SystemClock(), **limits)
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, http=bench.protocol, lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    task = asyncio.get_running_loop().create_task(server._serve())
    await until(lambda: server.started)
    bench.state = server.server_state
    net = Net(bench, server.servers[0].sockets[0].getsockname()[1])
    try:
        yield net, server
    finally:
        net.close()
        server.should_exit = True
        await asyncio.wait_for(task, 10)
        bench.wheel.close()


@pytest.fixture(scope="session")
def wire() -> SimpleNamespace:
    """The helpers above, for test modules that cannot import each other."""
    return SimpleNamespace(
        Bench=Bench,
        plain_server=plain_server,
        uvicorn_server=uvicorn_server,
        read_until=read_until,
        read_all=read_all,
        until=until,
    )
