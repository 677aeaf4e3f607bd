"""The window of one serving process: listens, samples once a second, tells everybody who looks.

Where several processes share the port, each window tells the others of its own process, and its readers of all of them
(`peers`). Without anybody who looks a second costs one reading of the tallies. Rows are made for readers only, and only
those that have changed are told.
"""

import asyncio
import contextlib
import logging
from collections import deque
from itertools import islice
from typing import Final

from standfast import __version__
from standfast.canon.instants import Wall
from standfast.canon.record import RequestRecord
from standfast.config.schema import Config
from standfast.console.access import Access, Viewer
from standfast.console.discretion import discreet
from standfast.console.feed import FIRST_EVENTS, FIRST_REQUESTS, SHOWN, Feed, Reader
from standfast.console.history import History
from standfast.console.messages import (
    EventRow,
    Events,
    ModelRow,
    RequestRow,
    Sample,
    Session,
    Snapshot,
    TargetRow,
    Tick,
)
from standfast.console.meter import Meter
from standfast.console.peers import Own, Peers
from standfast.console.sampler import ENDINGS, Durations, Sampler, durations
from standfast.console.surroundings import Forced, Surroundings
from standfast.console.view import model_rows, request_row, target_rows
from standfast.console.whole import Told
from standfast.engine.gateway import Gateway

log = logging.getLogger("standfast")

TIMED: Final = 512
"""Requests of a second from which its quantiles are told."""

PERIOD: Final = 1.0
"""Seconds between ticks."""

_ANOTHER_PROCESS: Final = Viewer("", "viewer")
"""Who is told of this one, to tell his readers."""


class Window:
    """What is to be seen of one gateway, now and of late.

    Args:
        gateway: what is looked at.
        around: the process around it.

    Attributes:
        access: who may look.
        feed: who looks.
        history: what was.
    """

    def __init__(self, gateway: Gateway, around: Surroundings) -> None:
        self.gateway = gateway
        self.around = around
        self._clock = gateway.services.clock
        self.access = Access(lambda: gateway.snapshot.config, self._clock.wall)
        self.feed = Feed()
        self.history = History()
        self.meter = Meter(self._clock)
        self.meter.on_event = self._event
        self._sampler = Sampler(around.metrics)
        self._started = self._clock.wall()
        self._zero = self._started - self._clock.now()  # Unix time of the monotonic clock's epoch
        self._sampled = self._clock.now()
        self._troubles = self._saved = 0
        self._fresh: deque[RequestRecord] = deque(maxlen=TIMED)  # of the running second
        self._config: Config = gateway.snapshot.config
        self._refused = ""
        self._shown: deque[RequestRecord] = deque(maxlen=FIRST_REQUESTS)
        self._targets: dict[str, TargetRow] = {}
        self._models: dict[str, ModelRow] = {}
        self._kept: dict[Viewer, str] = {}  # what was told of everything since the last tick or event
        self._named: tuple[Config, frozenset[str]] | None = None
        self._task: asyncio.Task[None] | None = None
        self._peers: Peers | None = None
        if around.lines is not None:
            own = Own(around.worker - 1, self._view, lambda: tuple(self.history.minutes), self.text, self._say)
            self._peers = Peers(around.lines, own)
        gateway.services.bus.plug(self.meter)

    def start(self) -> None:
        """Begin to look, in the running loop."""
        if self._peers is not None:
            self._peers.start()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._peers is not None:
            await self._peers.stop()

    async def looked_at(self) -> None:
        """Somebody has begun to look (`feed`). With several processes it takes a moment until all of them are heard."""
        if self._peers is not None:
            self._peers.hear()
            await self._peers.complete()

    def leave(self, reader: Reader) -> None:
        """Somebody looks no more."""
        self.feed.leave(reader)
        if self._peers is not None and not self.feed:
            self._peers.ignore()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + PERIOD, loop.time())
            while loop.time() < due - self.meter.pause:
                await asyncio.sleep(self.meter.pause)
                self.collect()
            await asyncio.sleep(max(0.0, due - loop.time()))
            try:
                self.beat()
            except Exception:  # a page that shows nothing must not become a gateway that serves nothing
                log.exception("the console failed to look; it tries again in a second")

    def beat(self) -> None:
        """Once a second: look, or show everybody out if the console was switched off."""
        if self.gateway.snapshot.config.console.enabled:
            self.tick()
        else:
            self.feed.renew()  # to be told anything they must be let in, and are not

    def collect(self) -> None:
        """Keep the newest requests of the running second: all or, of each tenth of it, as many as the meter holds."""
        self._fresh.extend(self.meter.collect())

    def tick(self) -> None:
        """A second is over: sample it, keep it, tell it."""
        self._kept.clear()
        now = self._clock.now()
        wall = self._wall(now)
        meter = self.meter
        self.collect()
        troubles, saved = meter.troubles - self._troubles, meter.saved - self._saved
        self._troubles, self._saved = meter.troubles, meter.saved
        took, shown = durations(self._fresh), list(self._fresh)[-SHOWN:]
        self._fresh.clear()
        self._shown.extend(shown)
        sample = self._sampler.take(
            wall,
            now - self._sampled,
            took,
            saved=saved,
            in_flight=self.gateway.in_flight,
            waiting=len(self.gateway.snapshot.fleet.line),
        )
        self._sampled = now
        self.history.add(sample, took)
        self._notice()
        if not self._watched:
            self._targets, self._models = {}, {}
            return
        troubled = list(self.meter.troubled)[-min(troubles, SHOWN) :] if troubles else []
        tick = Tick(
            at=round(wall, 3),
            draining=self.around.draining(),
            sample=sample,
            targets=self._changed_targets(),
            models=self._changed_models(),
            requests=tuple(request_row(record) for record in shown),
            skipped=max(0, sum(getattr(sample, name) for name in ENDINGS) - len(shown)),
            troubled=tuple(request_row(record) for record in troubled),
        )
        self._tell(tick, took)

    def first(self, viewer: Viewer) -> str:
        """The same as `snapshot`, made once for all who join in one second; the next tick tells what has changed."""
        if viewer not in self._kept:
            self._kept[viewer] = self.snapshot(viewer)
        return self._kept[viewer]

    def snapshot(self, viewer: Viewer) -> str:
        """Everything that readers know, of all processes, for one who knows nothing."""
        if self._peers is None:
            return self.text(self._view(viewer))
        return self.text(self._peers.snapshot(round(self._wall(self._clock.now()), 3), self.session(viewer)))

    async def everything(self, viewer: Viewer) -> str:
        """Everything, of all processes, asked for now."""
        if self._peers is None:
            return self.snapshot(viewer)
        return self.text(await self._peers.everything(self.session(viewer)))

    async def minutes(self) -> tuple[Sample, ...]:
        """The last day of all processes, minute by minute."""
        return tuple(self.history.minutes) if self._peers is None else await self._peers.minutes()

    def _view(self, viewer: Viewer = _ANOTHER_PROCESS) -> Snapshot:
        """Everything of this process."""
        self.collect()
        meter = self.meter
        targets = target_rows(self.gateway, self._sampler.reading, self._later)
        models = model_rows(self.gateway)
        # What is told here and is as before when the tick compares would stay as it is told here, for whoever is told.
        self._targets = {row.target: row for row in targets if self._targets.get(row.target) == row}
        self._models = {row.model: row for row in models if self._models.get(row.model) == row}
        return Snapshot(
            at=round(self._wall(self._clock.now()), 3),
            started=round(self._started, 3),
            session=self.session(viewer),
            draining=self.around.draining(),
            models=tuple(models),
            targets=tuple(targets),
            seconds=tuple(self.history.seconds),
            events=tuple(islice(meter.events, max(0, len(meter.events) - FIRST_EVENTS), None)),
            requests=self.requests(FIRST_REQUESTS),
            troubled=tuple(request_row(record) for record in meter.troubled),
        )

    def force_breaker(self, target: str, state: Forced, by: str) -> None:
        """An operator's word about one target's breaker.

        Raises:
            UnknownDeployment: nothing of this name is served.
        """
        if self.around.force_breaker is not None:
            self.around.force_breaker(target, state, by)
        else:
            self.gateway.force_breaker(target, state, by=by)

    def session(self, viewer: Viewer) -> Session:
        """Who looks, and at what."""
        around = self.around
        return Session(
            name=viewer.name,
            role=viewer.role,
            open=viewer.open,
            version=__version__,
            worker=around.worker,
            workers=around.workers,
        )

    def requests(self, most: int) -> tuple[RequestRow, ...]:
        """Those that the last ticks told, oldest first."""
        return tuple(request_row(record) for record in islice(self._shown, max(0, len(self._shown) - most), None))

    def text(self, value: object) -> str:
        """As JSON, free of secrets."""
        return discreet(value, self.gateway.services.redactor, self._names)

    @property
    def _names(self) -> frozenset[str]:
        """Of what is configured: none of them is a secret, even if a key is the same word."""
        if self._named is None or self._named[0] is not self.gateway.snapshot.config:
            config = self.gateway.snapshot.config
            targets = (each.target for model in config.models.values() for each in model.targets)
            keys = (f"{name} key {at + 1}" for name, each in config.providers.items() for at in range(len(each.keys)))
            self._named = config, frozenset((*config.models, *config.providers, *targets, *keys))
        return self._named[1]

    def _event(self, row: EventRow) -> None:
        self._kept.clear()
        if self._watched:
            self._tell(Events(events=(row,)), Durations())

    @property
    def _watched(self) -> bool:
        return bool(self.feed) or (self._peers is not None and self._peers.listening)

    def _tell(self, message: Tick | Events, took: Durations) -> None:
        """To everybody who looks, here or in another process."""
        if self._peers is not None:
            self._peers.tell(message, took)
        else:
            self._say((message,))

    def _say(self, told: Told) -> None:
        """To everybody who looks here."""
        self._kept.clear()
        if told is None:
            self.feed.renew()
            return
        for message in told:
            self.feed.tell(self.text(message))

    def _renew(self) -> None:
        """Nothing that was told of this process is of use any more."""
        if self._peers is not None:
            self._peers.renew()
        self._say(None)

    def _notice(self) -> None:
        """A reload, by whichever way it came: the rows may be others, so everybody is told everything."""
        config, refused = self.gateway.snapshot.config, self.around.reload_error()
        if config is not self._config:
            self._config = config
            self.meter.note("configuration", "", "", "reloaded", "a new configuration serves")
            self._targets, self._models = {}, {}
            self._renew()
        if refused and refused != self._refused:
            self.meter.note("configuration", "", "", "refused", refused)
        self._refused = refused

    def _changed_targets(self) -> tuple[TargetRow, ...]:
        rows = target_rows(self.gateway, self._sampler.reading, self._later)
        changed = tuple(row for row in rows if self._targets.get(row.target) != row)
        self._targets = {row.target: row for row in rows}
        return changed

    def _changed_models(self) -> tuple[ModelRow, ...]:
        rows = model_rows(self.gateway)
        changed = tuple(row for row in rows if self._models.get(row.model) != row)
        self._models = {row.model: row for row in rows}
        return changed

    def _later(self, seconds: float) -> float:
        return round(self._wall(self._clock.now()) + seconds, 1)

    def _wall(self, now: float) -> float:
        """Unix time by the monotonic clock, so that one instant has one figure; set right when the clock was.

        There are two cases. A clock that was put forward leaves a gap (the machine may as well have slept). One that
        was put back would have what was lie in the future: that goes back with it, and everybody is told anew.
        """
        wall = self._clock.wall()
        moved = wall - (self._zero + now)
        if abs(moved) > PERIOD:
            self._zero = wall - now
            if moved < 0.0:
                self._started = Wall(self._started + moved)
                self.history.move(moved)
                self._renew()
        return self._zero + now
