"""Virtual time: what is to happen, in order. Nothing here sleeps; a day passes as fast as its events can be handled.

Rules:

* Time never runs backwards: what is due before now cannot be announced.
* What is due at one instant happens in the order in which it was announced, so a run depends on its seed alone.
* Nothing is ever taken out: who no longer wants to be called looks at its own state when it is.
"""

import math
from collections.abc import Callable
from heapq import heappop, heappush

from standfast.canon.instants import Monotonic

START = 1_000.0
"""The instant at which every rehearsal begins, seconds; zero means "never yet" in the policy's states."""

TICK = 0.05
"""The gateway's watch looks at deadlines and naps so often, seconds; it finds them up to that late."""

Happening = Callable[[Monotonic], None]


class World:
    """The one clock, and what is still to come.

    Attributes:
        now: the instant that has been reached.
        handled: how many happenings there have been.
    """

    __slots__ = ("_count", "_queue", "handled", "now")

    def __init__(self) -> None:
        self.now = Monotonic(START)
        self.handled = 0
        self._queue: list[tuple[float, int, Happening]] = []
        self._count = 0

    def at(self, instant: float, happening: Happening) -> None:
        """Announce that something happens at this instant.

        Raises:
            ValueError: it is in the past, or no instant at all.
        """
        if not instant >= self.now:
            raise ValueError(f"time does not run backwards: {instant} is before {self.now}")
        self._count = count = self._count + 1
        heappush(self._queue, (instant, count, happening))

    def run(self, limit: int) -> bool:
        """Let so many things happen at most; False when nothing is left to come."""
        queue = self._queue
        for _ in range(limit):
            if not queue:
                return False
            instant, _, happening = heappop(queue)
            self.now = now = Monotonic(instant)
            self.handled += 1
            happening(now)
        return bool(queue)


def noticed(instant: float) -> float:
    """When the gateway's watch finds what was due at this instant."""
    return math.ceil(instant / TICK - 1e-9) * TICK if instant < math.inf else instant
