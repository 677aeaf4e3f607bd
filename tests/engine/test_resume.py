"""`on_break: resume`: another target goes on with the text that the client has, and everybody can see it."""

import json
import re

import pytest

from standfast.lab import Fault
from standfast.lab.server import Lab
from support.chat import SOON, answer_of, ask, at_rest, entries, errors_in, finish_reasons, finished, kinds, run, until
from support.stack import Stack, stack

WIRES = ("openai", "anthropic", "gemini")
TWIN = {"openai": "twin", "anthropic": "anthropic_twin", "gemini": "gemini_twin"}
KEYS = {"openai": "sk-lab-openai", "anthropic": "sk-lab-anthropic", "gemini": "lab-gemini"}
CUT = Fault(cut_after_chunks=3, key="sk-lab-openai")
SHARED = "m-1"
ABLE = {"*": {"abilities": ["tools", "continuation"]}}
RESUME = {"retry": SOON, "on_break": "resume"}


def providers(prefill: str = "final_message") -> object:
    """The second OpenAI server can be told to go on."""

    def known(lab: Lab) -> dict[str, object]:
        twin = {"type": "openai_like", "base_url": f"{lab.openai.url}/v1", "keys": ["sk-lab-twin"], "prefill": prefill}
        beta = {"type": "deepseek", "base_url": f"{lab.openai.url}/v1", "keys": ["sk-lab-twin"]}
        return {"twin": twin, "deepseek": beta}

    return known


def world(first: str = "openai", second: str = "twin", prefill: str = "final_message", **config: object) -> object:
    """One model at two places."""
    models = {"m": [f"{first}/{SHARED}", f"{second}/{SHARED}"]}
    return stack(models, providers=providers(prefill), facts=ABLE, **{"defaults": RESUME, **config})  # type: ignore[arg-type]


def purposes(s: Stack) -> list[str]:
    """What the attempts of the last request were sent for."""
    return [attempt.purpose for attempt in s.recorder.records[-1].attempts]


@pytest.mark.parametrize("second", WIRES)
@pytest.mark.parametrize("first", WIRES)
def test_the_client_reads_one_whole_answer(first: str, second: str) -> None:
    """Between every two wire formats: one stream, one beginning, one finish, the text once, a mark where it goes on."""

    async def scenario() -> None:
        async with world(first, TWIN[second]) as s:
            getattr(s.lab, first).fail(Fault(cut_after_chunks=3, key=KEYS[first]))
            answer = await ask(s, stream=True, stream_options={"include_usage": True})
            assert finished(answer)
            assert answer.text == answer_of(SHARED)
            assert finish_reasons(answer) == ["stop"]
            assert len(set(re.findall(rb'"id":"[^"]+"', answer.body))) == 1
            assert answer.body.count(b'"role":"assistant"') == 1
            assert answer.body.count(f": standfast: resumed by {TWIN[second]}/{SHARED}\n\n".encode()) == 1
            record = s.recorder.records[0]
            assert (record.status, record.deployment, record.fallback) == (200, f"{TWIN[second]}/{SHARED}", True)
            assert kinds(record) == ["broken_stream", "success"]
            assert purposes(s) == ["answer", "resume"]
            counted = [each.usage for each in record.attempts if each.usage is not None]
            assert record.usage == sum(counted[1:], counted[0])
            usage = json.loads(answer.events[-2])["usage"]
            assert (usage["prompt_tokens"], usage["completion_tokens"]) == (
                record.usage.prompt,
                record.usage.completion,
            )
            await until(lambda: at_rest(s))

    run(scenario)


@pytest.mark.parametrize(("second", "prefill"), [("twin", "prefix"), ("deepseek", "prefix")])
def test_other_dialects_are_told_in_their_own_words(second: str, prefill: str) -> None:
    """Mistral's mark on the message; DeepSeek's too, below its beta path."""

    async def scenario() -> None:
        async with world("openai", second, prefill) as s:
            s.lab.openai.fail(CUT)
            answer = await ask(s, stream=True)
            assert finished(answer)
            assert answer.text == answer_of(SHARED)
            assert purposes(s) == ["answer", "resume"]

    run(scenario)


def test_the_trace_tells_of_both_sources() -> None:
    """The head of the stream was written before the break, so the trace comes once more where the rest begins."""

    async def scenario() -> None:
        async with world() as s:
            s.lab.openai.fail(CUT)
            answer = await ask(s, stream=True, headers={"x-standfast-trace": "1"})
            (line,) = re.findall(rb"^: x-standfast-trace: (.*)$", answer.body, re.MULTILINE)
            broken, rest = json.loads(line)
            assert (broken["target"], broken["kind"]) == (f"openai/{SHARED}", "broken_stream")
            assert rest == {"target": f"twin/{SHARED}", "outcome": "answering", "purpose": "resume"}

    run(scenario)


LONG = " ".join(["word"] * 30)


def test_who_says_the_same_again_is_heard_from_where_it_goes_on() -> None:
    """A server that does not understand and begins the same answer anew: the client reads it once."""

    async def scenario() -> None:
        async with world(prefill="plain") as s:  # OpenAI's own wire takes the last message for history
            s.lab.openai.fail(Fault(cut_after_chunks=20, key="sk-lab-openai"))
            answer = await ask(s, stream=True, prompt=LONG)
            assert finished(answer)
            assert answer.text == answer_of(SHARED, LONG)
            assert purposes(s) == ["answer", "resume"]

    run(scenario)


def test_who_begins_another_answer_is_not_listened_to() -> None:
    """G3: nothing of it is told, and somebody else is asked to replay."""

    async def scenario() -> None:
        async with world(prefill="plain") as s:
            s.lab.openai.fail(Fault(cut_after_chunks=20, key="sk-lab-openai", times=1))
            s.lab.openai.fail(Fault(tokens=10, key="sk-lab-twin"))
            answer = await ask(s, stream=True, prompt=LONG)
            assert finished(answer)
            assert answer.text == answer_of(SHARED, LONG)
            assert kinds(s.recorder.records[0]) == ["broken_stream", "invalid_reply", "success"]
            assert purposes(s) == ["answer", "resume", "replay"]
            assert b"resumed by" not in answer.body

    run(scenario)


MORE_THAN_TEXT = {
    "response_format": {"type": "json_object"},
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    "logprobs": True,
}


@pytest.mark.parametrize("field", MORE_THAN_TEXT)
def test_what_cannot_be_continued_is_replayed(field: str) -> None:
    """Plain text only: a schema, tools or log probabilities are never put together from two; a replay is one source."""

    async def scenario() -> None:
        async with world() as s:
            s.lab.openai.fail(CUT)
            answer = await ask(s, stream=True, **{field: MORE_THAN_TEXT[field]})
            assert finished(answer)
            assert answer.text == answer_of(SHARED)
            assert purposes(s) == ["answer", "replay"]
            assert b"resumed by" not in answer.body

    run(scenario)


def test_several_choices_are_not_mended() -> None:
    """`n: 2`: neither compared nor continued; the break is reported."""

    async def scenario() -> None:
        async with world() as s:
            s.lab.openai.fail(CUT)
            answer = await ask(s, stream=True, n=2)
            assert len(errors_in(answer)) == 1
            assert purposes(s) == ["answer"]

    run(scenario)


def test_a_model_that_is_not_known_to_go_on_is_asked_to_replay() -> None:
    """The facts decide: the second target is able, the third is the same model and is not."""

    async def scenario() -> None:
        facts = {f"anthropic_twin/{SHARED}": {"abilities": ["continuation"]}}
        models = {"m": [f"openai/{SHARED}", f"twin/{SHARED}", f"anthropic_twin/{SHARED}"]}
        async with stack(models, providers=providers(), facts=facts, defaults=RESUME) as s:  # type: ignore[arg-type]
            s.lab.openai.fail(CUT)
            answer = await ask(s, stream=True)
            assert finished(answer)
            assert s.recorder.records[0].deployment == f"anthropic_twin/{SHARED}"
            assert purposes(s) == ["answer", "resume"]
            assert len(entries(s, "openai")) == 1

    run(scenario)


def test_a_second_break_is_reported() -> None:
    """`max_ambiguous: 1`: the rest breaks off too, and the client hears of the first break."""

    async def scenario() -> None:
        async with world() as s:
            s.lab.openai.fail(Fault(cut_after_chunks=2))
            answer = await ask(s, stream=True)
            assert len(errors_in(answer)) == 1
            assert not finished(answer)
            assert answer_of(SHARED).startswith(answer.text)
            assert kinds(s.recorder.records[0]) == ["broken_stream", "broken_stream"]

    run(scenario)


def test_an_answer_of_two_sources_is_not_kept() -> None:
    """The cache holds answers of one source: the next request asks an upstream again."""

    async def scenario() -> None:
        async with world(defaults={**RESUME, "cache": {"ttl": "1m"}}) as s:
            s.lab.openai.fail(CUT.model_copy(update={"times": 1}))
            first = await ask(s, stream=True)
            assert purposes(s) == ["answer", "resume"]
            second = await ask(s, stream=True)
            assert first.text == second.text == answer_of(SHARED)
            assert s.recorder.records[1].source == ""

    run(scenario)
