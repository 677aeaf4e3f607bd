"""Standfast: the LLM gateway that stays open.

The house, from the bottom up (dependencies point down only; `tests/test_architecture.py` enforces it):

    canon        THE LANGUAGE: frozen values that every room speaks
    errors       every exception an embedder may catch
    clock        where time comes from
    plugins      room + name -> module
    policy       THE JUDGEMENT: pure state machines; `now` is an argument
    circuit      the circuit breaker for any callable
    framing      sans-IO byte framing
    strategies   one file = one way to choose
    formats      one file = one wire format, both directions
    providers    one file = one provider
    config       schema, load, check
    http1        THE WIRE: server protocol, upstream client
    engine       THE HANDS: Gateway, Drive, Call
    hooks        one file = one listener
    server       THE DOOR: data-plane routes, auth, the control-plane application
    stores       one file = one place to keep things
    sim          THE REHEARSAL: the same policy in virtual time
    lab          fault-injecting stand-in providers
    drill        THE DRILL: a scenario performed for real, beside its rehearsal
    cli          the command line
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from standfast.circuit import CircuitBreaker
    from standfast.clock import ManualClock, SystemClock
    from standfast.engine.gateway import Gateway
    from standfast.engine.inquiry import Controls
    from standfast.engine.reply import Reply
    from standfast.engine.sync import SyncGateway
    from standfast.errors import (
        BrokenStream,
        CircuitOpen,
        ConfigError,
        InvalidRequest,
        RequestFailed,
        StandfastError,
        Unauthorized,
        UnknownDeployment,
        UnknownModel,
        Untranslatable,
    )

__version__ = "0.1.0"

_HOMES = {
    "BrokenStream": "errors",
    "CircuitBreaker": "circuit",
    "CircuitOpen": "errors",
    "ConfigError": "errors",
    "Controls": "engine.inquiry",
    "Gateway": "engine.gateway",
    "InvalidRequest": "errors",
    "ManualClock": "clock",
    "Reply": "engine.reply",
    "RequestFailed": "errors",
    "StandfastError": "errors",
    "SyncGateway": "engine.sync",
    "SystemClock": "clock",
    "Unauthorized": "errors",
    "UnknownDeployment": "errors",
    "UnknownModel": "errors",
    "Untranslatable": "errors",
}

__all__ = [
    "BrokenStream",
    "CircuitBreaker",
    "CircuitOpen",
    "ConfigError",
    "Controls",
    "Gateway",
    "InvalidRequest",
    "ManualClock",
    "Reply",
    "RequestFailed",
    "StandfastError",
    "SyncGateway",
    "SystemClock",
    "Unauthorized",
    "UnknownDeployment",
    "UnknownModel",
    "Untranslatable",
    "__version__",
]


def __getattr__(name: str) -> object:
    """Import what is asked for, when it is asked for: the command line must not pay for the engine."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'standfast' has no attribute {name!r}")
    return getattr(import_module(f"standfast.{home}"), name)
