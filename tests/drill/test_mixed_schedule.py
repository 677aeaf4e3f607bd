"""The mixed schedule in eight seconds, on real sockets: one kind of failure after the other, every answer verified."""

import asyncio

from standfast.config.load import from_mapping
from standfast.drill.live import drill
from standfast.drill.squeeze import squeeze
from standfast.sim import files
from standfast.sim.house import House
from standfast.sim.settings import Scenario

QUICK = {"first_token": {"median": "40ms", "p95": "90ms"}, "per_token": "2ms"}
POLICY = {
    "timeouts": {"first_token": "400ms", "gap": "2s", "total": "8s"},
    "retry": {"backoff": {"base": "20ms"}, "max_ambiguous": 2},
    "breaker": {"open": "300ms", "open_cap": "1s", "ramp": "500ms"},
}


def schedule() -> tuple[House, Scenario]:
    """As shipped, with quick upstreams, short answers and rests, so that a second of each failure is a long time."""
    shipped = files.shipped("mixed-schedule")
    data = shipped.model_dump(mode="json", exclude_unset=True)
    data["upstreams"] = {"*": QUICK}
    data["workload"] = {
        **data["workload"],
        "prompt_tokens": {"low": 60, "high": 200},
        "completion_tokens": {"low": 5, "high": 40},
    }
    data["config"]["defaults"] = {**data["config"]["defaults"], **POLICY}
    scenario = files.from_mapping(data)
    assert scenario.config is not None
    return House("m", from_mapping(scenario.config, {}), scenario.config, {}), scenario


def test_nothing_is_called_whole_that_is_not() -> None:
    """0 false successes, one outcome for each request, and nine tenths of what was not cut is answered at the least."""
    house, scenario = schedule()
    small = squeeze(scenario, 8 / 60, rate=45.0)
    done = asyncio.run(drill(house, small.scenario, small.notes))
    figures = done.report.figures
    assert done.lies == []
    assert figures["requests"] == done.rehearsal.figures["requests"] == 360
    assert sum(figures[name] or 0 for name in ("answered", "broken", "unavailable")) == 360
    assert (figures["availability_unbroken"] or 0) >= 90
    failed = {str(kind) for row in done.report.targets for kind in row["failures"]}  # type: ignore[attr-defined]
    assert {
        "server_error",
        "first_token_timeout",
        "rate_limited",
        "connect_failed",
        "invalid_reply",
        "broken_stream",
    } <= failed
