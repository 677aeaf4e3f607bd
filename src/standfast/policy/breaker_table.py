"""The states of a circuit breaker, what moves it, and the table of its transitions: the whole machine of `Breaker`."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """Closed lets everything through, open nothing, half-open a few; the forced ones are an operator's word."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    FORCED_CLOSED = "forced_closed"


class Event(StrEnum):
    """What moves a breaker."""

    TRIPPED = "tripped"  # too many failures, or too many slow calls
    RESTED = "rested"  # the open time is over
    RECOVERED = "recovered"  # enough successes of the trial
    RELAPSED = "relapsed"  # a failure of the trial, or a call that is slow or lost late
    PROBED = "probed"  # what was let through beside the verdict succeeds
    INTRODUCED = "introduced"  # it is new among others that are known
    FORCED_OPEN = "forced_open"  # an operator says so
    FORCED_CLOSED = "forced_closed"  # the same
    RELEASED = "released"  # an operator leaves it to itself again


TRANSITIONS: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        (State.CLOSED, Event.TRIPPED): State.OPEN,
        (State.CLOSED, Event.INTRODUCED): State.HALF_OPEN,
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
