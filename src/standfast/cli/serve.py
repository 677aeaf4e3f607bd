"""`standfast serve`."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from standfast.cli import FAILED
from standfast.cli.banner import announcer
from standfast.cli.output import fail
from standfast.cli.settings import ConfigFile, configuration, overrides
from standfast.config.schema import Config
from standfast.policy.steady import Steady

if TYPE_CHECKING:
    from standfast.server.annex import Annex, Site
    from standfast.server.run import Companion


def serve(
    *,
    config: ConfigFile = None,
    host: str | None = None,
    port: int | None = None,
    workers: int | None = None,
    steady: bool = False,
) -> int:
    """Start the gateway.

    Args:
        config: file; without it ./standfast.yaml or .toml, else the provider keys in the environment
        host: address to listen on, instead of server.host
        port: instead of server.port; 0 takes a free one
        workers: processes, instead of server.workers
        steady: every jittered wait takes its mean; for drills, never for production
    """
    named = overrides(host, port, workers)
    settings, path = configuration(config, named)
    return open_door(settings, path, announcer(settings), named=named, rng=Steady() if steady else None)


def open_door(
    config: Config,
    path: Path | None,
    announce: Callable[[str], None],
    companion: "Companion | None" = None,
    *,
    named: dict[str, object] | None = None,
    rng: random.Random | None = None,
) -> int:
    """Serve until told to stop; a port that cannot be had is explained.

    Args:
        config: checked.
        path: what SIGHUP reads.
        announce: told the address when the port listens.
        companion: started before and stopped after.
        named: settings of `server` that the command line names; a reload keeps them.
        rng: the gateway's source of chance; None for one of its own.
    """
    from standfast.server.run import serve as run  # noqa: PLC0415 - a wrong configuration is told without it

    try:
        return run(
            config,
            config_path=path,
            announce=announce,
            overrides=named,
            companion=companion,
            annex=console_at,
            rng=rng,
        )
    except OSError as error:
        reason = error.strerror or str(error)
        address = f"{config.server.host}:{config.server.port}"
        fail(f"cannot serve on {address}: {reason}. Stop what uses it, or choose another with --port or --host.")
        return FAILED


def console_at(site: "Site") -> "Annex":
    """The console of one serving process."""
    from standfast.console.annex import Console  # noqa: PLC0415 - a wrong configuration is told without it
    from standfast.console.surroundings import Surroundings  # noqa: PLC0415 - the same
    from standfast.console.window import Window  # noqa: PLC0415 - the same

    around = Surroundings(
        metrics=site.metrics,
        draining=lambda: site.status.draining,
        reload_error=lambda: site.status.reload_error,
        reload=site.reload,
        path="" if site.config_path is None else str(site.config_path),
        worker=site.worker,
        workers=site.workers,
        force_breaker=site.force_breaker,
        lines=site.lines,
    )
    return Console(Window(site.gateway, around))
