"""A new configuration for a gateway that serves: on SIGHUP, at an operator's word, or at another process's."""

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from standfast.config.load import load
from standfast.config.schema import Config
from standfast.errors import ConfigError
from standfast.server.annex import Reloaded
from standfast.server.auth import Callers
from standfast.server.data_plane import DataPlane
from standfast.server.status import Status

log = logging.getLogger("standfast")


def callers_of(config: Config) -> Callers:
    """The client keys of a configuration."""
    return Callers((entry.name, entry.key.get_secret_value()) for entry in config.keys)


def reloader(
    path: Path | None, plane: DataPlane, status: Status, overrides: Mapping[str, object] | None
) -> Callable[[], Reloaded]:
    """A function that reads the file anew and notes what came of it."""

    def reload() -> Reloaded:
        found = reload_from(path, plane, overrides)
        status.reload_error = found.error
        if found.error:
            log.error("reload refused, the old configuration serves on: %s", found.error)
        else:
            status.reloads += 1
            log.warning("configuration reloaded")
        return found

    return reload


def reload_from(path: Path | None, plane: DataPlane, overrides: Mapping[str, object] | None = None) -> Reloaded:
    """Read the configuration anew and swap it in; validated whole, the old one kept on any error.

    What has changed and waits for a restart is logged by name, too.
    """
    if path is None:
        return Reloaded("the gateway was started without a configuration file")
    try:
        config = load(path, os.environ, server=overrides)
        callers = callers_of(config)
        waiting = plane.gateway.reload(config)
    except (ConfigError, LookupError, ValueError) as error:
        return Reloaded(str(error))
    plane.callers = callers
    if waiting:
        log.warning("changed in the file, without effect before a restart: %s", ", ".join(waiting))
    return Reloaded(waiting=waiting)
