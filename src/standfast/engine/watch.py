"""Looks at every request under way, twenty times a second: cheaper than arming and cancelling a timer for each.

Besides the requests there are lanes, for what a request must be told in addition (the deadlines of a hedge, a
reminder), and the lines in which requests wait for a slot.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from standfast.canon.deployment import Deployment
from standfast.canon.instants import NEVER, Monotonic
from standfast.clock import Clock
from standfast.policy.line import Line, Ticket

if TYPE_CHECKING:  # a drive knows the watch that looks at it
    from standfast.engine.drive import Drive

TICK = 0.05
"""Seconds between two looks: what is due is found that much late at most."""


class Lane:
    """Something else to be told to a request, once.

    Attributes:
        due, touched, gap, end: as a drive's.
        told: called when it is due.
    """

    __slots__ = ("due", "end", "gap", "told", "touched")

    def __init__(self) -> None:
        self.due: float = NEVER
        self.gap = 0.0
        self.end: float = NEVER
        self.touched = False
        self.told: Callable[[Monotonic], None] | None = None


class Watch:
    """The requests under way, and their deadlines.

    A drive says in `due` and `beat_at` when it wants to be told; moving either is an assignment. A piece of content
    only sets `touched`: the hot path reads no clock. The timer runs only while there are requests.

    Args:
        clock: where `now` comes from.

    Attributes:
        active: the requests.
        lanes: what else is to be told.
        lines: those in which somebody waits.
    """

    __slots__ = ("_clock", "_freed", "_timer", "active", "lanes", "lines")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._freed: deque[Deployment] = deque()
        self.active: set[Drive] = set()
        self.lanes: set[Lane] = set()
        self.lines: set[Line] = set()

    def enter(self, drive: "Drive") -> None:
        """A request begins."""
        self.active.add(drive)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK, self._turn)

    def leave(self, drive: "Drive") -> None:
        """A request has its outcome."""
        self.active.discard(drive)

    def wait(self, line: Line) -> None:
        """A request has lined up."""
        self.lines.add(line)

    def freed(self, deployment: Deployment, now: Monotonic) -> None:
        """A slot is free at a deployment: call whose turn it is. What that frees comes after it, not inside it."""
        self._freed.append(deployment)
        if len(self._freed) > 1:
            return
        try:
            while self._freed:
                self._call_next(self._freed[0], now)
                self._freed.popleft()
        finally:
            self._freed.clear()

    def _call_next(self, deployment: Deployment, now: Monotonic) -> None:
        for line in tuple(self.lines):
            ticket = line.freed(deployment, now)
            if ticket is not None:
                _call(ticket, now)
            if not line:
                self.lines.discard(line)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        now = self._clock.now()
        due: list[Callable[[Monotonic], None]] = []
        for drive in self.active:
            if drive.touched:  # content came since the last look: the silence counts from now
                drive.touched = False
                drive.due = min(now + drive.gap, drive.end)
            if drive.due <= now or drive.beat_at <= now:
                due.append(drive.expired)
        for lane in tuple(self.lanes):
            if lane.touched:
                lane.touched = False
                lane.due = min(now + lane.gap, lane.end)
            if lane.due <= now and lane.told is not None:
                due.append(lane.told)
        for told in due:
            try:
                told(now)
            except Exception as error:  # noqa: BLE001 - one request must not stop the others' deadlines
                loop.call_exception_handler({"message": "a request's deadline failed", "exception": error})
        if self.lines:
            self._look_at_lines(now)
        self._timer = loop.call_later(TICK, self._turn) if self.active else None

    def _look_at_lines(self, now: Monotonic) -> None:
        for line in tuple(self.lines):
            for ticket in line.ripe(now):
                _call(ticket, now)
            if not line:
                self.lines.discard(line)


def _call(ticket: Ticket, now: Monotonic) -> None:
    holder = cast("Drive | None", ticket.holder)
    if holder is not None:
        holder.called(now)
