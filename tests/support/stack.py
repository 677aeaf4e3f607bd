"""A whole gateway in front of the lab's stand-in providers, in this process, on free loopback ports."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

import uvicorn

from standfast.canon.record import Change, RequestRecord
from standfast.config.load import from_mapping
from standfast.console.annex import Console
from standfast.console.surroundings import Surroundings
from standfast.console.window import Window
from standfast.engine.gateway import Gateway
from standfast.hooks.prometheus import PrometheusHook
from standfast.http1.bound import server_protocol
from standfast.http1.wheel import Wheel
from standfast.lab.server import Lab
from standfast.lab.settings import LabSettings
from standfast.server.app import create_app
from standfast.server.auth import Callers
from standfast.server.data_plane import DataPlane
from standfast.server.lazy import websocket_protocol
from standfast.server.status import Status
from standfast.server.uvicorn_server import Server

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


class Recorder:
    """A hook that keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[RequestRecord] = []
        self.changes: list[Change] = []

    def request_ended(self, record: RequestRecord) -> None:
        """Keep it."""
        self.records.append(record)

    def changed(self, change: Change) -> None:
        """Keep it."""
        self.changes.append(change)

    def close(self) -> None:
        """Nothing is held."""


@dataclass
class Stack:
    """What a test holds in hand."""

    lab: Lab
    gateway: Gateway
    plane: DataPlane
    server: Server
    port: int
    recorder: Recorder
    status: Status = field(default_factory=Status)
    window: Window | None = None

    @property
    def url(self) -> str:
        """Base URL of the OpenAI door."""
        return f"http://127.0.0.1:{self.port}/v1"


class PromptServer(Server):
    """Stops at once where uvicorn takes 100 ms twice: the tests stop hundreds of servers."""

    async def main_loop(self) -> None:
        """Tick until told to stop."""
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            await asyncio.sleep(0.005)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """With no connection left there is nothing to wait for."""
        if self.server_state.connections:
            await super().shutdown(sockets)
            return
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()


def free_port() -> int:
    """A port on which nothing listens (closed again: connections are refused)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def stack(
    models: Mapping[str, object],
    *,
    providers: Mapping[str, object] | Callable[[Lab], Mapping[str, object]] | None = None,
    lab_settings: LabSettings | None = None,
    keys: tuple[tuple[str, str], ...] = (),
    window: bool | Callable[[PrometheusHook], Surroundings] = False,
    **config: object,
) -> AsyncIterator[Stack]:
    """Start everything; with a `window` (in these surroundings) the console too, which ticks when the test says so.

    The lab's stand-ins are configured as the providers `openai`, `anthropic` and `gemini`, once more with another key
    as `twin`, `anthropic_twin` and `gemini_twin` (same ports; a fault's `key` tells them apart), and there is `dead`
    (a closed port). `providers` adds or replaces; it may need the running lab's addresses.
    """
    async with Lab(lab_settings, ports={"openai": 0, "anthropic": 0, "gemini": 0}) as lab:
        known: dict[str, object] = {
            "openai": {"base_url": f"{lab.openai.url}/v1", "keys": ["sk-lab-openai"]},
            "twin": {"type": "openai_like", "base_url": f"{lab.openai.url}/v1", "keys": ["sk-lab-twin"]},
            "anthropic": {"base_url": lab.anthropic.url, "keys": ["sk-lab-anthropic"]},
            "gemini": {"base_url": f"{lab.gemini.url}/v1beta", "keys": ["lab-gemini"]},
            "anthropic_twin": {"type": "anthropic", "base_url": lab.anthropic.url, "keys": ["sk-lab-twin"]},
            "gemini_twin": {"type": "gemini", "base_url": f"{lab.gemini.url}/v1beta", "keys": ["lab-twin"]},
            "dead": {"type": "openai_like", "base_url": f"http://127.0.0.1:{free_port()}/v1", "keys": ["none"]},
        }
        known.update(providers(lab) if callable(providers) else providers or {})
        mapping = {
            "providers": known,
            "models": models,
            "keys": [{"name": name, "key": key} for name, key in keys],
            **config,
        }
        recorder = Recorder()
        gateway = Gateway(from_mapping(mapping, {}), hooks=[recorder])
        async with gateway, _serving(lab, gateway, recorder, around=window) as running:
            yield running


@contextlib.asynccontextmanager
async def _serving(
    lab: Lab, gateway: Gateway, recorder: Recorder, *, around: bool | Callable[[PrometheusHook], Surroundings]
) -> AsyncIterator[Stack]:
    config = gateway.snapshot.config
    plane = DataPlane(gateway, Callers((entry.name, entry.key.get_secret_value()) for entry in config.keys))
    status = Status()
    metrics = PrometheusHook(in_flight=lambda: gateway.in_flight, breaker_states=gateway.breaker_states)
    gateway.services.bus.plug(metrics)
    listening = asyncio.Event()
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    wheel = Wheel(gateway.services.clock)
    protocol = server_protocol(plane, config.server.limits, wheel, gateway.services.clock)
    app = create_app(plane, status, metrics)
    window = None
    if around:
        window = Window(gateway, around(metrics) if callable(around) else Surroundings(metrics))
    if window is not None:
        Console(window).install(app)
    server = PromptServer(
        uvicorn.Config(
            app,
            http=protocol,
            ws=websocket_protocol(config.server.limits.write_timeout) if window is not None else "none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=2,
        ),
        on_listening=listening.set,
        on_drain=lambda: None,
    )
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await listening.wait()
    try:
        yield Stack(lab, gateway, plane, server, listener.getsockname()[1], recorder, status, window)
    finally:
        server.should_exit = True
        gateway.cut_off()
        await task
