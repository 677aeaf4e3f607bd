"""How an answer ends at its limits: totals, deadlines, slow clients, requests that a target cannot express."""

import asyncio

import pytest

from standfast.canon.deployment import Operation
from standfast.engine import call as engine_call
from standfast.engine.inquiry import Inquiry
from standfast.http1.base import Responder
from standfast.lab import Fault
from support.chat import (
    WIRES,
    ask,
    at_rest,
    attempts,
    entries,
    error_of,
    errors_in,
    finish_reasons,
    finished,
    kinds,
    run,
    until,
)
from support.raw import raw_upstream
from support.stack import Stack, stack

every_wire = pytest.mark.parametrize("wire", WIRES)
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]


@every_wire
def test_the_total_bounds_a_stream_that_flows(wire: str) -> None:
    """C15: a target's `timeouts.total` ends even a stream that never pauses, with an error event."""

    async def scenario() -> None:
        target = {"target": WIRES[wire][0], "timeouts": {"total": "600ms"}}
        async with stack({"m": [target]}) as s:
            s.lab[wire].fail(Fault(tokens=1000, chunk_delay=0.01))
            answer = await ask(s, stream=True)
            assert not finished(answer)
            assert [error["code"] for error in errors_in(answer)] == ["stalled"]
            assert not finish_reasons(answer)
            await until(lambda: entries(s)[0].peer_closed)
            await until(lambda: at_rest(s))

    run(scenario)


@every_wire
def test_a_deadline_ends_a_stream_that_flows(wire: str) -> None:
    """C1: the client's own deadline in mid-stream: error event, no [DONE]; the target is not blamed for it."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES[wire])}, defaults={"breaker": {"consecutive": 1}}) as s:
            s.lab[wire].fail(Fault(tokens=1000, chunk_delay=0.01))
            answer = await ask(s, stream=True, headers={"x-standfast-deadline-ms": "600"})
            assert [error["code"] for error in errors_in(answer)] == ["deadline_passed"]
            assert "[DONE]" not in answer.events
            assert kinds(s.recorder.records[0]) == ["deadline_passed"]
            assert set(s.gateway.breaker_states().values()) == {"closed"}
            await until(lambda: entries(s)[0].peer_closed)

    run(scenario)


def test_a_whole_answer_may_stall_too() -> None:
    """C1: a whole reply that stops in the middle of its body is left, and the next target answers."""

    async def scenario() -> None:
        defaults = {"timeouts": {"first_token": "200ms", "gap": "100ms"}}
        async with stack({"m": list(WIRES["openai"])}, defaults=defaults) as s:
            s.lab.openai.fail(Fault(stall_after_chunks=2, key="openai"))
            answer = await ask(s)
            assert finished(answer)
            assert kinds(s.recorder.records[0]) == ["stalled", "success"]

    run(scenario)


class PausingClient:
    """A client that stops reading with the first bytes, and keeps what comes."""

    def __init__(self) -> None:
        self.data = b""
        self.ended = False
        self.responder: Responder | None = None

    def reply(self, status: int, headers: bytes, body: bytes) -> None:
        """A whole answer."""
        del headers
        self.data += b"%d " % status + body
        self.ended = True

    def begin(self, status: int, headers: bytes) -> None:
        """The head."""

    def write(self, data: bytes) -> None:
        """The next bytes."""
        if not self.data and self.responder is not None:
            self.responder.pause()
        self.data += data

    def end(self) -> None:
        """Complete."""
        self.ended = True

    def abort(self) -> None:
        """Cut."""
        self.ended = True


async def send_paused(s: Stack, body: bytes) -> PausingClient:
    """A streamed request from a client that stops reading at once."""
    client = PausingClient()
    form = s.plane._chat
    client.responder = s.gateway.submit(Inquiry(form, Operation.CHAT, form.read(body)), client)
    return client


OPENAI_STREAM = (
    (
        b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"hi"}}]}\n\n'
        b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    ),
    (
        b'data: {"id":"1","model":"m","choices":[],"usage":'
        b'{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}\n\ndata: [DONE]\n\n'
    ),
)
ANTHROPIC_STREAM = (
    (
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"1","type":"message","role":"assistant",'
        b'"model":"m","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
        b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":'
        b'{"type":"text","text":""}}\n\n'
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":'
        b'{"type":"text_delta","text":"hi"}}\n\n'
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
        b'"usage":{"output_tokens":1}}\n\n'
    ),
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
)


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_a_client_that_pauses_at_the_end_loses_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """C12: while a client does not read, what follows the finish reason may take its time: nothing of it is lost."""
    monkeypatch.setattr(engine_call, "GRACE", 0.1)
    first, second = OPENAI_STREAM if kind == "openai" else ANTHROPIC_STREAM
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    pieces = (head + b"%x\r\n%b\r\n" % (len(first), first), b"%x\r\n%b\r\n0\r\n\r\n" % (len(second), second))

    async def scenario() -> None:
        async with raw_upstream(*pieces, pause=0.1) as raw:
            provider = {**raw.provider, "type": kind if kind == "anthropic" else "openai_like"}
            async with stack({"m": ["raw/m"]}, providers={"raw": provider}) as s:
                client = await send_paused(
                    s,
                    b'{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"x"}]}',
                )
                await until(lambda: client.data)
                await asyncio.sleep(0.5)
                assert not client.ended
                assert client.responder is not None
                client.responder.resume()
                await until(lambda: client.ended)
                assert client.data.endswith(b"data: [DONE]\n\n")
                assert b'"total_tokens":2' in client.data
                assert b"error" not in client.data
                assert kinds(s.recorder.records[0]) == ["success"]

    run(scenario)


def test_a_request_that_a_target_cannot_express_goes_to_one_that_can() -> None:
    """B3: tools that the target's wire format cannot carry yet: the next target serves; that was no attempt."""

    async def scenario() -> None:
        async with stack({"m": ["anthropic/claude-haiku-4-5", "openai/gpt-4.1"], "a": ["gemini/gemini-2.5-pro"]}) as s:
            for stream in (False, True):
                answer = await ask(s, stream=stream, tools=TOOLS)
                assert finished(answer)
                assert (answer.headers["x-standfast-deployment"], attempts(answer)) == ("openai/gpt-4.1", 1)
                refused = await ask(s, "a", stream=stream, tools=TOOLS)
                assert (refused.status, attempts(refused)) == (400, 0)
                assert error_of(refused)["code"] == "unsupported_by_target"
            assert not entries(s, "anthropic")
            assert not entries(s, "gemini")
            await until(lambda: at_rest(s))

    run(scenario)


def test_several_choices_each_have_their_finish() -> None:
    """C8: with `n: 2` both choices are whole, and the answer is finished when both are."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}) as s:
            answer = await ask(s, stream=True, n=2)
            assert finished(answer)
            assert finish_reasons(answer) == ["stop", "stop"]

    run(scenario)


def test_an_upstream_that_keeps_the_connection_open_after_its_end_delays_nobody() -> None:
    """C2: [DONE] is the end: the client's answer does not wait for the end of the upstream's message."""

    async def scenario() -> None:
        whole = b"".join(OPENAI_STREAM)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        piece = head + b"%x\r\n%b\r\n" % (len(whole), whole)
        async with (
            raw_upstream(piece, then_close=False) as raw,
            stack({"m": ["raw/m"]}, providers={"raw": raw.provider}) as s,
        ):
            answer = await ask(s, stream=True)
            assert finished(answer)
            assert kinds(s.recorder.records[0]) == ["success"]
            await until(lambda: at_rest(s))
            assert s.gateway.services.client.open_connections == 0

    run(scenario)
