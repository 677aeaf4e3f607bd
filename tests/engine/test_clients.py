"""Failure catalogue, part C: clients that leave, stop reading, or wait for long."""

import asyncio
import json
import socket

import pytest

from standfast.lab import Fault
from standfast.lab.server import Lab
from support.chat import WIRES, Talk, answer_of, ask, at_rest, chat, entries, errors_in, finished, kinds, run, until
from support.http import read_response, request_bytes
from support.stack import Stack, stack

every_wire = pytest.mark.parametrize("wire", WIRES)
LONG = Fault(tokens=4000, first_token_delay=0.1)
"""More bytes than the narrowed sockets on the way hold; the delay is the time to narrow them."""


async def assert_cancelled(s: Stack, *, first_token: bool) -> None:
    """The upstream saw the close, nothing is left, and nobody is blamed."""
    await until(lambda: entries(s)[0].peer_closed)
    await until(lambda: at_rest(s))
    (record,) = s.recorder.records
    assert (record.status, record.code) == (499, "client_cancelled")
    assert kinds(record) == ["cancelled"]
    assert (record.attempts[0].first_content is not None) is first_token
    assert len(entries(s)) == 1
    fleet, target = s.gateway.snapshot.fleet, s.gateway.snapshot.routes["m"].targets[0]
    assert fleet._places[target.deployment].breaker.recent(s.gateway.services.clock.now()) == (0, 0)
    assert not s.recorder.changes


@every_wire
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_before_the_first_token(wire: str, stream: bool, how: str) -> None:
    """C10: the upstream is closed at once, nothing is retried, no breaker is moved."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES[wire])}, defaults={"breaker": {"consecutive": 1}}) as s:
            s.lab[wire].fail(Fault(hang=True))
            talk = await Talk.begin(s, chat(stream=stream))
            await until(lambda: len(entries(s)) == 1)
            if how == "close":
                await talk.close()
            else:
                talk.reset()
            await assert_cancelled(s, first_token=False)

    run(scenario)


@every_wire
def test_a_client_that_leaves_in_mid_stream(wire: str) -> None:
    """C11: the same in mid-stream: the upstream stops within a few chunks of a long answer."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES[wire])}, defaults={"breaker": {"consecutive": 1}}) as s:
            s.lab[wire].fail(Fault(tokens=2000, chunk_delay=0.005))
            talk = await Talk.begin(s, chat(stream=True))
            await talk.head()
            await talk.until(b"steady")
            talk.reset()
            await assert_cancelled(s, first_token=True)
            assert entries(s)[0].output_tokens < 500

    run(scenario)


def test_a_client_that_leaves_while_a_whole_answer_comes() -> None:
    """C11: a whole answer is cancelled in the middle of its body, too."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}) as s:
            s.lab.openai.fail(Fault(tokens=500, chunk_delay=5))
            talk = await Talk.begin(s, chat())
            await until(lambda: entries(s) and entries(s)[0].sent)
            talk.reset()
            await assert_cancelled(s, first_token=False)

    run(scenario)


def test_a_client_that_leaves_during_a_wait() -> None:
    """C10: a client that leaves while the gateway waits for a Retry-After: no further attempt is made."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}) as s:
            s.lab.openai.fail(Fault(status=429, headers={"retry-after": "1"}, times=1))
            talk = await Talk.begin(s, chat())
            await until(lambda: entries(s) and entries(s)[0].outcome == "refused")
            await asyncio.sleep(0.05)
            talk.reset()
            await until(lambda: at_rest(s))
            assert s.recorder.records[0].status == 499
            assert len(entries(s)) == 1
            assert not s.gateway.services.watch.active

    run(scenario)


async def narrow(s: Stack, body: object) -> socket.socket:
    """A client that has sent its request and reads nothing; all sockets on the way have small buffers."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", s.port))
    await loop.sock_sendall(sock, request_bytes("/v1/chat/completions", body))
    await until(lambda: entries(s) and entries(s)[0].sent)
    ours = [connection._transport for connection in s.server.server_state.connections]
    lab = [connection._transport for live in s.lab._live.values() for connection in live]
    upstream = [connection.transport for connection in s.gateway.services.client._connections]
    for transport, option in (
        *((each, socket.SO_SNDBUF) for each in (*ours, *lab)),
        *((each, socket.SO_RCVBUF) for each in upstream),
    ):
        assert transport is not None
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, option, 16 * 1024)
    return sock


async def settled(s: Stack) -> int:
    """Bytes that the upstream has sent when it sends no more."""
    before = -1
    while (sent := entries(s)[0].sent if entries(s) else 0) != before or not sent:
        before = sent
        await asyncio.sleep(0.1)
    return sent


@every_wire
def test_a_slow_client_slows_the_upstream(wire: str) -> None:
    """C12: while the client does not read, the upstream is paused; when it reads on, the answer is whole."""

    async def scenario() -> None:
        async with stack({"m": [WIRES[wire][0]]}, defaults={"timeouts": {"gap": "200ms"}}) as s:
            s.lab[wire].fail(LONG)
            sock = await narrow(s, chat(stream=True))
            sent = await settled(s)
            assert entries(s)[0].outcome == "open"
            assert s.gateway.in_flight == 1
            await asyncio.sleep(0.4)  # longer than the gap: the silence is the client's
            assert (entries(s)[0].sent, s.gateway.in_flight) == (sent, 1)
            reader, writer = await asyncio.open_connection(sock=sock)
            answer = await read_response(reader)
            assert finished(answer)
            assert answer.text == answer_of(WIRES[wire][0].partition("/")[2], tokens=LONG.tokens)
            writer.close()
            await until(lambda: at_rest(s))

    run(scenario, 40)


def test_what_waits_for_a_slow_client_is_bounded() -> None:
    """C12: for each stalled client at most a few hundred KiB wait in the gateway."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}) as s:
            s.lab.openai.fail(LONG)
            sock = await narrow(s, chat(stream=True))
            await settled(s)
            transports = [connection._transport for connection in s.server.server_state.connections]
            waiting = [transport.get_write_buffer_size() for transport in transports if transport is not None]
            assert 0 < max(waiting) <= 512 * 1024
            sock.close()
            await until(lambda: at_rest(s))

    run(scenario)


def test_a_half_closed_client_gets_its_answer() -> None:
    """C13: a client that shuts its writing side down still reads: the stream completes."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}) as s:
            s.lab.openai.fail(Fault(chunk_delay=0.02))
            for stream in (False, True):
                talk = await Talk.begin(s, chat(stream=stream))
                talk.writer.write_eof()
                answer = await read_response(talk.reader)
                assert finished(answer)
                assert answer.text == answer_of("gpt-4.1")
                await talk.close()

    run(scenario)


def test_a_client_that_never_reads_is_cut_off() -> None:
    """C14: after `write_timeout` without reading the client is cut off and its upstream closed."""

    async def scenario() -> None:
        server = {"limits": {"write_timeout": "300ms"}}
        async with stack({"m": ["openai/gpt-4.1"]}, server=server) as s:
            s.lab.openai.fail(LONG)
            sock = await narrow(s, chat(stream=True))
            await until(lambda: entries(s) and entries(s)[0].peer_closed)
            await until(lambda: at_rest(s))
            assert s.recorder.records[0].status == 499
            sock.close()

    run(scenario)


def test_heartbeats_before_and_inside_a_stream() -> None:
    """C15, C16: silence is filled with comments, before the first content and in a gap; the answer is whole."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}, server={"heartbeat": "60ms"}) as s:
            s.lab.openai.fail(Fault(first_token_delay=0.3, chunk_delay=0.3, tokens=2))
            talk = await Talk.begin(s, chat(stream=True))
            assert await talk.head() == 200
            before = await talk.until(b'"content":"\xe2\x9c\x93"')
            inside = await talk.until(b"[DONE]")
            assert before.count(b": ping\n\n") >= 2
            assert inside.count(b": ping\n\n") >= 2
            assert talk.headers is not None
            assert talk.headers["content-type"].startswith("text/event-stream")
            assert s.recorder.records[0].status == 200
            await talk.close()

    run(scenario)


def test_a_failure_after_heartbeats_is_told_in_the_stream() -> None:
    """C16: once a heartbeat opened the answer with 200, a final failure is an error event, without [DONE]."""

    async def scenario() -> None:
        defaults = {"timeouts": {"first_token": "200ms"}, "retry": {"max_ambiguous": 0}}
        async with stack({"m": ["openai/gpt-4.1"]}, server={"heartbeat": "50ms"}, defaults=defaults) as s:
            s.lab.openai.fail(Fault(hang=True))
            answer = await ask(s, stream=True)
            assert (answer.status, answer.complete) == (200, True)
            assert [error["code"] for error in errors_in(answer)] == ["first_token_timeout"]
            assert "[DONE]" not in answer.events
            assert s.recorder.records[0].status == 504

    run(scenario)


def test_failover_after_heartbeats_is_invisible() -> None:
    """C16: heartbeats commit nothing: another target may still answer."""

    async def scenario() -> None:
        defaults = {"timeouts": {"first_token": "200ms"}}
        async with stack({"m": list(WIRES["openai"])}, server={"heartbeat": "50ms"}, defaults=defaults) as s:
            s.lab.openai.fail(Fault(hang=True, key="openai"))
            answer = await ask(s, stream=True)
            assert finished(answer)
            assert b": ping\n\n" in answer.body
            assert answer.text == answer_of("gpt-4.1")

    run(scenario)


def test_heartbeats_can_be_switched_off() -> None:
    """C16: `heartbeat: 0` sends none."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}, server={"heartbeat": 0}) as s:
            s.lab.openai.fail(Fault(first_token_delay=0.2))
            answer = await ask(s, stream=True)
            assert finished(answer)
            assert b": ping" not in answer.body

    run(scenario)


def test_a_cut_off_is_told_to_everybody() -> None:
    """F1: at the end of the drain, streams get an error event without [DONE], whole answers a 503; nothing is left."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}) as s:
            s.lab.openai.fail(Fault(stall_after_chunks=2))
            streams = [await Talk.begin(s, chat(stream=True)) for _ in range(5)]
            wholes = [await Talk.begin(s, chat()) for _ in range(5)]
            await until(lambda: len(entries(s)) == 10 and all(entry.sent for entry in entries(s)))
            s.gateway.cut_off()
            assert s.gateway.in_flight == 0
            for talk in streams:
                answer = await read_response(talk.reader)
                assert answer.status == 200
                assert [error["code"] for error in errors_in(answer)] == ["draining"]
                assert "[DONE]" not in answer.events
                await talk.close()
            for talk in wholes:
                answer = await read_response(talk.reader)
                assert answer.status == 503
                assert json.loads(answer.body)["error"]["code"] == "draining"
                assert answer.headers["x-should-retry"] == "true"
                await talk.close()
            await until(lambda: at_rest(s))
            assert len(s.recorder.records) == 10
            await until(lambda: all(entry.peer_closed for entry in entries(s)))

    run(scenario)


def tight(lab: Lab) -> dict[str, object]:
    """One key whose bucket of tokens holds 1000: what ten seconds allow."""
    limits = {"tpm": 6000}
    return {"openai": {"base_url": f"{lab.openai.url}/v1", "keys": ["sk-lab-openai"], "limits": limits}}


def test_who_is_cut_off_in_the_line_lets_the_next_one_look() -> None:
    """F1: its place is given on at once; a smaller request behind it does not wait for a limit that was not its own."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}, providers=tight) as s:
            s.lab.openai.fail(Fault(stall_after_chunks=2))
            first = await Talk.begin(s, chat(stream=True, max_tokens=700))
            await until(lambda: len(entries(s)) == 1)
            large = await Talk.begin(s, chat(stream=True, max_tokens=900))
            line = s.gateway.snapshot.fleet.line
            await until(lambda: len(line) == 1)
            small = await Talk.begin(s, chat(stream=True, max_tokens=100))
            await until(lambda: len(line) == 2)
            waiting = [drive for drive in s.gateway.services.watch.active if drive.waits]
            (cut,) = (drive for drive in waiting if drive.inquiry.envelope.max_tokens == 900)
            cut.cut_off()
            assert len(line) == 0
            assert json.loads((await read_response(large.reader)).body)["error"]["code"] == "draining"
            await until(lambda: len(entries(s)) == 2)
            s.gateway.cut_off()
            for talk in (first, large, small):
                await talk.close()
            await until(lambda: at_rest(s))

    run(scenario)


def test_nobody_is_sent_off_while_everything_is_cut_off() -> None:
    """F1: who waits is cut off first, so that the places that become free are nobody's to take."""

    async def scenario() -> None:
        def one(lab: Lab) -> dict[str, object]:
            url = f"{lab.openai.url}/v1"
            return {"openai": {"base_url": url, "keys": ["sk-lab-openai"], "limits": {"concurrency": 1}}}

        async with stack({"m": ["openai/gpt-4.1"]}, providers=one) as s:
            s.lab.openai.fail(Fault(stall_after_chunks=2))
            talks = [await Talk.begin(s, chat(stream=True)) for _ in range(8)]
            await until(lambda: len(s.gateway.snapshot.fleet.line) == 7 and entries(s))
            s.gateway.cut_off()
            assert s.gateway.in_flight == 0
            for talk in talks:
                await talk.close()
            await until(lambda: at_rest(s))
            assert [len(record.attempts) for record in s.recorder.records].count(1) == 1
            assert len(entries(s)) == 1

    run(scenario)
