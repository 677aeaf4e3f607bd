"""What of a configuration is read once, when the process starts: a reload accepts it, and only a restart uses it."""

from collections.abc import Iterator

from standfast.canon.settings import Settings
from standfast.config.schema import Config

ONCE = ("server", "log", "cache")
"""Sections that are made into sockets, connections, files and stores at the start."""

ALWAYS = frozenset({"server.heartbeat", "server.open_door"})
"""Of these sections: what a reload puts to work (`open_door` is a question to the configuration itself)."""


def awaiting_restart(running: Config, new: Config) -> tuple[str, ...]:
    """Paths of the settings in `new` that differ from those that the process started with, and wait for a restart."""
    found = (path for name in ONCE for path in _changed(name, getattr(running, name), getattr(new, name)))
    return tuple(path for path in found if path not in ALWAYS)


def _changed(path: str, before: object, after: object) -> Iterator[str]:
    if before == after:
        return
    if not isinstance(before, Settings) or type(before) is not type(after):
        yield path
        return
    for name in type(before).model_fields:
        yield from _changed(f"{path}.{name}", getattr(before, name), getattr(after, name))
