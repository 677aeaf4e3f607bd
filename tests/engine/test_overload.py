"""Failure catalogue, part D: more requests than a target can take."""

import asyncio
import itertools

import pytest

from standfast.lab import Fault
from support.chat import ask, attempts, entries, finished, kinds, run, until
from support.stack import Stack, stack


def taught(s: Stack, load: int) -> None:
    """Two overload answers at this load, as the judgement hears of them."""
    fleet = s.gateway.snapshot.fleet
    (deployment,) = fleet.deployments()
    for _ in range(2):
        assert fleet.place(deployment).adaptive.overloaded(load, s.gateway.services.clock.now())


@pytest.mark.parametrize("stream", [False, True])
def test_a_full_target_is_waited_for(stream: bool) -> None:
    """D8: one at a time is what it takes: six wait their turn in the line, the important one first, none is refused."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}) as s:
            s.lab.openai.fail(Fault(delay=0.1))
            taught(s, 2)
            first = asyncio.create_task(ask(s, stream=stream, prompt="first"))
            await until(lambda: len(entries(s)) == 1)
            others = [asyncio.create_task(ask(s, stream=stream)) for _ in range(4)]
            await until(lambda: len(s.gateway.snapshot.fleet.line) == 4)
            high = asyncio.create_task(ask(s, stream=stream, prompt="high", headers={"x-standfast-priority": "5"}))
            answers = await asyncio.gather(first, *others, high)
            assert all(finished(answer) and attempts(answer) == 1 for answer in answers)
            seen = entries(s)
            assert len(seen) == 6
            assert b"high" in seen[1].body
            for before, after in itertools.pairwise(seen):
                assert before.head_at is not None
                assert before.head_at <= after.arrived
            assert len(s.gateway.snapshot.fleet.line) == 0

    run(scenario)


def test_overload_under_load_opens_no_breaker() -> None:
    """D8: some of many are refused with 503: they are served elsewhere, the breaker stays closed, a limit is told."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1", "twin/gpt-4.1"]}) as s:
            s.lab.openai.fail(Fault(delay=0.2))
            slow = [asyncio.create_task(ask(s)) for _ in range(10)]
            await until(lambda: len(entries(s)) == 10)
            s.lab.openai.fail(Fault(status=503, body="overloaded", key="openai"))
            answers = await asyncio.gather(*(ask(s) for _ in range(10)), *slow)
            assert all(finished(answer) for answer in answers)
            assert ["overloaded", "success"] in [kinds(record) for record in s.recorder.records]
            told = {(change.subject, change.name, change.after) for change in s.recorder.changes}
            assert told == {("limit", "openai/gpt-4.1", "limited")}
            assert set(s.gateway.breaker_states().values()) == {"closed"}

    run(scenario)
