"""Least expected wait first."""

import random

import pytest

from standfast.canon.ask import Ask
from standfast.canon.instants import Monotonic
from standfast.strategies.fastest import STRATEGY, slowness
from support.exchanges import START
from support.fleets import answered, failed, group
from support.traffic import GOOD, Manner, Traffic

ASK = Ask("m", stream=True, prompt_tokens=100)
SLOW = Manner(first=10.0, rest=20.0)


def test_the_quickest_first_token_comes_first() -> None:
    """The order is that of the measured first tokens."""
    targets, fleet = group([1.0] * 3)
    for target, first in zip(targets, (1.5, 0.4, 0.8), strict=True):
        answered(fleet, target, first)
    order = STRATEGY.rank(targets, ASK, fleet, random.Random(1), START)
    assert [targets.index(each) for each in order] == [1, 2, 0]


def test_long_prompts_have_a_ranking_of_their_own() -> None:
    """Who is quick with short prompts may be slow with long ones: classes of prompt size are compared apart."""
    targets, fleet = group([1.0] * 2)
    for target, short, long in ((targets[0], 0.3, 9.0), (targets[1], 0.6, 3.0)):
        pace = fleet.place(target.deployment).pace
        assert pace is not None
        for prompt, first in ((100, short), (50_000, long)):
            pace.spoke(pace.sent(prompt, START, stream=True), Monotonic(START + first))
    now = Monotonic(START)
    long_ask = Ask("m", stream=True, prompt_tokens=30_000)
    assert STRATEGY.rank(targets, ASK, fleet, random.Random(1), now)[0] is targets[0]
    assert STRATEGY.rank(targets, long_ask, fleet, random.Random(1), now)[0] is targets[1]


def test_who_was_never_measured_is_tried() -> None:
    """A new target gets a request before the fastest known one gets the next, but one and not a crowd."""
    targets, fleet = group([1.0] * 2)
    answered(fleet, targets[0], 0.3)
    assert STRATEGY.rank(targets, ASK, fleet, random.Random(1), START)[0] is targets[1]
    pace = fleet.place(targets[1].deployment).pace
    assert pace is not None
    pace.sent(100, START, stream=True)
    assert STRATEGY.rank(targets, ASK, fleet, random.Random(1), START)[0] is targets[0]


def test_failing_is_slow() -> None:
    """What fails fast was never measured, and still does not draw the requests to itself."""
    targets, fleet = group([1.0] * 2)
    answered(fleet, targets[0], 0.3)
    failed(fleet, targets[1], 2)
    assert STRATEGY.rank(targets, ASK, fleet, random.Random(1), START)[0] is targets[0]
    assert slowness(targets[1], ASK, fleet, START) > slowness(targets[0], ASK, fleet, START)


@pytest.mark.parametrize("rate", [2.0, 20.0])
@pytest.mark.parametrize("stream", [True, False])
def test_a_brownout_loses_its_requests(rate: float, stream: bool) -> None:
    """D1: one of three becomes 20x slower without an error: its share is below 5 % from the tenth second on."""
    manners = {"a": lambda _: GOOD, "b": lambda t: SLOW if t >= 60 else GOOD, "c": lambda _: GOOD}
    traffic = Traffic("fastest", manners, rate=rate, stream=stream).run(160)
    assert traffic.share("b", 0, 60) > 0.1
    assert traffic.share("b", 70, 160) < 0.05


def test_a_hang_is_noticed_before_it_ends() -> None:
    """D1: nothing comes back at all, so only the silence tells: few requests are sent into it."""
    hung = Manner(first=500.0)
    manners = {"a": lambda _: GOOD, "b": lambda t: hung if t >= 60 else GOOD}
    traffic = Traffic("fastest", manners, rate=20.0).run(120)
    assert traffic.share("b", 62, 120) < 0.02


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_partial_errors_steer_away(share: float) -> None:
    """D2: one of three fails now and then, quicker than it answers: it gets next to nothing, everybody is served."""
    manners = {"a": lambda _: GOOD, "b": lambda t: Manner(fails=share) if t >= 60 else GOOD, "c": lambda _: GOOD}
    traffic = Traffic("fastest", manners).run(200)
    assert traffic.share("b", 70, 200) < 0.05
    assert not traffic.ended[False]
