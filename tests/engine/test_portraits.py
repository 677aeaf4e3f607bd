"""How targets look from outside: what is under way, what is left of limits, how each key is."""

import asyncio
import math

import pytest

from standfast.canon.instants import Monotonic
from standfast.canon.rates import Counts, Rate
from standfast.engine.portrait import Gauge
from standfast.lab import Fault
from standfast.policy.limits import KeySlots
from standfast.policy.quota import Quota
from support.chat import ask, finished, run, until
from support.stack import stack

MODELS: dict[str, object] = {"m": ["openai/gpt-4.1", "anthropic/claude-haiku-4-5"], "n": ["openai/gpt-4.1"]}
NOW = Monotonic(1_000.0)


def test_everything_configured_is_there_once() -> None:
    """Each configured target has one portrait, whichever models name it; one that a client named directly has none."""

    async def scenario() -> None:
        async with stack(MODELS) as s:
            assert finished(await ask(s, "twin/gpt-4.1"))
            assert list(s.gateway.portraits()) == ["openai/gpt-4.1", "anthropic/claude-haiku-4-5"]

    run(scenario)


def test_what_is_under_way_is_seen() -> None:
    """An attempt counts while it is under way, at its target and with its key, and not afterwards."""

    async def scenario() -> None:
        async with stack(MODELS) as s:
            s.lab.openai.fail(Fault(delay=0.3))
            answer = asyncio.create_task(ask(s))
            await until(lambda: s.gateway.portraits()["openai/gpt-4.1"].in_flight == 1)
            busy = s.gateway.portraits()["openai/gpt-4.1"]
            assert (busy.keys[0].in_flight, busy.wait, busy.ceiling, busy.ramping) == (1, 0.0, None, False)
            assert finished(await answer)
            assert s.gateway.portraits()["openai/gpt-4.1"].in_flight == 0

    run(scenario)


def test_a_rate_limit_rests_the_key_here_and_bad_credentials_everywhere() -> None:
    """The two kinds of rest are told apart, each with its seconds; a target without a free key must be waited for."""

    async def scenario() -> None:
        async with stack(MODELS) as s:
            s.lab.openai.fail(Fault(status=429, headers={"retry-after": "30"}))
            await ask(s)
            here = s.gateway.portraits()["openai/gpt-4.1"]
            assert here.keys[0].resting == pytest.approx(30, abs=1)
            assert (here.keys[0].quarantined, here.wait) == (0.0, here.keys[0].resting)
            s.lab.anthropic.fail(Fault(status=401))
            await ask(s)
            there = s.gateway.portraits()["anthropic/claude-haiku-4-5"]
            assert there.keys[0].resting == 0.0
            assert there.keys[0].quarantined > 60
            assert there.wait == pytest.approx(there.keys[0].quarantined, abs=1)

    run(scenario)


def test_a_forced_breaker_is_waited_for_without_end() -> None:
    """Nobody knows when an operator changes their mind."""

    async def scenario() -> None:
        async with stack(MODELS) as s:
            s.gateway.force_breaker("openai/gpt-4.1", "open")
            assert s.gateway.portraits()["openai/gpt-4.1"].wait == math.inf

    run(scenario)


def test_configured_limits_are_seen() -> None:
    """A key's and a target's own limits each have a gauge of what may go at once."""

    async def scenario() -> None:
        limits = {"rpm": 60, "concurrency": 4}
        async with stack({"m": [{"target": "openai/gpt-4.1", "limits": limits}]}) as s:
            assert finished(await ask(s))
            gauges = s.gateway.portraits()["openai/gpt-4.1"].gauges
            assert [(each.name, each.size, each.learned) for each in gauges] == [
                ("60 requests/min", 10.0, False),
                ("4 at a time", 4, False),
            ]
            assert gauges[0].left == pytest.approx(9, abs=0.5)
            assert gauges[1].left == 4

    run(scenario)


def test_a_gauge_changes_nothing() -> None:
    """However often it is looked at: the same is left, and what comes back comes back."""
    slots = KeySlots(600, 6_000, 3)
    assert slots.admit(500, NOW) == 0.0
    wanted = (
        Gauge("600 requests/min", 99.0, 100.0),
        Gauge("6,000 tokens/min", 500.0, 1_000.0),
        Gauge("3 at a time", 2, 3),
    )
    for _ in range(3):
        assert slots.gauges(NOW) == wanted
    assert slots.gauges(Monotonic(NOW + 2.0))[1].left == 700.0
    assert slots.gauges(NOW) == wanted
    assert slots.admit(501, NOW) > 0.0


def test_learned_limits_count_what_was_sent_since() -> None:
    """What answers told, less what has gone since the telling, whether that is reckoned yet or not."""
    quota = Quota()
    quota.hear((Rate("requests", Counts.REQUESTS, 90.0, 100.0, 60.0),), None, NOW)
    assert quota.plenty
    (full,) = quota.gauges()
    for _ in range(5):
        assert quota.wait(10, 10, NOW) == 0.0
        quota.take(10, 10)
    (used,) = quota.gauges()
    assert (used.name, used.learned) == ("requests", True)
    assert full.left - used.left == pytest.approx(5.0)
    assert quota.gauges() == (used,)
