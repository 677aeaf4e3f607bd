"""Durations of which some were cut short."""

import random

import pytest

from standfast.sim.censored import Durations


def test_the_example_of_kaplan_and_meier() -> None:
    """Deaths at 0.8, 3.1, 5.4, 9.2 months, losses at 1.0, 2.7, 7.0, 12.1: 0.875, 0.7, 0.525, 0.2625 live on."""
    found = Durations()
    for months in (0.8, 3.1, 5.4, 9.2):
        found.add(months)
    for months in (1.0, 2.7, 7.0, 12.1):
        found.cut(months)
    assert (found.count, found.cut_short, found.largest) == (4, 4, 12.1)
    for share, months in ((0.0, 0.8), (0.125, 0.8), (0.13, 3.1), (0.3, 3.1), (0.31, 5.4), (0.475, 5.4), (0.7375, 9.2)):
        assert found.quantile(share) == pytest.approx(months, rel=0.006), share
    assert found.quantile(0.74) == 12.1


def test_nothing_cut_is_a_plain_quantile() -> None:
    """The nearest rank; nothing that ended says nothing."""
    found = Durations()
    assert found.quantile(0.5) is None
    found.cut(3.0)
    assert found.quantile(0.5) is None
    for value in range(1, 101):
        found.add(float(value))
    whole = Durations()
    for value in range(1, 101):
        whole.add(float(value))
    assert whole.quantile(0.95) == pytest.approx(95, rel=0.006)


def test_what_is_cut_at_the_same_moment_was_still_under_way() -> None:
    """One of two ended there: half, not all."""
    found = Durations()
    found.add(1.0)
    found.cut(1.0)
    found.add(2.0)
    assert found.quantile(1 / 3) == pytest.approx(1.0, rel=0.006)
    assert found.quantile(0.5) == pytest.approx(2.0, rel=0.006)


def test_a_distribution_cut_at_random_is_found_again() -> None:
    """Quantiles of what was cut are those of what it was cut from."""
    rng = random.Random(5)
    found, truth = Durations(), []
    for _ in range(20_000):
        seconds, patience = rng.lognormvariate(-0.5, 0.8), rng.uniform(0.2, 4.0)
        truth.append(seconds)
        if seconds <= patience:
            found.add(seconds)
        else:
            found.cut(patience)
    truth.sort()
    for share in (0.1, 0.5, 0.9, 0.95):
        assert found.quantile(share) == pytest.approx(truth[int(share * len(truth))], rel=0.05), share
