"""Failure catalogue, part D: the fleet as a whole - down, recovering, balanced."""

import asyncio
from collections import Counter

import pytest

from standfast.lab import Fault
from support.chat import SOON, WIRES, ask, at_rest, attempts, entries, error_of, finished, kinds, run, targets, until
from support.stack import stack

QUICK_BREAKER = {"consecutive": 3, "open": "200ms", "open_cap": "400ms", "half_open_permits": 1, "ramp": 0}


def test_recovery_is_tried_by_one_request_at_a_time() -> None:
    """D4: hard down, then well again: one trial at a time while others are served elsewhere, then closed."""

    async def scenario() -> None:
        models = {"m": ["openai/gpt-4.1", "twin/gpt-4.1"]}
        async with stack(models, defaults={"breaker": QUICK_BREAKER}) as s:
            s.lab.openai.fail(Fault(status=500, key="openai"))
            for _ in range(4):
                assert finished(await ask(s))
            assert s.gateway.breaker_states()["openai/gpt-4.1"] == "open"
            await until(lambda: s.gateway.breaker_states()["openai/gpt-4.1"] == "half_open")
            s.lab.journal.clear()
            s.lab.openai.heal()
            s.lab.openai.fail(Fault(delay=0.1, key="openai"))
            answers = await asyncio.gather(*(ask(s) for _ in range(12)))
            assert all(finished(answer) and attempts(answer) == 1 for answer in answers)
            tried = Counter(entry.key for entry in entries(s))
            assert tried["enai"] == 1
            assert s.gateway.breaker_states()["openai/gpt-4.1"] == "half_open"
            assert finished(await ask(s))
            assert s.gateway.breaker_states()["openai/gpt-4.1"] == "closed"
            moves = [(change.before, change.after) for change in s.recorder.changes if change.subject == "breaker"]
            assert moves == [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]
            s.lab.journal.clear()
            assert all(finished(answer) for answer in await asyncio.gather(*(ask(s) for _ in range(5))))
            assert {entry.key for entry in entries(s)} == {"enai"}

    run(scenario)


def test_a_failed_trial_opens_again_for_longer() -> None:
    """D3, D4: each failed trial is one wasted attempt, and the rest grows."""

    async def scenario() -> None:
        models = {"m": ["openai/gpt-4.1", "twin/gpt-4.1"]}
        breaker = {**QUICK_BREAKER, "open": "100ms", "open_cap": "10s"}
        async with stack(models, defaults={"breaker": breaker}) as s:
            s.lab.openai.fail(Fault(status=500, key="openai"))
            for _ in range(3):
                await ask(s)
            for trial in range(3):
                await until(lambda: s.gateway.breaker_states()["openai/gpt-4.1"] == "half_open")
                s.lab.journal.clear()
                answers = [await ask(s) for _ in range(3)]
                assert [attempts(answer) for answer in answers] == [2, 1, 1], trial
            rests = [change.until or 0 for change in s.recorder.changes if change.after == "open"]
            assert len(rests) == 4
            for n, rest in enumerate(rests):
                assert 0.05 * 2**n <= rest <= 0.1 * 2**n + 1e-6

    run(scenario)


@pytest.mark.parametrize("stream", [False, True])
def test_when_everything_is_down_the_gateway_fails_fast(stream: bool) -> None:
    """D5: 200 requests to a dead fleet: each an explicit 503 with a true Retry-After; upstream load stays bounded."""

    async def scenario() -> None:
        every = [target for pair in WIRES.values() for target in pair[:1]]
        async with stack({"m": every}, defaults={"retry": SOON, "breaker": {"open": "60s"}}) as s:
            for wire in WIRES:
                s.lab[wire].fail(Fault(status=500))
            for _ in range(20):
                assert (await ask(s, stream=stream)).status == 503
            assert set(s.gateway.breaker_states().values()) == {"open"}
            before = len(entries(s))
            assert before <= 15 + 3  # five failures to open each breaker, one probe of each
            naps = sum(record.upstream > 0 and not record.attempts for record in s.recorder.records)
            assert naps == 0
            s.recorder.records.clear()
            answers = await asyncio.gather(*(ask(s, stream=stream) for _ in range(200)))
            assert {answer.status for answer in answers} == {503}
            assert {answer.headers["x-should-retry"] for answer in answers} == {"false"}
            assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in answers)
            codes = Counter(error_of(answer)["code"] for answer in answers)
            assert codes["no_target_available"] >= 197
            assert len(entries(s)) - before <= 3
            assert all(record.upstream == 0 for record in s.recorder.records if not record.attempts)
            await until(lambda: at_rest(s))

    run(scenario)


def test_a_probe_finds_the_way_back_before_the_rest_is_over() -> None:
    """D5: with every breaker open a rare probe is allowed; when it succeeds, service returns at once."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}, defaults={"retry": SOON, "breaker": {"open": "60s"}}) as s:
            s.lab.openai.fail(Fault(status=500))
            while s.gateway.breaker_states()["openai/gpt-4.1"] != "open":
                await ask(s)
            s.lab.openai.heal()
            for _ in range(100):  # a probe a second
                answer = await ask(s)
                if finished(answer):
                    break
                await asyncio.sleep(0.05)
            assert finished(answer)
            assert finished(await ask(s))
            assert s.gateway.breaker_states()["openai/gpt-4.1"] == "closed"

    run(scenario)


def test_weights_are_kept() -> None:
    """Weighted: over many requests the shares are those of the weights."""

    async def scenario() -> None:
        heavy = {"target": "openai/gpt-4.1", "weight": 3}
        models = {"m": {"strategy": "weighted", "targets": [heavy, "twin/gpt-4.1"]}}
        async with stack(models) as s:
            s.gateway.services.rng.seed(7)
            gate = asyncio.Semaphore(20)

            async def one() -> str:
                async with gate:
                    return (await ask(s)).headers["x-standfast-deployment"]

            shares = Counter(await asyncio.gather(*(one() for _ in range(400))))
            assert 270 <= shares["openai/gpt-4.1"] <= 330
            assert sum(shares.values()) == 400

    run(scenario)


def test_a_weighted_peer_takes_over() -> None:
    """Weighted: the peers of a tier stand in for each other, with one attempt wasted until the breaker opens."""

    async def scenario() -> None:
        models = {"m": {"strategy": "weighted", "targets": ["dead/gpt-4.1", "openai/gpt-4.1", "twin/gpt-4.1"]}}
        async with stack(models) as s:
            answers = [await ask(s) for _ in range(60)]
            assert all(finished(answer) for answer in answers)
            wasted = sum("connect_failed" in kinds(record) for record in s.recorder.records)
            assert wasted == 5
            assert sum(attempts(answer) for answer in answers) == 65

    run(scenario)


@pytest.mark.parametrize("stream", [False, True])
def test_priority_goes_by_the_order_written(stream: bool) -> None:
    """Priority: the first target serves while it can; the third only when both before it cannot."""

    async def scenario() -> None:
        models = {"m": ["openai/gpt-4.1", "twin/gpt-4.1", "anthropic/claude-haiku-4-5"]}
        async with stack(models, defaults={"retry": SOON, "breaker": {"consecutive": 99, "min_calls": 99}}) as s:
            for _ in range(3):
                await ask(s, stream=stream)
            s.lab.openai.fail(Fault(status=500, key="openai"))
            await ask(s, stream=stream)
            s.lab.openai.fail(Fault(status=500, key="twin"))
            await ask(s, stream=stream)
            served = [record.deployment for record in s.recorder.records]
            assert served == ["openai/gpt-4.1"] * 3 + ["twin/gpt-4.1", "anthropic/claude-haiku-4-5"]
            assert targets(s.recorder.records[-1])[:2] == ["openai/gpt-4.1", "twin/gpt-4.1"]
            assert len(s.recorder.records[-1].attempts) <= 4

    run(scenario)
