"""The order written."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.canon.ask import Ask
from standfast.policy.fleet import Fleet
from standfast.strategies.priority import STRATEGY
from support.exchanges import START, target


def test_every_target_is_a_tier_of_its_own() -> None:
    """Without `tier` the order written is the order of preference, also across models."""
    assert STRATEGY.tiered is True


@given(st.integers(1, 10), st.integers(0, 2**32))
@settings(deadline=None)
def test_the_order_written_is_the_order(count: int, seed: int) -> None:
    """Neither weights nor chance change it."""
    targets = tuple(target(f"p{n}/m", weight=float(n)) for n in range(count))
    assert STRATEGY.rank(targets, Ask("m"), Fleet({}, []), random.Random(seed), START) is targets
