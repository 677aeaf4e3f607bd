"""Failure catalogue, rows B1 and B2: the wait for the first content, which only content ends."""

import pytest

from standfast.lab import Fault, LabSettings
from standfast.lab.settings import DEFAULT
from support.chat import WIRES, answer_of, ask, at_rest, attempts, entries, finished, kinds, run, until
from support.stack import stack

FAST = {"timeouts": {"first_token": "150ms"}}
every_wire = pytest.mark.parametrize("wire", WIRES)


@every_wire
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", [Fault(delay=9), Fault(hang=True)], ids=["delay", "hang"])
def test_a_slow_first_token_fails_over(wire: str, stream: bool, fault: Fault) -> None:
    """B1: no first content in time: the next target answers, and the slow upstream's connection is closed."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES[wire])}, defaults=FAST) as s:
            s.lab[wire].fail(fault.model_copy(update={"key": f"-{wire}"}))
            answer = await ask(s, stream=stream)
            assert finished(answer)
            assert attempts(answer) == 2
            assert kinds(s.recorder.records[0]) == ["first_token_timeout", "success"]
            await until(lambda: entries(s)[0].peer_closed)
            await until(lambda: at_rest(s))

    run(scenario)


@every_wire
def test_a_head_is_no_token(wire: str) -> None:
    """B1: status, role chunk and message_start are no content: they do not end the wait."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES[wire])}, defaults=FAST) as s:
            s.lab[wire].fail(Fault(first_token_delay=9, key=f"-{wire}"))
            answer = await ask(s, stream=True)
            assert finished(answer)
            assert kinds(s.recorder.records[0]) == ["first_token_timeout", "success"]

    run(scenario)


@every_wire
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "fault",
    [Fault(first_token_delay=9, comments_every=0.03), Fault(pings_only=True, comments_every=0.03)],
    ids=["comments", "pings"],
)
def test_keep_alive_is_no_token(wire: str, stream: bool, fault: Fault) -> None:
    """B2: comments, pings and blank lines before the first content do not move its deadline."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES[wire])}, defaults=FAST) as s:
            s.lab[wire].fail(fault.model_copy(update={"key": f"-{wire}"}))
            answer = await ask(s, stream=stream)
            assert finished(answer)
            assert kinds(s.recorder.records[0]) == ["first_token_timeout", "success"]
            assert answer.text == answer_of(WIRES[wire][0].partition("/")[2])

    run(scenario)


def test_a_second_timeout_ends_the_request() -> None:
    """B1: a first-token timeout may have been billed; the second one ends the request with 504."""

    async def scenario() -> None:
        models = {"m": ["openai/gpt-4.1", "twin/gpt-4.1", "anthropic/claude-haiku-4-5"]}
        async with stack(models, defaults=FAST) as s:
            s.lab.openai.fail(Fault(hang=True))
            answer = await ask(s)
            assert (answer.status, attempts(answer)) == (504, 2)
            assert not entries(s, "anthropic")

    run(scenario)


@pytest.mark.parametrize("stream", [False, True])
def test_deepseeks_habits_are_no_content(stream: bool) -> None:
    """B2: DeepSeek's comments and blank lines before the answer are skipped, and the answer is whole."""

    async def scenario() -> None:
        quirky = DEFAULT["openai"].model_copy(update={"dialect": "deepseek"})
        settings = LabSettings(providers={**DEFAULT, "openai": quirky})
        async with stack({"m": ["twin/deepseek-chat"]}, lab_settings=settings) as s:
            answer = await ask(s, stream=stream)
            assert finished(answer)
            assert answer.text == answer_of("deepseek-chat")
            assert b": keep-alive" not in answer.body
            usage = s.recorder.records[0].usage
            assert usage is not None
            assert usage.completion > 0

    run(scenario)


def test_each_target_has_its_own_patience() -> None:
    """B1: a target's `timeouts.first_token` is its own; the slow but patient one answers."""

    async def scenario() -> None:
        hasty = {"target": "openai/gpt-4.1", "timeouts": {"first_token": "60ms"}}
        patient = {"target": "twin/gpt-4.1", "timeouts": {"first_token": "9s"}}
        async with stack({"m": [hasty, patient]}) as s:
            s.lab.openai.fail(Fault(delay=0.25))
            answer = await ask(s)
            assert finished(answer)
            assert kinds(s.recorder.records[0]) == ["first_token_timeout", "success"]

    run(scenario)
