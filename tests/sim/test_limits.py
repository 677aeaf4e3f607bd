"""Fleets at the edge of their rate limits, in virtual time."""

import pytest

from standfast.sim.stage import Stage
from support.rehearsal import config, figure, play, report, scenario

RPM = 120.0
KEYED = {
    name: {"type": "openai_like", "base_url": f"http://{name}.test", "keys": ["k-1", "k-2"]}
    for name in ("east", "west")
}
HOUSE = {"targets": ["east/m", "west/m"], "providers": KEYED, "model": {"strategy": "weighted"}}
"""Two targets with two keys each: four times the limit of a key."""

MINUTES = 10


def edge(load: float, *, tells: bool = True) -> dict[str, object]:
    """Ten minutes of so many times what all keys together may serve; first tokens after half a second."""
    limits = {"rpm": RPM, "burst": 60.0, "tells": tells}
    workload = {"requests": int(load * 4 * RPM * MINUTES), "arrivals": "poisson", "streaming": 0.7}
    return {
        "workload": workload,
        "duration": f"{MINUTES}m",
        "upstreams": {"*": {"first_token": "500ms", "per_token": "10ms", "whole": "2s", "limits": limits}},
    }


def used(stage: Stage) -> float:
    """The share of what all keys might have served that was served; each bucket was full once at the beginning."""
    served = sum(target.successes for target in stage.tally.targets.values())
    return served / (4 * RPM * (MINUTES + 1))


@pytest.mark.parametrize("load", [0.98, 1.2, 2.0])
def test_a_fleet_at_its_limits_is_used_up_and_never_overrun(load: float) -> None:
    """D10: under 1 % of the attempts meet a 429, and at least 90 % of what the keys may serve is served."""
    house = config(HOUSE["targets"], providers=KEYED, model=HOUSE["model"])  # type: ignore[arg-type]
    stage = play(scenario(**edge(load)), house)  # type: ignore[arg-type]
    tally = stage.tally
    attempts = sum(target.attempts for target in tally.targets.values())
    limited = sum(sum(target.failures.values()) for target in tally.targets.values())
    assert limited < 0.01 * attempts
    assert used(stage) >= 0.9 * min(1.0, load)
    assert tally.worst <= 10.5


def test_without_a_word_in_the_headers_limits_are_learned_from_refusals() -> None:
    """D10: what the headers are worth: without them many attempts meet a 429 that with them none does."""
    house = config(HOUSE["targets"], providers=KEYED, model=HOUSE["model"])  # type: ignore[arg-type]
    silent, telling = (report(scenario(**edge(1.5, tells=tells)), house) for tells in (False, True))  # type: ignore[arg-type]
    assert figure(silent, "rate_limited") > 5
    assert figure(telling, "rate_limited") < 1
    assert figure(telling, "attempts_per_request") < figure(silent, "attempts_per_request")
