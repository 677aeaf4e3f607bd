"""By chance, in proportion to weight. Seeded, and judged by counts."""

import itertools
import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.canon.ask import Ask
from standfast.policy.fleet import Fleet
from standfast.strategies.weighted import STRATEGY
from support.exchanges import START, target
from support.fleets import group, opened

ROUNDS = 20_000


def orders(weights: list[float], seed: int = 1, rounds: int = ROUNDS) -> Counter[tuple[int, ...]]:
    """How often each order came."""
    targets = tuple(target(f"p{n}/m", weight=weight) for n, weight in enumerate(weights))
    index = {id(each): n for n, each in enumerate(targets)}
    ask, fleet, rng = Ask("m"), Fleet({}, []), random.Random(seed)
    return Counter(
        tuple(index[id(each)] for each in STRATEGY.rank(targets, ask, fleet, rng, START)) for _ in range(rounds)
    )


def near(count: int, share: float) -> bool:
    """Within five standard deviations of a binomial count."""
    return abs(count - ROUNDS * share) <= 5 * math.sqrt(ROUNDS * share * (1 - share))


def test_all_targets_are_one_tier() -> None:
    """Without `tier` all targets share the load."""
    assert STRATEGY.tiered is False


@pytest.mark.parametrize(
    "weights", [[1.0, 1.0], [9.0, 1.0], [1.0, 3.0], [1.0, 2.0, 3.0], [5.0, 1.0, 1.0], [0.1, 0.2, 0.3, 0.4]]
)
def test_the_first_place_falls_in_proportion_to_weight(weights: list[float]) -> None:
    """The shares of the first place converge to weight / sum of weights."""
    first: Counter[int] = Counter()
    for order, count in orders(weights).items():
        first[order[0]] += count
    for n, weight in enumerate(weights):
        assert near(first[n], weight / sum(weights))


def test_the_next_place_falls_in_proportion_among_the_rest() -> None:
    """Failover keeps the proportions too: every order comes as often as drawing without replacement says."""
    weights = [1.0, 2.0, 3.0]
    counts = orders(weights)
    for order in itertools.permutations(range(3)):
        share, left = 1.0, sum(weights)
        for n in order:
            share *= weights[n] / left
            left -= weights[n]
        assert near(counts[order], share)


@pytest.mark.parametrize(
    ("weights", "possible"),
    [
        ([0.0, 1.0], {(1, 0)}),
        ([1.0, 0.0], {(0, 1)}),
        ([0.0, 0.0], {(0, 1)}),
        ([-1.0, 1.0], {(1, 0)}),
        ([-1.0, -2.0], {(0, 1)}),
        ([0.0, 1.0, -3.0], {(1, 0, 2)}),
        ([0.0, 0.0, 0.0], {(0, 1, 2)}),
        ([0.0, 1.0, 1.0], {(1, 2, 0), (2, 1, 0)}),
    ],
)
def test_weights_of_zero_or_less_come_last_as_written(weights: list[float], possible: set[tuple[int, ...]]) -> None:
    """Weight 0 takes a target out of the balance, and leaves it there for failover."""
    assert set(orders(weights, rounds=200)) == possible


@given(st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=6), st.floats(0.001, 1000), st.integers(0, 2**32))
@settings(deadline=None)
def test_only_the_proportion_counts(weights: list[float], factor: float, seed: int) -> None:
    """1 and 2 are the same as 500 and 1000, draw for draw."""
    scaled = [weight * factor for weight in weights]
    assert orders(weights, seed, rounds=3) == orders(scaled, seed, rounds=3)


def test_among_many_the_first_place_falls_in_proportion_too() -> None:
    """40 targets, every second one three times as heavy, some without weight: shares as with few."""
    weights = [[1.0, 3.0, 0.0][n % 3] for n in range(40)]
    targets, fleet = group(weights)
    rng = random.Random(1)
    firsts = Counter(targets.index(STRATEGY.rank(targets, Ask("m"), fleet, rng, START)[0]) for _ in range(ROUNDS))
    for n, weight in enumerate(weights):
        assert near(firsts[n], weight / sum(weights))


def test_among_many_an_open_breaker_is_drawn_again() -> None:
    """One of 20 is down: it is first only where four draws in a row hit it."""
    targets, fleet = group([1.0] * 20)
    opened(fleet, targets[7])
    rng = random.Random(1)
    firsts = Counter(targets.index(STRATEGY.rank(targets, Ask("m"), fleet, rng, START)[0]) for _ in range(4000))
    assert firsts[7] <= 2


def test_the_explanation_gives_the_shares() -> None:
    """The score is the share of the requests, the heaviest first."""
    targets, fleet = group([1.0, 3.0, 0.0])
    rows = STRATEGY.explain(targets, Ask("m"), fleet, START)
    assert [(row.target, row.score) for row in rows] == [("p1/m", 0.75), ("p0/m", 0.25), ("p2/m", 0.0)]
