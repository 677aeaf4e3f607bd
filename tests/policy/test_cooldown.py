"""Rests with a known end."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.canon.instants import Monotonic
from standfast.policy.cooldown import LONGEST, SHORTEST, Cooldown

START = Monotonic(1_000.0)


def later(seconds: float) -> Monotonic:
    """An instant after the start."""
    return Monotonic(START + seconds)


def test_it_begins_awake() -> None:
    """Nothing rests that was never told to."""
    assert not Cooldown().resting(Monotonic(0.0))
    assert Cooldown().until == 0.0


@pytest.mark.parametrize(
    ("hint", "seconds"),
    [
        (7.0, 7.0),
        (0.0, SHORTEST),
        (-5.0, SHORTEST),
        (315_360_000.0, LONGEST),
        (float("inf"), LONGEST),
        (float("nan"), SHORTEST),
    ],
)
def test_a_hint_is_honoured_within_reason(hint: float, seconds: float) -> None:
    """B10: no attempt before the provider's hint is over; absurd values are clamped."""
    cooldown = Cooldown()
    assert cooldown.rest(START, hint, random.Random(1)) == pytest.approx(seconds)
    assert cooldown.resting(later(seconds - 0.001))
    assert not cooldown.resting(later(seconds + 0.001))


@pytest.mark.parametrize(
    ("quarantine", "fulls"),
    [(False, [1, 2, 4, 8, 16, 32, 60, 60]), (True, [300, 600, 1200, 2400, 3600, 3600])],
)
@pytest.mark.parametrize("seed", range(5))
def test_rests_double_to_a_cap_with_equal_jitter(quarantine: bool, fulls: list[float], seed: int) -> None:
    """B11: without a hint each rest in a row is twice as long, half of it fixed and half drawn, up to the cap."""
    cooldown, rng, now = Cooldown(), random.Random(seed), START
    shares = []
    for full in fulls:
        seconds = cooldown.quarantine(now, rng) if quarantine else cooldown.rest(now, None, rng)
        assert full / 2 - 1e-6 <= seconds <= full + 1e-6
        shares.append(seconds / full)
        assert cooldown.until == now + seconds
        now = cooldown.until
    assert len(set(shares)) > 1, "the jitter is drawn each time"


@pytest.mark.parametrize("quarantine", [False, True])
def test_refusals_that_arrive_together_are_one_occasion(quarantine: bool) -> None:
    """Twenty requests under way meet the same limit: the next rest is the second, not the twentieth."""
    cooldown, rng = Cooldown(), random.Random(1)
    first = 300.0 if quarantine else 1.0
    for _ in range(20):
        seconds = cooldown.quarantine(START, rng) if quarantine else cooldown.rest(START, None, rng)
        assert seconds <= first
    now = cooldown.until
    seconds = cooldown.quarantine(now, rng) if quarantine else cooldown.rest(now, None, rng)
    assert first <= seconds <= 2 * first + 1e-6


def test_a_rest_is_never_shortened() -> None:
    """B10: a smaller hint, or the answer to an older request, does not bring the end nearer."""
    cooldown, rng = Cooldown(), random.Random(1)
    cooldown.rest(START, 60.0, rng)
    assert cooldown.rest(later(10.0), 1.0, rng) == 50.0
    assert cooldown.rest(later(20.0), None, rng) == 40.0
    assert cooldown.until == later(60.0)
    assert cooldown.rest(later(30.0), 45.0, rng) == 45.0


def test_a_success_from_before_does_not_end_the_rest() -> None:
    """A success that was admitted before the rest began says nothing about it: it runs to its end, and still counts."""
    cooldown, rng = Cooldown(), random.Random(1)
    cooldown.rest(START, None, rng)
    end = cooldown.until
    cooldown.clear(START)
    assert cooldown.until == end
    assert cooldown.resting(START)
    assert cooldown.rest(end, None, rng) >= 1.0, "the doubling goes on"


def test_a_success_after_the_rest_begins_small_again() -> None:
    """The next rest is a first one, and so is the next quarantine."""
    cooldown, rng, now = Cooldown(), random.Random(1), START
    for _ in range(6):
        cooldown.rest(now, None, rng)
        now = cooldown.until
        cooldown.quarantine(now, rng)
        now = cooldown.until
    cooldown.clear(now)
    assert cooldown.rest(now, None, rng) <= 1.0 + 1e-6
    now = cooldown.until
    cooldown.clear(now)
    assert cooldown.quarantine(now, rng) <= 300.0 + 1e-6


def test_rests_do_not_lengthen_quarantines() -> None:
    """Six rate limits in a row and then a bad permission: five minutes, not an hour; and the other way round."""
    cooldown, rng, now = Cooldown(), random.Random(1), START
    for _ in range(6):
        cooldown.rest(now, None, rng)
        now = cooldown.until
    assert cooldown.quarantine(now, rng) <= 300.0 + 1e-6
    assert cooldown.rest(cooldown.until, None, rng) <= 60.0 + 1e-6


def test_a_quarantine_during_a_rest_is_its_own_first() -> None:
    """The quarantine that comes while a short rest runs counts, so the one after it is twice as long."""
    cooldown, rng = Cooldown(), random.Random(1)
    cooldown.rest(START, 2.0, rng)
    assert 150.0 - 1e-6 <= cooldown.quarantine(later(1.0), rng) <= 300.0 + 1e-6
    assert cooldown.quarantine(cooldown.until, rng) >= 300.0 - 1e-6


@given(
    st.integers(0, 2**32),
    st.lists(
        st.tuples(st.floats(0, 5000), st.sampled_from(["hint", "rest", "quarantine", "clear"]), st.floats(-10, 1e5)),
        max_size=40,
    ),
)
@settings(deadline=None)
def test_the_end_only_moves_on_and_stays_within_an_hour(seed: int, steps: list[tuple[float, str, float]]) -> None:
    """Whatever comes in whatever order: no rest is shortened, none ends more than an hour from now, seeds decide."""
    one, two = Cooldown(), Cooldown()
    rngs, now = (random.Random(seed), random.Random(seed)), START
    for seconds, what, hint in steps:
        now = Monotonic(now + seconds)
        before = one.until
        for cooldown, rng in zip((one, two), rngs, strict=True):
            if what == "clear":
                cooldown.clear(now)
            elif what == "quarantine":
                assert cooldown.quarantine(now, rng) == cooldown.until - now
            else:
                assert cooldown.rest(now, hint if what == "hint" else None, rng) == cooldown.until - now
        assert before <= one.until == two.until <= max(before, now + LONGEST)
        assert one.resting(now) == (now < one.until)
