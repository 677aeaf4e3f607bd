"""`standfast check`."""

import asyncio
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from standfast.cli import FAILED, OK
from standfast.cli.output import print_json, write
from standfast.cli.settings import ConfigFile, Json, configuration
from standfast.config.schema import Config

if TYPE_CHECKING:
    from rich.console import Group

    from standfast.engine.target_report import TargetReport

STYLES = {"healthy": "green", "degraded": "yellow", "unhealthy": "red", "unknown": "magenta"}

Kind = Annotated[Literal["ping", "generate"], Parameter(name="--kind")]


def check(*, config: ConfigFile = None, kind: Kind = "ping", as_json: Json = False) -> int:
    """Check every target now: 0 if all are healthy, 1 if one is not, 2 for wrong usage or a broken configuration.

    Args:
        config: file; without it ./standfast.yaml or .toml, else the provider keys in the environment
        kind: ping asks the provider's free endpoint; generate asks every target for a word, which costs money
        as_json: print JSON
    """
    settings, _ = configuration(config)
    reports = asyncio.run(_reports(settings, kind))
    well = all(report.health == "healthy" for report in reports)
    if as_json:
        print_json({"ok": well, "kind": kind, "targets": [asdict(report) for report in reports]})
    elif sys.stdout.isatty():
        from rich.console import Console  # noqa: PLC0415 - only terminals need it

        Console().print(table(reports))
    else:
        for report in reports:
            write("\t".join(cells(report)))
    return OK if well else FAILED


async def _reports(config: Config, kind: Kind) -> "list[TargetReport]":
    """In the order of the configuration, whoever answers first."""
    from rich.console import Console  # noqa: PLC0415 - help needs neither rich nor the engine
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

    from standfast.engine.gateway import Gateway  # noqa: PLC0415

    order = list(dict.fromkeys(line.target for model in config.models.values() for line in model.targets))
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    reports: list[TargetReport] = []
    async with Gateway(config) as gateway:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("checking targets", total=len(order))
            async for report in gateway.checks(kind):
                reports.append(report)
                progress.advance(task)
    return sorted(reports, key=lambda report: order.index(report.target))


def table(reports: "list[TargetReport]") -> "Group":
    """The reports for a terminal: a line for each target, and below why it is not healthy and what to do."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - only terminals need it
    from rich.console import Group  # noqa: PLC0415 - the same
    from rich.padding import Padding  # noqa: PLC0415 - the same
    from rich.table import Table  # noqa: PLC0415 - the same
    from rich.text import Text  # noqa: PLC0415 - the same; plain text, a detail may look like markup

    shown = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("target", "health", "ms", "breaker", "keys", "checked"):
        shown.add_column(name, justify="right" if name in ("ms", "checked") else "left", overflow="fold")
    remarks: list[Text | Padding] = []
    for report in reports:
        target, _, health, *rest, why, advice = cells(report)
        style = STYLES.get(health, "")
        shown.add_row(Text(target), Text(health, style=style), *(Text(cell) for cell in rest))
        if health != "healthy" or advice:
            remarks += [Text(f"{target}: {why}", style=style), Padding(Text(advice), (0, 0, 0, 2))]
    return Group(shown, *remarks)


def cells(report: "TargetReport") -> tuple[str, ...]:
    """One line: target, does it answer, health, milliseconds, breaker, free keys, last check, why, what to do."""
    return (
        report.target,
        {True: "yes", False: "no", None: "-"}[report.ok],
        report.health,
        "-" if report.latency_ms is None else f"{report.latency_ms:.0f}",
        report.state,
        f"{report.keys_free}/{report.keys}",
        "never" if report.checked_s is None else f"{report.checked_s:.0f} s ago",
        report.detail or report.reason,
        report.advice,
    )
