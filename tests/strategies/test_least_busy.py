"""Fewest attempts under way."""

import random
from collections import Counter

from standfast.canon.ask import Ask
from standfast.canon.attempt import Outcome
from standfast.strategies.least_busy import STRATEGY, load
from support.exchanges import START
from support.fleets import begin, failed, group, opened, served

ASK = Ask("m")


def test_the_idlest_comes_first() -> None:
    """The order is that of the attempts under way."""
    targets, fleet = group([1.0, 1.0, 1.0])
    for target, count in zip(targets, (2, 0, 1), strict=True):
        for _ in range(count):
            begin(fleet, target)
    order = STRATEGY.rank(targets, ASK, fleet, random.Random(1), START)
    assert [targets.index(each) for each in order] == [1, 2, 0]


def test_weight_is_capacity() -> None:
    """A target of weight 3 with two under way is less busy than one of weight 1 with one."""
    targets, fleet = group([1.0, 3.0])
    begin(fleet, targets[0])
    begin(fleet, targets[1])
    begin(fleet, targets[1])
    assert STRATEGY.rank(targets, ASK, fleet, random.Random(1), START)[0] is targets[1]


def test_chance_decides_between_equals() -> None:
    """The first line of the configuration is not the favourite of every quiet minute."""
    targets, fleet = group([1.0] * 4)
    rng = random.Random(1)
    firsts = Counter(targets.index(STRATEGY.rank(targets, ASK, fleet, rng, START)[0]) for _ in range(4000))
    assert all(900 < firsts[n] < 1100 for n in range(4))


def test_failing_fast_is_not_being_idle() -> None:
    """D2: the target that fails two in five is idle all the time and still comes last."""
    targets, fleet = group([1.0, 1.0])
    served(fleet, targets[1], 2)
    for _ in range(4):
        failed(fleet, targets[1])
        served(fleet, targets[1])
    for _ in range(10):
        begin(fleet, targets[0])
    assert fleet.in_flight(targets[1].deployment) == 0
    assert STRATEGY.rank(targets, ASK, fleet, random.Random(1), START)[0] is targets[0]


def test_many_share_the_load_evenly() -> None:
    """Of 200 targets 12 at random are compared: 2,000 attempts leave none with more than twice the average."""
    targets, fleet = group([1.0] * 200)
    rng = random.Random(1)
    for _ in range(2000):
        begin(fleet, STRATEGY.rank(targets, ASK, fleet, rng, START)[0])
    loads = [fleet.in_flight(each.deployment) for each in targets]
    assert max(loads) <= 12
    assert min(loads) >= 7


def test_all_of_many_but_one_are_down() -> None:
    """When nobody of the sample can be used, all are looked at: the one that can is found."""
    targets, fleet = group([1.0] * 40)
    for target in targets[:-1]:
        opened(fleet, target)
    for seed in range(20):
        assert STRATEGY.rank(targets, ASK, fleet, random.Random(seed), START)[0] is targets[-1]


def test_the_load_is_what_it_says() -> None:
    """(under way + 1) / (weight x soundness), infinite for an open breaker."""
    targets, fleet = group([2.0, 1.0])
    permit = begin(fleet, targets[0])
    assert load(targets[0], fleet, START) == 1.0
    fleet.settle(permit, Outcome.SUCCESS, START, random.Random(1))
    assert load(targets[0], fleet, START) == 0.5
    opened(fleet, targets[1])
    assert load(targets[1], fleet, START) == float("inf")
