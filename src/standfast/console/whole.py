"""All processes of a port as one: what each of them tells goes in, what a reader is told comes out. Pure.

A reader who was told a snapshot is told afterwards what differs from it. So what a snapshot shows is what was told last
(rows and seconds move on with a tick, for everybody at once), and whenever a process joins or goes, everybody is told
everything anew.
"""

import math
from collections.abc import Iterable
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import replace

from standfast.console.feed import FIRST_EVENTS, FIRST_REQUESTS, SHOWN
from standfast.console.merge import Origin, ended, merged_model, merged_target
from standfast.console.messages import EventRow, Events, ModelRow, RequestRow, Session, Snapshot, TargetRow, Tick
from standfast.console.meter import EVENTS, TROUBLED
from standfast.console.parts import Line, Part
from standfast.console.seconds import Seconds

PATIENCE: Final = 2
"""A process that did not tell of a second this many seconds after it began is not waited for."""

Told: TypeAlias = tuple[Tick | Events, ...] | None
"""What readers are told now; None: everything, anew."""


class _Process(msgspec.Struct):
    """What one process told last."""

    origin: Origin
    last: float  # the instant of its newest second
    draining: bool
    targets: dict[str, TargetRow]
    models: dict[str, ModelRow]


class _Newest:
    """The newest requests, each once, and those that were not told yet."""

    __slots__ = ("_kept", "_most", "fresh")

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[str, RequestRow] = {}
        self.fresh: list[RequestRow] = []

    def keep(self, rows: Iterable[RequestRow]) -> None:
        """They were told, or will be with a snapshot."""
        for row in rows:
            self._kept[row.id] = row
        if len(self._kept) > 2 * self._most:
            self._kept = {row.id: row for row in self.newest()}

    def tell(self) -> list[RequestRow]:
        """Those that were not told, oldest first; now they are."""
        rows = sorted(self.fresh, key=ended)
        self.keep(rows)
        self.fresh = []
        return rows

    def newest(self) -> tuple[RequestRow, ...]:
        """Those that were told, oldest first."""
        return tuple(sorted(self._kept.values(), key=ended)[-self._most :])


class Whole:
    """What there is to see of all of them.

    Args:
        me: the process whose readers are told, from 0: its rows stand first, and its ticks say what time it is.
        count: how many processes there are.
    """

    def __init__(self, me: int, count: int) -> None:
        self._me = me
        self.count = count
        self._processes: dict[int, _Process] = {}
        self._seconds: Seconds | None = None
        self._heard: dict[int, tuple[Origin, int]] = {}  # the newest event of each, by its own count
        self._events: list[EventRow] = []
        self._event_count = 0
        self._requests, self._troubled = _Newest(FIRST_REQUESTS), _Newest(TROUBLED)
        self._skipped = 0
        self._targets: dict[str, TargetRow] = {}  # as they were told
        self._models: dict[str, ModelRow] = {}
        self._changed: set[str] = set()
        self._changed_models: set[str] = set()

    @property
    def seen(self) -> int:
        """How many processes tell."""
        return len(self._processes)

    def hear(self, number: int, line: Line) -> Told:
        """Process `number` (from 0) tells something; of one that is not known only a snapshot says anything."""
        if isinstance(line, Snapshot):
            self._join(number, line)
            return None
        process = self._processes.get(number)
        if process is None:
            return ()
        if isinstance(line, Part):
            return self._move(number, process, line)
        rows = self._take_events(number, process.origin, line.events)
        return (Events(events=tuple(rows)),) if rows else ()

    def lose(self, number: int) -> bool:
        """A process tells no more; was it seen? Then everybody is told everything anew."""
        gone = self._processes.pop(number, None)
        if gone is None:
            return False
        if self._seconds is not None:
            self._seconds.leave(gone.origin)
        self._renew()
        return True

    def settle(self) -> None:
        """Nothing more will be told: all that was heard is over."""
        if self._seconds is not None:
            self._seconds.over((), math.inf)

    def snapshot(self, at: float, session: Session) -> Snapshot:
        """Everything that was told up to now, for somebody who knows nothing."""
        processes = list(self._processes.values())
        events = sorted(self._events, key=lambda row: (row.at, row.worker, row.seq))
        first = self._event_count - len(events) + 1
        numbered = [replace(row, seq=first + index) for index, row in enumerate(events)]
        return Snapshot(
            at=at,
            started=min((process.origin.started for process in processes), default=at),
            session=session,
            draining=self._draining,
            models=tuple(self._models.values()),
            targets=tuple(self._targets.values()),
            seconds=() if self._seconds is None else self._seconds.history(),
            events=tuple(numbered[-FIRST_EVENTS:]),
            requests=self._requests.newest(),
            troubled=self._troubled.newest(),
            seen=len(processes),
        )

    @property
    def _draining(self) -> bool:
        """All of them are about to end; one alone ends to be started anew."""
        return all(process.draining for process in self._processes.values()) and bool(self._processes)

    def _join(self, number: int, line: Snapshot) -> None:
        """A process, from its beginning; or one that is known tells everything anew, because it was not heard out."""
        origin = Origin(number, line.started)
        before = self._processes.get(number)
        self._processes[number] = _Process(
            origin,
            line.seconds[-1].at if line.seconds else 0.0,
            line.draining,
            {row.target: row for row in line.targets},
            {row.model: row for row in line.models},
        )
        second = math.floor(line.at)
        if self._seconds is None or (number == self._me and second < self._seconds.told - PATIENCE):
            self._seconds = Seconds(second - 1)  # the first; or the clock was set back, as the others will tell, too
        if before is not None and before.origin != origin:
            self._seconds.leave(before.origin)
        self._seconds.begin(origin, line.seconds, line.at)
        self._take_events(number, origin, line.events)
        self._requests.keep(line.requests)
        self._troubled.keep(line.troubled)
        self._renew()

    def _move(self, number: int, process: _Process, part: Part) -> Told:
        """A second of one process is over; perhaps it was the last one that was waited for."""
        tick, seconds = part.tick, self._seconds
        if seconds is None:  # there is no process without
            return ()
        process.draining = tick.draining
        process.targets.update((row.target, row) for row in tick.targets)
        process.models.update((row.model, row) for row in tick.models)
        self._changed.update(row.target for row in tick.targets)
        self._changed_models.update(row.model for row in tick.models)
        if tick.sample.at == process.last:  # its snapshot told of this second
            return ()
        process.last = tick.sample.at
        self._requests.fresh += tick.requests
        self._troubled.fresh += tick.troubled
        self._skipped += tick.skipped
        latest = math.floor(tick.sample.at) - PATIENCE if number == self._me else None
        if latest is not None and latest + 2 * PATIENCE < seconds.told:  # the clock was set back: begin there
            self._seconds = Seconds(latest)
            self._renew()
            return None
        seconds.add(process.origin, tick.sample, part.took)
        over = seconds.over([each.origin for each in self._processes.values()], latest)
        if not over:
            return ()
        at, draining = tick.at, self._draining
        early = [Tick(at=at, draining=draining, sample=sample) for sample in over[:-1]]
        requests, troubled = self._requests.tell(), self._troubled.tell()
        skipped, self._skipped = self._skipped + max(0, len(requests) - SHOWN), 0
        last = Tick(
            at=at,
            draining=draining,
            sample=over[-1],
            targets=self._told_targets(),
            models=self._told_models(),
            requests=tuple(requests[-SHOWN:]),
            skipped=skipped,
            troubled=tuple(troubled[-SHOWN:]),
        )
        return (*early, last)

    def _take_events(self, number: int, origin: Origin, events: Iterable[EventRow]) -> list[EventRow]:
        """Those that are new, as readers are told of them."""
        known, last = self._heard.get(number, (origin, 0))
        if known != origin:
            last = 0
        found = []
        for event in events:
            if event.seq > last:
                last = event.seq
                self._event_count += 1
                found.append(replace(event, seq=self._event_count, worker=number + 1))
        self._heard[number] = (origin, last)
        self._events += found
        if len(self._events) > 2 * EVENTS:
            self._events = sorted(self._events, key=lambda row: (row.at, row.worker, row.seq))[-EVENTS:]
        return found

    def _renew(self) -> None:
        """Everybody is told everything: what waited for a tick is told with it."""
        processes = self._rows()
        targets = dict.fromkeys(name for process in processes for name in process.targets)
        models = dict.fromkeys(name for process in processes for name in process.models)
        self._targets = {name: self._target(name) for name in targets}
        self._models = {name: self._model(name) for name in models}
        self._changed, self._changed_models = set(), set()
        self._requests.tell()
        self._troubled.tell()
        self._skipped = 0

    def _told_targets(self) -> tuple[TargetRow, ...]:
        found = []
        for name in [each for each in self._targets if each in self._changed]:
            row = self._target(name)
            if row != self._targets[name]:
                self._targets[name] = row
                found.append(row)
        self._changed = set()
        return tuple(found)

    def _told_models(self) -> tuple[ModelRow, ...]:
        found = []
        for name in [each for each in self._models if each in self._changed_models]:
            row = self._model(name)
            if row != self._models[name]:
                self._models[name] = row
                found.append(row)
        self._changed_models = set()
        return tuple(found)

    def _target(self, name: str) -> TargetRow:
        return merged_target([process.targets[name] for process in self._rows() if name in process.targets])

    def _model(self, name: str) -> ModelRow:
        return merged_model([process.models[name] for process in self._rows() if name in process.models])

    def _rows(self) -> list[_Process]:
        """Ours first."""
        return [
            self._processes[number] for number in sorted(self._processes, key=lambda each: (each != self._me, each))
        ]
