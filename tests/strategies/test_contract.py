"""What every strategy promises. A new file under `strategies/` is found and held to it by itself."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast import plugins
from standfast.canon.ask import Ask
from standfast.canon.instants import Monotonic
from standfast.policy.breaker import BreakerSettings
from standfast.policy.fleet import Fleet, KeyPool
from standfast.policy.route import Target
from standfast.policy.strategy import Strategy
from support.exchanges import START, target

NAMES = plugins.names("strategies")
WEIGHTS = st.lists(st.sampled_from([-1.0, 0.0, 1e-9, 0.5, 1.0, 3.0, 1e9]) | st.floats(0, 100), min_size=1, max_size=8)

every_strategy = pytest.mark.parametrize("name", NAMES)


def strategy(name: str) -> Strategy:
    """The strategy of this file."""
    found: Strategy = plugins.load("strategies", name).STRATEGY
    return found


def built(weights: list[float]) -> tuple[tuple[Target, ...], Fleet]:
    """Targets of these weights, and a fleet that knows them."""
    targets = tuple(target(f"p{n}/m", weight=weight) for n, weight in enumerate(weights))
    pools = [KeyPool(each.deployment.provider, ("key",)) for each in targets]
    return targets, Fleet({each.deployment: BreakerSettings() for each in targets}, pools)


def test_there_are_strategies() -> None:
    """The two that the configuration's defaults need are there."""
    assert {"priority", "weighted"} <= set(NAMES)


@every_strategy
def test_it_is_named_as_its_file(name: str) -> None:
    """The file name is the configuration word and the metric label."""
    assert strategy(name).name == name
    assert isinstance(strategy(name).tiered, bool)


@every_strategy
@given(weights=WEIGHTS, seed=st.integers(0, 2**32))
@settings(deadline=None)
def test_it_ranks_and_does_not_pick(name: str, weights: list[float], seed: int) -> None:
    """The order is a permutation of what came in, so that it serves failover too; the input stays as it was."""
    targets, fleet = built(weights)
    given_targets = list(targets)
    order = strategy(name).rank(given_targets, Ask("m"), fleet, random.Random(seed), START)
    assert len(order) == len(targets)
    assert {id(each) for each in order} == {id(each) for each in targets}
    assert [id(each) for each in given_targets] == [id(each) for each in targets]


@every_strategy
@given(weights=WEIGHTS, seed=st.integers(0, 2**32))
@settings(deadline=None)
def test_the_seed_decides(name: str, weights: list[float], seed: int) -> None:
    """Same state, same seed, same order: what happened can be played again."""
    targets, fleet = built(weights)
    one, two = (
        [each.deployment.name for each in strategy(name).rank(targets, Ask("m"), fleet, random.Random(seed), START)]
        for _ in range(2)
    )
    assert one == two


@every_strategy
def test_one_target_is_returned_as_it_came(name: str) -> None:
    """The common case costs nothing: no draw, no copy."""
    targets, fleet = built([2.0])
    rng = random.Random(1)
    before = rng.getstate()
    assert strategy(name).rank(targets, Ask("m"), fleet, rng, START) is targets
    assert rng.getstate() == before


@every_strategy
def test_ranking_asks_for_no_permit(name: str) -> None:
    """Ranking looks and does not take: nothing is in flight afterwards."""
    targets, fleet = built([1.0, 2.0, 3.0])
    strategy(name).rank(targets, Ask("m"), fleet, random.Random(1), Monotonic(START + 1))
    assert [fleet.in_flight(each.deployment) for each in targets] == [0, 0, 0]
