"""Looks at every request under way, twenty times a second: cheaper than arming and cancelling a timer for each."""

import asyncio
from typing import TYPE_CHECKING

from standfast.clock import Clock

if TYPE_CHECKING:  # a drive knows the watch that looks at it
    from standfast.engine.drive import Drive

TICK = 0.05
"""Seconds between two looks: what is due is found that much late at most."""


class Watch:
    """The requests under way, and their deadlines.

    A drive says in `due` and `beat_at` when it wants to be told; moving either is an assignment. A piece of content
    only sets `touched`: the hot path reads no clock. The timer runs only while there are requests.

    Args:
        clock: where `now` comes from.
    """

    __slots__ = ("_clock", "_timer", "active")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self.active: set[Drive] = set()

    def enter(self, drive: "Drive") -> None:
        """A request begins."""
        self.active.add(drive)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK, self._turn)

    def leave(self, drive: "Drive") -> None:
        """A request has its outcome."""
        self.active.discard(drive)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        now = self._clock.now()
        due: list[Drive] = []
        for drive in self.active:
            if drive.touched:  # content came since the last look: the silence counts from now
                drive.touched = False
                drive.due = min(now + drive.gap, drive.end)
            if drive.due <= now or drive.beat_at <= now:
                due.append(drive)
        for drive in due:
            try:
                drive.expired(now)
            except Exception as error:  # noqa: BLE001 - one request must not stop the others' deadlines
                loop.call_exception_handler({"message": "a request's deadline failed", "exception": error})
        self._timer = loop.call_later(TICK, self._turn) if self.active else None
