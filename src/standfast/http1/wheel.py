"""A coarse timer wheel: thousands of deadlines for the price of one event loop timer.

Rules:
    - A deadline never fires early, and at most one tick late (plus what the event loop itself is late).
    - Moving a deadline later is an assignment: the entry is found in its old slot, and put into its right one then.
    - Moving it earlier needs `watch` again. `watch` and `forget` cost one dictionary operation or two.
    - The wheel ticks only while an entry has a finite deadline.

Theory: a hashed wheel (Varghese and Lauck, 1987) without the modulus. Slots are numbered by the end of their tick,
`ceil(deadline / tick)`, and live in a dictionary, so a far deadline costs nothing until its slot comes up.
"""

import asyncio
import math
from typing import Protocol

from standfast.canon.instants import Monotonic
from standfast.clock import Clock

_PARKED = -1
_SHORTEST_WAIT = 0.001
"""Seconds. Keeps a clock that stands still (a ManualClock) from turning the wheel into a busy loop."""


class Deadline(Protocol):
    """What the wheel watches; must be hashable by identity.

    Attributes:
        deadline: seconds on the scale of `Clock.now`; `NEVER` parks the entry.
    """

    deadline: float

    def expired(self, now: Monotonic) -> None:
        """The deadline has passed. The entry is no longer watched; it may call `watch` again."""
        ...


class Wheel:
    """Watches entries and tells those whose deadline has passed.

    Args:
        clock: where `now` comes from.
        tick: seconds between two looks; the resolution of all deadlines.

    Raises:
        ValueError: `tick` is not positive.
    """

    __slots__ = ("_clock", "_closed", "_done", "_loop", "_slots", "_tick", "_timer", "_where")

    def __init__(self, clock: Clock, tick: float = 0.05) -> None:
        if not tick > 0:
            raise ValueError("tick must be positive")
        self._clock = clock
        self._tick = tick
        self._slots: dict[int, set[Deadline]] = {}
        self._where: dict[Deadline, int] = {}
        self._done = math.floor(clock.now() / tick)
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._where)

    def watch(self, entry: Deadline) -> None:
        """Watch an entry, or look at its deadline anew. Must run on the event loop's thread."""
        if self._closed:
            return
        deadline = entry.deadline
        if deadline == math.inf:
            self.forget(entry)
            self._where[entry] = _PARKED
            return
        if self._timer is None:
            self._done = math.floor(self._clock.now() / self._tick)
        self._put(entry, math.ceil(deadline / self._tick))
        if self._timer is None:
            self._arm(self._clock.now())

    def forget(self, entry: Deadline) -> None:
        """Watch an entry no longer; does nothing if it is not watched."""
        slot = self._where.pop(entry, _PARKED)
        if slot != _PARKED:
            bucket = self._slots[slot]
            bucket.discard(entry)
            if not bucket:
                del self._slots[slot]

    def close(self) -> None:
        """Stop ticking and forget every entry, without telling them."""
        self._closed = True
        self._where.clear()
        self._slots.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _put(self, entry: Deadline, slot: int) -> None:
        slot = max(slot, self._done + 1)
        if self._where.get(entry) == slot:
            return
        self.forget(entry)
        self._where[entry] = slot
        self._slots.setdefault(slot, set()).add(entry)

    def _arm(self, now: float) -> None:
        if self._loop is None or self._loop.is_closed():
            self._loop = asyncio.get_running_loop()
        wait = (math.floor(now / self._tick) + 1) * self._tick - now
        self._timer = self._loop.call_later(max(wait, _SHORTEST_WAIT), self._turn)

    def _turn(self) -> None:
        now = self._clock.now()
        current = math.floor(now / self._tick)
        # After a jump of the clock (a machine that slept) there may be fewer slots than ticks gone by.
        passed: list[int] | range = range(self._done + 1, current + 1)
        if len(passed) > len(self._slots):
            passed = sorted(slot for slot in self._slots if slot <= current)
        self._done = max(self._done, current)
        for slot in passed:
            for entry in tuple(self._slots.get(slot, ())):
                # One that is told first may forget or move another of the same slot.
                if self._where.get(entry) == slot:
                    self._look(entry, now)
        self._timer = None
        if self._slots and not self._closed:
            self._arm(now)

    def _look(self, entry: Deadline, now: Monotonic) -> None:
        deadline = entry.deadline
        if deadline > now:
            if deadline == math.inf:
                self.forget(entry)
                self._where[entry] = _PARKED
            else:
                self._put(entry, math.ceil(deadline / self._tick))
            return
        self.forget(entry)
        try:
            entry.expired(now)
        except Exception as error:  # noqa: BLE001 - one entry must not stop the others' deadlines
            if self._loop is not None:
                context = {"message": "a deadline's expiry failed", "exception": error, "entry": entry}
                self._loop.call_exception_handler(context)
