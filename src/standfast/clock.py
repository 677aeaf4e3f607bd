"""Where time comes from: one reading per public call, passed down as `now`."""

import random
import time
from typing import Protocol

from standfast.canon.instants import Monotonic, Wall

_monotonic = time.monotonic  # noqa: TID251 - the only reader


class Clock(Protocol):
    """Two readings, never mixed."""

    def now(self) -> Monotonic:
        """Seconds that only grow; the epoch means nothing."""
        ...

    def wall(self) -> Wall:
        """Unix time in seconds; may jump."""
        ...


class SystemClock:
    """The machine's clocks. Monotonic time starts at a random epoch, so that nobody mistakes it for wall time."""

    def __init__(self) -> None:
        self._offset = random.Random().uniform(10_000.0, 1_000_000.0) - _monotonic()  # noqa: S311 - the only reader

    def now(self) -> Monotonic:
        """Seconds that only grow."""
        return _monotonic() + self._offset  # type: ignore[return-value]  # Monotonic by definition; a call would cost

    def wall(self) -> Wall:
        """Unix time in seconds."""
        return Wall(time.time())  # noqa: TID251 - the only reader


class ManualClock:
    """A clock that moves only when told to; for tests and simulations."""

    def __init__(self, now: float = 1_000.0, wall: float = 1_760_000_000.0) -> None:
        self._now = now
        self._wall = wall

    def now(self) -> Monotonic:
        """The instant set last."""
        return Monotonic(self._now)

    def wall(self) -> Wall:
        """The Unix time set last."""
        return Wall(self._wall)

    def advance(self, seconds: float) -> Monotonic:
        """Move both readings forward.

        Raises:
            ValueError: `seconds` is negative; time does not run backwards.
        """
        if seconds < 0:
            raise ValueError("time does not run backwards")
        self._now += seconds
        self._wall += seconds
        return self.now()
