"""Where time comes from: one reading per public call, passed down as `now`."""

import time
from collections.abc import Callable
from typing import ClassVar, Protocol, cast

from standfast.canon.instants import Monotonic, Wall


class Clock(Protocol):
    """Two readings, never mixed."""

    def now(self) -> Monotonic:
        """Seconds that only grow; the epoch means nothing."""
        ...

    def wall(self) -> Wall:
        """Unix time in seconds; may jump."""
        ...


class SystemClock:
    """The machine's clocks, read by functions in C: a request reads them seven times."""

    now: ClassVar[Callable[[], Monotonic]] = staticmethod(cast("Callable[[], Monotonic]", time.monotonic))  # noqa: TID251 - the only reader
    """Seconds that only grow."""

    wall: ClassVar[Callable[[], Wall]] = staticmethod(cast("Callable[[], Wall]", time.time))  # noqa: TID251 - the only reader
    """Unix time in seconds."""


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
