"""An operator's word about a breaker: by the library and by the configuration."""

import pytest

import standfast
from standfast import SyncGateway, UnknownDeployment
from standfast.lab import Fault
from support.chat import run
from support.http import call
from support.stack import stack
from support.watching import Watched, watched

FIRST, SECOND = "openai/gpt-4.1", "spare/gpt-4.1"
PAIR = {"m": [FIRST, SECOND]}


def moves(w: Watched, name: str = FIRST) -> list[tuple[str, str]]:
    """What was told of a breaker."""
    changes = w.recorder.changes
    return [(each.before, each.after) for each in changes if (each.subject, each.name) == ("breaker", name)]


def force(w: Watched, state: str | None) -> None:
    """Reload with an operator's word for the first target."""
    w.mapping["models"] = {"m": [{"target": FIRST, "breaker": {"force": state}}, SECOND]}
    w.reload()


def test_forced_open_is_left_alone_by_everything() -> None:
    """No request, no panic probe and no paid check; and it is told, with what to do."""

    async def scenario() -> None:
        async with watched(PAIR) as w:
            w.gateway.force_breaker(FIRST, "open")
            w.gateway.force_breaker(FIRST, "open")
            assert await w.chat() == SECOND
            w.gateway.force_breaker(SECOND, "open")
            w.clock.advance(1000.0)
            assert await w.chat(times=5) == ""
            reports = {report.target: report for report in await w.gateway.check("generate")}
            assert len(w.asked("POST")) == 1
            assert reports[FIRST].state == "forced_open"
            assert reports[FIRST].detail == "not checked: its breaker is forced_open"
            assert "`Gateway.force_breaker(target, None)`" in reports[FIRST].advice
            assert "Gateway.force_breaker" in reports[FIRST].advice
            assert w.gateway.availability()["m"][FIRST] is None
            w.gateway.force_breaker(FIRST, None)
            assert await w.chat() == FIRST
            assert moves(w) == [("closed", "forced_open"), ("forced_open", "closed")]

    run(scenario)


def test_forced_closed_serves_whatever_happens() -> None:
    """Failures open nothing, and a health check that fails shuts nobody out."""

    async def scenario() -> None:
        async with watched(PAIR) as w:
            await w.turns(2)
            w.gateway.force_breaker(FIRST, "closed")
            w.lab.openai.fail(Fault(status=500, scope="all"))
            assert await w.chat(times=20) == ""
            assert len(w.asked("POST")) == 20
            await w.turns(4)
            assert w.health(FIRST) == "unhealthy"
            w.lab.openai.heal()
            assert await w.chat() == FIRST
            assert w.gateway.breaker_states()[FIRST] == "forced_closed"

    run(scenario)


def test_the_configuration_forces_and_releases_on_reload() -> None:
    """Effective with the reload, told, and gone with the next one."""

    async def scenario() -> None:
        async with watched(PAIR) as w:
            assert await w.chat() == FIRST
            force(w, "open")
            assert await w.chat() == SECOND
            force(w, None)
            assert await w.chat() == FIRST
            assert moves(w) == [("closed", "forced_open"), ("forced_open", "closed")]

    run(scenario)


def test_an_operators_word_outlives_a_reload() -> None:
    """Whether the settings of the breaker have changed or not; other settings begin a breaker anew."""

    async def scenario() -> None:
        async with watched(PAIR) as w:
            w.gateway.force_breaker(FIRST, "open")
            w.reload()
            assert await w.chat() == SECOND
            w.mapping["defaults"]["breaker"] = {"consecutive": 7}  # type: ignore[index]
            w.reload()
            assert await w.chat() == SECOND
            w.gateway.force_breaker(FIRST, None)
            assert await w.chat() == FIRST
            assert moves(w) == [("closed", "forced_open"), ("forced_open", "closed")]

    run(scenario)


def test_unknown_names_and_states_are_named() -> None:
    """The nearest name is offered; a state that a breaker finds by itself is no operator's to set."""

    async def scenario() -> None:
        async with watched(PAIR) as w:
            with pytest.raises(UnknownDeployment, match=r"opnai/gpt-4\.1.*openai/gpt-4\.1"):
                w.gateway.force_breaker("opnai/gpt-4.1", "open")
            with pytest.raises(ValueError, match="forced `open` or `closed`"):
                w.gateway.force_breaker(FIRST, "half_open")  # type: ignore[arg-type]
            assert moves(w) == []

    run(scenario)


def test_health_and_metrics_know_the_forced_states() -> None:
    """The health route says `open`, the metrics have a series for each state."""

    async def scenario() -> None:
        async with stack({"m": [FIRST, "twin/gpt-4.1"]}) as s:
            s.gateway.force_breaker(FIRST, "open")
            body = (await call(s.port, "/health", method="GET")).json()
            target = body["models"]["m"]["targets"][FIRST]
            assert (target["status"], target["breaker"]) == ("open", "forced_open")
            metrics = (await call(s.port, "/metrics", method="GET")).body.decode()
            assert f'standfast_breaker_state{{deployment="{FIRST}",state="forced_open"}} 1.0' in metrics
            assert f'standfast_breaker_state{{deployment="{FIRST}",state="forced_closed"}} 0.0' in metrics

    run(scenario)


def test_without_a_loop() -> None:
    """The blocking gateway has the same word; the error is public."""
    config = {
        "providers": {"openai": {"keys": ["sk-1"], "base_url": "http://127.0.0.1:9/v1"}},
        "models": {"m": [FIRST]},
    }
    with SyncGateway(config) as gateway:
        gateway.force_breaker(FIRST, "open")
        with pytest.raises(standfast.UnknownDeployment):
            gateway.force_breaker("openai/other", "open")
        with pytest.raises(standfast.RequestFailed):
            gateway.chat("m", [{"role": "user", "content": "hello"}])


def test_a_half_open_breaker_is_told_by_the_next_look() -> None:
    """Nobody asks any more: the look of the health checks tells that the open time is over."""

    async def scenario() -> None:
        async with watched(PAIR) as w:
            w.lab.openai.fail(Fault(status=500))
            await w.chat(times=5)
            assert moves(w) == [("closed", "open")]
            await w.turn(33.1)
            assert moves(w) == [("closed", "open"), ("open", "half_open")]

    run(scenario)


def test_a_word_about_one_whose_rest_is_over_is_told_in_order() -> None:
    """That it had become half-open comes before what the operator made of it."""

    async def scenario() -> None:
        async with watched(PAIR) as w:
            w.lab.openai.fail(Fault(status=500))
            await w.chat(times=10)
            w.clock.advance(1000.0)
            w.gateway.force_breaker(FIRST, "closed")
            assert moves(w) == [("closed", "open"), ("open", "half_open"), ("half_open", "forced_closed")]

    run(scenario)


def test_a_word_about_an_open_breaker_takes_back_that_the_target_is_unhealthy() -> None:
    """Forced closed, or opened and released: /health counts it again, and no advice is given about its pace."""

    async def scenario() -> None:
        async with watched(PAIR) as w:
            w.lab.openai.fail(Fault(status=500))
            await w.chat(times=5)
            assert w.health(FIRST) == "unhealthy"
            w.lab.openai.heal()
            w.gateway.force_breaker(FIRST, "closed")
            assert w.health(FIRST) == "unknown"
            assert w.reports()[FIRST].advice == ""
            w.gateway.force_breaker(FIRST, None)
            assert await w.chat() == FIRST

    run(scenario)


def test_the_advice_fits_what_is_wrong() -> None:
    """Who fails is not told to raise a limit of the pace, and who recovers has only to wait."""

    async def scenario() -> None:
        async with watched(PAIR) as w:
            w.gateway.force_breaker(FIRST, "closed")
            w.lab.openai.fail(Fault(status=500, scope="all"))
            for _ in range(4):
                await w.chat(times=2)
                await w.turns(1)
            report = w.reports()[FIRST]
            assert (report.health, report.advice) == ("unhealthy", "See the provider's status page.")
        async with watched(PAIR) as w:
            w.lab.openai.fail(Fault(status=500))
            await w.chat(times=5)
            w.lab.openai.heal()
            w.clock.advance(10.0)
            await w.chat(times=3)
            report = w.reports()[FIRST]
            assert (report.health, report.advice) == ("degraded", "Nothing: a run of good results makes it healthy.")

    run(scenario)
