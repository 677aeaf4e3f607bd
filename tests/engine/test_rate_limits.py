"""Failure catalogue, part B: rate limits, their hints, and what is worth waiting for."""

from email.utils import formatdate

import pytest

from standfast.lab import Fault
from standfast.lab.settings import DEFAULT, LabSettings
from support.chat import SOON, ask, attempts, entries, error_of, finished, kinds, run, targets
from support.stack import stack

TWO = {"m": ["openai/gpt-4.1", "twin/gpt-4.1"]}
NOW = 1_795_000_000.0


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"retry-after": "20"}, 20, 20),
        ({"retry-after": formatdate(NOW + 20, usegmt=True), "date": formatdate(NOW, usegmt=True)}, 20, 20),
        ({"retry-after-ms": "20000"}, 20, 20),
        ({"retry-after": formatdate(NOW - 9e6, usegmt=True), "date": formatdate(NOW, usegmt=True)}, 0.05, 1),
        ({"retry-after": "315360000"}, 0.5, 3600),
        ({"retry-after": "abc"}, 0.5, 3600),
        ({"retry-after": "-5"}, 0.05, 1),
        ({"retry-after": ""}, 0.5, 1),
    ],
    ids=["seconds", "date", "ms", "past", "ten-years", "abc", "negative", "empty"],
)
def test_every_form_of_retry_after_is_understood(headers: dict[str, str], least: float, most: float) -> None:
    """B10: seconds, date, milliseconds are obeyed, absurd ones clamped; the next target answers at once."""

    async def scenario() -> None:
        async with stack(TWO) as s:
            s.lab.openai.fail(Fault(status=429, headers=headers, key="openai"))
            answer = await ask(s)
            assert (finished(answer), attempts(answer)) == (True, 2)
            assert kinds(s.recorder.records[0]) == ["rate_limited", "success"]
            (change,) = s.recorder.changes
            assert change.subject == "cooldown"
            assert change.until is not None
            assert least * 0.99 <= change.until <= most * 1.01
            assert set(s.gateway.breaker_states().values()) == {"closed"}

    run(scenario)


def test_nothing_is_sent_before_the_hint() -> None:
    """B10: while a key rests there is no attempt with it, however many requests come."""

    async def scenario() -> None:
        async with stack(TWO) as s:
            s.lab.openai.fail(Fault(status=429, headers={"retry-after": "30"}, key="openai"))
            answers = [await ask(s, stream=n % 2 == 0) for n in range(30)]
            assert all(finished(answer) for answer in answers)
            assert sum(entry.status == 429 for entry in entries(s)) == 1
            assert [attempts(answer) for answer in answers] == [2] + [1] * 29

    run(scenario)


def test_a_429_without_hint_rests_too() -> None:
    """B11: without a hint the key rests by default; at most one attempt per rest."""

    async def scenario() -> None:
        async with stack(TWO) as s:
            s.lab.openai.fail(Fault(status=429, key="openai", body="mistral_capacity"))
            answers = [await ask(s) for _ in range(20)]
            assert all(finished(answer) for answer in answers)
            rests = [change for change in s.recorder.changes if change.subject == "cooldown"]
            assert sum(entry.status == 429 for entry in entries(s)) == len(rests) <= 2
            assert all(change.until is not None and change.until >= 0.5 for change in rests)

    run(scenario)


def test_when_all_are_rate_limited_the_client_gets_a_true_429() -> None:
    """B10: every target limited: 429 with the soonest end as Retry-After, and the SDK is told not to storm."""

    async def scenario() -> None:
        async with stack(TWO) as s:
            s.lab.openai.fail(Fault(status=429, headers={"retry-after": "40"}, key="openai"))
            s.lab.openai.fail(Fault(status=429, headers={"retry-after": "20"}, key="twin"))
            answer = await ask(s)
            assert (answer.status, attempts(answer)) == (429, 2)
            assert error_of(answer)["code"] == "rate_limited"
            assert answer.headers["retry-after"] in {"20", "19"}
            later = await ask(s)
            assert (later.status, attempts(later)) == (503, 0)
            assert error_of(later)["code"] == "no_target_available"
            assert 0 < int(later.headers["retry-after"]) <= 20

    run(scenario)


def test_a_short_retry_after_is_waited_for_before_the_model_changes() -> None:
    """B10: a wait that fits keeps the model that was asked for; the wait is no attempt."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1", "anthropic/claude-haiku-4-5"]}) as s:
            s.lab.openai.fail(Fault(status=429, headers={"retry-after-ms": "100"}, times=1))
            answer = await ask(s)
            assert finished(answer)
            assert targets(s.recorder.records[0]) == ["openai/gpt-4.1", "openai/gpt-4.1"]
            assert answer.headers["x-standfast-fallback"] == "false"
            assert not entries(s, "anthropic")

    run(scenario)


def test_a_long_retry_after_is_not_waited_for() -> None:
    """B10: beyond `retry.wait` the other model answers at once."""

    async def scenario() -> None:
        async with stack(
            {"m": ["openai/gpt-4.1", "anthropic/claude-haiku-4-5"]}, defaults={"retry": {"wait": "50ms"}}
        ) as s:
            s.lab.openai.fail(Fault(status=429, headers={"retry-after": "2"}))
            answer = await ask(s)
            assert finished(answer)
            assert targets(s.recorder.records[0]) == ["openai/gpt-4.1", "anthropic/claude-haiku-4-5"]
            assert answer.headers["x-standfast-fallback"] == "true"

    run(scenario)


def test_the_same_model_elsewhere_comes_before_waiting() -> None:
    """B10: a second deployment of the same model is used at once, even though the wait would fit."""

    async def scenario() -> None:
        async with stack(TWO) as s:
            s.lab.openai.fail(Fault(status=429, headers={"retry-after-ms": "100"}, key="openai"))
            await ask(s)
            assert targets(s.recorder.records[0]) == ["openai/gpt-4.1", "twin/gpt-4.1"]

    run(scenario)


def test_a_quick_retry_comes_before_another_model() -> None:
    """B14: a transient error of the model asked first gets one quick retry there before another model answers."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1", "anthropic/claude-haiku-4-5"]}, defaults={"retry": SOON}) as s:
            s.lab.openai.fail(Fault(status=500, times=1))
            answer = await ask(s)
            assert finished(answer)
            assert targets(s.recorder.records[0]) == ["openai/gpt-4.1"] * 2
            s.lab.openai.fail(Fault(status=500, times=2))
            answer = await ask(s)
            assert finished(answer)
            assert targets(s.recorder.records[1]) == ["openai/gpt-4.1"] * 2 + ["anthropic/claude-haiku-4-5"]

    run(scenario)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", ["openai", "anthropic"])
def test_a_limit_that_headers_tell_is_never_run_into(wire: str, *, stream: bool) -> None:
    """D10: ten at once and one a second: what the answers' headers say keeps every attempt below it, the rest go on."""
    models = {"openai": "gpt-4.1", "anthropic": "claude-haiku-4-5"}
    lab = LabSettings(
        providers={
            **DEFAULT,
            wire: DEFAULT[wire].model_copy(update={"rpm": 60, "burst": 1 / 6}),
        }
    )

    async def scenario() -> None:
        async with stack({"m": [f"{wire}/{models[wire]}", "gemini/gemini-2.5-flash"]}, lab_settings=lab) as s:
            answers = [await ask(s, stream=stream) for _ in range(30)]
            assert all(finished(answer) and attempts(answer) == 1 for answer in answers)
            assert 8 <= len(entries(s, wire)) <= 12
            assert all(entry.status == 200 for entry in entries(s, wire))
            assert not s.recorder.changes

    run(scenario)


def test_a_limit_that_was_told_is_waited_for_where_nobody_else_serves() -> None:
    """D10: the request that is one too many waits in line for the refill, a fraction of a second, and meets no 429."""
    lab = LabSettings(providers={**DEFAULT, "openai": DEFAULT["openai"].model_copy(update={"rpm": 600, "burst": 0.02})})

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}, lab_settings=lab) as s:
            answers = [await ask(s) for _ in range(20)]
            assert all(finished(answer) and attempts(answer) == 1 for answer in answers)
            assert [entry.status for entry in entries(s)] == [200] * 20

    run(scenario)
