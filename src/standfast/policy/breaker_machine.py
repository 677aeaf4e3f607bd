"""The machine under a circuit breaker: its states, generations and ramp, an operator's word, and its news."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from standfast.canon.instants import Monotonic
from standfast.canon.record import Change
from standfast.policy.breaker_settings import BreakerSettings
from standfast.policy.breaker_table import TRANSITIONS, Event, State
from standfast.policy.evidence import Evidence
from standfast.policy.look import Looks
from standfast.policy.ramp import Ramp

if TYPE_CHECKING:  # a family is made of breakers
    from standfast.policy.kin import Family

DEAD, FAILING, SLOW, NEW = "open", "failing", "slow", "ramping"
"""Verdicts; they are also why the fleet denies a permit. Who is new, and who has just recovered, is `ramping`."""

TRYING = "trying"
"""Why it is denied to those who have an elsewhere while the first call of a trial has not been heard of."""

_CLOSED, _OPEN, _HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN  # a look-up in an enum costs as much as a call
_FORCES: Mapping[State | None, Event] = MappingProxyType(
    {
        State.FORCED_OPEN: Event.FORCED_OPEN,
        State.FORCED_CLOSED: Event.FORCED_CLOSED,
        None: Event.RELEASED,
    }
)


class Machine:
    """What a breaker is made of.

    Args:
        settings: when to open and how to come back.
        name: whose it is, for what it tells.
        news: where it leaves what happened when it was merely looked at; the owner takes it out.

    Attributes:
        name, news: the same.
        opened_at: when it opened last; meaningful only while it is open.
        family: the breakers of the same provider; None while nobody has said.
        free: it is closed, and there is nothing else to ask.
    """

    __slots__ = (
        "_answered",
        "_evidence",
        "_first",
        "_heard",
        "_ill_since",
        "_looks",
        "_lost",
        "_next_probe",
        "_out",
        "_ramp",
        "_settings",
        "_spared",
        "_state",
        "_successes",
        "_trips",
        "_turn",
        "_until",
        "_verdict",
        "_window",
        "family",
        "free",
        "name",
        "news",
        "opened_at",
    )

    def __init__(self, settings: BreakerSettings, name: str = "", news: list[Change] | None = None) -> None:
        self._settings = settings
        self.name = name
        self.news: list[Change] = [] if news is None else news
        self.family: Family | None = None
        self._state = _CLOSED
        self.free = True
        self._spared = False  # its family is down
        self._verdict = DEAD
        self._turn = False  # the next soft call is let through
        self._first = 0  # ticket of this generation
        self._evidence = Evidence(settings)
        self._window = self._evidence.window
        self._ramp = Ramp(settings.ramp)
        self._trips = 0  # openings since it was last well
        self._ill_since = Monotonic(0.0)  # when the first of them was
        self._answered = False  # in a trial since then
        self._looks = Looks()
        self._lost = 0  # trials since then that began anew because their permits did not come back
        self._out = 0  # permits of this generation that are not settled
        self._successes = 0
        self._heard = False  # a call of the trial has content
        self._until = Monotonic(0.0)
        self._next_probe = Monotonic(0.0)
        self.opened_at = Monotonic(0.0)
        if settings.force is not None:
            self._move(Event(f"forced_{settings.force}"))

    def state(self, now: Monotonic) -> State:
        """The state at this instant."""
        if self._state is _OPEN and now >= self._until:
            self._move(Event.RESTED)
            self._tell("breaker", "open", "half_open", "the open time is over")
        return self._state

    @property
    def tripped(self) -> bool:
        """Has it opened, and not closed again? Not if an operator's word holds."""
        return self._state is _OPEN or self._state is _HALF_OPEN

    @property
    def on_trial(self) -> bool:
        """Is it half-open with a call under way?"""
        return self._state is _HALF_OPEN and self._out > 0

    @property
    def forced(self) -> bool:
        """Is it an operator's word that holds?"""
        return self._state in _FORCES

    def share(self, now: Monotonic) -> float:
        """While it is closed, the share of the calls that is let through to those who have an elsewhere."""
        return 0.0 if self._spared else self._ramp.share(now)

    def spare(self, *, spared: bool) -> None:
        """While it is closed, let nobody through who has an elsewhere; or no longer."""
        self._spared = spared
        if spared:
            self.free = False

    def introduce(self) -> None:
        """It is new among others that are known: a trial comes first."""
        self._move(Event.INTRODUCED)
        if self._state is _HALF_OPEN:
            self._verdict = NEW
            self._tell("breaker", "closed", "half_open", "it is new")

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

    def follow(self, before: Self) -> None:
        """Take the place of a breaker that had other settings; what an operator said to that one still holds."""
        old, settings = before._state, before._settings
        if before.forced and settings.force is None and self._settings.force is None:
            self._move(_FORCES[old])
        if old is not self._state:
            self._tell("breaker", old.value, self._state.value, "its settings changed")

    def _has_room(self, now: Monotonic) -> bool:
        """May another call be part of the trial?"""
        family = self.family
        free = self._out < self._settings.half_open_permits or self._is_lost(now)
        return free and (family is None or not family.tries_another(self))

    def _is_lost(self, now: Monotonic) -> bool:
        """Has the last permit of a trial that has no more of them been out for too long?"""
        return now - self._looks.asked >= self._settings.open_cap * 2.0 ** min(self._lost, 30)

    def _tries(self, now: Monotonic) -> bool:
        """Is this call part of the trial? It is half-open."""
        room = self._has_room(now)
        if room:
            if self._out >= self._settings.half_open_permits:
                self._begin()
                self._lost += 1
            self._looks.asked = now
            if self.family is not None:
                self.family.trying = self
        return room

    def _ramps(self, now: Monotonic) -> bool:
        if self._ramp.share(now) < 1.0:
            return self._ramp.passes(now)
        self.free = True
        if self._ramp.end():
            self._trips = 0
            self._tell("ramp", "ramping", "full", "its time is over")
        return True

    def counts(self, ticket: int) -> bool:
        """Would a result of this ticket be heard, or has everything changed since it was given?"""
        return ticket >= self._first

    def _move(self, event: Event) -> None:
        """Take the row of the table; every change of state begins a generation with clean counts."""
        after = TRANSITIONS.get((self._state, event))
        if after is None:
            return
        if self._ramp.end():
            self._tell("ramp", "ramping", "full", f"its breaker is {after.value}")
        self._state = after
        self.free = after is _CLOSED and not self._spared
        self._begin()

    def _begin(self) -> None:
        """Begin a generation: tickets of before mean nothing, counts are clean."""
        self._first = self._window.admitted + 1
        self._out = self._successes = 0
        self._heard = False
        self._evidence.clear()

    def _tell(self, subject: str, before: str, after: str, reason: str, until: float | None = None) -> None:
        self.news.append(Change(subject, self.name, before, after, reason, until))
