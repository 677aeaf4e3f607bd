"""A connection of the server's side: deadlines, pace, half-closed and vanished clients, limits, draining."""

# ruff: noqa: D103 - small helpers

import asyncio
import gc
import socket
from types import SimpleNamespace

import pytest

from standfast.http1.connection import Connection
from standfast.http1.request_head import HeadParser

POST = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
LATER = POST % b"/v1/later"


# Deadlines (in virtual time).


def test_a_slow_head_is_given_up(wire: SimpleNamespace) -> None:
    """E3: the head's deadline counts from its first byte, however steadily bytes drip in; 408 and close."""
    bench = wire.Bench(header_timeout=10)
    protocol, transport = bench.connect()
    bench.turn(60)
    for byte in (b"P", b"O", b"S"):
        protocol.data_received(byte)
        bench.turn(3)
    assert transport.output == b""
    bench.turn(1.2)
    assert transport.output.startswith(b"HTTP/1.1 408 ")
    assert b"limits.header_timeout" in transport.output


def test_a_slow_body_is_given_up(wire: SimpleNamespace) -> None:
    """E3: the body's deadline counts from the end of the head; 408, then the connection is closed after its grace."""
    bench = wire.Bench(body_timeout=20)
    protocol, transport = bench.connect()
    protocol.data_received(LATER[:-2])
    bench.turn(19)
    protocol.data_received(b"h")
    assert transport.output == b""
    bench.turn(1.1)
    assert transport.output.startswith(b"HTTP/1.1 408 ")
    assert b"limits.body_timeout" in transport.output
    assert transport.eof
    assert not transport.closed
    bench.turn(2.1)
    assert transport.closed
    assert bench.application.works == []


def test_an_idle_connection_is_closed_silently(wire: SimpleNamespace) -> None:
    """E7: silence between requests ends the connection without an answer; each request renews the time."""
    bench = wire.Bench(idle_timeout=5, body_timeout=60)
    protocol, transport = bench.connect()
    bench.turn(4)
    protocol.data_received(POST % b"/v1/x")
    written = len(transport.written)
    bench.turn(4)
    assert not transport.closed
    bench.turn(1.1)
    assert transport.closed
    assert len(transport.written) == written


def test_a_short_idle_time_holds_after_a_slow_body(wire: SimpleNamespace) -> None:
    """E7: the idle deadline also counts when the deadline before it was further away."""
    bench = wire.Bench(idle_timeout=5, body_timeout=60)
    protocol, transport = bench.connect()
    protocol.data_received(LATER[:-1])
    protocol.data_received(b"i")
    bench.application.works[0].out.reply(200, b"", b"")
    bench.turn(5.1)
    assert transport.closed


def test_an_answer_may_take_its_time(wire: SimpleNamespace) -> None:
    """No deadline of the wire ends a request that the application is still working on."""
    bench = wire.Bench(idle_timeout=5)
    protocol, transport = bench.connect()
    protocol.data_received(LATER)
    for _ in range(100):
        bench.turn(10)
    assert not transport.closed
    bench.application.works[0].out.reply(200, b"", b"late")
    assert transport.output.endswith(b"late")
    bench.turn(5.1)
    assert transport.closed


# Pace.


def test_a_slow_reader_pauses_and_resumes_the_work(wire: SimpleNamespace) -> None:
    """C12: the transport's marks become pause and resume; a reader that keeps moving is never cut off."""
    bench = wire.Bench(write_timeout=10, write_buffer=1234)
    protocol, transport = bench.connect()
    assert transport.high == 1234
    protocol.data_received(LATER)
    work = bench.application.works[0]
    transport.unsent = 5000
    protocol.pause_writing()
    for _ in range(100):
        transport.unsent -= 10
        bench.turn(5)
    assert work.heard == ["pause"]
    assert not transport.closed
    protocol.resume_writing()
    assert work.heard == ["pause", "resume"]


def test_a_reader_that_stopped_is_cut_off(wire: SimpleNamespace) -> None:
    """C14: nothing read for the write timeout: aborted, and the work is told once; writing on is no progress."""
    bench = wire.Bench(write_timeout=10)
    protocol, transport = bench.connect()
    protocol.data_received(LATER)
    work = bench.application.works[0]
    work.out.begin(200, b"")
    work.out.write(b"x")
    transport.unsent = 5000
    protocol.pause_writing()
    for _ in range(19):
        bench.turn(0.5)
        work.out.write(b"y" * 10)
        transport.unsent += 16
    assert not transport.closed
    bench.turn(1)
    bench.turn(0.6)
    assert transport.aborted
    assert work.heard == ["pause", "gone"]
    protocol.connection_lost(None)
    assert work.heard == ["pause", "gone"]


def test_pipelined_requests_wait_for_a_slow_reader(wire: SimpleNamespace) -> None:
    """C12: while answers are not read, no further request is begun."""
    bench = wire.Bench()
    protocol, _ = bench.connect()
    protocol.data_received(LATER)
    protocol.pause_writing()
    bench.application.works[0].out.reply(200, b"", b"")
    protocol.data_received(LATER)
    assert len(bench.application.works) == 1
    protocol.resume_writing()
    assert len(bench.application.works) == 2


def test_closing_does_not_wait_for_ever(wire: SimpleNamespace) -> None:
    """C14: a last answer that nobody reads does not hold the connection."""
    bench = wire.Bench(write_timeout=10)
    protocol, transport = bench.connect()
    protocol.data_received(b"POST /v1/later HTTP/1.0\r\n\r\n")
    transport.unsent = 5000
    bench.application.works[0].out.reply(200, b"", b"x")
    assert transport.closed
    for _ in range(30):
        bench.turn(0.4)
    assert transport.aborted


def test_discarded_bytes_are_bounded(wire: SimpleNamespace) -> None:
    """E1: after an error no more bytes than a body may have are read and thrown away."""
    bench = wire.Bench(body_bytes=1000)
    protocol, transport = bench.connect()
    protocol.data_received(b"nonsense")
    protocol.data_received(b"x" * 1000)
    assert not transport.paused
    protocol.data_received(b"x")
    assert transport.paused


# Vanished clients.


def test_connection_lost_is_told_exactly_once(wire: SimpleNamespace) -> None:
    """C10: the work hears of it at once, before the first byte and in a stream; later calls write nothing."""
    for begun in (False, True):
        bench = wire.Bench()
        protocol, transport = bench.connect()
        protocol.data_received(LATER)
        work = bench.application.works[0]
        if begun:
            work.out.begin(200, b"")
            work.out.write(b"x")
        written = len(transport.written)
        protocol.connection_lost(ConnectionResetError())
        assert work.heard == ["gone"]
        work.out.write(b"y")
        work.out.end()
        assert len(transport.written) == written
        assert not bench.state.connections
        assert len(bench.wheel) == 0


def test_a_finished_answer_hears_nothing(wire: SimpleNamespace) -> None:
    """After the last byte the client may go without anyone being told."""
    bench = wire.Bench()
    protocol, _ = bench.connect()
    protocol.data_received(POST % b"/v1/x")
    protocol.connection_lost(None)
    assert bench.application.works[0].heard == []


def test_eof_while_idle_or_within_a_request_closes(wire: SimpleNamespace) -> None:
    """C13: without an answer under way the end of the client's side is the end."""
    for data in (b"", b"POST /v1/x HT", LATER[:-1]):
        protocol, transport = wire.Bench().connect()
        if data:
            protocol.data_received(data)
        assert protocol.eof_received() is True
        assert transport.closed
        assert transport.output == b""


@pytest.mark.parametrize("loop_kind", ["asyncio", "uvloop"])
def test_a_half_closed_client_is_served_to_the_end(wire: SimpleNamespace, loop_kind: str) -> None:
    """C13: replies and streams complete after the client shut its write side, also the pipelined ones; then close."""

    async def main() -> None:
        async with wire.plain_server() as net:
            client = await net.connect()
            await asyncio.get_running_loop().sock_sendall(client, LATER + LATER + (POST % b"/v1/stream"))
            client.shutdown(socket.SHUT_WR)
            works = net.application.works
            await wire.until(lambda: works)
            await asyncio.sleep(0.15)
            works[0].out.reply(200, b"", b"first")
            works[1].out.begin(200, b"")
            works[1].out.write(b"a")
            await asyncio.sleep(0.05)
            works[1].out.write(b"b" * 20)
            works[1].out.end()
            data = await wire.read_all(client)
            assert data.count(b"HTTP/1.1 200 OK\r\n") == 3
            assert data.endswith(b"3\r\ntwo\r\n0\r\n\r\n")
            assert [work.heard for work in works] == [[], [], []]

    run(main, loop_kind)


@pytest.mark.parametrize("loop_kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize("begun", [False, True])
def test_a_client_that_closed_for_good_is_noticed(wire: SimpleNamespace, loop_kind: str, begun: bool) -> None:
    """C10, C11: a close looks like a half-close until the probe; the work is told without having to write."""

    async def main() -> None:
        async with wire.plain_server() as net:
            client = await net.connect()
            await asyncio.get_running_loop().sock_sendall(client, LATER)
            works = net.application.works
            await wire.until(lambda: works)
            if begun:
                works[0].out.begin(200, b"")
                works[0].out.write(b"x")
                await wire.read_until(client, b"1\r\nx\r\n")
            client.close()
            await wire.until(lambda: works[0].heard)
            assert works[0].heard == ["gone"]
            await wire.until(lambda: not net.bench.state.connections)
            assert works[0].heard == ["gone"]

    run(main, loop_kind)


def test_the_probe_of_a_stream_is_a_valid_chunk_size(wire: SimpleNamespace) -> None:
    """C13: what is sent to find out about a half-closed client belongs to the answer anyway."""
    bench = wire.Bench()
    protocol, transport = bench.connect()
    protocol.data_received(LATER)
    work = bench.application.works[0]
    work.out.begin(200, b"")
    work.out.write(b"a")
    protocol.eof_received()
    work.out.write(b"bc")
    work.out.end()
    assert transport.output.endswith(b"1\r\na\r\n02\r\nbc\r\n0\r\n\r\n")
    other, transport = bench.connect()
    other.data_received(LATER)
    other.eof_received()
    bench.application.works[1].out.reply(200, b"", b"body")
    assert transport.written[0] == b"HTTP/1.1 "
    assert transport.output.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"connection: close\r\n" in transport.output
    assert transport.closed


def run(main: object, loop_kind: str = "asyncio") -> None:
    if loop_kind == "uvloop":
        uvloop = pytest.importorskip("uvloop")
        uvloop.run(main())  # type: ignore[operator] # a coroutine function
    else:
        asyncio.run(main())  # type: ignore[operator] # a coroutine function


# Real sockets.


def test_never_reading_client_on_a_real_socket(wire: SimpleNamespace) -> None:
    """C14: a client with a tiny window that never reads: pause, then cut off and told."""

    async def main() -> None:
        async with wire.plain_server(write_timeout=0.2) as net:
            client = await net.connect(receive_buffer=4096)
            await asyncio.get_running_loop().sock_sendall(client, LATER)
            works = net.application.works
            await wire.until(lambda: works)
            works[0].out.begin(200, b"")
            while "pause" not in works[0].heard:
                works[0].out.write(b"x" * 65536)
                await asyncio.sleep(0)
            await wire.until(lambda: "gone" in works[0].heard)
            assert works[0].heard == ["pause", "gone"]
            await wire.until(lambda: not net.bench.state.connections)

    asyncio.run(main())


def test_the_error_answer_survives_a_client_that_goes_on_sending(wire: SimpleNamespace) -> None:
    """E1: a client that sends its whole huge body before it reads still gets the 413 instead of a reset."""

    async def main() -> None:
        async with wire.plain_server(body_bytes=100_000) as net:
            client = await net.connect()
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n")
            for _ in range(4):
                await asyncio.wait_for(loop.sock_sendall(client, b"x" * 100_000), 5)
            client.shutdown(socket.SHUT_WR)
            data = await wire.read_until(client, b"never")
            assert data.startswith(b"HTTP/1.1 413 ")
            assert net.application.works == []

    asyncio.run(main())


def test_keep_alive_and_streams_on_a_real_socket(wire: SimpleNamespace) -> None:
    """Several requests use one connection; the last one asks for its end."""

    async def main() -> None:
        async with wire.plain_server() as net:
            client = await net.connect()
            for _ in range(3):
                assert (await net.ask(client, POST % b"/v1/x", b"|hi")).startswith(b"HTTP/1.1 200 OK\r\n")
            assert await net.ask(client, POST % b"/v1/stream", b"0\r\n\r\n")
            last = b"GET /v1/end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            data = await net.ask(client, last, b"never")
            assert b"connection: close\r\n" in data
            assert net.bench.state.total_requests == 5

    asyncio.run(main())


def test_connection_limits(wire: SimpleNamespace) -> None:
    """E3: a connection too many, in all or of one address, gets 503 and is closed; places become free again."""

    async def main() -> None:
        for limit in ({"connections": 2}, {"connections_per_address": 2}):
            async with wire.plain_server(**limit) as net:
                first, second, third = [await net.connect() for _ in range(3)]
                assert (await wire.read_all(third)).startswith(b"HTTP/1.1 503 ")
                third.close()
                for client in (first, second):
                    assert await net.ask(client, POST % b"/v1/x", b"|hi")
                first.close()
                await wire.until(lambda net=net: len(net.bench.state.connections) == 1)
                fourth = await net.connect()
                assert (await net.ask(fourth, POST % b"/v1/x", b"|hi")).startswith(b"HTTP/1.1 200 ")

    asyncio.run(main())


def test_far_above_the_limit_not_even_an_answer(wire: SimpleNamespace) -> None:
    """E3: the number of connections that are told so is bounded too."""
    bench = wire.Bench(connections=1)
    transports = [bench.connect()[1] for _ in range(200)]
    assert [transport.aborted for transport in transports].count(True) == 200 - 1 - 128


# Draining.


def test_shutdown_closes_the_idle_and_lets_the_busy_finish(wire: SimpleNamespace) -> None:
    """F1: idle connections close; an answer not begun says connection: close; a request half here is still served."""
    bench = wire.Bench()
    idle, idle_transport = bench.connect()
    busy, busy_transport = bench.connect()
    busy.data_received(LATER + LATER)
    stream, stream_transport = bench.connect()
    stream.data_received(LATER)
    out = bench.application.works[1].out
    out.begin(200, b"")
    out.write(b"a")
    half, half_transport = bench.connect()
    half.data_received(LATER[:-1])
    for protocol in (idle, busy, stream, half):
        protocol.shutdown()
    assert idle_transport.closed
    half.data_received(b"i")
    bench.application.works[2].out.reply(200, b"", b"served")
    assert half_transport.closed
    assert half_transport.output.endswith(b"served")
    bench.application.works[0].out.reply(200, b"", b"done")
    assert b"connection: close\r\n" in busy_transport.output
    assert busy_transport.eof  # what was pipelined behind it is dropped, with a lingering close
    assert not stream_transport.closed
    out.write(b"b")
    out.end()
    assert stream_transport.closed
    assert stream_transport.output.endswith(b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n")
    assert len(bench.application.works) == 3


def test_a_lost_connection_is_freed_without_garbage_collection(wire: SimpleNamespace) -> None:
    """E7: connections that come and go leave no reference cycles (collections are rare in a tuned process)."""

    def alive() -> int:
        return sum(isinstance(thing, Connection | HeadParser) for thing in gc.get_objects())

    bench = wire.Bench()
    gc.collect()
    gc.disable()
    try:
        before = alive()
        for data in (POST % b"/v1/x", LATER, LATER[:-1], b"nonsense"):
            protocol, transport = bench.connect()
            protocol.data_received(data)
            protocol.connection_lost(None)
            bench.application.works.clear()
            transport.protocol = None
            del protocol, transport
        assert alive() == before
    finally:
        gc.enable()
