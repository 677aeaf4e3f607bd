"""What else may live on the port, in the same process: the console is one. The server knows only this contract."""

from asyncio import AbstractEventLoop
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

from standfast.engine.gateway import Gateway
from standfast.hooks.prometheus import PrometheusHook
from standfast.server.lines import Lines
from standfast.server.status import Status

if TYPE_CHECKING:  # it costs a quarter of a second that no request waits for (`server.lazy`)
    from fastapi import FastAPI

Forced: TypeAlias = Literal["open", "closed"] | None


class Reloaded(NamedTuple):
    """What came of reading the configuration anew.

    Attributes:
        error: why it was refused; empty if it was not. The old one serves on then.
        waiting: settings that have changed and wait for a restart.
    """

    error: str = ""
    waiting: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Site:
    """Where an annex is built: one serving process.

    Attributes:
        loop: the server's.
        gateway: does the work.
        metrics: counts it.
        status: readiness of the process.
        config_path: of the configuration; None if there is no file.
        reload: reads it anew, in every process that shares the port; tells what came of it in this one.
        force_breaker: an operator's word about a breaker, in every process: target, state (None takes it back), who.
        worker, workers: which process this is, from 1, and how many there are.
        lines: to the others; None if there are none.
    """

    loop: AbstractEventLoop
    gateway: Gateway
    metrics: PrometheusHook
    status: Status
    config_path: Path | None
    reload: Callable[[], Reloaded]
    force_breaker: Callable[[str, Forced, str], None]
    worker: int = 1
    workers: int = 1
    lines: Lines | None = None


class Annex(Protocol):
    """Something besides the door."""

    def install(self, app: "FastAPI") -> None:
        """Add routes. Called once, on the thread that built it."""
        ...

    def start(self) -> None:
        """Begin, in the server's loop; the routes are there."""
        ...

    async def stop(self) -> None:
        """End, before the gateway does."""
        ...


Build: TypeAlias = Callable[[Site], Annex]
"""Called once, on a thread, when the port listens already: no request waits for what it imports."""
