"""Failure catalogue, part C: what can go wrong inside a stream, in all three upstream wires."""

import json

import pytest

from standfast.lab import Fault
from support.chat import (
    WIRES,
    answer_of,
    ask,
    at_rest,
    attempts,
    entries,
    errors_in,
    finish_reasons,
    finished,
    kinds,
    run,
    until,
)
from support.http import Response
from support.stack import Stack, stack

GAP = {"timeouts": {"gap": "150ms"}}
every_wire = pytest.mark.parametrize("wire", WIRES)


def model_of(wire: str) -> str:
    """The upstream model of a wire's targets."""
    return WIRES[wire][0].partition("/")[2]


def assert_broken(answer: Response, code: str, wire: str, s: Stack) -> None:
    """An honest end of a broken stream: some text, one error event last, no finish, no terminator."""
    assert answer.status == 200
    assert answer.complete
    (error,) = errors_in(answer)
    assert error["code"] == code
    assert set(error) >= {"message", "type", "code"}
    assert "[DONE]" not in answer.events
    assert not finish_reasons(answer)
    assert json.loads(answer.events[-1])["error"] == error
    shown = "".join(
        choice["delta"].get("content") or "" for data in answer.events for choice in json.loads(data).get("choices", ())
    )
    assert shown
    assert answer_of(model_of(wire)).startswith(shown)
    record = s.recorder.records[-1]
    assert record.code == code
    assert record.first_token is not None
    assert attempts(answer) == 1


@every_wire
def test_a_stall_ends_with_an_error(wire: str) -> None:
    """C1: silence after some content ends with the gap: error event, no [DONE], no finish, upstream closed."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES[wire])}, defaults=GAP) as s:
            s.lab[wire].fail(Fault(stall_after_chunks=2))
            assert_broken(await ask(s, stream=True), "stalled", wire, s)
            await until(lambda: entries(s)[-1].peer_closed)
            await until(lambda: at_rest(s))

    run(scenario)


@every_wire
def test_pings_do_not_hide_a_stall(wire: str) -> None:
    """C1: comments and pings are no content: they do not move the gap."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES[wire])}, defaults=GAP) as s:
            s.lab[wire].fail(Fault(stall_after_chunks=2, comments_every=0.03))
            assert_broken(await ask(s, stream=True), "stalled", wire, s)

    run(scenario)


@every_wire
@pytest.mark.parametrize("how", ["close", "reset", "clean_end"])
def test_every_kind_of_cut_is_noticed(wire: str, how: str) -> None:
    """C2: closed inside a chunk, reset, or ended well-formed without the terminator: each is an error event."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES[wire])}) as s:
            for at in (1, 2, 4):
                s.lab[wire].heal()
                s.lab[wire].fail(Fault(cut_after_chunks=at, how=how))
                assert_broken(await ask(s, stream=True), "broken_stream", wire, s)
            await until(lambda: at_rest(s))

    run(scenario)


@every_wire
@pytest.mark.parametrize("how", ["close", "reset", "clean_end"])
def test_a_cut_after_the_last_token_is_still_a_cut(wire: str, how: str) -> None:
    """C2: all text came but neither finish nor terminator: not a success."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES[wire])}) as s:
            s.lab[wire].fail(Fault(cut_after_chunks=99, how=how))
            assert_broken(await ask(s, stream=True), "broken_stream", wire, s)

    run(scenario)


@every_wire
def test_an_error_before_content_is_invisible(wire: str) -> None:
    """C3: an in-band error before the first content: the next target answers, the client never sees it."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES[wire])}) as s:
            s.lab[wire].fail(Fault(error_event_after_chunks=0, key=f"-{wire}"))
            answer = await ask(s, stream=True)
            assert finished(answer)
            assert attempts(answer) == 2
            assert answer.text == answer_of(model_of(wire))
            assert b"error" not in answer.body
            assert len(kinds(s.recorder.records[0])) == 2

    run(scenario)


@every_wire
def test_a_cut_before_content_is_invisible(wire: str) -> None:
    """C3: a stream that breaks before its first content is repeated elsewhere, whatever preamble it had."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES[wire])}) as s:
            for how in ("close", "reset", "clean_end"):
                s.lab[wire].heal()
                s.lab[wire].fail(Fault(cut_after_chunks=0, how=how, key=f"-{wire}"))
                answer = await ask(s, stream=True)
                assert finished(answer)
                assert (attempts(answer), answer.text) == (2, answer_of(model_of(wire)))

    run(scenario)


@every_wire
@pytest.mark.parametrize("done", [False, True])
def test_an_error_after_content_is_told(wire: str, done: bool) -> None:
    """C4, C5: an in-band error after content becomes OpenAI's error chunk; a [DONE] behind it does not mend it."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES[wire])}) as s:
            s.lab[wire].fail(Fault(error_event_after_chunks=2, done_after_error=done, chunk_delay=0.01))
            answer = await ask(s, stream=True)
            code = s.recorder.records[-1].code
            assert code in {"server_error", "overloaded"}
            assert_broken(answer, code, wire, s)

    run(scenario)


@every_wire
@pytest.mark.parametrize("size", [1, 3, 7])
def test_slices_do_not_matter(wire: str, size: int) -> None:
    """C6: one byte per write, split characters and line ends: the text and the events are the same."""

    async def scenario() -> None:
        prompt = "gr\u00fc\u00dfe \u2603 \U0001f600 ende"
        async with stack({"m": [WIRES[wire][0]]}) as s:
            plain = await ask(s, stream=True, prompt=prompt)
            s.lab[wire].fail(Fault(slice_bytes=size))
            sliced = await ask(s, stream=True, prompt=prompt)
            whole = await ask(s, prompt=prompt)
            assert finished(sliced)
            assert sliced.text == plain.text == whole.text == answer_of(model_of(wire), prompt)
            if wire == "openai":  # translated events carry the second of their creation
                assert sliced.body == plain.body

    run(scenario)


@every_wire
def test_a_huge_event_is_capped(wire: str) -> None:
    """C7: a line without end is given up at the limit, before content invisibly; the upstream is closed."""

    async def scenario() -> None:
        server = {"upstream": {"event_bytes": 64 * 1024}}
        async with stack({"m": list(WIRES[wire])}, server=server) as s:
            s.lab[wire].fail(Fault(huge_event=2**30, key=f"-{wire}"))
            answer = await ask(s, stream=True)
            assert finished(answer)
            assert attempts(answer) == 2
            assert kinds(s.recorder.records[0])[0] == "invalid_reply"
            await until(lambda: entries(s)[0].peer_closed)
            assert entries(s)[0].sent < 16 * 2**20

    run(scenario)


@every_wire
def test_many_tiny_events_pass_by(wire: str) -> None:
    """C7: a flood of empty comments costs no memory and changes nothing."""

    async def scenario() -> None:
        async with stack({"m": [WIRES[wire][0]]}, server={"upstream": {"event_bytes": 64 * 1024}}) as s:
            s.lab[wire].fail(Fault(tiny_events=200_000))
            answer = await ask(s, stream=True)
            assert (finished(answer), attempts(answer)) == (True, 1)
            assert answer.text == answer_of(model_of(wire))
            assert len(answer.body) < 10_000

    run(scenario)


@every_wire
def test_what_comes_after_the_finish_is_dropped(wire: str) -> None:
    """C8: late content and a second finish reason do not reach the client: one answer, one finish."""

    async def scenario() -> None:
        async with stack({"m": [WIRES[wire][0]]}) as s:
            for fault in (Fault(late_chunks=3), Fault(two_finish_reasons=True)):
                s.lab[wire].heal()
                s.lab[wire].fail(fault)
                answer = await ask(s, stream=True)
                assert finished(answer)
                assert answer.text == answer_of(model_of(wire))
                assert finish_reasons(answer) == ["stop"]

    run(scenario)


def test_a_missing_done_is_supplied() -> None:
    """C2: complete by the finish reason and a well-formed end, only [DONE] is missing: finished, and with [DONE]."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}) as s:
            s.lab.openai.fail(Fault(no_done=True))
            answer = await ask(s, stream=True)
            assert finished(answer)
            assert kinds(s.recorder.records[0]) == ["success"]

    run(scenario)


def test_a_missing_message_stop_is_a_cut() -> None:
    """C2: Anthropic's own terminator is message_stop; without it the answer is not complete."""

    async def scenario() -> None:
        async with stack({"m": [WIRES["anthropic"][0]]}) as s:
            s.lab.anthropic.fail(Fault(no_done=True))
            assert_broken(await ask(s, stream=True), "broken_stream", "anthropic", s)

    run(scenario)


@every_wire
def test_a_broken_stream_counts_for_the_breaker(wire: str) -> None:
    """C1, C2: failures in mid-stream are the deployment's ill health, mended or not: after five its breaker opens."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES[wire])}) as s:
            s.lab[wire].fail(Fault(cut_after_chunks=1, key=f"-{wire}"))
            answers = [await ask(s, stream=True) for _ in range(7)]
            assert [finished(answer) for answer in answers] == [True] * 7
            assert [len(record.attempts) for record in s.recorder.records] == [2] * 5 + [1] * 2
            assert s.gateway.breaker_states()[WIRES[wire][0]] == "open"

    run(scenario)
