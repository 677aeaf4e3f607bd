"""From samples to figures."""

import pytest
from bench.figures import Budget, Figure, Spread, paired_ratio, quantile, spread
from hypothesis import given
from hypothesis import strategies as st


def test_quantile_is_nearest_rank() -> None:
    """The p50 of an even count is the lower middle, the p99 of 100 is the 99th, the p100 the greatest."""
    samples = [float(number) for number in range(100, 0, -1)]
    assert quantile(samples, 0.5) == 50
    assert quantile(samples, 0.99) == 99
    assert quantile(samples, 1.0) == 100
    assert quantile([7.0], 0.01) == 7


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=50), st.floats(0.01, 1))
def test_quantile_is_a_sample_that_enough_do_not_exceed(samples: list[float], share: float) -> None:
    """At least `share` of the samples lie at or below the quantile, which is one of them."""
    value = quantile(samples, share)
    assert value in samples
    assert sum(sample <= value for sample in samples) >= share * len(samples) - 1e-9


@pytest.mark.parametrize(("samples", "share"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.1)])
def test_quantile_of_nothing_is_an_error(samples: list[float], share: float) -> None:
    """No samples, or a share outside (0, 1], is never answered with a number."""
    with pytest.raises(ValueError, match=r"samples|share"):
        quantile(samples, share)


def test_ratio_is_the_median_of_the_rounds_ratios() -> None:
    """Drift that hits both parties of a round cancels: every ratio here is 3 although the machine got slower."""
    assert paired_ratio([30, 60, 300], [10, 20, 100]) == Spread(3, 3, 3, 3)
    assert paired_ratio([2, 9, 4], [1, 3, 4]) == Spread(2, 1, 3, 3)


def test_rounds_that_do_not_pair_are_refused() -> None:
    """A ratio of unequal rounds, or to nothing, is an error."""
    with pytest.raises(ValueError, match="pair up"):
        paired_ratio([1, 2], [1])
    with pytest.raises(ValueError, match="not positive"):
        paired_ratio([1], [0])
    with pytest.raises(ValueError, match="no rounds"):
        spread([])


def test_a_strict_budget_is_missed_at_its_limit() -> None:
    """`<= 5 ms` is met by 5, `< 1 s` is not met by 1."""
    assert Budget(5).met(5)
    assert not Budget(5).met(5.01)
    assert not Budget(1, strict=True).met(1)
    assert Budget(5).text("ms") == "<= 5 ms"
    assert Budget(70, strict=True).text("MB") == "< 70 MB"
    assert Budget(1.3, relative=True).text("us") == "<= 1.3 x nginx"


def test_a_relative_budget_is_judged_by_the_ratio() -> None:
    """60 us are within 3 x nginx at 20 us and beyond it at 19 us."""
    figure = Figure("k", "t", "us", budget=Budget(3, relative=True))
    assert figure.with_values({"nginx": [20], "standfast": [60]}).met() is True
    assert figure.with_values({"nginx": [19], "standfast": [60]}).met() is False


def test_what_was_not_measured_is_not_judged() -> None:
    """Without our figure, or without nginx' for a relative budget, nothing is claimed."""
    figure = Figure("k", "t", "us", budget=Budget(3, relative=True))
    assert figure.with_values({"standfast": [60]}).met() is None
    assert Figure("k", "t", "ms", {"nginx": [1.0]}, Budget(5)).met() is None
    assert Figure("k", "t", "ms", {"standfast": [1.0]}).met() is None
    assert figure.with_values({"nginx": [0.0], "standfast": [60]}).ratio() is None


def test_json_holds_every_round() -> None:
    """The plain form keeps the rounds, not only what was derived from them."""
    plain = Figure("k", "t", "us", {"nginx": [1, 3], "standfast": [2, 9]}, Budget(3, relative=True)).plain()
    assert plain["rounds"] == {"nginx": [1, 3], "standfast": [2, 9]}
    assert plain["median"] == {"nginx": 2, "standfast": 5.5}
    assert plain["ratio"] == {"median": 2.5, "low": 2, "high": 3, "rounds": 2}
    assert plain["met"] is True
