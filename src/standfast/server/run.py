"""One process that serves: the port, the signals, the drain, the reload."""

import asyncio
import contextlib
import gc
import logging
import os
import random
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import uvicorn

from standfast.clock import SystemClock
from standfast.config.load import load
from standfast.config.schema import Config
from standfast.engine.gateway import Gateway
from standfast.errors import ConfigError
from standfast.hooks.log import LogHook
from standfast.hooks.prometheus import PrometheusHook
from standfast.http1.bound import server_protocol
from standfast.http1.wheel import Wheel
from standfast.server.auth import Callers
from standfast.server.data_plane import DataPlane
from standfast.server.descriptors import fitting, raise_limit
from standfast.server.lazy import LazyApplication
from standfast.server.status import Status
from standfast.server.workers import supervise

log = logging.getLogger("standfast")

BACKLOG = 2048
CUT_OFF_MARGIN = 0.5
"""Seconds before the end of the drain at which streams still under way get their error event."""

Announce = Callable[[str], None]


def serve(
    config: Config,
    *,
    config_path: Path | None,
    announce: Announce,
    overrides: Mapping[str, object] | None = None,
    companion: "Companion | None" = None,
    rng: random.Random | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT; SIGHUP reads the configuration file anew.

    Args:
        config: checked.
        config_path: what SIGHUP reads; None if there is no file.
        announce: told once that the port listens.
        overrides: settings of `server` that the command line names; they hold over a reload, too.
        companion: started before and stopped after, in the same loop (the stand-in providers of the demo).
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

    def worker(announce: Announce) -> int:
        started = partial(announce, address)
        return Worker(config, config_path, listener, started, overrides=overrides, companion=companion, rng=rng).run()

    if config.server.workers == 1:
        return worker(announce)
    announce(address)  # once, not by each worker; until they serve the socket keeps who connects
    return supervise(lambda: worker(_silent), config.server.workers)


def _silent(address: str) -> None:
    """Announce nothing."""


class Companion:
    """Something that lives as long as the server, in its loop."""

    async def start(self) -> None:
        """Begin."""

    async def stop(self) -> None:
        """End."""


class Worker:
    """One serving process.

    Args:
        config: checked.
        config_path: what SIGHUP reads; None if there is no file.
        listener: a bound socket.
        started: called when the port listens.
        overrides: settings of `server` that the command line names.
        companion: started before and stopped after.
        rng: the gateway's source of chance; None for one of its own.
    """

    def __init__(
        self,
        config: Config,
        config_path: Path | None,
        listener: socket.socket,
        started: Callable[[], None],
        *,
        overrides: Mapping[str, object] | None = None,
        companion: Companion | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._rng = rng
        self._config = config
        self._config_path = config_path
        self._overrides = overrides
        self._listener = listener
        self._started = started
        self._companion = companion
        self._status = Status()

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
        async with Gateway(config, clock=SystemClock(), rng=self._rng) as gateway:
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
            plane = DataPlane(gateway, _callers(config))
            app = LazyApplication(lambda: _build_app(plane, self._status, metrics))
            wheel = Wheel(gateway.services.clock)
            limits = fitting(config.server.limits, raise_limit())
            protocol = server_protocol(plane, limits, wheel, gateway.services.clock)
            server = Server(
                uvicorn.Config(
                    app,
                    http=protocol,
                    ws="none",
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
            self._handle_reload(plane)
            await server.serve(sockets=[self._listener])
            wheel.close()

    def _listening(self, app: LazyApplication) -> None:
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)  # requests make little garbage in cycles; scanning for it is tail latency
        app.start()
        self._started()

    def _drain(self, gateway: Gateway) -> None:
        self._status.draining = True
        wait = max(0.0, self._config.server.drain - CUT_OFF_MARGIN)
        asyncio.get_running_loop().call_later(wait, gateway.cut_off)

    def _handle_reload(self, plane: DataPlane) -> None:
        def reload() -> None:
            error = reload_from(self._config_path, plane, self._overrides)
            self._status.reload_error = error
            if error:
                log.error("reload refused, the old configuration serves on: %s", error)
            else:
                self._status.reloads += 1
                log.warning("configuration reloaded")

        with contextlib.suppress(NotImplementedError, RuntimeError):  # no signals outside the main thread
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)


def reload_from(path: Path | None, plane: DataPlane, overrides: Mapping[str, object] | None = None) -> str:
    """Read the configuration anew and swap it in; validated whole, the old one kept on any error.

    What has changed and waits for a restart is logged by name.

    Returns:
        Why it was refused; empty if it was accepted.
    """
    if path is None:
        return "the gateway was started without a configuration file"
    try:
        config = load(path, os.environ, server=overrides)
        callers = _callers(config)
        waiting = plane.gateway.reload(config)
    except (ConfigError, LookupError, ValueError) as error:
        return str(error)
    plane.callers = callers
    if waiting:
        log.warning("changed in the file, without effect before a restart: %s", ", ".join(waiting))
    return ""


class Server(uvicorn.Server):
    """uvicorn's server, ending with exit code 0 after a drain, and telling when it listens and drains."""

    def __init__(
        self, config: uvicorn.Config, *, on_listening: Callable[[], None], on_drain: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._on_listening = on_listening
        self._on_drain = on_drain

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        self._on_listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, let what is under way finish."""
        self._on_drain()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT begin the drain, a second SIGINT ends it; neither is raised again afterwards."""
        loop = asyncio.get_running_loop()
        handled: tuple[int, ...] = (signal.SIGTERM, signal.SIGINT)
        try:
            for number in handled:
                loop.add_signal_handler(number, self.handle_exit, number, None)
        except (NotImplementedError, RuntimeError):  # not the main thread: the embedder stops us
            handled = ()
        try:
            yield
        finally:
            for number in handled:
                loop.remove_signal_handler(number)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


def _callers(config: Config) -> Callers:
    return Callers((entry.name, entry.key.get_secret_value()) for entry in config.keys)


def _build_app(plane: DataPlane, status: Status, metrics: PrometheusHook):  # type: ignore[no-untyped-def]  # noqa: ANN202 - FastAPI is imported late
    from standfast.server.app import create_app  # noqa: PLC0415 - FastAPI costs half a second; see server.lazy

    return create_app(plane, status, metrics)
