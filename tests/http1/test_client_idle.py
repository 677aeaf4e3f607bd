"""Connections that nobody uses: how long they are kept, and that closing the client waits for the last of them."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest
import trustme
import uvloop

from standfast.canon.failure import FailureKind
from standfast.clock import ManualClock
from standfast.http1 import dial
from support.upstreams import OK, Ear, Peer, ask, send, until, upstream, upstream_client

Run = Callable[[Coroutine[None, None, None]], None]


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


async def answer_all(peer: Peer) -> None:
    """Serve requests until the client closes."""
    try:
        while True:
            await peer.request()
            await peer.send(OK)
    except asyncio.IncompleteReadError:
        peer.server.seen_gone += 1


def test_unused_origin_is_let_go(run: Run) -> None:
    """An idle connection is closed after the timeout, even if no further call ever goes to its origin."""

    async def main() -> None:
        async with upstream(answer_all) as server, upstream_client(idle_timeout=0.02) as client:
            assert (await ask(client, server.origin)).ended
            assert client.idle(server.origin) == 1
            await until(lambda: client.open_connections == 0)
            assert client.idle(server.origin) == 0
            await until(lambda: server.seen_gone == 1)
            assert (await ask(client, server.origin)).ended
            assert server.accepted == 2

    run(main())


def test_sweep_keeps_the_young(run: Run) -> None:
    """The sweep closes what is too old by the clock, and nothing else."""

    async def main() -> None:
        clock = ManualClock()
        async with (
            upstream(answer_all) as old,
            upstream(answer_all) as young,
            upstream_client(clock=clock, idle_timeout=10.0) as client,
        ):
            assert (await ask(client, old.origin)).ended
            clock.advance(6.0)
            assert (await ask(client, young.origin)).ended
            clock.advance(6.0)
            client._sweep()
            assert (client.idle(old.origin), client.idle(young.origin)) == (0, 1)
            await until(lambda: client.open_connections == 1)
            assert (await ask(client, young.origin)).ended
            assert young.accepted == 1

    run(main())


def test_closed_by_the_server(run: Run) -> None:
    """An idle connection that its server closes leaves the pool at once."""

    async def main() -> None:
        async with upstream(answer_all) as server, upstream_client() as client:
            assert (await ask(client, server.origin)).ended
            for writer in server.writers:
                writer.close()
            await until(lambda: client.idle(server.origin) == 0 and client.open_connections == 0)
            assert (await ask(client, server.origin)).ended

    run(main())


def test_close_twice_at_once(run: Run) -> None:
    """Two that close the client at the same time both get to the end."""

    async def main() -> None:
        async with upstream(answer_all) as server, upstream_client() as client:
            assert (await ask(client, server.origin)).ended
            await asyncio.wait_for(asyncio.gather(client.close(), client.close(), client.close()), 3)
            assert client.open_connections == 0

    run(main())


def test_call_while_closing(run: Run) -> None:
    """A call made during or after `close` is refused with connect_failed, and never from inside `send`."""

    async def main() -> None:
        async with upstream(answer_all) as server, upstream_client() as client:
            assert (await ask(client, server.origin)).ended
            closing = asyncio.ensure_future(client.close())
            await asyncio.sleep(0)
            during = Ear()
            send(client, server.origin, during)
            assert during.events == []
            await closing
            after = await ask(client, server.origin)
            await during.wait()
            for ear in (during, after):
                assert ear.failure.kind is FailureKind.CONNECT_FAILED
                assert not ear.failure.sent
            assert len(server.requests) == 1

    run(main())


def test_lost_listener_calls_again_while_closing(run: Run) -> None:
    """A listener that answers `lost` with a new call does not keep `close` from ending."""

    async def main() -> None:
        async with upstream(Peer.gone) as server, upstream_client() as client:
            second = Ear()
            first = Ear(then=lambda word: send(client, server.origin, second) if word == "lost" else None)
            send(client, server.origin, first)
            await until(lambda: server.accepted)
            await until(lambda: client.open_connections == 1)
            await asyncio.wait_for(client.close(), 3)
            await second.wait()
            assert first.failure.kind is FailureKind.BROKEN_STREAM
            assert second.failure.kind is FailureKind.CONNECT_FAILED

    run(main())


def test_one_tls_context_for_many_dials(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst of cold TLS calls builds the context once: it costs tens of milliseconds of CPU."""

    async def main() -> None:
        ca = trustme.CA()
        path = tmp_path / "ca.pem"
        ca.cert_pem.write_to_path(str(path))
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1").configure_cert(tls)
        built: list[str] = []
        gate = threading.Event()
        build = dial._context

        def counted(ca_file: str) -> ssl.SSLContext:
            built.append(ca_file)
            gate.wait(3)
            return build(ca_file)

        monkeypatch.setattr(dial, "_context", counted)
        async with upstream(answer_all, tls=tls, ca_file=str(path)) as server, upstream_client() as client:
            ears = [Ear() for _ in range(12)]
            calls = [send(client, server.origin, ear) for ear in ears]
            await until(lambda: built)
            calls[0].cancel()  # the one that began the building
            await asyncio.sleep(0.01)
            gate.set()
            for ear in ears[1:]:
                assert (await ear.wait()).ended
            assert ears[0].events == []
            assert built == [str(path)]

    run(main())


def test_bundle_may_appear_later(run: Run, tmp_path: Path) -> None:
    """A bundle that could not be read is tried again by the next dial."""

    async def main() -> None:
        ca = trustme.CA()
        path = tmp_path / "ca.pem"
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1").configure_cert(tls)
        async with upstream(answer_all, tls=tls, ca_file=str(path)) as server, upstream_client() as client:
            assert (await ask(client, server.origin)).failure.kind is FailureKind.CONNECT_FAILED
            ca.cert_pem.write_to_path(str(path))
            assert (await ask(client, server.origin)).ended

    run(main())
