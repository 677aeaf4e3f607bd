"""Circuit breaker: leave alone what fails, try it again carefully.

House rules of this file:

* Asking (`admit`) and reporting (`settle`) are two steps. A permit is the number of the generation that gave it; the
  generation changes with the state, and a result of an older generation is dropped.
* Outcomes are three: success, failure, and cancelled, which says nothing and only gives the permit back.
* No more results count than permits are out: one that comes when none is out was settled before, and is dropped.
* Nothing happens by itself: an open breaker whose time is over becomes half-open when it is next looked at.

Theory. Two ways to open, because one is blind where the other sees: with little traffic a rate has no meaning, so N
failures in a row open it (Envoy, Finagle: 5); with much traffic a run of failures is chance or a burst, so a share of
the calls in a sliding window opens it once there are enough of them (resilience4j). Both are judged when a failure
comes; a success never opens anything. The open time doubles with every failed trial, with equal jitter so that many
gateways do not return at one instant. (Nygard, "Release It!", 2007.)

What a late result means:

    given in    settled in          means
    closed      closed, same        counts
    closed      open, half-open     nothing: the verdict has been given
    half-open   half-open, same     counts for the trial
    half-open   closed or open      nothing: the trial is over
    open        open, same          the rare probe of the panic rule: a success begins the trial, and is its first
    open        half-open           nothing: the trial has begun without it
    any         any, a later one    nothing: it speaks of a time before the last change

An operator may force a breaker open or closed. Then nothing counts and nothing moves it but the operator, who releases
it into the closed state with clean counts.
"""

import random
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated

from pydantic import Field

from standfast.canon.attempt import Outcome
from standfast.canon.instants import NEVER, Monotonic
from standfast.canon.settings import Seconds, Settings
from standfast.policy.window import TimeWindow

PROBE_INTERVAL = 1.0
"""Seconds between probes of the panic rule; also when to ask again while all permits of a trial are taken."""


class State(StrEnum):
    """Closed lets everything through, open nothing, half-open a few; the forced ones are an operator's word."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    FORCED_CLOSED = "forced_closed"


class Event(StrEnum):
    """What moves a breaker."""

    TRIPPED = "tripped"  # too many failures
    RESTED = "rested"  # the open time is over
    RECOVERED = "recovered"  # enough successes of the trial
    RELAPSED = "relapsed"  # a failure of the trial
    PROBED = "probed"  # a probe of the panic rule succeeded
    FORCED_OPEN = "forced_open"  # an operator says so
    FORCED_CLOSED = "forced_closed"  # the same
    RELEASED = "released"  # an operator leaves it to itself again


TRANSITIONS: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        (State.CLOSED, Event.TRIPPED): State.OPEN,
        (State.OPEN, Event.RESTED): State.HALF_OPEN,
        (State.OPEN, Event.PROBED): State.HALF_OPEN,
        (State.HALF_OPEN, Event.RECOVERED): State.CLOSED,
        (State.HALF_OPEN, Event.RELAPSED): State.OPEN,
        (State.CLOSED, Event.FORCED_OPEN): State.FORCED_OPEN,
        (State.OPEN, Event.FORCED_OPEN): State.FORCED_OPEN,
        (State.HALF_OPEN, Event.FORCED_OPEN): State.FORCED_OPEN,
        (State.FORCED_CLOSED, Event.FORCED_OPEN): State.FORCED_OPEN,
        (State.CLOSED, Event.FORCED_CLOSED): State.FORCED_CLOSED,
        (State.OPEN, Event.FORCED_CLOSED): State.FORCED_CLOSED,
        (State.HALF_OPEN, Event.FORCED_CLOSED): State.FORCED_CLOSED,
        (State.FORCED_OPEN, Event.FORCED_CLOSED): State.FORCED_CLOSED,
        (State.FORCED_OPEN, Event.RELEASED): State.CLOSED,
        (State.FORCED_CLOSED, Event.RELEASED): State.CLOSED,
    }
)
"""The whole machine. An event that has no row in a state changes nothing."""

_CLOSED, _OPEN, _HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN  # a look-up in an enum costs as much as a call
_SUCCESS, _FAILURE = Outcome.SUCCESS, Outcome.FAILURE
_SHUT = frozenset((State.OPEN, State.FORCED_OPEN))
_FORCES: Mapping[State | None, Event] = MappingProxyType(
    {
        State.FORCED_OPEN: Event.FORCED_OPEN,
        State.FORCED_CLOSED: Event.FORCED_CLOSED,
        None: Event.RELEASED,
    }
)


class BreakerSettings(Settings):
    """When a deployment is given a rest, and how it comes back.

    Attributes:
        consecutive: failures in a row that open it, for low traffic (5 in a row, as Envoy and Finagle do).
        rate: share of failures in the window that opens it, once there are `min_calls`.
        min_calls: calls in the window before `rate` counts.
        window: length of the sliding window, seconds.
        open: first open time, seconds; doubles each time the half-open trial fails, with equal jitter.
        open_cap: the longest open time, seconds.
        half_open_permits: calls let through at the same time while half-open.
        half_open_successes: successes in a row that close it again.
    """

    consecutive: Annotated[int, Field(ge=1)] = 5
    rate: Annotated[float, Field(gt=0, le=1)] = 0.5
    min_calls: Annotated[int, Field(ge=1)] = 10
    window: Annotated[Seconds, Field(gt=0)] = 30.0
    open: Annotated[Seconds, Field(gt=0)] = 5.0
    open_cap: Annotated[Seconds, Field(gt=0)] = 300.0
    half_open_permits: Annotated[int, Field(ge=1)] = 3
    half_open_successes: Annotated[int, Field(ge=1)] = 2


class Breaker:
    """The breaker of one deployment.

    Args:
        settings: when to open and how to come back.

    Attributes:
        opened_at: when it opened last; meaningful only while it is open.
    """

    __slots__ = (
        "_generation",
        "_next_probe",
        "_out",
        "_row",
        "_settings",
        "_state",
        "_successes",
        "_trips",
        "_until",
        "_window",
        "opened_at",
    )

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._state = _CLOSED
        self._generation = 0
        self._window = TimeWindow(settings.window)
        self._row = 0  # failures in a row
        self._trips = 0  # openings since it was last closed
        self._out = 0  # permits of this generation that are not settled
        self._successes = 0
        self._until = Monotonic(0.0)
        self._next_probe = Monotonic(0.0)
        self.opened_at = Monotonic(0.0)

    def state(self, now: Monotonic) -> State:
        """The state at this instant."""
        if self._state is _OPEN and now >= self._until:
            self._move(Event.RESTED)
        return self._state

    def admit(self, now: Monotonic) -> int | None:
        """The generation of a permit for one call, or None: not now."""
        if self._state is not _CLOSED and not self._passes(now):
            return None
        self._out += 1
        return self._generation

    def _passes(self, now: Monotonic) -> bool:
        state = self.state(now)
        if state is _HALF_OPEN:
            return self._out < self._settings.half_open_permits
        return state not in _SHUT

    def retry_at(self, now: Monotonic) -> Monotonic:
        """When a call that is refused now may come again; `now` if it would not be refused."""
        state = self.state(now)
        if state is _OPEN:
            return self._until
        if state is State.FORCED_OPEN:
            return NEVER  # until the operator says otherwise
        if state is _HALF_OPEN and self._out >= self._settings.half_open_permits:
            return Monotonic(now + PROBE_INTERVAL)  # nobody knows when a permit comes back
        return now

    def force_probe(self, now: Monotonic) -> int | None:
        """While open, a permit for the panic rule: one at a time and at most one a second."""
        if self.state(now) is not _OPEN or self._out or now < self._next_probe:
            return None
        self._out += 1
        self._next_probe = Monotonic(now + PROBE_INTERVAL)
        return self._generation

    def settle(
        self, generation: int, outcome: Outcome, now: Monotonic, rng: random.Random
    ) -> tuple[State, State] | None:
        """Report how a call with a permit of this generation ended; states before and after if that changed it."""
        before = self.state(now)
        if generation != self._generation or not self._out:
            return None
        self._out -= 1
        if before is _CLOSED:
            self._settle_closed(outcome, now, rng)
        elif before is _HALF_OPEN:
            self._settle_half_open(outcome, now, rng)
        elif before is _OPEN and outcome is _SUCCESS:
            self._move(Event.PROBED)
            self._succeed()
        return None if self._state is before else (before, self._state)

    def force(self, state: State | None, now: Monotonic) -> tuple[State, State] | None:
        """An operator's word: `FORCED_OPEN`, `FORCED_CLOSED`, or None to leave it to itself again.

        Returns:
            States before and after; None if nothing changed.

        Raises:
            ValueError: any other state; those a breaker finds by itself.
        """
        if state not in _FORCES:
            raise ValueError("a breaker can be forced open or closed, or released (None)")
        before = self.state(now)
        self._move(_FORCES[state])
        if self._state is _CLOSED:
            self._trips = 0
        return None if self._state is before else (before, self._state)

    def recent(self, now: Monotonic) -> tuple[int, int]:
        """Calls and failures in the window."""
        return self._window.counts(now)

    def _settle_closed(self, outcome: Outcome, now: Monotonic, rng: random.Random) -> None:
        if outcome is _SUCCESS:
            self._row = 0
            self._window.record(now, ok=True)
        elif outcome is _FAILURE:
            self._row += 1
            self._window.record(now, ok=False)
            calls, failures = self._window.counts(now)
            limits = self._settings
            if self._row >= limits.consecutive or (calls >= limits.min_calls and failures >= limits.rate * calls):
                self._open(Event.TRIPPED, now, rng)

    def _settle_half_open(self, outcome: Outcome, now: Monotonic, rng: random.Random) -> None:
        if outcome is _FAILURE:
            self._open(Event.RELAPSED, now, rng)
        elif outcome is _SUCCESS:
            self._succeed()

    def _succeed(self) -> None:
        self._successes += 1
        if self._successes >= self._settings.half_open_successes:
            self._move(Event.RECOVERED)
            self._trips = 0

    def _open(self, event: Event, now: Monotonic, rng: random.Random) -> None:
        self._move(event)
        limits = self._settings
        full = min(limits.open_cap, limits.open * 2.0 ** min(self._trips, 30))
        self._trips += 1
        self._until = Monotonic(now + full / 2 + rng.uniform(0.0, full / 2))
        self.opened_at = now

    def _move(self, event: Event) -> None:
        """Take the row of the table; every change of state begins a generation with clean counts."""
        after = TRANSITIONS.get((self._state, event))
        if after is None:
            return
        self._state = after
        self._generation += 1
        self._row = self._out = self._successes = 0
        self._window.clear()
