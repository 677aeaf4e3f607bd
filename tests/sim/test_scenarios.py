"""The scenarios that come with the package: what they promise, and what the default policy makes of them."""

import math

import pytest

from standfast.config.load import from_mapping
from standfast.config.schema import Config
from standfast.sim import files, matrix
from standfast.sim.report import Report, report_of
from standfast.sim.settings import Scenario
from standfast.sim.stage import Stage, Way
from support.rehearsal import figure

PROMISED = {
    "all-down-and-back",
    "brownout",
    "flapping",
    "flash-sale",
    "primary-dead-30m",
    "rate-limit-storm",
    "regional-correlated",
    "tutorial-day",
}


def own(name: str) -> tuple[Scenario, Config]:
    """A scenario and its configuration."""
    scenario = files.shipped(name)
    assert scenario.config is not None
    return scenario, from_mapping(scenario.config, {})


def played(name: str, way: Way = Way.GATEWAY, *, seed: int = 1) -> Report:
    """A whole play of it."""
    scenario, house = own(name)
    stage = Stage(house, scenario, seed, way)
    return report_of(stage.run(), scenario, name, seed, stage.cast.notes)


def test_the_promised_scenarios_are_there() -> None:
    """Each of them by its name."""
    assert set(files.names()) >= PROMISED


@pytest.mark.parametrize("name", files.names())
def test_each_fits_its_own_configuration(name: str) -> None:
    """Valid, with a title and a reason, and nothing in it is about a target that is not there."""
    scenario, house = own(name)
    assert len(scenario.about) > 80
    assert Stage(house, scenario, 1).cast.notes == []


def test_the_tutorials_day_is_the_tutorials() -> None:
    """15,847 whole replies in 24 hours; medians 1680, 1450, 1100, 820 ms; 8.00, 15.00, 2.50, 0.42 dollars a million."""
    scenario, house = own("tutorial-day")
    assert (scenario.duration, scenario.workload.requests, scenario.workload.streaming) == (86_400, 15_847, 0)
    sections = [scenario.upstreams[role] for role in ("primary", "secondary", "tertiary", "last")]
    assert [each.whole.median for each in sections if each.whole] == pytest.approx([1.68, 1.45, 1.1, 0.82])
    assert [each.price.output for each in sections if each.price] == [8.0, 15.0, 2.5, 0.42]
    assert [line.target for line in house.models["gpt-4.1"].targets] == [
        "openai/gpt-4.1",
        "anthropic/claude-sonnet-4-5",
        "gemini/gemini-2.5-flash",
        "deepseek/deepseek-chat",
    ]


def test_the_tutorials_primary_fails_5_7_percent() -> None:
    """Asked alone, once for each request, it leaves so many unanswered (within three standard errors)."""
    found = figure(played("tutorial-day", Way.ALONE), "availability")
    assert found == pytest.approx(94.3, abs=3 * 100 * math.sqrt(0.057 * 0.943 / 15_847))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_default_policy_keeps_the_door_open_all_day(seed: int) -> None:
    """At least 99.999 % answered, failover adding at most 5 ms in the median, cost beside that of the primary alone."""
    found = played("tutorial-day", seed=seed)
    assert figure(found, "availability") >= 99.999
    assert figure(found, "p50_failover_added_ms") <= 5
    assert figure(found, "failovers") > 500
    assert figure(found, "cost") > 0
    assert figure(found, "cost_on_primary") > 0
    assert figure(found, "unpriced") == 0


@pytest.mark.parametrize(
    ("name", "least", "gain"),
    [("primary-dead-30m", 99.9, 30), ("brownout", 99.9, 0), ("flapping", 99.9, 15), ("regional-correlated", 99.9, 20)],
)
def test_with_one_good_target_left_nearly_all_is_answered(name: str, least: float, gain: float) -> None:
    """A1, D1, D3: while one of the targets is well; and so much better than without a gateway."""
    found = figure(played(name), "availability")
    assert found >= least
    assert found - figure(played(name, Way.ALONE), "availability") >= gain


def test_a_brownout_is_left_within_seconds() -> None:
    """D1: a target twenty times slower keeps less than 5 % of the traffic ten seconds after the first slow answers."""
    found = played("brownout")
    width = found.timeline["at_s"][1]
    assert width is not None
    slow = range(int((1200 + 30) / width) + 1, int(2400 / width))
    shares = [found.served["openai/gpt-4.1"][at] / (found.timeline["requests"][at] or 1) for at in slow]
    assert sum(shares) / len(shares) < 0.05


def test_a_flash_sale_keeps_what_matters() -> None:
    """D8: fifty times the load: priority 5 keeps 99 %, no breaker opens, few attempts are wasted, recovery is quick."""
    found, retried = played("flash-sale"), played("flash-sale", Way.RETRIES)
    assert figure(found, "success_priority_5") >= 99
    assert figure(found, "success_priority_3") >= 50
    assert figure(found, "availability") >= 42
    assert figure(found, "availability") - figure(retried, "availability") >= 12
    assert figure(found, "breaker_openings") == 0
    assert figure(found, "attempts") <= 1.02 * figure(found, "answered")
    assert figure(found, "recovery_s") <= 60
    assert figure(found, "worst_refusal_ms") <= 10_500


def test_a_rate_limit_storm_is_foreseen() -> None:
    """D10: all is answered, hardly an attempt meets a limit, and the primary serves as much as its keys may."""
    found = played("rate-limit-storm")
    assert figure(found, "availability") >= 99.9
    assert figure(found, "rate_limited") < 1
    assert figure(found, "attempts_per_request") <= 1.02
    assert sum(found.served["openai/gpt-4.1"]) >= 9_500


def test_all_down_is_told_at_once_and_loads_nobody() -> None:
    """D5: while nothing answers, refusals are quick and attempts are few; D6: goodput is back within half a minute."""
    found = played("all-down-and-back")
    assert figure(found, "attempts_per_request") < 1.0
    assert figure(found, "recovery_s") <= 30


def test_the_table_has_a_row_for_every_way() -> None:
    """Without a gateway, with retries only, by default: every scenario, its figures, and what it was made with."""
    cells = [cell for cell in matrix.cells(["flash-sale", "flapping"]) if cell.label != "default with hedging"]
    labels = ["no gateway", "retries only", "default"]
    assert [(cell.name, cell.label) for cell in cells] == [(n, x) for n in ("flash-sale", "flapping") for x in labels]
    rows = []
    for cell in cells[:3]:
        small = cell.scenario.model_copy(update={"duration": 310.0})
        rows.append(cell.row(cell.stage(small).run(), small))
    text = matrix.markdown(rows)
    lines = text.splitlines()
    assert len(lines) == 2 + 3 + 2
    assert len({line.count("|") for line in lines[:5]}) == 1
    assert lines[2].startswith("| flash-sale | no gateway | ")
    assert lines[3].startswith("|  | retries only | ")
    assert lines[-1].startswith("Seeds: 1. ")
