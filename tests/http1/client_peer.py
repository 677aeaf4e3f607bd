"""What the tests of the upstream client share: a raw loopback peer that may break HTTP itself, and a listener."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import uvloop

from standfast.canon.failure import Failure
from standfast.clock import Clock, SystemClock
from standfast.http1.base import Headers, Origin
from standfast.http1.client import Call, RequestHead, UpstreamClient
from standfast.http1.dial import Resolver
from standfast.http1.settings import UpstreamLimits

LOOPS = ["asyncio", "uvloop"]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def run(main: Coroutine[Any, Any, None], loop: str = "asyncio") -> None:
    """Run a test's coroutine; nothing may reach the loop's exception handler unless the test took it."""
    strays: list[dict[str, Any]] = []

    async def guarded() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: strays.append(context))
        await asyncio.wait_for(main, 20)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop if loop == "uvloop" else None) as runner:
        runner.run(guarded())
    assert not strays


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that other callbacks of the loop bring about."""
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not happen")


class Line:
    """The peer's side of one connection."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number
        self.buffer = b""

    async def more(self) -> bool:
        """Read once; False at the end or a reset."""
        try:
            data = await asyncio.get_running_loop().sock_recv(self.sock, 1 << 18)
        except ConnectionError:
            return False
        self.buffer += data
        return bool(data)

    async def request(self) -> bytes:
        """The next whole request; empty when the client has closed."""
        while b"\r\n\r\n" not in self.buffer:
            if not await self.more():
                return b""
        head, _, _ = self.buffer.partition(b"\r\n\r\n")
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        size = len(head) + 4 + int(length or 0)
        while len(self.buffer) < size:
            if not await self.more():
                return b""
        request, self.buffer = self.buffer[:size], self.buffer[size:]
        return request

    async def send(self, data: bytes) -> None:
        """Write; a client that has gone is no error of the peer."""
        with contextlib.suppress(ConnectionError):
            await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def gone(self) -> None:
        """Wait until the client has closed."""
        while await self.more():
            pass

    def close(self) -> None:
        """End cleanly."""
        self.sock.close()

    def reset(self) -> None:
        """End with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


Script = Callable[[Line], Awaitable[None]]


class Peer:
    """A listening socket; every connection plays the script, then stays open until the end."""

    def __init__(self, script: Script, host: str = "127.0.0.1") -> None:
        self.script = script
        self.lines: list[Line] = []
        self.requests: list[bytes] = []
        self.listening = socket.create_server((host, 0), backlog=1024, family=socket.AF_INET6 if ":" in host else 2)
        self.listening.setblocking(False)
        self.port: int = self.listening.getsockname()[1]
        self.origin = Origin("http", host, self.port)
        self._tasks: list[asyncio.Task[None]] = []

    async def accept(self) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            sock, _ = await loop.sock_accept(self.listening)
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line = Line(sock, len(self.lines))
            self.lines.append(line)
            self._tasks.append(loop.create_task(self._play(line)))

    async def _play(self, line: Line) -> None:
        await self.script(line)

    async def stop(self) -> None:
        """Close everything; errors of scripts are the test's."""
        for task in self._tasks:
            if not task.done():
                task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        for line in self.lines:
            line.sock.close()
        self.listening.close()
        errors = [result for result in results if isinstance(result, Exception)]
        assert not errors, errors


@contextlib.asynccontextmanager
async def peer(script: Script, host: str = "127.0.0.1") -> AsyncIterator[Peer]:
    """A peer that plays a script."""
    made = Peer(script, host)
    accepting = asyncio.get_running_loop().create_task(made.accept())
    try:
        yield made
    finally:
        accepting.cancel()
        await asyncio.gather(accepting, return_exceptions=True)
        await made.stop()


def answering(*pieces: bytes, then: str = "stay") -> Script:
    """Answer every request with the pieces, each a write of its own; then `stay`, `close` or `reset`."""

    async def script(line: Line) -> None:
        while await line.request():
            for piece in pieces:
                await line.send(piece)
                await asyncio.sleep(0)
            if then == "close":
                return line.close()
            if then == "reset":
                await asyncio.sleep(0.02)  # or the reset would overtake the bytes before it
                return line.reset()
        return None

    return script


class Heard:
    """A listener that keeps what it is told; `hooks` are called with its name from inside a callback."""

    def __init__(self, hook: Callable[[str], None] | None = None) -> None:
        self.events: list[str] = []
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.data = b""
        self.failure: Failure | None = None
        self.over = asyncio.Event()
        self._hook = hook

    def _note(self, event: str) -> None:
        self.events.append(event)
        if event in ("end", "lost"):
            self.over.set()
        if self._hook is not None:
            self._hook(event)

    def head(self, status: int, headers: Headers) -> None:
        """Called by the client."""
        self.status, self.headers = status, list(headers)
        self._note("head")

    def body(self, data: bytes) -> None:
        """Called by the client."""
        assert data
        self.data += data
        self._note("body")

    def end(self) -> None:
        """Called by the client."""
        self._note("end")

    def lost(self, failure: Failure) -> None:
        """Called by the client."""
        self.failure = failure
        self._note("lost")


class Bench:
    """A client with short limits of time."""

    def __init__(self, *, clock: Clock | None = None, resolver: Resolver | None = None, **limits: Any) -> None:
        self.client = UpstreamClient(UpstreamLimits(**limits), clock or SystemClock(), resolver=resolver)

    def send(self, origin: Origin, listener: Heard, body: bytes = b"{}", connect: float = 2.0) -> Call:
        """A POST."""
        request = RequestHead("POST", origin, "/v1/x", [("authorization", "Bearer sk-secret")]).request(body)
        return self.client.send(origin, request, listener, connect_timeout=connect, tls_timeout=connect)

    async def ask(self, origin: Origin, body: bytes = b"{}", connect: float = 2.0) -> Heard:
        """A POST, until it is over."""
        heard = Heard()
        self.send(origin, heard, body, connect)
        await asyncio.wait_for(heard.over.wait(), 5)
        return heard


@contextlib.asynccontextmanager
async def bench(*, clock: Clock | None = None, resolver: Resolver | None = None, **limits: Any) -> AsyncIterator[Bench]:
    """A client; afterwards nothing of it may be open."""
    made = Bench(clock=clock, resolver=resolver, **limits)
    try:
        yield made
    finally:
        await made.client.close()
        assert made.client.open_connections == 0
        assert made.client.dialling == 0
