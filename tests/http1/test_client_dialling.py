"""Dials that are given up: wherever the cancel falls, nothing is heard, and every descriptor is closed exactly once."""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import pytest
import trustme
import uvloop

from standfast.canon.failure import FailureKind
from standfast.http1.base import Origin
from standfast.http1.dial import Address, race
from support.upstreams import OK, Ear, Peer, ask, send, until, upstream, upstream_client

Run = Callable[[Coroutine[None, None, None]], None]

V4 = socket.AF_INET


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on both kinds of loop; what reaches the loop's exception handler fails the test."""

    def runner(main: Coroutine[None, None, None]) -> None:
        factory = uvloop.new_event_loop if request.param == "uvloop" else None
        unexpected: list[dict[str, object]] = []
        with asyncio.Runner(loop_factory=factory) as runs:
            runs.get_loop().set_exception_handler(lambda _, context: unexpected.append(context))
            runs.run(main)
        assert unexpected == []

    return runner


class Names:
    """A resolver under the test's control; the last answer stays."""

    def __init__(self, *answers: list[Address]) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def resolve(self, host: str, port: int) -> list[Address]:
        """Of `Resolver`."""
        assert host.endswith(".test")
        assert port
        self.asked += 1
        await self.gate.wait()
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def descriptors() -> int:
    """Open file descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def established(port: int) -> int:
    """Connections of this machine that stand towards a loopback port."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


@contextlib.contextmanager
def blackhole() -> Iterator[int]:
    """A port whose backlog is full: the kernel drops further SYNs, as a dead network would."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port: int = listener.getsockname()[1]
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(("127.0.0.1", port))
        yield port


async def answer_all(peer: Peer) -> None:
    """Serve requests until the client closes."""
    while True:
        await peer.request()
        await peer.send(OK)


def test_cancel_while_resolving(run: Run) -> None:
    """A8: a call that is cancelled while its name is looked up is never heard of again."""

    async def main() -> None:
        names = Names([])
        names.gate.clear()
        async with upstream_client(resolver=names) as client:
            ear = Ear()
            call = send(client, Origin("http", "slow.test", 80), ear)
            await until(lambda: names.asked)
            call.cancel()
            await until(lambda: client.dialling == 0)
            names.gate.set()
            for _ in range(5):
                await asyncio.sleep(0)
            assert ear.events == []

    run(main())


@pytest.mark.parametrize("turns", range(10))
def test_cancel_at_every_turn(run: Run, turns: int) -> None:
    """A8: wherever in a dial the cancel falls, the listener hears nothing and no descriptor is left."""

    async def main() -> None:
        async with upstream(Peer.gone) as server, upstream_client() as client:
            before = descriptors()
            ear = Ear()
            call = send(client, server.origin, ear)
            for _ in range(turns):
                await asyncio.sleep(0)
            call.cancel()
            await until(lambda: client.dialling == 0 and client.open_connections == 0)
            await until(lambda: server.seen_gone == server.accepted)
            for writer in server.writers:
                writer.close()
            await until(lambda: descriptors() <= before)
            call.pause()
            call.resume()
            call.cancel()
            assert ear.events == []

    run(main())


@pytest.mark.parametrize("turns", range(14))
def test_no_descriptor_is_closed_twice(run: Run, turns: int) -> None:
    """A cancelled dial never closes a descriptor that meanwhile belongs to somebody else."""

    async def main() -> None:
        async with upstream(Peer.gone) as server, upstream_client() as client:
            calls = [send(client, server.origin, Ear()) for _ in range(8)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for call in calls:
                call.cancel()
            taken: list[int] = []
            for _ in range(10):
                await asyncio.sleep(0)
                taken += [os.open("/dev/null", os.O_RDONLY) for _ in range(10)]
            await until(lambda: client.dialling == 0 and client.open_connections == 0)
            for number in taken:
                os.close(number)  # raises EBADF if somebody has closed it

    run(main())


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, str]:
    """A server's context for 127.0.0.1, and the bundle to trust."""
    ca = trustme.CA()
    path: Path = tmp_path_factory.mktemp("dialling") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    return context, str(path)


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13])
def test_cancel_inside_a_handshake(run: Run, tls: tuple[ssl.SSLContext, str], turns: int) -> None:
    """A8: a dial that is cancelled inside its TLS handshake closes its socket and says nothing."""

    async def main() -> None:
        async with upstream(Peer.gone, tls=tls[0], ca_file=tls[1]) as server, upstream_client() as client:
            ear = Ear()
            call = send(client, server.origin, ear)
            await until(lambda: established(server.origin.port))
            for _ in range(turns):
                await asyncio.sleep(0)
            call.cancel()
            await until(lambda: client.dialling == 0 and client.open_connections == 0)
            await until(lambda: not established(server.origin.port))
            assert ear.events == []

    run(main())


@pytest.mark.parametrize("alert", [b"", b"\x15\x03\x01\x00\x02\x02\x28", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_refused_inside_a_handshake(run: Run, alert: bytes) -> None:
    """A5: a close, an alert or plain HTTP in place of a handshake is connect_failed; the key stays here."""

    async def main() -> None:
        came = bytearray()

        async def plain(peer: Peer) -> None:
            came.extend(await peer.reader.read(65536))
            await peer.send(alert)
            peer.close()

        async with upstream(plain, scheme="https") as server, upstream_client() as client:
            ear = await ask(client, server.origin)
            assert ear.failure.kind is FailureKind.CONNECT_FAILED
            assert not ear.failure.sent
            assert b"sk-secret" not in came
            assert client.open_connections == 0

    run(main())


def test_race_cancelled(run: Run) -> None:
    """A cancelled race closes every socket that it opened."""

    async def main() -> None:
        with blackhole() as dead:
            before = descriptors()
            task = asyncio.create_task(race([(V4, ("127.0.0.1", dead))] * 3, stagger=0.0))
            await until(lambda: descriptors() >= before + 3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert descriptors() <= before

    run(main())


def test_race_lost(run: Run) -> None:
    """A4: the address that swallows SYNs is overtaken, and its socket is closed."""

    async def main() -> None:
        with blackhole() as dead:
            async with upstream(Peer.gone) as server:
                before = descriptors()
                live = ("127.0.0.1", server.origin.port)
                with await race([(V4, ("127.0.0.1", dead)), (V4, live)], stagger=0.01) as sock:
                    assert sock.getpeername() == live
                    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                await until(lambda: server.seen_gone)
                for writer in server.writers:
                    writer.close()
                await until(lambda: descriptors() <= before)

    run(main())


def test_changed_address(run: Run) -> None:
    """A3: each new connection goes where the name points to now."""

    async def main() -> None:
        async def last(peer: Peer) -> None:
            await peer.request()
            await peer.send(OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))

        async with upstream(last) as old, upstream(last) as new:
            names = Names([(V4, ("127.0.0.1", old.origin.port))], [(V4, ("127.0.0.1", new.origin.port))])
            async with upstream_client(resolver=names) as client:
                for _ in range(3):
                    assert (await ask(client, Origin("http", "moving.test", 80))).ended
            assert (old.accepted, new.accepted) == (1, 2)

    run(main())


def test_hanging_name_and_other_origins(run: Run) -> None:
    """A3: while a name server hangs other origins are served, and the connect timeout holds for the one that waits."""

    async def main() -> None:
        names = Names([])
        names.gate.clear()
        async with upstream(answer_all) as server, upstream_client(resolver=names) as client:
            ear = Ear()
            send(client, Origin("http", "slow.test", 80), ear, connect_timeout=0.1)
            others = 0
            while not ear.over.is_set():
                assert (await ask(client, server.origin)).ended
                others += 1
            assert others > 10
            assert ear.failure.kind is FailureKind.CONNECT_TIMEOUT
            assert not ear.failure.sent

    run(main())


def test_name_without_addresses(run: Run) -> None:
    """A3: an empty answer of the resolver is connect_failed."""

    async def main() -> None:
        async with upstream_client(resolver=Names([])) as client:
            ear = await ask(client, Origin("http", "api.test", 80))
            assert ear.failure.kind is FailureKind.CONNECT_FAILED
            assert not ear.failure.sent

    run(main())
