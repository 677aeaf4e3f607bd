"""Each in its turn."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.canon.ask import Ask
from standfast.canon.instants import Monotonic
from standfast.policy.fleet import Fleet
from standfast.policy.route import Target
from standfast.strategies.round_robin import STRATEGY
from support.exchanges import START
from support.fleets import group, opened

ASK = Ask("m")


def turns(targets: tuple[Target, ...], fleet: Fleet, count: int, now: Monotonic = START) -> list[int]:
    """Whose turn it is, so many times, by number."""
    rng = random.Random(1)
    return [targets.index(STRATEGY.rank(targets, ASK, fleet, rng, now)[0]) for _ in range(count)]


def test_equal_weights_take_turns_in_the_order_written() -> None:
    """Without weights: one after the other, and around again."""
    targets, fleet = group([1.0, 1.0, 1.0])
    assert turns(targets, fleet, 7) == [0, 1, 2, 0, 1, 2, 0]


def test_heavier_ones_come_more_often_and_never_all_at_once() -> None:
    """Smooth, as nginx's: 5, 1 and 1 are spread over the round instead of five in a row."""
    targets, fleet = group([5.0, 1.0, 1.0])
    assert turns(targets, fleet, 14) == [0, 1, 0, 0, 0, 2, 0] * 2


@given(st.lists(st.integers(1, 9), min_size=2, max_size=20))
@settings(deadline=None)
def test_a_round_gives_each_its_weight(weights: list[int]) -> None:
    """In as many turns as the sum of the weights each target has exactly its weight, and never waits two rounds."""
    targets, fleet = group([float(weight) for weight in weights])
    found = turns(targets, fleet, 2 * sum(weights))
    counts = Counter(found[: sum(weights)])
    assert all(abs(counts[n] - weight) <= 1 for n, weight in enumerate(weights))
    assert set(found) == set(range(len(weights)))


def test_the_next_ones_serve_failover() -> None:
    """Behind the first stand the others in the order of their turns."""
    targets, fleet = group([1.0, 1.0, 1.0, 1.0])
    turns(targets, fleet, 1)
    order = STRATEGY.rank(targets, ASK, fleet, random.Random(1), START)
    assert [targets.index(each) for each in order] == [1, 2, 3, 0]


def test_who_cannot_be_used_loses_its_turn() -> None:
    """The neighbour of an open breaker does not do the work of both."""
    targets, fleet = group([1.0, 1.0, 1.0, 1.0])
    opened(fleet, targets[1])
    counts = Counter(turns(targets, fleet, 300))
    assert counts[1] == 0
    assert all(abs(counts[n] - 100) <= 1 for n in (0, 2, 3))


def test_heavy_ones_that_are_down_do_not_hide_the_light_ones() -> None:
    """However many turns of a heavy target go by: those that can be used serve, each in its turn."""
    targets, fleet = group([1000.0, 1.0, 1.0])
    opened(fleet, targets[0])
    counts = Counter(turns(targets, fleet, 200))
    assert counts[0] == 0
    assert counts[1] == pytest.approx(100, abs=1)


def test_it_comes_back_to_its_own_share_only() -> None:
    """Turns that were lost are not made up for: a recovered target is not run over."""
    targets, fleet = group([1.0, 1.0])
    opened(fleet, targets[1])
    turns(targets, fleet, 100)
    assert Counter(turns(targets, fleet, 100, Monotonic(START + 60)))[1] == pytest.approx(50, abs=1)


def test_two_models_have_turns_of_their_own() -> None:
    """What one model's requests do does not move the turns of another with the same deployments."""
    targets, fleet = group([1.0, 1.0])
    other = tuple(reversed(targets))
    turns(targets, fleet, 1)
    assert STRATEGY.rank(other, ASK, fleet, random.Random(1), START)[0] is other[0]


def test_nobody_has_weight() -> None:
    """Weights of zero leave the order written."""
    targets, fleet = group([0.0, 0.0])
    order = STRATEGY.rank(targets, ASK, fleet, random.Random(1), START)
    assert sorted(targets.index(each) for each in order) == [0, 1]
    targets, fleet = group([0.0, 1.0])
    assert turns(targets, fleet, 5) == [1] * 5
