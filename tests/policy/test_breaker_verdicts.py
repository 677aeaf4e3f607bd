"""The breaker's verdicts - dead, failing, slow - and what they mean for those who have no elsewhere."""

import random

import pytest

from standfast.canon.attempt import Outcome
from standfast.canon.instants import Monotonic
from standfast.policy.breaker import Breaker, BreakerSettings, State
from standfast.policy.breaker_settings import CallWindow

START = Monotonic(1_000.0)
OK, BAD, NONE = Outcome.SUCCESS, Outcome.FAILURE, Outcome.CANCELLED


class Hands:
    """A breaker with its seed and its clock."""

    def __init__(self, **settings: object) -> None:
        self.breaker = Breaker(BreakerSettings.model_validate(settings))
        self.rng = random.Random(1)
        self.now = START

    def tickets(self, number: int) -> list[int]:
        """So many calls set off."""
        found = [self.breaker.admit(self.now) for _ in range(number)]
        assert None not in found
        return [ticket for ticket in found if ticket is not None]

    def settle(self, ticket: int, outcome: Outcome, *, slow: bool = False) -> tuple[State, State] | None:
        """Report a result now."""
        return self.breaker.settle(ticket, outcome, self.now, self.rng, slow=slow)

    def calls(self, *outcomes: Outcome) -> None:
        """Calls that end at once."""
        for outcome in outcomes:
            self.settle(*self.tickets(1), outcome)

    def slow_calls(self, number: int) -> tuple[State, State] | None:
        """Calls that are slow and succeed; what the last one changed."""
        moved = None
        for _ in range(number):
            (ticket,) = self.tickets(1)
            moved = self.breaker.lag(ticket, self.now, self.rng)
            self.settle(ticket, OK, slow=True)
        return moved

    def soft(self) -> int | None:
        """Ask without an elsewhere."""
        return self.breaker.admit_softly(self.now)

    @property
    def state(self) -> State:
        """The state now."""
        return self.breaker.state(self.now)


def failing() -> Hands:
    """Opened by a share of failures."""
    hands = Hands()
    hands.calls(OK, BAD, BAD, BAD, OK, OK, OK, BAD, OK, BAD)
    assert hands.state is State.OPEN
    return hands


def slow() -> Hands:
    """Opened by a share of slow calls."""
    hands = Hands()
    hands.calls(OK, OK, OK, OK, OK)
    assert hands.slow_calls(5) == (State.CLOSED, State.OPEN)
    return hands


# opening


def test_quick_failures_of_a_burst_are_no_run() -> None:
    """D2: a hundred calls, one in twenty refused at once: five failures in a row are seen before the first answer."""
    hands = Hands()
    tickets = hands.tickets(100)
    for ticket in tickets[::20]:
        assert hands.settle(ticket, BAD) is None
    for ticket in tickets:
        if ticket not in tickets[::20]:
            hands.settle(ticket, OK)
    assert hands.state is State.CLOSED
    assert hands.breaker.recent(hands.now) == (100, 5)


def test_quick_failures_of_a_burst_are_no_rate() -> None:
    """D2: four in ten of a hundred are refused at once; the share is one of what was admitted, not of what is known."""
    hands = Hands(consecutive=1000)
    tickets = hands.tickets(100)
    for ticket in tickets[:78:2]:
        assert hands.settle(ticket, BAD) is None
    assert hands.settle(tickets[78], BAD) == (State.CLOSED, State.OPEN)


def test_who_gave_up_does_not_excuse_failures() -> None:
    """Calls that were cancelled are no part of what was admitted: 10 of 10 have failed, though 30 set off."""
    hands = Hands(consecutive=1000)
    tickets = hands.tickets(30)
    for ticket in tickets[:20]:
        hands.settle(ticket, NONE)
    for ticket in tickets[20:-1]:
        assert hands.settle(ticket, BAD) is None
    assert hands.settle(tickets[-1], BAD) == (State.CLOSED, State.OPEN)


def test_a_hang_opens_with_five_timeouts_however_many_set_off_after_them() -> None:
    """D1: a thousand calls are under way when the first five time out, in the order in which they set off."""
    hands = Hands()
    tickets = hands.tickets(1000)
    assert [hands.settle(ticket, BAD) for ticket in tickets[:5]] == [None] * 4 + [(State.CLOSED, State.OPEN)]


def test_a_run_where_failing_is_usual_is_chance() -> None:
    """D2: where three in ten fail anyway, five in a row are no news; twelve in a row are."""
    hands = Hands(min_calls=20, rate=0.9)
    hands.calls(*([BAD] * 3 + [OK] * 7) * 10)
    hands.calls(*[BAD] * 11)
    assert hands.state is State.CLOSED
    hands.calls(BAD)
    assert hands.state is State.OPEN


def test_a_share_of_slow_calls_opens_it() -> None:
    """D1: half of at least ten calls; that it is slow is counted when it is known, not when the answer is whole."""
    hands = Hands()
    hands.calls(*[OK] * 5)
    tickets = hands.tickets(5)
    moved = [hands.breaker.lag(ticket, hands.now, hands.rng) for ticket in tickets]
    assert moved == [None] * 4 + [(State.CLOSED, State.OPEN)]
    assert hands.breaker.refusal(hands.now) == "slow"


def test_a_slow_call_counts_once() -> None:
    """Reported as slow, then as a success: one call."""
    hands = Hands()
    hands.slow_calls(3)
    assert hands.breaker.recent(hands.now) == (3, 0)


def test_slow_calls_can_be_ignored() -> None:
    """`slow_rate: null`: neither the window nor a trial minds."""
    hands = Hands(slow_rate=None, open=2.0)
    hands.slow_calls(100)
    assert hands.state is State.CLOSED
    while hands.state is State.CLOSED:
        hands.calls(BAD)
    hands.now = hands.breaker.retry_at(hands.now)
    hands.slow_calls(2)
    assert hands.state is State.CLOSED


def test_a_window_of_calls_forgets_by_calls() -> None:
    """A day between two calls is nothing to it; a hundred calls are."""
    hands = Hands(window=CallWindow(calls=20), consecutive=1000)
    hands.calls(*[BAD] * 9)
    hands.now = Monotonic(hands.now + 86_400)
    assert hands.breaker.recent(hands.now) == (9, 9)
    hands.calls(*[OK] * 11)
    assert hands.breaker.recent(hands.now) == (20, 9)
    hands.calls(*[OK] * 9)
    assert hands.breaker.recent(hands.now) == (20, 0)


def test_a_window_must_hold_what_is_asked_of_it() -> None:
    """A rule that can never take effect is an error."""
    with pytest.raises(ValueError, match="never holds `min_calls`"):
        BreakerSettings(window=CallWindow(calls=9))


# no elsewhere


def test_the_dead_are_left_alone() -> None:
    """D5: after a run of failures nobody gets through, elsewhere or not."""
    hands = Hands()
    hands.calls(*[BAD] * 5)
    assert hands.breaker.refusal(hands.now) == "open"
    assert hands.breaker.barred(hands.now)
    assert [hands.soft() for _ in range(10)] == [None] * 10


def test_of_the_failing_every_second_one_gets_through() -> None:
    """D2: who answers half of the calls is better than nobody, and is spared half of them."""
    hands = failing()
    assert hands.breaker.refusal(hands.now) == "failing"
    assert not hands.breaker.barred(hands.now)
    assert [hands.soft() is None for _ in range(6)] == [False, True] * 3


def test_of_the_slow_everyone_gets_through() -> None:
    """D1: a late answer is better than none."""
    hands = slow()
    assert [hands.soft() is None for _ in range(6)] == [False] * 6


def test_what_gets_through_beside_the_verdict_decides_no_trial() -> None:
    """Soft calls neither take a permit of the trial nor end it."""
    hands = slow()
    hands.now = hands.breaker.retry_at(hands.now)
    soft = [hands.soft() for _ in range(20)]
    trial = hands.tickets(3)
    assert hands.breaker.admit(hands.now) is None
    for ticket in soft[:10]:
        assert ticket is not None
        assert hands.settle(ticket, OK) is None
    for ticket in soft[10:13]:
        assert ticket is not None
        assert hands.settle(ticket, BAD) is None
    assert hands.state is State.HALF_OPEN
    assert [hands.settle(ticket, OK) for ticket in trial[:2]] == [None, (State.HALF_OPEN, State.CLOSED)]


def test_a_slow_call_of_the_trial_ends_it() -> None:
    """D1: it is told at the first content; the open time doubles, and the verdict is `slow` again."""
    hands = slow()
    hands.now = hands.breaker.retry_at(hands.now)
    (ticket,) = hands.tickets(1)
    assert hands.breaker.lag(ticket, hands.now, hands.rng) == (State.HALF_OPEN, State.OPEN)
    assert hands.settle(ticket, OK, slow=True) is None
    assert hands.breaker.refusal(hands.now) == "slow"
    assert hands.breaker.retry_at(hands.now) - hands.now >= 5.0


def test_whom_soft_calls_show_to_be_well_is_tried_at_once() -> None:
    """Ten soft calls of which hardly one is bad begin the trial before the open time is over."""
    hands = slow()
    moved = None
    for n in range(10):
        ticket = hands.soft()
        assert ticket is not None
        moved = hands.settle(ticket, BAD if n < 2 else OK)
        assert hands.state is (State.OPEN if n < 9 else State.HALF_OPEN)
    assert moved == (State.OPEN, State.HALF_OPEN)


@pytest.mark.parametrize("bad", ["failed", "slow"])
def test_soft_calls_that_are_half_as_bad_as_forbidden_begin_no_trial(bad: str) -> None:
    """Three of twelve are half of what opens it: it is not well yet."""
    hands = slow()
    for n in range(12):
        ticket = hands.soft()
        assert ticket is not None
        if n % 4 == 0 and bad == "slow":
            hands.breaker.lag(ticket, hands.now, hands.rng)
        hands.settle(ticket, BAD if n % 4 == 0 and bad == "failed" else OK, slow=n % 4 == 0 and bad == "slow")
    assert hands.state is State.OPEN


def test_soft_calls_find_out_that_it_is_dead() -> None:
    """D5: the slow one dies: five soft failures in a row and nobody gets through any more."""
    hands = slow()
    for _ in range(5):
        ticket = hands.soft()
        assert ticket is not None
        hands.settle(ticket, BAD)
    assert hands.soft() is None
    assert hands.breaker.refusal(hands.now) == "open"


def test_of_the_failing_a_short_run_is_no_death() -> None:
    """D2: of whom half fails, nineteen in a row are chance and twenty are not."""
    hands = failing()
    for _ in range(20):
        ticket = hands.soft() or hands.soft()
        assert ticket is not None
        assert hands.breaker.refusal(hands.now) == "failing"
        hands.settle(ticket, BAD)
    assert hands.breaker.refusal(hands.now) == "open"


def test_who_answered_in_the_trial_is_not_dead() -> None:
    """D2: the dead answers once and fails once: failing, so some get through."""
    hands = Hands()
    hands.calls(*[BAD] * 5)
    hands.now = hands.breaker.retry_at(hands.now)
    one, two = hands.tickets(2)
    hands.settle(one, OK)
    assert hands.settle(two, BAD) == (State.HALF_OPEN, State.OPEN)
    assert hands.breaker.refusal(hands.now) == "failing"


def test_a_soft_result_of_before_the_last_change_is_dropped() -> None:
    """It speaks of a time that is over."""
    hands = slow()
    tickets = [hands.soft() for _ in range(10)]
    hands.now = hands.breaker.retry_at(hands.now)
    assert hands.state is State.HALF_OPEN
    for ticket in tickets:
        assert ticket is not None
        hands.settle(ticket, BAD)
        hands.breaker.lag(ticket, hands.now, hands.rng)
    assert hands.breaker.refusal(hands.now) == "slow"
    assert hands.breaker.recent(hands.now) == (0, 0)


def test_that_the_open_time_is_over_is_news() -> None:
    """Whoever looks first moves it; the news waits for the owner to take it out."""
    hands = failing()
    hands.now = hands.breaker.retry_at(hands.now)
    assert hands.breaker.news == []
    assert hands.state is State.HALF_OPEN
    assert [(change.before, change.after) for change in hands.breaker.news] == [("open", "half_open")]
    assert hands.state is State.HALF_OPEN
    assert len(hands.breaker.news) == 1
