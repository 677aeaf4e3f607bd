"""Looks: who fails at once is asked again in the middle of a long rest, who keeps callers waiting is not."""

import random
from itertools import pairwise

import pytest

from standfast.canon.attempt import Outcome
from standfast.canon.instants import Monotonic
from standfast.policy.breaker import Breaker, BreakerSettings, State
from standfast.policy.kin import Family

START = Monotonic(1_000.0)
OK, BAD = Outcome.SUCCESS, Outcome.FAILURE


class Target:
    """A breaker of a fleet, and the hands that move it; failures come after so many seconds."""

    def __init__(self, *, fails_after: float = 0.01, family: bool = True) -> None:
        self.breaker = Breaker(BreakerSettings(), "a/m")
        if family:
            Family("a").add(self.breaker)
        self.rng = random.Random(1)
        self.now = START
        self.fails_after = fails_after

    def ask(self) -> int | None:
        """A permit, or none."""
        return self.breaker.admit(self.now)

    def end(self, ticket: int | None, outcome: Outcome, after: float) -> None:
        """How a call ended."""
        assert ticket is not None
        self.now = Monotonic(self.now + after)
        self.breaker.settle(ticket, outcome, self.now, self.rng)

    def fall(self, trials: int) -> None:
        """It opens, and so many trials fail."""
        for _ in range(5):
            self.end(self.ask(), BAD, self.fails_after)
        for _ in range(trials):
            self.now = self.breaker.retry_at(self.now)
            self.end(self.ask(), BAD, self.fails_after)
        assert self.breaker.state(self.now) is State.OPEN

    def looks(self) -> list[float]:
        """Ask every second until the rest is over, and fail; seconds into the rest at which a look was let through."""
        began, found = self.now, []
        while self.breaker.state(self.now) is State.OPEN:
            ticket = self.ask()
            if ticket is not None:
                found.append(self.now - began)
                self.end(ticket, BAD, self.fails_after)
            self.now = Monotonic(self.now + 1.0)
        return found


def test_a_long_rest_has_looks_a_quarter_of_the_trouble_apart() -> None:
    """After six failed trials of a refusing target: the looks are ever further apart; a short rest has none."""
    target = Target()
    target.fall(1)
    assert target.looks() == [], "a rest of ten seconds at most"
    target = Target()
    target.fall(6)
    found = target.looks()
    assert found[0] >= 10.0
    gaps = [later - sooner for sooner, later in pairwise(found)]
    assert len(gaps) >= 2
    assert gaps == sorted(gaps)
    assert gaps[-1] > 1.2 * gaps[0]


def test_a_look_that_succeeds_begins_the_trial() -> None:
    """One more success, and it is closed, long before its rest was over."""
    target = Target()
    target.fall(5)
    until = target.breaker.retry_at(target.now)
    while (ticket := target.ask()) is None:
        target.now = Monotonic(target.now + 1.0)
    target.end(ticket, OK, 0.5)
    assert target.breaker.state(target.now) is State.HALF_OPEN
    target.end(target.ask(), OK, 0.5)
    assert target.breaker.state(target.now) is State.CLOSED
    assert target.now < until - 10.0


def test_who_kept_callers_waiting_is_not_looked_at() -> None:
    """Trials that failed after two seconds: nothing is let through before the rest is over."""
    target = Target(fails_after=2.0)
    target.fall(6)
    assert target.looks() == []


def test_a_look_that_waits_is_the_last() -> None:
    """A target that refused at once and now hangs costs one caller a wait."""
    target = Target()
    target.fall(7)
    target.fails_after = 5.0
    assert len(target.looks()) == 1


@pytest.mark.parametrize("what", ["outrun", "lag"])
def test_a_late_look_is_the_last(what: str) -> None:
    """The same, seen before its end: another attempt was faster, or its first content was slow."""
    target = Target()
    target.fall(5)
    while (ticket := target.ask()) is None:
        target.now = Monotonic(target.now + 1.0)
    assert target.breaker.tries(ticket), "so it is accompanied when it is late"
    if what == "outrun":
        assert target.breaker.outrun(ticket, target.now, target.rng, row=False) is None
    else:
        assert target.breaker.lag(ticket, target.now, target.rng) is None
    target.end(ticket, Outcome.CANCELLED, 1.5)
    assert target.breaker.retry_at(target.now) - target.now > 1.5 * (target.now - START) / 4, "there would be another"
    assert target.looks() == []


def test_one_look_at_a_time() -> None:
    """While it is under way nobody else is let through."""
    target = Target()
    target.fall(7)
    while target.ask() is None:
        target.now = Monotonic(target.now + 1.0)
    for _ in range(30):
        target.now = Monotonic(target.now + 1.0)
        assert target.ask() is None


def test_a_circuit_alone_is_never_looked_at() -> None:
    """The public `CircuitBreaker` knows no elsewhere: open is open."""
    target = Target(family=False)
    target.fall(7)
    assert target.looks() == []


def test_a_trial_that_loses_late_once_goes_on_if_failures_came_at_once() -> None:
    """One call in twenty is late by chance; the second one that loses late has failed the trial."""
    target = Target()
    target.fall(2)
    target.now = target.breaker.retry_at(target.now)
    for after in (State.HALF_OPEN, State.OPEN):
        ticket = target.ask()
        assert ticket is not None
        target.now = Monotonic(target.now + 1.5)
        target.breaker.outrun(ticket, target.now, target.rng, row=False)
        target.breaker.settle(ticket, Outcome.CANCELLED, target.now, target.rng)
        assert target.breaker.state(target.now) is after


def test_a_trial_waits_no_longer_for_its_first_call_than_a_first_content_may_take() -> None:
    """A whole reply says nothing for half a minute: after `slow_after` another call joins the trial."""
    target = Target()
    target.fall(1)
    target.now = target.breaker.retry_at(target.now)
    assert target.ask() is not None
    target.now = Monotonic(target.now + 2.9)
    assert target.ask() is None
    target.now = Monotonic(target.now + 0.2)
    assert target.ask() is not None
    assert target.ask() is None, "one after the other"
