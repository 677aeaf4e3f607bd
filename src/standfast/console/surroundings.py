"""The process around a window: what it needs to know, and whom it can tell."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from standfast.console.peers import Lines
from standfast.hooks.prometheus import PrometheusHook

Forced: TypeAlias = Literal["open", "closed"] | None


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
        lines: to the other processes; None where there are none.
    """

    metrics: PrometheusHook
    draining: Callable[[], bool] = lambda: False
    reload_error: Callable[[], str] = lambda: ""
    reload: Callable[[], tuple[str, tuple[str, ...]]] = lambda: ("there is no configuration file", ())
    path: str = ""
    worker: int = 1
    workers: int = 1
    force_breaker: Callable[[str, Forced, str], None] | None = None
    lines: Lines | None = None
