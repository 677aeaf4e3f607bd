"""What the console hears on the bus: every change of state, and the newest requests.

This is a hook (`hooks.base`). Of most requests it keeps the newest for a moment, which is one append in C; those that
went another way than most it looks at. Keeping all of them for a tenth of a second cost a twentieth of a request's CPU:
what one request leaves behind, the next one finds in the caches, unless it is kept.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from standfast.canon.record import Change, RequestRecord
from standfast.clock import Clock
from standfast.console.messages import EventRow

RECENT: Final = 32
"""Requests that are kept until they are collected."""

OFTEN, SELDOM = 0.1, 1.0
"""Seconds between two collections: at least while many requests come, and while there are none."""

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
        request_ended: remembers a request until newer ones have come.
        pause: seconds until about half as many as are kept have come; to be collected then.
        troubled: the newest that did not go as they should, oldest first.
        events: the newest changes, oldest first.
        troubles: requests that did not go as they should, in all.
        saved: requests that were answered by another target than their first choice, in all.
        on_event: called with each new row at once.
    """

    __slots__ = (
        "_clock",
        "_collected",
        "_newest",
        "_seq",
        "events",
        "on_event",
        "pause",
        "request_ended",
        "saved",
        "troubled",
        "troubles",
    )

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._collected = clock.now()
        self._seq = 0
        self.pause = OFTEN
        self._newest: deque[RequestRecord] = deque(maxlen=RECENT)
        self.request_ended: Callable[[RequestRecord], None] = self._newest.append
        self.troubled: deque[RequestRecord] = deque(maxlen=TROUBLED)
        self.events: deque[EventRow] = deque(maxlen=EVENTS)
        self.troubles = 0
        self.saved = 0
        self.on_event: Callable[[EventRow], None] | None = None

    def collect(self) -> list[RequestRecord]:
        """The newest requests since this was called last, oldest first."""
        fresh = list(self._newest)
        self._newest.clear()
        now = self._clock.now()
        took, self._collected = now - self._collected, now
        self.pause = max(OFTEN, min(SELDOM, took * RECENT / (2 * len(fresh)))) if fresh else SELDOM
        return fresh

    def request_unusual(self, record: RequestRecord) -> None:
        """Count it, and keep it if it went wrong."""
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
