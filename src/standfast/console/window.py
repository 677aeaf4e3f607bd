"""The window of one serving process: listens, samples once a second, tells everybody who looks.

Without anybody who looks a second costs one reading of the tallies. Rows are made for readers only, and only those that
have changed are told.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal, TypeAlias

from standfast import __version__
from standfast.canon.instants import Wall
from standfast.config.schema import Config
from standfast.console.access import Access, Viewer
from standfast.console.discretion import discreet
from standfast.console.feed import Feed
from standfast.console.history import History
from standfast.console.messages import (
    EventRow,
    Events,
    ModelRow,
    RequestRow,
    Session,
    Snapshot,
    TargetRow,
    Tick,
)
from standfast.console.meter import Meter
from standfast.console.sampler import Durations, Sampler, durations
from standfast.console.view import model_rows, request_row, target_rows
from standfast.engine.gateway import Gateway
from standfast.hooks.prometheus import PrometheusHook

log = logging.getLogger("standfast")

Forced: TypeAlias = Literal["open", "closed"] | None

PERIOD: Final = 1.0
"""Seconds between ticks."""

SHOWN: Final = 25
"""Requests told in one tick; nobody reads more."""

FIRST_EVENTS: Final = 300
FIRST_REQUESTS: Final = 100
"""What a reader is told first."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the window needs besides the gateway.

    Attributes:
        metrics: the hook that counts.
        draining: is the process about to end?
        reload_error: why the last reload was refused; empty if it was not.
        reload: reads the configuration anew; returns why it was refused (empty: it was not), and what of it waits for
            a restart.
        path: of the configuration file; empty if there is none.
        worker, workers: which of the processes that share the port this is, from 1, and how many there are.
        force_breaker: an operator's word about a breaker, for every process: target, state, who. None: for this one.
    """

    metrics: PrometheusHook
    draining: Callable[[], bool] = lambda: False
    reload_error: Callable[[], str] = lambda: ""
    reload: Callable[[], tuple[str, tuple[str, ...]]] = lambda: ("there is no configuration file", ())
    path: str = ""
    worker: int = 1
    workers: int = 1
    force_breaker: Callable[[str, Forced, str], None] | None = None


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
        self._ended = self._troubles = self._saved = 0
        self._config: Config = gateway.snapshot.config
        self._refused = ""
        self._targets: dict[str, TargetRow] = {}
        self._models: dict[str, ModelRow] = {}
        self._kept: dict[Viewer, str] = {}  # what was told of everything since the last tick or event
        self._named: tuple[Config, frozenset[str]] | None = None
        self._task: asyncio.Task[None] | None = None
        gateway.services.bus.plug(self.meter)

    def start(self) -> None:
        """Begin to look, in the running loop."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + PERIOD, loop.time())
            await asyncio.sleep(due - loop.time())
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

    def tick(self) -> None:
        """A second is over: sample it, keep it, tell it."""
        self._kept.clear()
        now = self._clock.now()
        wall = self._wall(now)
        meter = self.meter
        ended, troubles, saved = meter.ended - self._ended, meter.troubles - self._troubles, meter.saved - self._saved
        self._ended, self._troubles, self._saved = meter.ended, meter.troubles, meter.saved
        recent = meter.recent
        fresh = list(islice(recent, max(0, len(recent) - ended), None))
        took = durations(fresh) if fresh else Durations()
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
        if not self.feed:
            self._targets, self._models = {}, {}
            return
        shown = fresh[-SHOWN:]
        troubled = list(self.meter.troubled)[-min(troubles, SHOWN) :] if troubles else []
        self.feed.tell(
            self.text(
                Tick(
                    at=round(wall, 3),
                    draining=self.around.draining(),
                    sample=sample,
                    targets=self._changed_targets(),
                    models=self._changed_models(),
                    requests=tuple(request_row(record) for record in shown),
                    skipped=ended - len(shown),
                    troubled=tuple(request_row(record) for record in troubled),
                )
            )
        )

    def first(self, viewer: Viewer) -> str:
        """The same as `snapshot`, made once for all who join in one second; the next tick tells what has changed."""
        if viewer not in self._kept:
            self._kept[viewer] = self.snapshot(viewer)
        return self._kept[viewer]

    def snapshot(self, viewer: Viewer) -> str:
        """Everything, for somebody who knows nothing."""
        meter = self.meter
        targets = target_rows(self.gateway, self._sampler.reading, self._later)
        models = model_rows(self.gateway)
        # What is told here and is as before when the tick compares would stay as it is told here, for whoever is told.
        self._targets = {row.target: row for row in targets if self._targets.get(row.target) == row}
        self._models = {row.model: row for row in models if self._models.get(row.model) == row}
        return self.text(
            Snapshot(
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
        """The newest requests, oldest first."""
        recent = self.meter.recent
        return tuple(request_row(record) for record in islice(recent, max(0, len(recent) - most), None))

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
        if self.feed:
            self.feed.tell(self.text(Events(events=(row,))))

    def _notice(self) -> None:
        """A reload, by whichever way it came: the rows may be others, so everybody is told everything."""
        config, refused = self.gateway.snapshot.config, self.around.reload_error()
        if config is not self._config:
            self._config = config
            self.meter.note("configuration", "", "", "reloaded", "a new configuration serves")
            self._targets, self._models = {}, {}
            self.feed.renew()
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
                self._kept.clear()
                self.feed.renew()
        return self._zero + now
