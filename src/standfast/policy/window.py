"""Sliding windows of outcomes: the last seconds, in time buckets, or the last calls, one by one.

Both count calls by their results: failures among them, and slow calls among them. Recording costs O(1) and allocates
nothing.

Results come late, and not all equally late: an upstream that refuses one call in twenty at once and answers the others
after a second has, in the first second of a burst, nothing but failures. So a share of the results alone misleads; a
window also knows how many calls were *admitted* in it, which its owner counts in `admitted`.
"""

from array import array

from standfast.canon.instants import Monotonic


class TimeWindow:
    """Counts the calls of the last `length` seconds.

    The window moves in steps of `length / slots`: what is counted is between `length - length / slots` and `length`
    seconds old at most.

    Args:
        length: seconds.
        slots: buckets.

    Attributes:
        admitted: calls that were ever let through.
        cancelled: those among them that ended without a result since it was cleared.
    """

    __slots__ = (
        "_calls",
        "_failures",
        "_marks",
        "_seen",
        "_slot",
        "_slots",
        "_slow",
        "_sum_calls",
        "_sum_failures",
        "_sum_slow",
        "_width",
        "admitted",
        "cancelled",
    )

    def __init__(self, length: float, slots: int = 10) -> None:
        self._width = length / slots
        self._slots = slots
        self._calls = [0] * slots
        self._failures = [0] * slots
        self._slow = [0] * slots
        self._marks = [0] * slots  # admitted and not cancelled when the bucket began
        self.admitted = self.cancelled = 0
        self._seen = 0  # admitted and not cancelled at the last look: what came after it belongs to the newest bucket
        self._slot = 0  # number of the newest bucket, counted from time zero
        self._sum_calls = 0
        self._sum_failures = 0
        self._sum_slow = 0

    def count(self, now: Monotonic) -> None:
        """Count one call that did not fail."""
        slot = int(now / self._width)
        if slot != self._slot:
            self._move(slot)
        self._seen = self.admitted - self.cancelled
        self._calls[self._slot % self._slots] += 1
        self._sum_calls += 1

    def record(self, now: Monotonic, *, ok: bool) -> None:
        """Count one outcome."""
        self.count(now)
        if not ok:
            self._failures[self._slot % self._slots] += 1
            self._sum_failures += 1

    def record_slow(self, now: Monotonic) -> None:
        """Count one call that is slow."""
        self.count(now)
        self._slow[self._slot % self._slots] += 1
        self._sum_slow += 1

    def counts(self, now: Monotonic) -> tuple[int, int]:
        """Calls and failures in the window."""
        slot = int(now / self._width)
        if slot != self._slot:
            self._move(slot)
        self._seen = self.admitted - self.cancelled
        return self._sum_calls, self._sum_failures

    def slow(self, now: Monotonic) -> int:
        """Slow calls in the window."""
        self.counts(now)
        return self._sum_slow

    def load(self, now: Monotonic) -> int:
        """Calls in the window: those whose results are in it or, if that is more, those admitted in it."""
        calls, _ = self.counts(now)
        return max(calls, self.admitted - self.cancelled - self._marks[(self._slot + 1) % self._slots])

    def clear(self) -> None:
        """Forget everything."""
        for index in range(self._slots):
            self._calls[index] = self._failures[index] = self._slow[index] = 0
            self._marks[index] = self.admitted
        self._seen = self.admitted - self.cancelled
        self._sum_calls = self._sum_failures = self._sum_slow = self.cancelled = 0

    def _move(self, slot: int) -> None:
        if slot < self._slot:
            return  # a reading from before belongs to the newest bucket
        for passed in range(min(slot - self._slot, self._slots)):
            index = (self._slot + 1 + passed) % self._slots
            self._sum_calls -= self._calls[index]
            self._sum_failures -= self._failures[index]
            self._sum_slow -= self._slow[index]
            self._calls[index] = self._failures[index] = self._slow[index] = 0
            self._marks[index] = self._seen
        self._slot = slot


_OK, _FAILED, _SLOW = 0, 1, 2


class CountWindow:
    """Counts the last `size` calls, whenever they were.

    Args:
        size: how many, at least 1.

    Attributes:
        admitted: calls that were ever let through.
        cancelled: those among them that ended without a result since it was cleared.
    """

    __slots__ = ("_at", "_calls", "_failures", "_floor", "_marks", "_ring", "_slow", "admitted", "cancelled")

    def __init__(self, size: int) -> None:
        self._ring = bytearray(size)
        self._marks = array("q", bytes(8 * size))  # admitted and not cancelled when the result came
        self._floor = 0  # the same when it was cleared
        self.admitted = self.cancelled = 0
        self._at = 0  # where the next one goes
        self._calls = 0
        self._failures = 0
        self._slow = 0

    def count(self, now: Monotonic) -> None:
        """Count one call that did not fail; when it was does not matter."""
        del now
        self._put(_OK)

    def record(self, now: Monotonic, *, ok: bool) -> None:
        """Count one outcome; the same."""
        del now
        self._put(_OK if ok else _FAILED)

    def record_slow(self, now: Monotonic) -> None:
        """Count one call that is slow."""
        del now
        self._put(_SLOW)

    def counts(self, now: Monotonic) -> tuple[int, int]:
        """Calls and failures in the window."""
        del now
        return self._calls, self._failures

    def slow(self, now: Monotonic) -> int:
        """Slow calls in the window."""
        del now
        return self._slow

    def load(self, now: Monotonic) -> int:
        """Calls in the window: those whose results are in it or, if that is more, those admitted since the oldest."""
        del now
        full = self._calls == len(self._ring)
        before = self._marks[self._at] if full else self._floor
        return max(self._calls, self.admitted - self.cancelled - before)

    def clear(self) -> None:
        """Forget everything."""
        self._at = self._calls = self._failures = self._slow = self.cancelled = 0
        self._floor = self.admitted

    def _put(self, what: int) -> None:
        ring, at = self._ring, self._at
        if self._calls == len(ring):
            gone = ring[at]
            self._failures -= gone == _FAILED
            self._slow -= gone == _SLOW
        else:
            self._calls += 1
        ring[at] = what
        self._marks[at] = self.admitted - self.cancelled
        self._failures += what == _FAILED
        self._slow += what == _SLOW
        self._at = at + 1 if at + 1 < len(ring) else 0
