"""Which configuration a command works with."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from standfast.config.environment import from_environment, key_variables
from standfast.config.load import FILE_NAMES, find, load
from standfast.config.schema import Config
from standfast.errors import ConfigError, Problem

ConfigFile = Annotated[Path | None, Parameter(name=["--config", "-c"])]
Json = Annotated[bool, Parameter(name="--json", negative="")]


def configuration(file: Path | None, server: dict[str, object] | None = None) -> tuple[Config, Path | None]:
    """The file named, else the working directory's, else what the keys in the environment allow.

    Args:
        file: what `--config` says.
        server: settings of `server` that the command line overrides.

    Returns:
        The configuration and its file, None if it came from the environment.

    Raises:
        ConfigError: it has problems, or there is none.
    """
    path = file or find(Path())
    if path is not None:
        return load(path, os.environ, server=server), path
    config = from_environment(os.environ, server=server)
    if config is None:
        raise ConfigError([Problem("(none)", text) for text in _ways_forward()], "no configuration found")
    return config, None


def overrides(host: str | None, port: int | None, workers: int | None = None) -> dict[str, object]:
    """The `server` settings that the command line names."""
    named: dict[str, object] = {"host": host, "port": port, "workers": workers}
    return {name: value for name, value in named.items() if value is not None}


def _ways_forward() -> tuple[str, ...]:
    variables = ", ".join(key_variables().values())
    return (
        f"write a file: `standfast config init` makes {FILE_NAMES[0]}, or name one with --config FILE",
        f"or set a provider's key in the environment: {variables}",
        "or try it without any key: `standfast demo` brings stand-in providers",
    )
