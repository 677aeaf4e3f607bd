"""Which wait for the first content is slow."""

import random

import pytest

from standfast.canon.instants import Monotonic
from standfast.policy.usual import ENOUGH, SETTLED, Usual, Usuals

MEDIAN, SIGMA = 0.5, 0.58
"""First tokens of half a second in the median and 1.3 s in the 95th percentile."""


class Life:
    """A deployment that answers ten times a second."""

    def __init__(self, median: float = MEDIAN, seed: int = 1) -> None:
        self.median = median
        self.usuals = Usuals(slow_after=1.0)
        self.rng = random.Random(seed)
        self.now = Monotonic(1_000.0)

    def answers(self, seconds: float, *, factor: float = 1.0, tokens: int = 100) -> float:
        """So many seconds of traffic; the share of slow answers."""
        slow = []
        for _ in range(int(seconds * 10)):
            self.now = Monotonic(self.now + 0.1)
            took = factor * self.rng.lognormvariate(0.0, SIGMA) * self.median
            slow.append(self.usuals.observe(took, tokens, self.now, stream=True))
        return sum(slow) / len(slow)


def test_ordinary_variation_is_not_slow() -> None:
    """In an hour of usual answers next to nothing is slow: three times the 95th percentile is far out."""
    life = Life()
    assert life.answers(3600) < 0.002


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_finds_the_95th_percentile(seed: int) -> None:
    """One in twenty is above it, whatever the first twenty answers were."""
    usual, rng, now = Usual(), random.Random(seed), Monotonic(0.0)
    above = 0
    for n in range(5000):
        now = Monotonic(now + 0.1)
        took = rng.lognormvariate(0.0, SIGMA)
        above += n >= 500 and took > usual.p95
        usual.observe(took, now)
    assert 0.03 < above / 4500 < 0.08


def test_a_brownout_stays_slow_while_it_lasts() -> None:
    """D1: twenty times slower for twenty minutes: the answers of the last minute are slow as those of the first."""
    life = Life()
    life.answers(600)
    assert life.answers(60, factor=20.0) > 0.8
    life.answers(1080, factor=20.0)
    assert life.answers(60, factor=20.0) > 0.7


def test_what_is_slow_for_good_is_normal_in_the_end() -> None:
    """Sixteen times slower from now on: slow for the first half hour, normal after three hours."""
    life = Life()
    life.answers(600)
    assert life.answers(1800, factor=16.0) > 0.5
    life.answers(9000, factor=16.0)
    assert life.answers(600, factor=16.0) < 0.05


def test_after_a_brownout_it_is_what_it_was() -> None:
    """D1: the baseline has hardly moved, so the next brownout is seen as the first one was."""
    life = Life()
    life.answers(600)
    life.answers(1200, factor=20.0)
    life.answers(600)
    assert life.answers(30, factor=20.0) > 0.8


def test_nothing_is_slow_without_a_history() -> None:
    """The first twenty answers of a kind are never slow, however long they take."""
    usuals = Usuals(slow_after=1.0)
    now = Monotonic(1_000.0)
    assert not any(usuals.observe(1.0 + 10.0 * n, 100, now, stream=True) for n in range(ENOUGH))
    assert usuals.observe(3.1 * (1.0 + 10.0 * (ENOUGH - 1)), 100, now, stream=True)


def test_below_the_configured_time_nothing_is_slow() -> None:
    """Ten times slower than usual and still below what anybody minds."""
    life = Life(median=0.005)
    life.answers(60)
    assert life.answers(10, factor=15.0) == 0.0
    life.usuals.slow_after = 0.02
    assert life.answers(10, factor=15.0) > 0.5


def test_sizes_and_kinds_have_their_own_history() -> None:
    """Long prompts and whole replies take long by nature: they are compared with their own like."""
    life = Life()
    life.answers(600)
    assert life.answers(ENOUGH / 10, factor=20.0, tokens=50_000) == 0.0
    assert life.answers(60, factor=20.0, tokens=50_000) < 0.05
    assert life.answers(10, factor=20.0) > 0.8
    assert not life.usuals.observe(100.0, 100, life.now, stream=False)


def test_a_wait_that_was_given_up_counts_above_the_percentile_only() -> None:
    """Who was outrun after a usual time says nothing; after three times the percentile it was slow."""
    usuals = Usuals(slow_after=1.0)
    now = Monotonic(1_000.0)
    for _ in range(ENOUGH):
        usuals.observe(1.0, 100, now, stream=True)
    for _ in range(1000):
        assert not usuals.outrun(0.9, 100, now, stream=True)
    assert not usuals.outrun(2.9, 100, now, stream=True)
    assert usuals.outrun(3.3, 100, now, stream=True)


def test_it_rises_freely_while_little_is_known() -> None:
    """A hundred quick answers of a first try-out do not make the real traffic slow for hours."""
    usual, now = Usual(), Monotonic(0.0)
    for n in range(SETTLED - 100):
        usual.observe(0.1 + n * 1e-6, now)
    slow = [usual.observe(1.0, now) for _ in range(100)]
    assert any(slow)
    assert not any(slow[40:])
