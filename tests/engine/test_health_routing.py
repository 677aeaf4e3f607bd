"""What health does to requests: who is left alone, who is used all the same, and whom real traffic overrules."""

from typing import Any

import pytest

from standfast.lab import Fault
from support.chat import run
from support.http import call
from support.stack import stack
from support.watching import Watched, watched

PAIR = {"m": ["openai/gpt-4.1", "spare/gpt-4.1"]}
FIRST, SECOND = PAIR["m"]
OUTAGE = Fault(status=500, scope="all")


async def fall_ill(w: Watched, provider: str = "openai") -> None:
    """The provider was well, and then three looks found it broken."""
    await w.turns(2)
    w.lab[provider].fail(OUTAGE)
    await w.turns(3)


@pytest.mark.parametrize("kind", ["ping", "passive"])
def test_d14_a_health_check_that_lies_is_overruled(kind: str) -> None:
    """D14: 200 on the models list and 500 on chat: five failed requests eject it, and pings do not bring it back."""

    async def scenario() -> None:
        async with watched(PAIR, kind=kind) as w:
            w.mapping["defaults"]["retry"] = {"max_attempts": 2}  # type: ignore[index]
            w.reload()
            await w.turn()
            w.lab.openai.fail(Fault(status=500))  # scope: generation alone
            for _ in range(5):
                assert await w.chat() == SECOND
                assert all(report.ok for report in await w.gateway.check())
            assert w.health(FIRST) == "unhealthy"
            tried = len([entry for entry in w.lab.journal.of("openai") if entry.method == "POST"])
            assert tried <= 5
            for _ in range(3):
                await w.gateway.check()
                assert await w.chat() == SECOND
            assert w.health(FIRST) == "unhealthy"
            assert len([entry for entry in w.lab.journal.of("openai") if entry.method == "POST"]) == tried
            assert (FIRST, "unhealthy") in w.changes()

    run(scenario)


def test_an_unhealthy_deployment_is_avoided_before_a_request_finds_out() -> None:
    """Checks found the outage while nobody asked: the first request after it pays nothing for it."""

    async def scenario() -> None:
        async with watched(PAIR) as w:
            assert await w.chat() == FIRST
            await fall_ill(w)
            assert await w.chat() == SECOND
            assert [entry.method for entry in w.lab.journal.of("openai")].count("POST") == 1
            w.lab.openai.heal()
            await w.turns(3)
            assert await w.chat() == FIRST

    run(scenario)


def test_an_unhealthy_deployment_is_used_when_nothing_else_is_left() -> None:
    """Checks may be wrong, and a refused request is certainly no answer."""

    async def scenario() -> None:
        async with watched({"m": [FIRST]}) as w:
            await fall_ill(w)
            assert w.health(FIRST) == "unhealthy"
            w.lab.openai.heal()
            assert await w.chat() == FIRST
        async with watched(PAIR) as w:
            w.mapping["defaults"]["retry"] = {"max_attempts": 2}  # type: ignore[index]
            w.reload()
            await fall_ill(w)
            w.lab.openai.heal()
            w.lab.gemini.fail(Fault(status=500))
            assert await w.chat() == FIRST

    run(scenario)


def test_real_successes_bring_it_back_although_pings_fail() -> None:
    """A lying ping endpoint the other way round: what real requests say counts, and pings stay away from it."""

    async def scenario() -> None:
        async with watched({"m": [FIRST]}) as w:
            await fall_ill(w)
            w.lab.openai.heal()
            for _ in range(3):
                await w.chat()
                await w.turns(1)
            assert w.health(FIRST) == "healthy"

    run(scenario)


def test_recovery_is_not_delayed_by_health() -> None:
    """The breaker's trial needs real requests: health neither holds them back nor the return after it."""

    async def scenario() -> None:
        async with watched(PAIR) as w:
            w.mapping["defaults"]["retry"] = {"max_attempts": 2}  # type: ignore[index]
            w.mapping["defaults"]["breaker"] = {"ramp": 0}  # type: ignore[index]
            w.reload()
            await w.turn()
            w.lab.openai.fail(OUTAGE)
            for _ in range(5):
                assert await w.chat() == SECOND
            assert w.health(FIRST) == "unhealthy"
            w.lab.openai.heal()
            w.clock.advance(5.1)  # the longest first open time
            assert [await w.chat() for _ in range(3)] == [FIRST] * 3
            assert w.health(FIRST) == "degraded"

    run(scenario)


def test_the_health_routes_tell_what_checks_found() -> None:
    """`/health` and `/v1/health` name states, reasons and models, and nothing secret."""

    async def scenario() -> None:
        other = "anthropic/claude-sonnet-4-5"
        models = {"m": [FIRST, other], "n": [other]}
        async with stack(models, defaults={"health": {"unhealthy_after": 1, "healthy_after": 1}}) as s:
            await s.gateway.check()
            body: Any = (await call(s.port, "/health", method="GET")).json()
            assert body["status"] == "healthy"
            target = body["models"]["m"]["targets"][FIRST]
            assert (target["status"], target["health"], target["breaker"]) == ("available", "healthy", "closed")
            assert target["latency_ms"] > 0
            assert target["checked_s"] >= 0
            s.lab.openai.fail(OUTAGE)
            await s.gateway.check()
            answer = await call(s.port, "/v1/health", method="GET")
            body = answer.json()
            assert (answer.status, body["status"]) == (200, "degraded")
            assert [body["models"][name]["status"] for name in "mn"] == ["degraded", "healthy"]
            target = body["models"]["m"]["targets"][FIRST]
            assert (target["status"], target["health"]) == ("available", "unhealthy")
            assert target["reason"] == "ping failed (server_error)"
            s.lab.anthropic.fail(OUTAGE)
            await s.gateway.check()
            answer = await call(s.port, "/health", method="GET")
            assert (answer.status, answer.json()["status"]) == (503, "unhealthy")
            assert b"sk-lab" not in answer.body

    run(scenario)


def test_a_degraded_first_target_degrades_its_model() -> None:
    """Slow is told, but it is neither down nor avoided."""

    async def scenario() -> None:
        health = {"unhealthy_after": 1, "degraded_ms": 20, "unhealthy_ms": 9000}
        async with stack({"m": [FIRST]}, defaults={"health": health}) as s:
            s.lab.openai.fail(Fault(delay=0.05, scope="all"))
            (report,) = await s.gateway.check()
            assert (report.ok, report.health) == (True, "degraded")
            answer = await call(s.port, "/health", method="GET")
            assert (answer.status, answer.json()["status"]) == (200, "degraded")

    run(scenario)
