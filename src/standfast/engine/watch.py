"""Looks at every request under way: cheaper than arming and cancelling a timer for each.

Twenty times a second it looks at those for whom something may be due soon. Who has nothing to expect for a while (a
stream that flows, a request that may wait for its first token for seconds) is *calm*, and looked at twice a second:
a thousand streams cost a tenth of what they would otherwise. Nothing is found later for that: who is calm is near again
before anything is due, and content leaves the number of the turn after which it came.

Besides the requests there are lanes, for what a request must be told in addition (the deadlines of a hedge, a
reminder), and the lines in which requests wait for a slot.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, cast

from standfast.canon.deployment import Deployment
from standfast.canon.instants import NEVER, Monotonic
from standfast.clock import Clock
from standfast.policy.line import Line, Ticket

if TYPE_CHECKING:  # a drive knows the watch that looks at it
    from standfast.engine.drive import Drive

TICK = 0.05
"""Seconds between two looks: what is due is found that much late at most."""

ROUND = 10
"""Ticks between two looks at whoever is calm."""

CALM = (ROUND + 2) * TICK
"""Seconds for which nothing may be due for who is calm."""

UNTOUCHED = -1
"""In place of a turn's number: no content since the last look."""


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
        self.touched = UNTOUCHED
        self.told: Callable[[Monotonic], None] | None = None


class Watch:
    """The requests under way, and their deadlines.

    A drive says in `due` and `beat_at` when it wants to be told. Moving them later is an assignment; moving them
    earlier needs `enter` again. A piece of content only sets `touched` to `turn`: the hot path reads no clock. The
    timer runs only while there are requests.

    Args:
        clock: where `now` comes from.

    Attributes:
        turn: how often it has looked.
        lanes: what else is to be told.
        lines: those in which somebody waits.
    """

    __slots__ = ("_calm", "_clock", "_freed", "_near", "_timer", "_turned", "lanes", "lines", "turn")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._freed: deque[Deployment] = deque()
        self._near: set[Drive] = set()
        self._calm: tuple[set[Drive], ...] = tuple(set() for _ in range(ROUND))
        self._turned = [0.0] * (2 * ROUND)  # when the last turns were
        self.turn = 0
        self.lanes: set[Lane] = set()
        self.lines: set[Line] = set()

    @property
    def active(self) -> list["Drive"]:
        """The requests under way."""
        return [*self._near, *(drive for calm in self._calm for drive in calm)]

    def enter(self, drive: "Drive") -> None:
        """A request begins, or wants to be told earlier than it said."""
        if drive.calm is not None:
            drive.calm.discard(drive)
            drive.calm = None
        self._near.add(drive)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK, self._turn)

    def leave(self, drive: "Drive") -> None:
        """A request has its outcome."""
        if drive.calm is not None:
            drive.calm.discard(drive)
            drive.calm = None
        self._near.discard(drive)

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
        self.turn += 1
        self._turned[self.turn % len(self._turned)] = now
        calm = self._calm[self.turn % ROUND]
        due: list[Callable[[Monotonic], None]] = []
        nearer = self._look(calm, now, due, calm=True)
        calmed = self._look(self._near, now, due, calm=False)
        for drive in nearer:
            self.enter(drive)
        for drive in calmed:
            self._near.discard(drive)
            drive.calm = calm
            calm.add(drive)
        for lane in tuple(self.lanes):
            self._move(lane)
            if lane.due <= now and lane.told is not None:
                due.append(lane.told)
        for told in due:
            try:
                told(now)
            except Exception as error:  # noqa: BLE001 - one request must not stop the others' deadlines
                loop.call_exception_handler({"message": "a request's deadline failed", "exception": error})
        if self.lines:
            self._look_at_lines(now)
        goes_on = self._near or any(self._calm)
        self._timer = loop.call_later(TICK, self._turn) if goes_on else None

    def _look(
        self, drives: "Iterable[Drive]", now: Monotonic, due: list[Callable[[Monotonic], None]], *, calm: bool
    ) -> "list[Drive]":
        """Find what is due; returns those that are in the wrong set."""
        wrong: list[Drive] = []
        horizon = now + CALM
        for drive in drives:
            if drive.touched >= 0:
                self._move(drive)
            first = min(drive.due, drive.beat_at)
            if first <= now:
                due.append(drive.expired)
            # The first content brings a deadline forward, to the gap.
            if (first > horizon and drive.gap > CALM) is not calm:
                wrong.append(drive)
        return wrong

    def _move(self, lane: "Drive | Lane") -> None:
        """If content came since the last look, the silence counts from the turn after it."""
        if lane.touched >= 0:
            seen = self._turned[(lane.touched + 1) % len(self._turned)]
            lane.touched = UNTOUCHED
            lane.due = min(seen + lane.gap, lane.end)

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
