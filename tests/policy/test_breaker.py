"""The circuit breaker: an example for each rule."""

import random

import pytest

from standfast.canon.attempt import Outcome
from standfast.canon.instants import NEVER, Monotonic
from standfast.policy.breaker import PROBE_INTERVAL, TRANSITIONS, Breaker, BreakerSettings, Event, State

START = Monotonic(1_000.0)
PLAIN = BreakerSettings()
OK, BAD, NONE = Outcome.SUCCESS, Outcome.FAILURE, Outcome.CANCELLED


class Hands:
    """A breaker with its seed and its clock, for short tests."""

    def __init__(self, settings: BreakerSettings = PLAIN, seed: int = 1) -> None:
        self.breaker = Breaker(settings)
        self.rng = random.Random(seed)
        self.now = START

    def call(self, outcome: Outcome) -> tuple[State, State] | None:
        """One admitted call and its result."""
        return self.settle(self.admit(), outcome)

    def admit(self) -> int:
        """A permit, which must be given."""
        ticket = self.breaker.admit(self.now) or self.breaker.admit_softly(self.now)
        assert ticket is not None
        return ticket

    def settle(self, ticket: int, outcome: Outcome) -> tuple[State, State] | None:
        """Report a result now."""
        return self.breaker.settle(ticket, outcome, self.now, self.rng)

    def trip(self) -> None:
        """Let it fail until it opens."""
        while self.state is State.CLOSED:
            self.call(BAD)

    def rest(self) -> float:
        """Wait until an open breaker may be tried again; the seconds."""
        seconds = self.breaker.retry_at(self.now) - self.now
        self.now = self.breaker.retry_at(self.now)
        return seconds

    @property
    def state(self) -> State:
        """The state now."""
        return self.breaker.state(self.now)


def test_the_defaults_are_those_of_the_plan() -> None:
    """The configuration contract of the design names these figures."""
    assert PLAIN.model_dump() == {
        "consecutive": 5,
        "rate": 0.5,
        "slow_rate": 0.5,
        "slow_after": 3.0,
        "min_calls": 10,
        "window": 30.0,
        "open": 5.0,
        "open_cap": 300.0,
        "half_open_permits": 3,
        "half_open_successes": 2,
        "ramp": 30.0,
        "force": None,
    }


def test_the_table_is_the_whole_machine() -> None:
    """Six rows; every other pair of state and event is missing, so it changes nothing."""
    own = {State.CLOSED, State.OPEN, State.HALF_OPEN}
    by_itself = {key: after for key, after in TRANSITIONS.items() if {key[0], after} <= own}
    assert by_itself == {
        (State.CLOSED, Event.TRIPPED): State.OPEN,
        (State.CLOSED, Event.INTRODUCED): State.HALF_OPEN,
        (State.OPEN, Event.RESTED): State.HALF_OPEN,
        (State.OPEN, Event.PROBED): State.HALF_OPEN,
        (State.HALF_OPEN, Event.RECOVERED): State.CLOSED,
        (State.HALF_OPEN, Event.RELAPSED): State.OPEN,
    }


@pytest.mark.parametrize("forced", [State.FORCED_OPEN, State.FORCED_CLOSED])
def test_a_forced_state_never_moves_by_itself(forced: State) -> None:
    """From wherever it is an operator can force it; then nothing but the operator moves it, and nothing counts."""
    for state in State:
        if state is not forced:
            assert TRANSITIONS[state, Event(forced.value)] is forced
    assert {event for (state, event) in TRANSITIONS if state is forced} == {
        Event.RELEASED,
        Event.FORCED_OPEN if forced is State.FORCED_CLOSED else Event.FORCED_CLOSED,
    }
    breaker, rng = Breaker(BreakerSettings(consecutive=1)), random.Random(1)
    late = breaker.admit(START)
    assert late is not None
    assert breaker.force(forced, START) == (State.CLOSED, forced)
    assert breaker.force(forced, START) is None
    assert breaker.settle(late, BAD, START, rng) is None
    now = Monotonic(START + 10_000.0)
    permit = breaker.admit(now)
    assert (permit is None) == (forced is State.FORCED_OPEN)
    assert (breaker.retry_at(now) == NEVER) == (forced is State.FORCED_OPEN)
    assert breaker.force_probe(now) is None
    if permit is not None:
        assert breaker.settle(permit, BAD, now, rng) is None
    assert breaker.recent(now) == (0, 0)
    assert breaker.force(None, now) == (forced, State.CLOSED)


def test_only_an_operators_states_can_be_forced() -> None:
    """The states that a breaker finds by itself are no operator's to set."""
    with pytest.raises(ValueError, match="forced open or closed"):
        Breaker(PLAIN).force(State.HALF_OPEN, START)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_an_event_without_a_row_changes_nothing(state: State, event: Event) -> None:
    """A missing cell keeps the state and the generation, so permits of before stay good."""
    breaker = Breaker(PLAIN)
    breaker._state = state
    breaker._move(event)
    expected = TRANSITIONS.get((state, event))
    assert breaker._state is (expected or state)
    assert breaker._first == (0 if expected is None else 1)


def test_failures_in_a_row_open_it() -> None:
    """With little traffic N failures in a row open it, and the last of them says so."""
    hands = Hands()
    assert [hands.call(BAD) for _ in range(5)] == [None] * 4 + [(State.CLOSED, State.OPEN)]
    assert hands.breaker.admit(hands.now) is None
    assert hands.breaker.opened_at == hands.now


def test_a_success_begins_the_row_anew() -> None:
    """Four failures, a success, four failures: no row of five, too few calls for the rate."""
    hands = Hands()
    for outcome in (BAD, BAD, BAD, BAD, OK, BAD, BAD, BAD, BAD):
        hands.call(outcome)
    assert hands.state is State.CLOSED
    assert hands.breaker.recent(hands.now) == (9, 8)


def test_a_share_of_the_window_opens_it() -> None:
    """With much traffic the share decides: half of ten calls failed, never two in a row."""
    hands = Hands()
    moved = [hands.call(OK if n % 2 == 0 else BAD) for n in range(10)]
    assert moved == [None] * 9 + [(State.CLOSED, State.OPEN)]


def test_old_failures_leave_the_window() -> None:
    """What is older than the window does not count for the rate."""
    hands = Hands()
    for n in range(9):
        hands.call(OK if n % 2 == 0 else BAD)
    hands.now = Monotonic(hands.now + 31.0)
    hands.call(BAD)
    assert hands.state is State.CLOSED
    assert hands.breaker.recent(hands.now) == (1, 1)


def test_a_success_never_opens_it() -> None:
    """The tenth call makes the rate count, but it was a success: the verdict waits for the next failure."""
    hands = Hands()
    for outcome in (BAD, BAD, BAD, BAD, OK, BAD, BAD, BAD, BAD, OK):
        assert hands.call(outcome) is None
    assert hands.call(BAD) == (State.CLOSED, State.OPEN)


@pytest.mark.parametrize("state", ["closed", "half_open"])
def test_a_cancelled_call_says_nothing(state: str) -> None:
    """C11: a thousand cancelled clients move no breaker, and give back what they took."""
    hands = Hands()
    if state == "half_open":
        hands.trip()
        hands.rest()
    for _ in range(1000):
        assert hands.call(NONE) is None
    assert hands.state.value == state
    assert hands.breaker.recent(hands.now) == (0, 0)


def test_open_until_its_time_is_over() -> None:
    """A1: between opening and the trial nothing passes, and the instant that it names is the right one."""
    hands = Hands()
    hands.trip()
    back = hands.breaker.retry_at(hands.now)
    hands.now = Monotonic(back - 1e-6)
    assert (hands.state, hands.breaker.admit(hands.now)) == (State.OPEN, None)
    hands.now = back
    assert hands.state is State.HALF_OPEN
    assert hands.breaker.admit(hands.now) is not None


def test_a_trial_is_narrow() -> None:
    """D4: half-open lets a few through at a time; the others are told when to come again, never 'now'."""
    hands = Hands()
    hands.trip()
    hands.rest()
    permits = [hands.admit() for _ in range(3)]
    assert hands.breaker.admit(hands.now) is None
    assert hands.breaker.retry_at(hands.now) == hands.now + PROBE_INTERVAL
    hands.settle(permits[0], NONE)
    assert hands.breaker.retry_at(hands.now) == hands.now
    hands.admit()


def test_successes_of_the_trial_close_it() -> None:
    """D4: enough successes close it, with a clean memory."""
    hands = Hands()
    hands.trip()
    hands.rest()
    assert hands.call(OK) is None
    assert hands.call(OK) == (State.HALF_OPEN, State.CLOSED)
    assert hands.breaker.recent(hands.now) == (0, 0)


def test_one_failure_of_the_trial_opens_it_again() -> None:
    """D4: successes must come in a row; one failure ends the trial."""
    hands = Hands()
    hands.trip()
    hands.rest()
    hands.call(OK)
    assert hands.call(BAD) == (State.HALF_OPEN, State.OPEN)
    hands.rest()
    assert hands.call(OK) is None, "the success of the trial before does not count"


@pytest.mark.parametrize("seed", range(5))
def test_the_open_time_doubles_to_its_cap_with_equal_jitter(seed: int) -> None:
    """D6: half of each open time is fixed and half is drawn, so that many gateways do not return at one instant."""
    hands = Hands(seed=seed)
    hands.trip()
    rests = []
    for _ in range(9):
        rests.append(hands.rest())
        hands.call(BAD)
    for rest, full in zip(rests, [5, 10, 20, 40, 80, 160, 300, 300, 300], strict=True):
        assert full / 2 - 1e-6 <= rest <= full + 1e-6
    assert len({round(rest / full, 6) for rest, full in zip(rests, [5, 10, 20, 40, 80, 160], strict=False)}) > 1


def test_who_answers_now_and_then_rests_no_longer_than_half_of_its_trouble() -> None:
    """D3: flapping: one answer of a trial, then a failure, again and again; without answers the rests would double."""
    hands = Hands()
    hands.trip()
    began = hands.now
    ages, rests = [], []
    for _ in range(12):
        rests.append(hands.rest())
        hands.call(OK)
        hands.call(BAD)
        ages.append(hands.now - began)
    assert 2.5 <= rests[0] <= 5.0 + 1e-6
    for age, rest in zip(ages, rests[1:], strict=False):
        full = max(5.0, age / 2)
        assert full / 2 - 1e-6 <= rest <= full + 1e-6
    assert rests[-1] > 10.0, "they grow all the same"


def test_the_open_time_is_short_again_after_closing() -> None:
    """A recovered deployment is not punished for what happened long ago."""
    hands = Hands()
    hands.trip()
    for _ in range(6):
        hands.rest()
        hands.call(BAD)
    hands.rest()
    hands.call(OK)
    hands.call(OK)
    hands.now = Monotonic(hands.now + 30.0)
    hands.trip()
    assert hands.rest() <= 5.0 + 1e-6


def test_flapping_rests_longer_each_time() -> None:
    """D3: whoever fails again during the ramp that follows a trial rests twice as long as before."""
    hands = Hands()
    rests = []
    for _ in range(5):
        hands.trip()
        rests.append(hands.rest())
        hands.call(OK)
        hands.call(OK)
        hands.now = Monotonic(hands.now + 20.0)
    assert all(2.5 * 2**n - 1e-6 <= rest <= 5.0 * 2**n + 1e-6 for n, rest in enumerate(rests))


def test_a_result_from_before_the_opening_is_dropped() -> None:
    """Given while closed, settled while open, half-open or closed anew: the verdict has been given."""
    hands = Hands()
    late = [hands.admit() for _ in range(12)]
    hands.trip()
    for outcome in Outcome:
        assert hands.settle(late.pop(), outcome) is None
    assert hands.state is State.OPEN
    hands.rest()
    for outcome in (OK, OK, BAD):
        assert hands.settle(late.pop(), outcome) is None
    assert hands.state is State.HALF_OPEN
    hands.call(OK)
    hands.call(OK)
    for _ in range(6):
        assert hands.settle(late.pop(), BAD) is None
    assert hands.state is State.CLOSED
    assert hands.breaker.recent(hands.now) == (0, 0)


def test_a_result_of_a_finished_trial_is_dropped() -> None:
    """Given half-open, settled after the trial ended: it neither closes nor opens anything."""
    hands = Hands()
    hands.trip()
    hands.rest()
    slow, quick = hands.admit(), hands.admit()
    hands.settle(quick, BAD)
    assert hands.settle(slow, OK) is None
    assert hands.state is State.OPEN
    hands.rest()
    hands.admit()
    assert hands.settle(slow, BAD) is None
    assert hands.state is State.HALF_OPEN


@pytest.mark.parametrize("outcome", Outcome)
def test_more_results_than_permits_are_dropped(outcome: Outcome) -> None:
    """A permit is settled once: with none out, a result of the right generation moves and frees nothing."""
    hands = Hands(BreakerSettings(consecutive=1, half_open_permits=1, half_open_successes=1))
    permit = hands.admit()
    hands.settle(permit, OK)
    assert hands.settle(permit, outcome) is None
    assert hands.breaker.recent(hands.now) == (1, 0)
    hands.trip()
    hands.rest()
    permit = hands.admit()
    hands.settle(permit, NONE)
    assert hands.settle(permit, outcome) is None
    hands.admit()
    assert hands.breaker.admit(hands.now) is None, "two settlements of one permit made room for one, not two"


def test_the_panic_probe_is_rare() -> None:
    """D5: when everything is open, one probe at a time and at most one a second."""
    hands = Hands()
    assert hands.breaker.force_probe(hands.now) is None, "closed needs no probe"
    hands.trip()
    until = hands.breaker.retry_at(hands.now)
    first = hands.breaker.force_probe(hands.now)
    assert first is not None
    hands.now = Monotonic(hands.now + 1.5)
    assert hands.breaker.force_probe(hands.now) is None, "one is under way"
    assert hands.settle(first, BAD) is None
    assert hands.breaker.retry_at(hands.now) == until, "a failed probe changes nothing"
    assert hands.breaker.force_probe(hands.now) is not None
    hands.rest()
    assert hands.breaker.force_probe(hands.now) is None, "half-open has permits of its own"


def test_a_cancelled_panic_probe_gives_its_place_back() -> None:
    """D5: a client that leaves does not block the next probe, but the second between two probes stands."""
    hands = Hands()
    hands.trip()
    probe = hands.breaker.force_probe(hands.now)
    assert probe is not None
    hands.settle(probe, NONE)
    assert hands.breaker.force_probe(hands.now) is None
    hands.now = Monotonic(hands.now + PROBE_INTERVAL)
    assert hands.breaker.force_probe(hands.now) is not None


def test_a_panic_probe_that_succeeds_begins_the_trial() -> None:
    """D5: its success is the first of the trial."""
    hands = Hands()
    hands.trip()
    probe = hands.breaker.force_probe(hands.now)
    assert probe is not None
    assert hands.settle(probe, OK) == (State.OPEN, State.HALF_OPEN)
    assert hands.call(OK) == (State.HALF_OPEN, State.CLOSED)


def test_a_panic_probe_may_be_all_that_is_asked() -> None:
    """With one success to close, the probe closes it at once, and says so in one change."""
    hands = Hands(BreakerSettings(half_open_successes=1))
    hands.trip()
    probe = hands.breaker.force_probe(hands.now)
    assert probe is not None
    assert hands.settle(probe, OK) == (State.OPEN, State.CLOSED)


def test_a_panic_probe_that_outlives_the_open_time_says_nothing() -> None:
    """Given open, settled half-open: the trial has begun without it."""
    hands = Hands()
    hands.trip()
    probe = hands.breaker.force_probe(hands.now)
    assert probe is not None
    hands.rest()
    assert hands.settle(probe, BAD) is None
    assert hands.state is State.HALF_OPEN


def test_a_trial_whose_permits_never_come_back_begins_anew() -> None:
    """After the longest open time with all permits out, and twice that the next time; a late result says nothing."""
    hands = Hands(BreakerSettings(open=1.0, open_cap=10.0, half_open_permits=2, half_open_successes=1, ramp=0.0))
    hands.trip()
    hands.rest()
    lost = [hands.admit(), hands.admit()]
    for wait in (10.0, 20.0, 40.0):
        hands.now = Monotonic(hands.now + wait - 0.5)
        assert (hands.breaker.admit(hands.now), hands.breaker.retry_at(hands.now)) == (None, hands.now + 1.0)
        hands.now = Monotonic(hands.now + 0.5)
        assert hands.breaker.retry_at(hands.now) == hands.now
        lost += [hands.admit(), hands.admit()]
        assert hands.breaker.barred(hands.now)
        assert hands.breaker.admit(hands.now) is None
    for ticket in lost[:-2]:
        assert hands.settle(ticket, BAD) is None
    assert hands.settle(lost[-1], OK) == (State.HALF_OPEN, State.CLOSED)
    hands.trip()
    hands.rest()
    hands.admit()
    hands.admit()
    hands.now = Monotonic(hands.now + 10.0)
    assert hands.breaker.admit(hands.now) is not None, "a new time of trouble begins with the first wait"
