"""A stream that breaks after its first content is given again where that is possible without lying."""

import json
import re

import pytest

from standfast.lab import Fault
from support.chat import SOON, answer_of, ask, at_rest, entries, errors_in, finished, kinds, run, targets, until
from support.stack import stack

TWINS = {"m": ["openai/gpt-4.1", "twin/gpt-4.1"]}
CUT = Fault(cut_after_chunks=3, key="sk-lab-openai")


def test_the_client_reads_the_whole_answer() -> None:
    """A second attempt that says the same takes over: one answer, complete, in one stream; both are in the books."""

    async def scenario() -> None:
        async with stack(TWINS, defaults={"retry": SOON}) as s:
            s.lab.openai.fail(CUT)
            answer = await ask(s, stream=True)
            assert finished(answer)
            assert answer.text == answer_of("gpt-4.1")
            assert len(set(re.findall(rb'"id":"[^"]+"', answer.body))) == 1
            record = s.recorder.records[0]
            assert (record.status, record.deployment, record.fallback) == (200, "twin/gpt-4.1", True)
            assert kinds(record) == ["broken_stream", "success"]
            assert len(entries(s, "openai")) == 2
            await until(lambda: at_rest(s))

    run(scenario)


def test_another_answer_is_an_explicit_error() -> None:
    """G3: at the first difference it stops: an error event, no [DONE], never a splice; health says nothing of it."""

    async def scenario() -> None:
        async with stack(TWINS, defaults={"retry": SOON, "breaker": {"consecutive": 1}}) as s:
            s.lab.openai.fail(CUT)
            s.lab.openai.fail(Fault(tokens=2, key="sk-lab-twin"))
            answer = await ask(s, stream=True)
            assert not finished(answer)
            assert len(errors_in(answer)) == 1
            assert answer.text
            assert answer_of("gpt-4.1").startswith(answer.text)
            record = s.recorder.records[0]
            assert record.code == "broken_stream"
            assert "openai/gpt-4.1: " in errors_in(answer)[0]["message"]  # who broke it, not who could not mend it
            assert targets(record) == ["openai/gpt-4.1", "twin/gpt-4.1"]
            assert kinds(record) == ["broken_stream", "cancelled"]
            assert s.gateway.breaker_states()["twin/gpt-4.1"] == "closed"
            await until(lambda: at_rest(s))

    run(scenario)


def test_a_break_that_passes_is_mended_where_it_happened() -> None:
    """With one target alone the same deployment is asked once more, if the failure may pass."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}, defaults={"retry": SOON}) as s:
            s.lab.openai.fail(Fault(cut_after_chunks=3, times=1))
            answer = await ask(s, stream=True)
            assert finished(answer)
            assert answer.text == answer_of("gpt-4.1")

    run(scenario)


def test_two_breaks_are_reported() -> None:
    """`max_ambiguous: 1`: one repetition, and the second break is told."""

    async def scenario() -> None:
        async with stack({"m": [*TWINS["m"], "gemini/gemini-2.5-flash"]}, defaults={"retry": SOON}) as s:
            s.lab.openai.fail(Fault(cut_after_chunks=3))
            answer = await ask(s, stream=True)
            assert len(errors_in(answer)) == 1
            assert len(s.recorder.records[0].attempts) == 2
            assert not entries(s, "gemini")

    run(scenario)


@pytest.mark.parametrize(
    ("defaults", "why"),
    [
        ({"on_break": "error"}, "the operator wants breaks reported"),
        ({"retry": {**SOON, "budget": 0, "budget_floor": 0}}, "there is no retry budget"),
        ({"retry": {**SOON, "max_ambiguous": 0}}, "nothing that may have been billed is repeated"),
    ],
)
def test_it_never_runs_unless_it_may(defaults: dict[str, object], why: str) -> None:
    """A repetition costs money: it needs leave, budget and attempts."""

    async def scenario() -> None:
        async with stack(TWINS, defaults={"retry": SOON, **defaults}) as s:
            s.lab.openai.fail(CUT)
            answer = await ask(s, stream=True)
            assert len(errors_in(answer)) == 1, why
            assert len(s.recorder.records[0].attempts) == 1

    run(scenario)


def test_the_break_is_invisible_to_a_translated_client_too() -> None:
    """The same between wire formats: the first attempt from Anthropic, the second from its twin."""

    async def scenario() -> None:
        models = {"m": ["anthropic/claude-haiku-4-5", "anthropic_twin/claude-haiku-4-5"]}
        async with stack(models, defaults={"retry": SOON}) as s:
            s.lab.anthropic.fail(Fault(cut_after_chunks=3, key="sk-lab-anthropic"))
            answer = await ask(s, stream=True)
            assert finished(answer)
            assert answer.text == answer_of("claude-haiku-4-5")
            assert json.dumps(answer.text).count(json.dumps(answer_of("claude-haiku-4-5"))[1:-1]) == 1

    run(scenario)
