"""What the results of calls say about the one who gave them, whatever state its breaker is in.

Failures are often quicker than answers: where one call in twenty is refused at once and the others are answered after a
second, the first second of a burst has nothing but failures. Therefore

* a share of the window is one of the calls *admitted* in it, if these are more than the results by far: a fifth of
  them may be under way, as always some are;
* failures in a row are seen in the order of admission: of the calls admitted from the first to the last of them such a
  share must have failed; the others have outlived them;
* it must be more than chance makes it (`policy.chance`).

Whoever was well and dies is left after N failures all the same: then nothing else comes back, but for answers to calls
that set off before the first of them, and these do not end the row.
"""

from standfast.canon.instants import Monotonic
from standfast.policy.breaker_settings import BreakerSettings, CallWindow
from standfast.policy.chance import beyond_chance
from standfast.policy.window import CountWindow, TimeWindow

BACK = 0.8
"""So many of the calls admitted in a window have come back when nothing is unusual."""


class Evidence:
    """The results of one generation of calls.

    Args:
        settings: the limits.

    Attributes:
        window: calls, failures and slow calls of late. Its `admitted` is the newest ticket.
        row: failures in a row.
    """

    __slots__ = ("_cancelled", "_first", "_last", "_settings", "row", "window")

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        limit = settings.window
        self.window = CountWindow(limit.calls) if isinstance(limit, CallWindow) else TimeWindow(limit)
        self.row = 0
        self._first = self._last = 0  # tickets of the row
        self._cancelled = 0  # when it began

    def clear(self) -> None:
        """Forget everything."""
        self.row = 0
        self.window.clear()

    def served(self, ticket: int) -> None:
        """A success; one of a call that set off before the row began does not end it."""
        if self.row and ticket > self._first:
            self.row = 0

    def failed(self, ticket: int, now: Monotonic, *, usual: float = 0.0) -> float:
        """Count a failure.

        Args:
            ticket: of the call.
            now: this instant.
            usual: a share of failures that is known to be usual.

        Returns:
            If the failures in a row are enough and no chance: their share of the calls in their midst; else 0.
        """
        window, limits = self.window, self._settings
        if not self.row:
            self._first = self._last = ticket
            self._cancelled = window.cancelled
        self.row = row = self.row + 1
        window.record(now, ok=False)
        if ticket < self._first:
            self._first = ticket
        elif ticket > self._last:
            self._last = ticket
        if row < limits.consecutive:
            return 0.0
        midst = max(row, self._last - self._first + 1 - (window.cancelled - self._cancelled))
        if row < limits.rate * midst:
            return 0.0
        calls, failures = window.counts(now)
        beyond = beyond_chance(row, midst, calls - row, failures - row, enough=limits.min_calls, least=usual)
        return row / midst if beyond else 0.0

    def failing(self, now: Monotonic) -> bool:
        """Is the share of failures in the window too large?"""
        calls, failures = self.window.counts(now)
        return calls >= self._settings.min_calls and failures >= self._settings.rate * self._of(calls, now)

    def slow(self, now: Monotonic) -> bool:
        """Is the share of slow calls in the window too large?"""
        limit = self._settings.slow_rate
        calls, _ = self.window.counts(now)
        if limit is None or calls < self._settings.min_calls:
            return False
        return self.window.slow(now) >= limit * self._of(calls, now)

    def _of(self, calls: int, now: Monotonic) -> float:
        """The number of calls of which a share is one."""
        return max(calls, BACK * self.window.load(now))

    def well(self, now: Monotonic) -> bool:
        """Are there enough calls, and less than half as many bad ones as would be too many?"""
        limits, (calls, failures) = self._settings, self.window.counts(now)
        if calls < limits.min_calls or 2 * failures >= limits.rate * calls:
            return False
        return limits.slow_rate is None or 2 * self.window.slow(now) < limits.slow_rate * calls
