"""What a target's history says about its first content."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.policy.latency import ENOUGH, REFRESH, SAMPLES, Latency


def filled(values: list[float]) -> Latency:
    """A history of these observations; the percentile was not asked for before."""
    latency = Latency()
    for value in values:
        latency.observe(value)
    return latency


@given(st.lists(st.floats(0, 1000), max_size=300))
@settings(deadline=None)
def test_the_percentile_is_the_nearest_rank_of_the_last_ones(values: list[float]) -> None:
    """A fresh percentile is the value at rank ceil(0.95 n) of the last 128 observations, None below 20."""
    last = sorted(values[-SAMPLES:])
    expected = last[math.ceil(0.95 * len(last)) - 1] if len(last) >= ENOUGH else None
    assert filled(values).p95() == expected


def test_it_needs_twenty_observations() -> None:
    """A history too short to have a tail says nothing rather than something wrong."""
    latency = filled([1.0] * 19)
    assert latency.p95() is None
    latency.observe(1.0)
    assert latency.p95() == 1.0


def test_it_is_computed_anew_every_sixteen_observations() -> None:
    """Between two computations the old figure stands, however often it is asked for."""
    latency = filled([1.0] * 20)
    assert latency.p95() == 1.0
    for _ in range(REFRESH - 1):
        latency.observe(9.0)
        assert latency.p95() == 1.0
    latency.observe(9.0)
    assert latency.p95() == 9.0


def test_old_observations_are_forgotten() -> None:
    """D1: a target that has recovered is judged by its last 128 answers, not by its worst day."""
    latency = filled([60.0] * 500)
    assert latency.p95() == 60.0
    for _ in range(SAMPLES):
        latency.observe(0.5)
    assert latency.p95() == 0.5


def test_the_average_follows_with_a_tenth() -> None:
    """The first observation is the average; each later one moves it a tenth of the way."""
    latency = Latency()
    assert latency.ewma is None
    latency.observe(1.0)
    assert latency.ewma == 1.0
    latency.observe(2.0)
    assert latency.ewma == pytest.approx(1.1)
    latency.observe(2.0)
    assert latency.ewma == pytest.approx(1.19)


def test_the_average_stays_within_what_was_seen() -> None:
    """An average is never outside of the observations."""
    rng = random.Random(3)
    values = [rng.expovariate(1.0) for _ in range(1000)]
    latency = Latency()
    for value in values:
        latency.observe(value)
        assert latency.ewma is not None
        assert min(values) <= latency.ewma <= max(values)
