"""`standfast check`."""

import asyncio
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from standfast.cli import FAILED, OK
from standfast.cli.output import print_json, write
from standfast.cli.settings import ConfigFile, Json, configuration
from standfast.config.schema import Config

if TYPE_CHECKING:
    from rich.table import Table

    from standfast.engine.probes import TargetReport


def check(*, config: ConfigFile = None, as_json: Json = False) -> int:
    """Ping the provider of every target with its free endpoint; costs nothing.

    Args:
        config: file; without it ./standfast.yaml or .toml, else the provider keys in the environment
        as_json: print JSON
    """
    settings, _ = configuration(config)
    reports = asyncio.run(_reports(settings))
    well = all(report.ok for report in reports)
    if as_json:
        print_json({"ok": well, "targets": [asdict(report) for report in reports]})
    elif sys.stdout.isatty():
        from rich.console import Console  # noqa: PLC0415 - only terminals need it

        Console().print(_table(reports))
    else:
        for report in reports:
            write("\t".join(_cells(report)))
    return OK if well else FAILED


async def _reports(config: Config) -> "list[TargetReport]":
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
            async for report in gateway.checks():
                reports.append(report)
                progress.advance(task)
    return sorted(reports, key=lambda report: order.index(report.target))


def _table(reports: "list[TargetReport]") -> "Table":
    from rich.table import Table  # noqa: PLC0415 - only terminals need it
    from rich.text import Text  # noqa: PLC0415 - the same; plain text, a detail may look like markup

    table = Table("target", "answers", "breaker", "ms", "detail")
    for report in reports:
        target, answers, *rest = _cells(report)
        answer = Text(answers, style="green" if report.ok else "red")
        table.add_row(Text(target), answer, *map(Text, rest))
    return table


def _cells(report: "TargetReport") -> tuple[str, str, str, str, str]:
    latency = "-" if report.latency_ms is None else f"{report.latency_ms:.0f}"
    return report.target, "yes" if report.ok else "no", report.state, latency, report.detail
