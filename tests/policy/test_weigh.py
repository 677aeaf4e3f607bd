"""What a target means for one request."""

import pytest

from standfast.canon.ask import Ask
from standfast.canon.facts import Facts, Price
from standfast.policy.latency import ASSUMED_GAP, QUICKEST, TYPICAL_ANSWER
from standfast.policy.weigh import answer_tokens, cost, dearest, gap, misfit, too_slow, wait
from support.exchanges import START
from support.fleets import answered, group

PRICED = Facts(prices=(Price(2.0, 8.0),))


@pytest.mark.parametrize(("limit", "expected"), [(0, TYPICAL_ANSWER), (10, 10), (100_000, TYPICAL_ANSWER)])
def test_a_limit_is_no_wish(limit: int, expected: int) -> None:
    """`max_tokens` shortens the expected answer and does not lengthen it."""
    assert answer_tokens(Ask("m", max_tokens=limit)) == expected


def test_cost_is_tokens_times_price() -> None:
    """Per million tokens in and out; unpriced is None, also where no facts are there at all."""
    assert cost(PRICED, 1_000_000, 500_000) == pytest.approx(6.0)
    assert cost(Facts(), 10, 10) is None
    assert cost(None, 10, 10) is None
    assert cost(Facts(prices=(Price(0.0, 0.0),)), 10**9, 10**9) == 0.0


def test_a_limit_is_held_against_the_longest_answer() -> None:
    """What was allowed may be written: the whole of `max_tokens` counts."""
    assert dearest(PRICED, Ask("m", max_tokens=1_000_000)) == pytest.approx(8.0)
    assert dearest(PRICED, Ask("m")) == pytest.approx(TYPICAL_ANSWER * 8.0 / 1e6)


def test_the_wait_is_the_first_token_of_streams_and_the_whole_of_replies() -> None:
    """The same target, the same history, two questions; before any history the least."""
    (target,), fleet = group([1.0])
    place = fleet.place(target.deployment)
    stream, whole = Ask("m", stream=True), Ask("m", max_tokens=101)
    assert wait(place, stream, START) == wait(place, whole, START) == QUICKEST
    assert gap(place, stream) == ASSUMED_GAP
    answered(fleet, target, 0.5, rest=1.0, tokens=101)
    assert wait(place, stream, START) == pytest.approx(0.5)
    assert wait(place, whole, START) == pytest.approx(0.5 + 101 * 0.01)
    assert gap(place, stream) == pytest.approx(0.01)


def test_without_a_pace_the_plain_average_serves() -> None:
    """Where paces are not measured, what timeouts are made from is better than nothing."""
    (target,), fleet = group([1.0])
    place = fleet.place(target.deployment)
    place.pace = None
    place.stream.observe(3.0)
    place.whole.observe(9.0)
    assert wait(place, Ask("m", stream=True), START) == 3.0
    assert wait(place, Ask("m"), START) == 9.0


def test_too_slow_needs_a_limit_and_a_measurement() -> None:
    """No limit, or nothing known: not too slow."""
    (target,), fleet = group([1.0])
    place = fleet.place(target.deployment)
    limited = Ask("m", stream=True, max_latency=1.0)
    assert too_slow(place, limited, START) == ""
    answered(fleet, target, 2.0)
    assert too_slow(place, limited, START) == "expected to take 2.0 s, 1 s are allowed"
    assert too_slow(place, Ask("m", stream=True), START) == ""


def test_misfits_are_told() -> None:
    """Window, length of the answer, abilities; unknown is no misfit."""
    facts = Facts(1000, 100, abilities=frozenset({"tools"}))
    assert misfit(facts, Ask("m", prompt_tokens=900, max_tokens=100)) == ""
    assert misfit(facts, Ask("m", prompt_tokens=901, max_tokens=100)).startswith("needs about 1001 tokens")
    assert misfit(facts, Ask("m", max_tokens=101)).startswith("an answer may have 101")
    assert misfit(facts, Ask("m", needs=frozenset({"tools", "images", "reasoning"}))) == "lacks images, reasoning"
    assert misfit(Facts(), Ask("m", prompt_tokens=10**9, needs=frozenset({"images"}))) == ""
    assert misfit(None, Ask("m", prompt_tokens=10**9)) == ""
