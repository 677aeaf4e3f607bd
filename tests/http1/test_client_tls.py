"""What TLS changes for the upstream client: reuse, big requests and answers, ends without a close_notify."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest
import trustme
import uvloop

from standfast.canon.failure import FailureKind
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


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, str]:
    """A server's context for 127.0.0.1, and the bundle to trust."""
    ca = trustme.CA()
    path: Path = tmp_path_factory.mktemp("tls") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    return context, str(path)


async def answer_all(peer: Peer) -> None:
    """Serve requests until the client closes."""
    while True:
        await peer.request()
        await peer.send(OK)


def test_one_connection_for_a_hundred_calls(run: Run, tls: tuple[ssl.SSLContext, str]) -> None:
    """A TLS connection is kept and reused; a handshake per request would cost milliseconds."""

    async def main() -> None:
        async with upstream(answer_all, tls=tls[0], ca_file=tls[1]) as server, upstream_client() as client:
            for _ in range(100):
                assert (await ask(client, server.origin)).ended
            assert (server.accepted, len(server.requests)) == (1, 100)
            assert client.idle(server.origin) == 1

    run(main())


def test_large_both_ways(run: Run, tls: tuple[ssl.SSLContext, str]) -> None:
    """Megabytes in both directions arrive whole over TLS, and the connection is kept."""

    async def main() -> None:
        body = bytes(range(256)) * 12_000

        async def echo(peer: Peer) -> None:
            while True:
                content = (await peer.request()).partition(b"\r\n\r\n")[2]
                await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(content), content))

        async with upstream(echo, tls=tls[0], ca_file=tls[1]) as server, upstream_client() as client:
            for _ in range(2):
                ear = await ask(client, server.origin, body)
                assert ear.ended
                assert ear.data == body
            assert server.accepted == 1

    run(main())


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("head", [b"content-length: 10", b"transfer-encoding: chunked"])
def test_cut_inside_the_answer(run: Run, tls: tuple[ssl.SSLContext, str], how: str, head: bytes) -> None:
    """C2: over TLS too, an answer that stops early is lost as broken_stream and never ended."""

    async def main() -> None:
        async def cut(peer: Peer) -> None:
            await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n3\r\nabc\r\n")
            await asyncio.sleep(0.01)
            peer.reset() if how == "reset" else peer.close()

        async with upstream(cut, tls=tls[0], ca_file=tls[1]) as server, upstream_client() as client:
            ear = await ask(client, server.origin)
            assert ear.failure.kind is FailureKind.BROKEN_STREAM
            assert ear.failure.sent
            assert len(server.requests) == 1
            await until(lambda: client.open_connections == 0)

    run(main())


def test_reset_where_nothing_was_announced(run: Run, tls: tuple[ssl.SSLContext, str]) -> None:
    """C2: a close-delimited answer that ends in a reset, without TLS's own end, is broken and not complete."""

    async def main() -> None:
        async def cut(peer: Peer) -> None:
            await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc")
            await asyncio.sleep(0.01)
            peer.reset()

        async with upstream(cut, tls=tls[0], ca_file=tls[1]) as server, upstream_client() as client:
            ear = await ask(client, server.origin)
            assert ear.data == b"abc"
            assert ear.failure.kind is FailureKind.BROKEN_STREAM

    run(main())


def test_paused_tls_call(run: Run, tls: tuple[ssl.SSLContext, str]) -> None:
    """C12: a paused call reads a bounded number of bytes over TLS as well, and all of them after it resumed."""

    async def main() -> None:
        size = 32 << 20
        wrote = 0

        async def flood(peer: Peer) -> None:
            nonlocal wrote
            await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
            while wrote < size:
                await peer.send(bytes(1 << 16))
                wrote += 1 << 16

        async with upstream(flood, tls=tls[0], ca_file=tls[1]) as server, upstream_client() as client:
            ear = Ear(then=lambda word: call.pause() if word == "head" else None)
            call = send(client, server.origin, ear)
            before = -1
            await until(lambda: ear.status)
            while before != wrote:
                before = wrote
                await asyncio.sleep(0.05)
            assert wrote < size
            assert len(ear.data) <= 1 << 20
            call.resume()
            await ear.wait()
            assert ear.ended
            assert len(ear.data) == size

    run(main())


def test_stale_tls_connection(run: Run, tls: tuple[ssl.SSLContext, str]) -> None:
    """A7: a server that closes its kept TLS connections between requests costs no visible error."""

    async def main() -> None:
        async def once(peer: Peer) -> None:
            await peer.request()
            await peer.send(OK)
            peer.close()

        async with upstream(once, tls=tls[0], ca_file=tls[1]) as server, upstream_client() as client:
            for round_ in range(30):
                ear = await ask(client, server.origin)
                assert ear.ended, (round_, ear.failures)
                for _ in range(round_ % 6):
                    await asyncio.sleep(0)

    run(main())
