"""The gateway as a library: the same promises without HTTP."""

import asyncio
import json

import pytest

from standfast.engine.inquiry import Controls
from standfast.errors import BrokenStream, InvalidRequest, RequestFailed, UnknownModel
from standfast.lab import Fault
from support.chat import SOON, WIRES, answer_of, at_rest, entries, run, until
from support.stack import stack

HELLO = [{"role": "user", "content": "hello"}]
every_wire = pytest.mark.parametrize("wire", WIRES)


@every_wire
def test_whole_and_piece_by_piece(wire: str) -> None:
    """G3: `chat` and `stream` give the same text, and say who answered."""

    async def scenario() -> None:
        first, second = WIRES[wire]
        async with stack({"m": [first, second]}, defaults={"retry": SOON}) as s:
            s.lab[wire].fail(Fault(status=500, key=f"-{wire}", times=2))
            reply = await s.gateway.chat("m", HELLO)
            text = answer_of(first.partition("/")[2])
            assert (reply.text, reply.deployment, reply.fallback) == (text, second, True)
            assert [attempt.outcome.value for attempt in reply.attempts] == ["failure", "success"]
            assert reply.usage is not None
            assert "".join([piece async for piece in s.gateway.stream("m", HELLO)]) == text
            await until(lambda: at_rest(s))

    run(scenario)


def test_failures_are_raised() -> None:
    """G1: what has no answer raises, with the attempts; what the caller did wrong raises as such."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}, defaults={"retry": SOON}) as s:
            with pytest.raises(UnknownModel):
                await s.gateway.chat("nobody", HELLO)
            with pytest.raises(InvalidRequest):
                await s.gateway.chat("m", [])
            s.lab.openai.fail(Fault(status=500))
            with pytest.raises(RequestFailed) as caught:
                await s.gateway.chat("m", HELLO)
            assert len(caught.value.attempts) == 4
            with pytest.raises(RequestFailed):
                await anext(s.gateway.stream("m", HELLO))
            s.lab.openai.heal()
            s.lab.openai.fail(Fault(status=400))
            with pytest.raises(RequestFailed) as refused:
                await s.gateway.chat("m", HELLO, controls=Controls(deadline=5.0))
            assert refused.value.status == 400

    run(scenario)


def test_a_session_is_no_field_of_the_provider() -> None:
    """The design's own example: `session=` keeps a conversation at its target, and is not sent upstream."""

    async def scenario() -> None:
        targets = ["openai/gpt-4.1", "twin/gpt-4.1"]
        async with stack({"m": {"strategy": "sticky", "targets": targets}}) as s:
            for ask in range(12):
                first = (await s.gateway.chat("m", HELLO, session=f"s-{ask}")).deployment
                controls = Controls(session="another", tags=("t",))
                assert (await s.gateway.chat("m", HELLO, session=f"s-{ask}", controls=controls)).deployment == first
                assert s.gateway.explain("m", HELLO, session=f"s-{ask}").rows[0].target == first
                pieces = [piece async for piece in s.gateway.stream("m", HELLO, session=f"s-{ask}")]
                assert pieces
                assert s.recorder.records[-1].deployment == first
            assert {record.deployment for record in s.recorder.records} == set(targets)
            assert not any("session" in json.loads(entry.body) for entry in entries(s))

    run(scenario)


def test_what_cannot_be_done_names_what_can() -> None:
    """`chat` does not stream, `stream` does nothing else, and there are two kinds of check."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}) as s:
            with pytest.raises(InvalidRequest, match=r"Gateway\.stream"):
                await s.gateway.chat("m", HELLO, stream=True)
            with pytest.raises(InvalidRequest, match=r"Gateway\.chat"):
                await anext(s.gateway.stream("m", HELLO, stream=False))
            assert (await s.gateway.chat("m", HELLO, stream=False)).text
            for wrong in ("pong", "traffic"):
                with pytest.raises(ValueError, match="`ping` or `generate`"):
                    await s.gateway.check(wrong)  # type: ignore[arg-type]  # that is the test
                with pytest.raises(ValueError, match="`ping` or `generate`"):
                    s.gateway.checks(wrong)  # type: ignore[arg-type]  # that is the test
            assert not [entry for entry in entries(s) if entry.method == "GET"]

    run(scenario)


@every_wire
def test_a_broken_stream_raises_behind_its_text(wire: str) -> None:
    """G2: what came stands, then `BrokenStream`: truncation never looks like the end."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES[wire])}) as s:
            s.lab[wire].fail(Fault(cut_after_chunks=3, chunk_delay=0.005))
            pieces: list[str] = []

            async def read() -> None:
                async for piece in s.gateway.stream("m", HELLO):
                    pieces.append(piece)  # noqa: PERF401 - what came before the break is asserted

            with pytest.raises(BrokenStream):
                await read()
            assert pieces
            assert answer_of(WIRES[wire][0].partition("/")[2]).startswith("".join(pieces))

    run(scenario)


def test_a_cancelled_call_is_a_client_that_left() -> None:
    """C10, C11: cancelling `chat`, or leaving `stream` early, closes the upstream."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}) as s:
            s.lab.openai.fail(Fault(tokens=200, chunk_delay=0.05))
            asking = asyncio.create_task(s.gateway.chat("m", HELLO))
            await until(lambda: entries(s))
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            pieces = s.gateway.stream("m", HELLO)
            assert await anext(pieces)
            await pieces.aclose()  # type: ignore[attr-defined]  # an async generator
            await until(lambda: len(entries(s)) == 2 and all(entry.peer_closed for entry in entries(s)))
            await until(lambda: at_rest(s))
            assert [record.status for record in s.recorder.records] == [499, 499]

    run(scenario)


def test_a_slow_reader_pauses_the_upstream() -> None:
    """C12: the library's consumer holds the upstream back, too; nothing is lost."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}, defaults={"timeouts": {"gap": "200ms"}}) as s:
            s.lab.openai.fail(Fault(tokens=2000, slice_bytes=2000))
            text = ""
            async for piece in s.gateway.stream("m", HELLO):
                if not text:
                    await asyncio.sleep(0.4)
                text += piece
            assert text == answer_of("gpt-4.1", tokens=2000)

    run(scenario)
