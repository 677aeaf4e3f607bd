"""What a starting gateway tells the person who started it."""

import json
from collections.abc import Callable

from standfast.cli.output import say
from standfast.config.references import is_loopback
from standfast.config.schema import Config


def announcer(config: Config, *extra: str) -> Callable[[str], None]:
    """A function that, told the address, prints the banner; `extra` lines come last."""

    def announce(address: str) -> None:
        say("\n".join([*banner(config, address), *extra]))

    return announce


def banner(config: Config, address: str) -> list[str]:
    """Address, models and their targets, whether a key is needed, a line to try."""
    lines = [f"Standfast is open at {address}", "", "models:"]
    width = max((len(name) for name in config.models), default=0)
    for name, model in config.models.items():
        strategy = model.strategy or config.defaults.strategy
        targets = ", ".join(line.target for line in model.targets)
        lines.append(f"  {name:<{width}}  {strategy}: {targets}")
    names = ", ".join(entry.name for entry in config.keys)
    lines += ["", f"keys: {names}" if names else _open_door(config), _console(config, address)]
    lines += ["try:", f"  {curl(config, address)}"]
    return lines


def curl(config: Config, address: str, model: str = "") -> str:
    """A command that asks the first model."""
    body = {
        "model": model or next(iter(config.models), ""),
        "messages": [{"role": "user", "content": "hello"}],
    }
    key = " -H 'authorization: Bearer YOUR-KEY'" if config.keys else ""
    return f"curl -s {address}/v1/chat/completions -H 'content-type: application/json'{key} -d '{json.dumps(body)}'"


def _open_door(config: Config) -> str:
    if config.server.open_door:
        return "keys: none are configured and server.open_door is true: ANYONE who reaches this address may ask"
    return "keys: none are configured, so requests from this machine need no key"


def _console(config: Config, address: str) -> str:
    console = config.console
    if not console.enabled:
        return "console: switched off"
    if console.keys:
        return f"console: {address}/console/ (keys: {', '.join(entry.name for entry in console.keys)})"
    if config.keys or not is_loopback(config.server.host):
        return f"console: {address}/console/ is shut until there is a key under console.keys"
    return f"console: {address}/console/"
