"""One process that serves: the port, the signals, the drain, the reload."""

import asyncio
import contextlib
import gc
import logging
import random
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, cast

import uvicorn

from standfast.clock import SystemClock
from standfast.config.schema import Config
from standfast.engine.gateway import Gateway
from standfast.errors import UnknownDeployment
from standfast.hooks.log import LogHook
from standfast.hooks.prometheus import PrometheusHook
from standfast.http1.bound import server_protocol
from standfast.http1.wheel import Wheel
from standfast.server.annex import Annex, Build, Forced, Reloaded, Site
from standfast.server.data_plane import DataPlane
from standfast.server.descriptors import fitting, raise_limit
from standfast.server.lazy import LazyApplication, websocket_protocol
from standfast.server.lines import Lines
from standfast.server.reloading import callers_of, reloader
from standfast.server.siblings import Siblings, Word
from standfast.server.status import Status
from standfast.server.uvicorn_server import Server
from standfast.server.workers import supervise

log = logging.getLogger("standfast")

BACKLOG = 2048
CUT_OFF_MARGIN = 0.5
"""Seconds before the end of the drain at which streams still under way get their error event."""

Announce = Callable[[str], None]

RELOAD: Final = "reload"
BREAKER: Final = "breaker"
ASK: Final = "ask"
"""What one process says to the others; who is started anew asks which breakers are forced."""

FORCED: Final[Mapping[str, Forced]] = {"forced_open": "open", "forced_closed": "closed"}
"""What an operator has said of a breaker, by the state that it is in since."""


def serve(
    config: Config,
    *,
    config_path: Path | None,
    announce: Announce,
    overrides: Mapping[str, object] | None = None,
    companion: "Companion | None" = None,
    annex: Build | None = None,
    rng: random.Random | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT; SIGHUP reads the configuration file anew.

    Args:
        config: checked.
        config_path: what SIGHUP reads; None if there is no file.
        announce: told once that the port listens.
        overrides: settings of `server` that the command line names; they hold over a reload, too.
        companion: started before and stopped after, in the same loop (the stand-in providers of the demo).
        annex: builds what else is on the port (the console).
        rng: the gateway's source of chance; None for one of its own.

    Returns:
        The exit code: 0 after a clean drain.

    Raises:
        OSError: the port cannot be bound.
    """
    listener = _bind(config.server.host, config.server.port)
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{port}"

    lines = Lines(config.server.workers) if annex is not None and config.server.workers > 1 else None
    plan = Plan(config, config_path, listener, overrides or {}, companion, annex, rng, lines)
    siblings = Siblings(config.server.workers)
    if config.server.workers == 1:
        return Worker(plan, siblings, 0, partial(announce, address)).run()
    announce(address)  # once, not by each worker; until they serve the socket keeps who connects
    return supervise(
        lambda number, anew: Worker(plan, siblings, number, _silent, anew=anew).run(), config.server.workers
    )


def _silent() -> None:
    """Announce nothing."""


class Companion:
    """Something that lives as long as the server, in its loop."""

    async def start(self) -> None:
        """Begin."""

    async def stop(self) -> None:
        """End."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What every serving process is made from.

    Attributes:
        config: checked.
        config_path: what SIGHUP reads; None if there is no file.
        listener: a bound socket.
        overrides: settings of `server` that the command line names.
        companion: started before and stopped after.
        annex: builds what else is on the port.
        rng: the gateway's source of chance; None for one of its own.
        lines: between the processes, for the annex; None if there is one process.
    """

    config: Config
    config_path: Path | None
    listener: socket.socket
    overrides: Mapping[str, object]
    companion: Companion | None
    annex: Build | None
    rng: random.Random | None
    lines: Lines | None = None


class Worker:
    """One serving process.

    Args:
        plan: what it is made from.
        siblings: the way to the other processes of the same port.
        number: which of them this is, from 0.
        started: called when the port listens.
        anew: it takes the place of one that died. Since the start the file may have been reloaded, and breakers forced:
            it must know what the others know.
    """

    def __init__(
        self, plan: Plan, siblings: Siblings, number: int, started: Callable[[], None], *, anew: bool = False
    ) -> None:
        self._plan = plan
        self._config = plan.config
        self._siblings = siblings
        self._number = number
        self._started = started
        self._anew = anew
        self._companion = plan.companion
        self._status = Status()
        self._annex: Annex | None = None

    def run(self) -> int:
        """Serve until told to stop."""
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(self._serve())
        return 0

    async def _serve(self) -> None:
        if self._companion is not None:
            await self._companion.start()
        try:
            await self._serve_gateway()
        finally:
            if self._companion is not None:
                await self._companion.stop()

    async def _serve_gateway(self) -> None:
        config = self._config
        async with Gateway(config, clock=SystemClock(), rng=self._plan.rng) as gateway:
            access_log = None
            if config.log.format != "off":
                access_log = LogHook(config.log.path, gateway.services.redactor, format=config.log.format)
                gateway.services.bus.plug(access_log)
            metrics = PrometheusHook(
                in_flight=lambda: gateway.in_flight,
                breaker_states=gateway.breaker_states,
                log_lines_dropped=lambda: access_log.dropped if access_log is not None else 0,
            )
            gateway.services.bus.plug(metrics)
            plane = DataPlane(gateway, callers_of(config))
            reload = reloader(self._plan.config_path, plane, self._status, self._plan.overrides)
            if self._anew and self._plan.config_path is not None:
                reload()
            self._obey(gateway, reload)
            site = self._site(gateway, metrics, reload)
            app = LazyApplication(lambda: self._build(plane, site))
            wheel = Wheel(gateway.services.clock)
            limits = fitting(config.server.limits, raise_limit())
            protocol = server_protocol(plane, limits, wheel, gateway.services.clock)
            server = Server(
                uvicorn.Config(
                    app,
                    http=protocol,
                    ws=websocket_protocol(config.server.limits.write_timeout) if self._plan.annex else "none",
                    lifespan="off",
                    log_config=None,
                    access_log=False,
                    server_header=False,
                    backlog=BACKLOG,
                    timeout_graceful_shutdown=max(1, round(config.server.drain)),
                ),
                on_listening=lambda: self._listening(app),
                on_drain=lambda: self._drain(gateway),
            )
            await server.serve(sockets=[self._plan.listener])
            if self._annex is not None:
                await self._annex.stop()
            wheel.close()

    def _listening(self, app: LazyApplication) -> None:
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)  # requests make little garbage in cycles; scanning for it is tail latency
        app.start()
        self._started()

    def _build(self, plane: DataPlane, site: Site):  # type: ignore[no-untyped-def]  # noqa: ANN202 - FastAPI is imported late
        """The application for all that is not the data plane; called on a thread."""
        from standfast.server.app import create_app  # noqa: PLC0415 - FastAPI costs half a second; see server.lazy

        app = create_app(plane, self._status, site.metrics)
        if self._plan.annex is not None:
            self._annex = annex = self._plan.annex(site)
            annex.install(app)
            site.loop.call_soon_threadsafe(annex.start)
        return app

    def _drain(self, gateway: Gateway) -> None:
        self._status.draining = True
        wait = max(0.0, self._config.server.drain - CUT_OFF_MARGIN)
        asyncio.get_running_loop().call_later(wait, gateway.cut_off)

    def _obey(self, gateway: Gateway, reload: Callable[[], Reloaded]) -> None:
        """SIGHUP, and what is said in another process of the same port."""
        siblings = self._siblings

        def hear(word: Word) -> None:
            if word.get("say") == RELOAD:
                reload()
            elif word.get("say") == BREAKER:
                with contextlib.suppress(UnknownDeployment):  # this one has other targets, for the moment
                    gateway.force_breaker(word["target"] or "", cast("Forced", word["state"]), by=word["by"] or "")
            elif word.get("say") == ASK:
                for target, state in gateway.breaker_states().items():
                    if state in FORCED:
                        siblings.tell({"say": BREAKER, "target": target, "state": FORCED[state], "by": ""})

        siblings.listen(self._number, hear)
        if self._anew:
            siblings.tell({"say": ASK})
        with contextlib.suppress(NotImplementedError, RuntimeError):  # no signals outside the main thread
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)

    def _site(self, gateway: Gateway, metrics: PrometheusHook, reload: Callable[[], Reloaded]) -> Site:
        siblings = self._siblings

        def reload_all() -> Reloaded:
            found = reload()
            if not found.error:
                siblings.tell({"say": RELOAD})
            return found

        def force(target: str, state: Forced, by: str) -> None:
            gateway.force_breaker(target, state, by=by)
            siblings.tell({"say": BREAKER, "target": target, "state": state, "by": by})

        return Site(
            asyncio.get_running_loop(),
            gateway,
            metrics,
            self._status,
            self._plan.config_path,
            reload_all,
            force,
            siblings.number,
            len(siblings),
            self._plan.lines,
        )


def _bind(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop
