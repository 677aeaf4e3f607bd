"""What the console hears on the bus: every change of state, and the newest requests.

This is a hook (`hooks.base`), told of every request: what it does then is a few stores, everything else waits for the
second's end (`sampler`). It keeps few records, because each that is kept is memory that the next request cannot reuse:
512 of them cost every request 0.4 us, 32 nothing that can be measured.
"""

from array import array
from collections import deque
from collections.abc import Callable
from typing import Final

from standfast.canon.record import Change, RequestRecord
from standfast.clock import Clock
from standfast.console.messages import EventRow
from standfast.console.sampler import Durations

RECENT: Final = 32
"""Requests kept until the second is over; as many as anybody can read."""

TIMED: Final = 512
"""Requests whose durations are kept: the sample from which a second's quantiles are told. A power of two."""

_SLOT: Final = TIMED - 1
_NONE: Final = -1.0

TROUBLED: Final = 200
"""Requests kept that did not go as they should."""

EVENTS: Final = 1_000
"""Changes of state kept."""

CLIENT_GONE: Final = 499


class Meter:
    """A hook that remembers the newest of everything.

    Args:
        clock: for the instant of a change; a request brings its own.

    Attributes:
        recent: the newest requests, oldest first.
        troubled: the newest that did not go as they should, oldest first.
        events: the newest changes, oldest first.
        ended: requests in all.
        troubles: of them those that did not go as they should.
        saved: of them those that were answered by another target than their first choice.
        on_event: called with each new row at once.
    """

    __slots__ = (
        "_clock",
        "_first",
        "_seq",
        "_total",
        "ended",
        "events",
        "on_event",
        "recent",
        "saved",
        "troubled",
        "troubles",
    )

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seq = 0
        self._first = array("d", [_NONE]) * TIMED  # seconds, or none; the request `n` is at `n & _SLOT`
        self._total = array("d", [_NONE]) * TIMED
        self.recent: deque[RequestRecord] = deque(maxlen=RECENT)
        self.troubled: deque[RequestRecord] = deque(maxlen=TROUBLED)
        self.events: deque[EventRow] = deque(maxlen=EVENTS)
        self.ended = 0
        self.troubles = 0
        self.saved = 0
        self.on_event: Callable[[EventRow], None] | None = None

    def request_ended(self, record: RequestRecord) -> None:
        """Remember it."""
        self.recent.append(record)
        at = self.ended
        self.ended = at + 1
        code, first = record.code, record.first_token
        at &= _SLOT
        self._first[at] = _NONE if first is None or code else first
        self._total[at] = _NONE if code else record.total
        if code or record.fallback or record.source or len(record.attempts) > 1:
            self._look(record)

    def took(self, count: int) -> Durations:
        """How long the newest `count` requests took, those of them that are kept and were answered, oldest first."""
        slots = [at & _SLOT for at in range(self.ended - min(count, TIMED, self.ended), self.ended)]
        first = [self._first[at] for at in slots if self._first[at] >= 0.0]
        return Durations(first, [self._total[at] for at in slots if self._total[at] >= 0.0])

    def _look(self, record: RequestRecord) -> None:
        """One that is not the usual kind."""
        if record.fallback and not record.code and not record.source:
            self.saved += 1
        if troubled(record):
            self.troubled.append(record)
            self.troubles += 1

    def changed(self, change: Change) -> None:
        """Remember it, and tell at once."""
        self.note(change.subject, change.name, change.before, change.after, change.reason, change.until, change.where)

    def note(  # noqa: PLR0917 - in the order of a change's fields
        self,
        subject: str,
        name: str,
        before: str,
        after: str,
        reason: str,
        until: float | None = None,
        where: str = "",
    ) -> None:
        """Something happened; `until` is the seconds until it may change back by itself."""
        self._seq += 1
        at = round(self._clock.wall(), 3)
        end = None if until is None else round(at + until, 3)
        row = EventRow(
            seq=self._seq,
            at=at,
            subject=subject,
            name=name,
            before=before,
            after=after,
            reason=reason,
            until=end,
            where=where,
        )
        self.events.append(row)
        if self.on_event is not None:
            self.on_event(row)

    def close(self) -> None:
        """Nothing is held."""


def troubled(record: RequestRecord) -> bool:
    """Did it not go as it should: an error, a failed attempt, a kept answer or a message in place of an error?

    A client that went away is none of our trouble, and a hedge that lost is none at all. Nor is an answer of another
    target than the first choice that was not even tried: while its breaker is open all answers are that.
    """
    if record.status == CLIENT_GONE:
        return False
    odd = record.source not in ("", "cache")
    return bool(record.code) or odd or any(attempt.failure is not None for attempt in record.attempts)
