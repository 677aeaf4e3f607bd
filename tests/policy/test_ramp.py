"""Slow start: whoever has just recovered gets a growing share."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from standfast.canon.instants import Monotonic
from standfast.policy.ramp import FLOOR, Ramp

START = Monotonic(1_000.0)


def test_a_tenth_in_the_first_second_and_half_of_it_in_the_middle() -> None:
    """D4: a hundred requests a second: at most 10 % pass in the first second, all when it is over."""
    ramp = Ramp(30.0)
    assert ramp.begin(START)
    passed = [sum(ramp.passes(Monotonic(START + second + n / 100)) for n in range(100)) for second in range(31)]
    assert passed[0] <= 10
    assert 49 <= passed[15] <= 53
    assert passed[30] == 100
    assert all(late >= early - 1 for early, late in pairwise(passed))


@given(st.lists(st.floats(0.0, 5.0), max_size=100))
def test_never_more_than_the_share(pauses: list[float]) -> None:
    """Of any requests in a row at most the sum of their shares passes, and hardly less."""
    ramp, now, shares, passed = Ramp(30.0), START, 0.0, 0
    ramp.begin(now)
    for pause in pauses:
        now = Monotonic(now + pause)
        shares += ramp.share(now)
        passed += ramp.passes(now)
        assert FLOOR <= ramp.share(now) <= 1.0
        assert shares - 1.0 - 1e-6 <= passed <= shares + 1e-6


def test_it_can_be_left_out() -> None:
    """Zero seconds: there is none to begin and none to end."""
    ramp = Ramp(0.0)
    assert not ramp.begin(START)
    assert ramp.share(START) == 1.0
    assert not ramp.end()


def test_it_ends_once_and_begins_anew() -> None:
    """Each recovery has a ramp of its own, without a credit of the last one."""
    ramp = Ramp(10.0)
    ramp.begin(START)
    for _ in range(9):
        assert not ramp.passes(START)
    assert ramp.end()
    assert not ramp.end()
    assert ramp.share(START) == 1.0
    ramp.begin(START)
    assert [ramp.passes(START) for _ in range(9)] == [False] * 9
