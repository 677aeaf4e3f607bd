"""Amounts that vary."""

import math
import random
from collections.abc import Mapping

import pytest
from pydantic import ValidationError

from standfast.sim.spread import Amount, Spread

DRAWS = 20_000


def sorted_draws(spread: Spread) -> list[float]:
    """Many draws, in order."""
    draw = spread.sampler(random.Random(7))
    return sorted(draw() for _ in range(DRAWS))


@pytest.mark.parametrize("written", ["250ms", 0.25, {"value": "250ms"}])
def test_a_plain_value_is_always_the_same(written: object) -> None:
    """A duration, a number and `value` mean the same constant."""
    assert set(sorted_draws(Spread.model_validate(written))) == {0.25}


@pytest.mark.parametrize("name", ["p95", "p99"])
def test_a_log_normal_has_the_percentiles_that_are_written(name: str) -> None:
    """The median and the other percentile come out of the draws, within four standard errors of the order statistic."""
    draws = sorted_draws(Spread.model_validate({"median": "1s", name: "4s"}))
    share = {"p95": 0.95, "p99": 0.99}[name]
    slack = 4 * math.sqrt(share * (1 - share) / DRAWS)
    assert draws[int((0.5 - 0.015) * DRAWS)] < 1.0 < draws[int((0.5 + 0.015) * DRAWS)]
    assert draws[int((share - slack) * DRAWS)] < 4.0 < draws[min(DRAWS - 1, int((share + slack) * DRAWS))]


def test_an_exponential_has_its_mean_and_its_spread() -> None:
    """Mean and standard deviation of an exponential are equal."""
    draws = sorted_draws(Spread(mean=2.0))
    mean = sum(draws) / DRAWS
    deviation = math.sqrt(sum((each - mean) ** 2 for each in draws) / DRAWS)
    assert mean == pytest.approx(2.0, abs=4 * 2.0 / math.sqrt(DRAWS))
    assert deviation == pytest.approx(2.0, rel=0.06)


def test_a_uniform_fills_its_range() -> None:
    """Nothing outside, something near both ends, the mean in the middle."""
    draws = sorted_draws(Spread(low=1.0, high=3.0))
    assert 1.0 <= draws[0] < 1.01
    assert 2.99 < draws[-1] <= 3.0
    assert sum(draws) / DRAWS == pytest.approx(2.0, abs=0.02)


def test_measured_quantiles_come_back() -> None:
    """Half of the draws of a table lie below its median, nothing beyond its ends."""
    draws = sorted_draws(Spread(quantiles={0: 0.1, 50: 1.0, 90: 5.0, 100: 6.0}))
    assert draws[0] >= 0.1
    assert draws[-1] <= 6.0
    assert sum(each <= 1.0 for each in draws) / DRAWS == pytest.approx(0.5, abs=0.015)
    assert sum(each <= 5.0 for each in draws) / DRAWS == pytest.approx(0.9, abs=0.01)


def test_most_cuts_off() -> None:
    """No draw is above `most`, and what was above is exactly that."""
    draws = sorted_draws(Amount(median=100, p95=1000, most=500))
    assert draws[-1] == 500.0
    assert draws[0] < 100


def test_the_same_seed_draws_the_same() -> None:
    """Chance comes only from the generator that is given."""
    spread = Spread.model_validate({"median": 1, "p95": 3})
    first, second = spread.sampler(random.Random(3)), spread.sampler(random.Random(3))
    assert [first() for _ in range(50)] == [second() for _ in range(50)]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({}, "write one of"),
        ({"median": 1}, "write one of"),
        ({"median": 1, "p95": 2, "p99": 3}, "write one of"),
        ({"value": 1, "mean": 1}, "write one of"),
        ({"most": 1}, "write one of"),
        ({"median": 3, "p95": 2}, "lower percentile"),
        ({"median": 0, "p95": 2}, "above 0"),
        ({"low": 3, "high": 2}, "lower percentile"),
        ({"value": -1}, "negative"),
        ({"mean": float("inf")}, "finite"),
        ({"quantiles": {0: 1, 50: 2}}, "where 0 and 100 are"),
        ({"quantiles": {0: 1, 50: 3, 100: 2}}, "lower percentile"),
        ("soon", "duration"),
        ({"median": 1, "p95": 1e6}, "p95 must be at most 1000 times the median, it is 1e\\+06 times"),
        ({"median": 1, "p99": 1001}, "p99 must be at most 1000 times the median"),
        ({"median": 1e9, "p95": 1e300}, "no amount may be above 1000000000"),
        ({"value": 1, "most": float("nan")}, "finite"),
        (True, "duration"),
    ],
)
def test_what_makes_no_distribution_is_refused(written: Mapping[str, object], words: str) -> None:
    """Each way to write nonsense is an error that says what would be right."""
    with pytest.raises(ValidationError, match=words):
        Spread.model_validate(written)
