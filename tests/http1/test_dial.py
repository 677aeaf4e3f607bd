"""New connections: refused, blackholed, names that fail or hang, happy eyeballs, and TLS that never leaks a key."""

import asyncio
import datetime as dt
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Self

import pytest
import trustme

from http1.client_peer import LOOPS, OK, Heard, Line, answering, bench, peer, run, until
from standfast.canon.failure import Failure, FailureKind
from standfast.clock import ManualClock
from standfast.http1.base import Origin
from standfast.http1.dial import STAGGER, interleave, race, translate
from standfast.http1.resolve import Address, SystemResolver, literal

V4, V6 = socket.AF_INET, socket.AF_INET6
either = pytest.mark.parametrize("loop", LOOPS)


def closed_port(host: str = "127.0.0.1") -> int:
    """A port on which nobody listens."""
    with socket.socket(V6 if ":" in host else V4) as sock:
        sock.bind((host, 0))
        return int(sock.getsockname()[1])


class Blackhole:
    """A listening socket with a full backlog: further SYNs are lost."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        family = V6 if ":" in host else V4
        self._sockets = [socket.socket(family)]
        self._sockets[0].bind((host, 0))
        self._sockets[0].listen(0)
        self.port = int(self._sockets[0].getsockname()[1])
        for _ in range(4):
            filler = socket.socket(family)
            filler.setblocking(False)
            filler.connect_ex((host, self.port))
            self._sockets.append(filler)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self._sockets:
            sock.close()


class Fixed:
    """A resolver that knows what it was told, and counts."""

    def __init__(self, *addresses: Address, error: Exception | None = None) -> None:
        self.addresses = list(addresses)
        self.error = error
        self.asked = 0

    async def resolve(self, host: str, port: int) -> list[Address]:
        """Called by the client."""
        assert host
        assert port
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.addresses


def failure_of(heard: Heard) -> Failure:
    """The failure, which there must be, and nothing else."""
    assert heard.events == ["lost"]
    assert heard.failure is not None
    assert heard.failure.sent is False
    return heard.failure


@either
def test_refused(loop: str) -> None:
    """A1: a refused connection fails at once, was never sent, and says where."""

    async def main() -> None:
        async with bench() as b:
            port = closed_port()
            failure = failure_of(await b.ask(Origin("http", "127.0.0.1", port)))
            assert failure.kind is FailureKind.CONNECT_FAILED
            assert failure.detail == f"127.0.0.1:{port}: connection refused"

    run(main(), loop)


@either
def test_blackhole(loop: str) -> None:
    """A2: a connection that nobody answers ends with the connect timeout, and was never sent."""

    async def main() -> None:
        with Blackhole() as hole:
            async with bench() as b:
                failure = failure_of(await b.ask(Origin("http", "127.0.0.1", hole.port), connect=0.1))
                assert failure.kind is FailureKind.CONNECT_TIMEOUT
                assert str(hole.port) in failure.detail

    run(main(), loop)


@either
def test_cancel_while_connecting(loop: str) -> None:
    """A call that is cancelled while it dials closes its sockets and says nothing."""

    async def main() -> None:
        with Blackhole() as hole:
            async with bench() as b:
                heard = Heard()
                call = b.send(Origin("http", "127.0.0.1", hole.port), heard)
                await asyncio.sleep(0.02)
                assert b.client.dialling == 1
                call.cancel()
                await until(lambda: b.client.dialling == 0)
                assert heard.events == []

    run(main(), loop)


@either
def test_name_that_does_not_resolve(loop: str) -> None:
    """A3: a name that cannot be resolved is a failed connection, and was never sent."""

    async def main() -> None:
        for error in (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), UnicodeError("label too long")):
            async with bench(resolver=Fixed(error=error)) as b:
                failure = failure_of(await b.ask(Origin("http", "gone.test", 80)))
                assert failure.kind is FailureKind.CONNECT_FAILED
                assert failure.detail.startswith("gone.test:80: name not resolved")
        async with bench(resolver=Fixed()) as b:
            assert failure_of(await b.ask(Origin("http", "empty.test", 80))).kind is FailureKind.CONNECT_FAILED

    run(main(), loop)


def test_slow_name_does_not_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """A3: while a name server hangs the loop turns on, other upstreams are served, and the connect timeout holds."""
    hang = threading.Event()

    def getaddrinfo(*_: object, **__: object) -> list[object]:
        hang.wait(5)
        return []

    async def main() -> None:
        async with peer(answering(OK)) as upstream, bench() as b:
            # Plain asyncio calls this in its thread pool; uvloop asks in libuv's, where no test can make it hang.
            monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
            slow = Heard()
            b.send(Origin("http", "slow.test", 80), slow, connect=0.15)
            served = 0
            while not slow.over.is_set():
                assert (await b.ask(upstream.origin)).data == b"hi"
                served += 1
            assert served > 10
            assert failure_of(slow).kind is FailureKind.CONNECT_TIMEOUT
            hang.set()

    run(main())


class Names:
    """Stands in for the loop's getaddrinfo."""

    def __init__(self) -> None:
        self.address: str | None = "127.0.0.1"
        self.asked = 0
        self.gate: asyncio.Event | None = None

    async def getaddrinfo(self, host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        """As the loop's."""
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.address is None:
            raise socket.gaierror(socket.EAI_AGAIN, f"no answer for {host}")
        return [(V4, socket.SOCK_STREAM, 6, "", (self.address, port))]


def with_names(main: Callable[[Names, ManualClock], Coroutine[Any, Any, None]]) -> None:
    """Run `main(names, clock)` with a loop whose name server is `Names`."""

    async def wrapped() -> None:
        names = Names()
        asyncio.get_running_loop().getaddrinfo = names.getaddrinfo  # type: ignore[method-assign, assignment] # a double
        await main(names, ManualClock())

    run(wrapped())


def test_answers_are_cached_for_their_time() -> None:
    """A3: within 30 s a name is not asked for again; after it a changed address is used."""

    async def main(names: Names, clock: ManualClock) -> None:
        resolver = SystemResolver(clock)
        first = await resolver.resolve("a.test", 80)
        names.address = "127.0.0.2"
        clock.advance(29.9)
        assert await resolver.resolve("a.test", 80) == first == [(V4, ("127.0.0.1", 80))]
        assert names.asked == 1
        clock.advance(0.2)
        assert await resolver.resolve("a.test", 80) == [(V4, ("127.0.0.2", 80))]
        assert names.asked == 2

    with_names(main)


def test_last_good_answer_outlives_a_failing_name_server() -> None:
    """A3: when resolution fails the last good answer serves for ten minutes, then no longer."""

    async def main(names: Names, clock: ManualClock) -> None:
        resolver = SystemResolver(clock)
        good = await resolver.resolve("a.test", 80)
        names.address = None
        clock.advance(599)
        assert await resolver.resolve("a.test", 80) == good
        clock.advance(2)
        with pytest.raises(socket.gaierror):
            await resolver.resolve("a.test", 80)

    with_names(main)


def test_last_good_answer_covers_a_slow_name_server() -> None:
    """A3: a name server that dawdles is not waited for when there is a last good answer; its own comes in later."""

    async def main(names: Names, clock: ManualClock) -> None:
        resolver = SystemResolver(clock, patience=0.01)
        good = await resolver.resolve("a.test", 80)
        clock.advance(31)
        names.gate = asyncio.Event()
        names.address = "127.0.0.9"
        assert await resolver.resolve("a.test", 80) == good
        names.gate.set()
        await until(lambda: not resolver._lookups)
        assert await resolver.resolve("a.test", 80) == [(V4, ("127.0.0.9", 80))]
        assert names.asked == 2

    with_names(main)


def test_lookups_of_one_name_are_shared() -> None:
    """A3: many who wait for one name ask once; one who gives up does not take the others' answer away."""

    async def main(names: Names, clock: ManualClock) -> None:
        names.gate = asyncio.Event()
        resolver = SystemResolver(clock)
        waiting = [asyncio.create_task(resolver.resolve("a.test", 80)) for _ in range(20)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        names.gate.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert results[1:] == [[(V4, ("127.0.0.1", 80))]] * 19
        assert names.asked == 1

    with_names(main)


def test_closing_a_resolver_ends_its_lookups() -> None:
    """A lookup under way ends with its resolver, and whoever waits is told."""

    async def main(names: Names, clock: ManualClock) -> None:
        names.gate = asyncio.Event()
        resolver = SystemResolver(clock)
        waiting = asyncio.create_task(resolver.resolve("a.test", 80))
        await asyncio.sleep(0.01)
        await resolver.close()
        with pytest.raises(OSError, match="closed"):
            await waiting
        assert not resolver._lookups

    with_names(main)


def test_literal_addresses_skip_the_resolver() -> None:
    """An address needs no name server."""
    assert literal("127.0.0.1", 80) == [(V4, ("127.0.0.1", 80))]
    assert literal("::1", 80) == [(V6, ("::1", 80))]
    assert literal("localhost", 80) == literal("1.2.3", 80) == literal("a\0b", 80) == []


def test_families_in_turn() -> None:
    """RFC 8305: families alternate, the first one's first, the order within each kept."""
    a, b, c = ((V6, (f"::{i}", 1)) for i in (1, 2, 3))
    d = (V4, ("127.0.0.1", 1))
    assert interleave([a, b, c, d]) == [a, d, b, c]
    assert interleave([d, a]) == [d, a]
    assert interleave([]) == []


@either
def test_broken_ipv6(loop: str) -> None:
    """A4: a dead ::1 and a live 127.0.0.1 connect, and the dead one costs no stagger."""

    async def main() -> None:
        async with peer(answering(OK)) as upstream:
            dead: Address = (V6, ("::1", closed_port("::1")))
            resolver = Fixed(dead, (V4, ("127.0.0.1", upstream.port)))
            async with bench(resolver=resolver) as b:
                assert (await b.ask(Origin("http", "both.test", 80))).data == b"hi"
                assert resolver.asked == 1

    run(main(), loop)


@either
def test_silent_ipv6(loop: str) -> None:
    """A4: a ::1 that swallows SYNs delays by one stagger only, and its socket does not stay."""

    async def main() -> None:
        async with peer(answering(OK)) as upstream:
            with Blackhole("::1") as hole:
                addresses: list[Address] = [(V6, ("::1", hole.port)), (V4, ("127.0.0.1", upstream.port))]
                sock = await race(addresses, stagger=0.02)
                assert sock.getpeername()[1] == upstream.port
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                sock.close()
                assert STAGGER == 0.25

    run(main(), loop)


@either
def test_race_has_one_winner(loop: str) -> None:
    """A4: when several addresses connect at once, one socket is left and the others are closed."""

    async def main() -> None:
        async with peer(answering(OK)) as one, peer(answering(OK)) as two:
            for _ in range(20):
                sock = await race([(V4, ("127.0.0.1", one.port)), (V4, ("127.0.0.1", two.port))], stagger=0)
                assert sock.getpeername()[1] in (one.port, two.port)
                sock.close()

    run(main(), loop)


@either
def test_all_addresses_fail(loop: str) -> None:
    """When every address fails the first one's error is told."""

    async def main() -> None:
        with pytest.raises(ConnectionRefusedError):
            await race([(V4, ("127.0.0.1", closed_port())), (V6, ("::1", closed_port("::1")))])

    run(main(), loop)


def test_translation() -> None:
    """Foreign exceptions become failures that were never sent, with host, port and a short reason."""
    origin = Origin("https", "h.test", 443)
    cases: list[tuple[Exception, FailureKind, str]] = [
        (TimeoutError("no connection within 3 s"), FailureKind.CONNECT_TIMEOUT, "no connection within 3 s"),
        (TimeoutError(110, "Connection timed out"), FailureKind.CONNECT_TIMEOUT, "timed out"),
        (ConnectionRefusedError(111, "Connection refused"), FailureKind.CONNECT_FAILED, "connection refused"),
        (socket.gaierror(-2, "Name or service not known"), FailureKind.CONNECT_FAILED, "name not resolved"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] x"), FailureKind.CONNECT_FAILED, "TLS handshake failed"),
        (ConnectionResetError(), FailureKind.CONNECT_FAILED, "ConnectionResetError"),
    ]
    for error, kind, words in cases:
        failure = translate(error, origin)
        assert (failure.kind, failure.sent) == (kind, False)
        assert failure.detail.startswith("h.test:443: ")
        assert words in failure.detail


# TLS ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, str]:
    """A certificate authority, and its bundle on disk."""
    ca = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return ca, str(path)


class TlsPeer:
    """A TLS server; keeps what arrives inside TLS."""

    def __init__(self, issuer: trustme.CA, *names: str, expired: bool = False) -> None:
        past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC) if expired else None
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issuer.issue_cert(*names, not_after=past).configure_cert(self.context)
        self.context.set_alpn_protocols(["h2", "http/1.1"])
        self.received = b""
        self.connections = 0
        self.alpn: str | None = None
        self.server: asyncio.Server
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.connections += 1
        self.alpn = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        while data := await reader.read(1 << 16):
            self.received += data
            writer.write(OK)


@either
def test_tls_works(loop: str, authority: tuple[trustme.CA, str]) -> None:
    """A verified peer gets the request over HTTP/1.1, connections are kept, and the CA bundle is read once."""
    ca, bundle = authority

    async def main() -> None:
        async with TlsPeer(ca, "127.0.0.1") as upstream, bench() as b:
            origin = Origin("https", "127.0.0.1", upstream.port, bundle)
            for _ in range(3):
                heard = await b.ask(origin)
                assert (heard.data, heard.events[-1]) == (b"hi", "end")
            assert upstream.connections == 1
            assert upstream.alpn == "http/1.1"
            assert b"sk-secret" in upstream.received
            contexts = dict(b.client._dialer._contexts)
            await asyncio.gather(*(b.ask(origin) for _ in range(3)))
            assert b.client._dialer._contexts == contexts
            assert [context.result().verify_mode for context in contexts.values()] == [ssl.CERT_REQUIRED]

    run(main(), loop)


@either
@pytest.mark.parametrize("case", ["expired", "wrong host", "unknown CA"])
def test_tls_strangers(loop: str, case: str, authority: tuple[trustme.CA, str]) -> None:
    """A5: an expired, misnamed or unknown certificate ends the attempt; not a byte of the request arrives."""
    ca, bundle = authority
    issuer = trustme.CA() if case == "unknown CA" else ca
    names = ("other.test",) if case == "wrong host" else ("127.0.0.1",)

    async def main() -> None:
        async with TlsPeer(issuer, *names, expired=case == "expired") as upstream, bench() as b:
            failure = failure_of(await b.ask(Origin("https", "127.0.0.1", upstream.port, bundle)))
            assert failure.kind is FailureKind.CONNECT_FAILED
            assert "certificate refused" in failure.detail
            await asyncio.sleep(0.02)
            assert upstream.received == b""

    run(main(), loop)


@either
def test_tls_handshake_hangs(loop: str, authority: tuple[trustme.CA, str]) -> None:
    """A5: a peer that never answers the handshake ends with the TLS timeout; it saw no key."""

    async def main() -> None:
        got: list[Line] = []

        async def script(line: Line) -> None:
            got.append(line)
            await line.gone()

        async with peer(script) as upstream, bench() as b:
            origin = Origin("https", "127.0.0.1", upstream.port, authority[1])
            failure = failure_of(await b.ask(origin, connect=0.1))
            assert failure.kind is FailureKind.CONNECT_TIMEOUT
            assert "TLS" in failure.detail
            heard = Heard()
            call = b.send(origin, heard)
            await until(lambda: len(got) == 2)
            call.cancel()
            await until(lambda: b.client.dialling == 0)
            assert heard.events == []
            assert all(b"sk-secret" not in line.buffer for line in got)

    run(main(), loop)


@either
def test_plain_http_on_tls_port(loop: str, authority: tuple[trustme.CA, str]) -> None:
    """A5: a peer that speaks plain HTTP where TLS was expected sees no key."""

    async def main() -> None:
        got: list[Line] = []

        async def script(line: Line) -> None:
            got.append(line)
            await line.more()
            await line.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")

        async with peer(script) as upstream, bench() as b:
            failure = failure_of(await b.ask(Origin("https", "127.0.0.1", upstream.port, authority[1])))
            assert failure.kind is FailureKind.CONNECT_FAILED
            assert "TLS" in failure.detail
            assert b"sk-secret" not in got[0].buffer

    run(main(), loop)


@either
@pytest.mark.parametrize("content", [None, "not PEM"])
def test_unusable_ca_bundle(loop: str, content: str | None, tmp_path: Path) -> None:
    """A CA bundle that cannot be read is a failed connection that says so; it is never ignored."""
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)

    async def main() -> None:
        async with peer(answering(OK)) as upstream, bench() as b:
            failure = failure_of(await b.ask(Origin("https", "127.0.0.1", upstream.port, str(bundle))))
            assert failure.kind is FailureKind.CONNECT_FAILED
            assert "ca bundle" in failure.detail.lower()

    run(main(), loop)
