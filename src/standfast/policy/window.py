"""A sliding window of outcomes, in time buckets."""

from standfast.canon.instants import Monotonic


class TimeWindow:
    """Counts calls and failures of the last `length` seconds.

    The window moves in steps of `length / slots`: what is counted is between `length - length / slots` and `length`
    seconds old at most. Recording costs O(1) and allocates nothing.

    Args:
        length: seconds.
        slots: buckets.
    """

    __slots__ = ("_calls", "_failures", "_slot", "_slots", "_sum_calls", "_sum_failures", "_width")

    def __init__(self, length: float, slots: int = 10) -> None:
        self._width = length / slots
        self._slots = slots
        self._calls = [0] * slots
        self._failures = [0] * slots
        self._slot = 0  # number of the newest bucket, counted from time zero
        self._sum_calls = 0
        self._sum_failures = 0

    def record(self, now: Monotonic, *, ok: bool) -> None:
        """Count one outcome."""
        slot = int(now / self._width)
        if slot != self._slot:
            self._move(slot)
        index = self._slot % self._slots
        self._calls[index] += 1
        self._sum_calls += 1
        if not ok:
            self._failures[index] += 1
            self._sum_failures += 1

    def counts(self, now: Monotonic) -> tuple[int, int]:
        """Calls and failures in the window."""
        slot = int(now / self._width)
        if slot != self._slot:
            self._move(slot)
        return self._sum_calls, self._sum_failures

    def clear(self) -> None:
        """Forget everything."""
        for index in range(self._slots):
            self._calls[index] = self._failures[index] = 0
        self._sum_calls = self._sum_failures = 0

    def _move(self, slot: int) -> None:
        if slot < self._slot:
            return  # a reading from before belongs to the newest bucket
        for passed in range(min(slot - self._slot, self._slots)):
            index = (self._slot + 1 + passed) % self._slots
            self._sum_calls -= self._calls[index]
            self._sum_failures -= self._failures[index]
            self._calls[index] = self._failures[index] = 0
        self._slot = slot
