"""Minutes of hours: what is squeezed, what is not, and that it is said."""

import pytest

from standfast.drill.squeeze import squeeze
from standfast.sim import files
from standfast.sim.arrivals import expected
from support.rehearsal import scenario

DAY = {
    "duration": "10h",
    "upstreams": {"*": {"first_token": "1s", "whole": "1s", "quota": {"requests": 100, "per": "5h"}}},
    "troubles": [
        {"at": "5h", "lasts": "1h", "where": "*", "errors": "server_error", "slow": 2, "down": "2s", "up": "3s"}
    ],
    "workload": {"requests": 3600, "bursts": [{"at": "1h", "lasts": "30m", "factor": 4}]},
}


def test_the_calendar_is_squeezed_and_nothing_else() -> None:
    """When and how long shrink with the whole; latencies, the beat of flapping and factors stay."""
    done = squeeze(scenario(**DAY), minutes=10)
    small = done.scenario
    assert small.duration == 600
    (trouble,) = small.troubles
    assert (trouble.at, trouble.lasts, trouble.down, trouble.up, trouble.slow) == (300, 60, 2, 3, 2)
    (burst,) = small.workload.bursts
    assert (burst.at, burst.lasts, burst.factor) == (60, 30, 4)
    quota = small.upstreams["*"].quota
    assert quota is not None
    assert (quota.per, quota.requests) == (300, 100)
    assert small.upstreams["*"].first_token == scenario(**DAY).upstreams["*"].first_token
    assert any(note.startswith("squeezed 60-fold") for note in done.notes)


@pytest.mark.parametrize(("rate", "requests"), [(None, 3000), (2.0, 1200), (20.0, 12_000)])
def test_the_rate_is_named(rate: float | None, requests: int) -> None:
    """A rate that is named holds on average, bursts included; a sparse scenario has five a second; it is said."""
    done = squeeze(scenario(**DAY), 10, rate)
    assert expected(done.scenario.workload, done.scenario.duration) == requests
    assert any("requests a second on average" in note for note in done.notes)


def test_what_is_short_enough_is_left_alone() -> None:
    """Nothing is stretched, nothing is said."""
    short = scenario(duration="60s", workload={"requests": 600})
    done = squeeze(short, 2)
    assert done.scenario == short
    assert done.notes == []


def test_half_a_deaf_port_is_replaced_on_both_sides() -> None:
    """A share of connections cannot wait for ever while others come in: hangs stand in, and it is said."""
    errors = [{"kind": "connect_timeout", "share": 0.3}]
    ill = scenario(troubles=[{"at": 0, "lasts": "60s", "where": "*", "errors": errors}])
    done = squeeze(ill, 1, 1.0)
    assert [error.kind.value for error in done.scenario.troubles[0].errors] == ["first_token_timeout"]
    assert any("connect_timeout" in note for note in done.notes)


def test_a_deaf_port_goes_before_other_troubles() -> None:
    """A connection that is never answered meets no other trouble first: the order is changed in both, and said."""
    half = {"at": 0, "lasts": "60s", "where": "*", "errors": [{"kind": "server_error", "share": 0.5}]}
    deaf = {"at": 10, "lasts": "20s", "where": "*", "errors": "connect_timeout"}
    done = squeeze(scenario(troubles=[half, deaf]), 1, 1.0)
    assert [each.errors[0].kind.value for each in done.scenario.troubles] == ["connect_timeout", "server_error"]
    assert any("the port is deaf" in note for note in done.notes)
    assert squeeze(scenario(troubles=[deaf, half]), 1, 1.0).notes == []


@pytest.mark.parametrize("name", files.names())
def test_shipped_scenarios_can_be_squeezed(name: str) -> None:
    """Two minutes of each hold some hundred requests, and its troubles."""
    small = squeeze(files.shipped(name), 2).scenario
    assert small.duration == 120
    assert expected(small.workload, small.duration) >= 600
    assert all(trouble.at + trouble.lasts <= 120.001 for trouble in small.troubles)
