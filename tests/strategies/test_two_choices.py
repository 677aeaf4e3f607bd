"""The better of two."""

import random
from collections import Counter

import pytest

from standfast.canon.ask import Ask
from standfast.strategies.two_choices import STRATEGY, price
from support.exchanges import START
from support.fleets import answered, begin, failed, group, opened
from support.traffic import GOOD, Manner, Traffic

ASK = Ask("m", stream=True)


def firsts(count: int, slow: int) -> Counter[int]:
    """Who comes first how often, when one of so many is slow."""
    targets, fleet = group([1.0] * count)
    for n, target in enumerate(targets):
        answered(fleet, target, 5.0 if n == slow else 0.5)
    rng = random.Random(1)
    now = START
    return Counter(targets.index(STRATEGY.rank(targets, ASK, fleet, rng, now)[0]) for _ in range(6000))


def test_the_worst_is_never_the_better_of_two() -> None:
    """Two different ones are drawn, so the slowest of all never wins; the others share evenly."""
    found = firsts(4, slow=2)
    assert found[2] == 0
    assert all(1850 < found[n] < 2150 for n in (0, 1, 3))


def test_wait_times_load() -> None:
    """A fast target with many under way costs as much as a slow idle one."""
    targets, fleet = group([1.0, 1.0])
    answered(fleet, targets[0], 0.5)
    answered(fleet, targets[1], 1.6)
    now = START
    assert price(targets[0], ASK, fleet, now) == pytest.approx(0.5)
    assert price(targets[1], ASK, fleet, now) == pytest.approx(1.6)
    for _ in range(3):
        begin(fleet, targets[0])
    assert STRATEGY.rank(targets, ASK, fleet, random.Random(1), now)[0] is targets[1]


def test_failing_costs() -> None:
    """A target that fails fast never looks attractive, however idle it is."""
    targets, fleet = group([1.0, 1.0])
    for target in targets:
        answered(fleet, target, 0.5)
    failed(fleet, targets[0], 2)
    begin(fleet, targets[1])
    begin(fleet, targets[1])
    assert STRATEGY.rank(targets, ASK, fleet, random.Random(1), START)[0] is targets[1]


def test_two_that_cannot_be_used_are_no_choice() -> None:
    """Where both of each pair are open, all are looked at."""
    targets, fleet = group([1.0] * 30)
    for target in targets[1:]:
        opened(fleet, target)
    for seed in range(20):
        assert STRATEGY.rank(targets, ASK, fleet, random.Random(seed), START)[0] is targets[0]


@pytest.mark.parametrize("rate", [2.0, 20.0])
@pytest.mark.parametrize("stream", [True, False])
def test_a_brownout_loses_its_requests(rate: float, stream: bool) -> None:
    """D1: one of three becomes 20x slower without an error: its share is below 5 % from the tenth second on."""
    slow = Manner(first=10.0, rest=20.0)
    manners = {"a": lambda _: GOOD, "b": lambda t: slow if t >= 60 else GOOD, "c": lambda _: GOOD}
    traffic = Traffic("two_choices", manners, rate=rate, stream=stream).run(160)
    assert traffic.share("b", 0, 60) > 0.25
    assert traffic.share("b", 70, 160) < 0.05
