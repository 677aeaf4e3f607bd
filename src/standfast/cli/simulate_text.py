"""Reports of rehearsals as text."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from standfast.sim.report import MEANINGS, Report

WIDTH = 120
"""Columns where there is no terminal to ask."""

SHORT = {
    "availability": "answered %",
    "p50_first_token_ms": "first p50",
    "p99_first_token_ms": "p99 ms",
    "p99_total_ms": "total p99",
    "attempts_per_request": "attempts",
    "cost": "cost $",
}
"""Figures of a sweep's table, and their headings there."""


def show(reports: Sequence[Report], *, compared: bool, swept: bool) -> None:
    """Print reports: one in full, several beside each other, a sweep as one line each."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    console.print(Text(_heading(reports), style="bold"))
    if swept:
        console.print(_swept(reports))
        return
    console.print(_figures(reports))
    for report in reports:
        if compared:
            console.print(Text(report.label, style="bold"))
        console.print(_targets(report))
        for line in _lines(report):
            console.print(Text(line))


def _heading(reports: Sequence[Report]) -> str:
    """What all have in common is said once, what differs with every value."""
    titles = ", ".join(dict.fromkeys(report.title for report in reports))
    seeds = list(dict.fromkeys(report.seed for report in reports))
    spans = ", ".join(dict.fromkeys(_hours(report.duration) for report in reports))
    return f"{titles}; seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}, {spans} of virtual time"


def _figures(reports: Sequence[Report]) -> Table:
    table = Table("figure")
    for report in reports:
        table.add_column(Text(report.label), justify="right", overflow="fold")
    if len(reports) == 2:  # noqa: PLR2004 - side by side
        table.add_column("difference", justify="right")
    else:
        table.add_column("meaning")
    for name, meaning in MEANINGS.items():
        values = [report.figures.get(name) for report in reports]
        if all(value is None for value in values):
            continue
        cells = [number(value) for value in values]
        table.add_row(name, *cells, _difference(values) if len(reports) == 2 else meaning)  # noqa: PLR2004 - as above
    return table


def _difference(values: Sequence[float | None]) -> str:
    first, second = values[:2]
    if first is None or second is None:
        return ""
    return "=" if first == second else f"{'+' if second > first else '-'}{number(abs(second - first))}"


def _swept(reports: Sequence[Report]) -> Table:
    table = Table()
    table.add_column("variant", overflow="fold", min_width=40)
    for heading in SHORT.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for report in reports:
        table.add_row(Text(report.label.replace(", ", "\n")), *(number(report.figures.get(name)) for name in SHORT))
    return table


def _targets(report: Report) -> Table:
    table = Table("target")
    for name in ("served", "share", "attempts", "failures", "p50 first ms", "p95 first ms", "cost", "waste"):
        table.add_column(name, justify="left" if name == "failures" else "right")
    for row in report.targets:
        failures = row["failures"]
        shown = ", ".join(f"{kind} {count}" for kind, count in failures.items()) if isinstance(failures, dict) else ""
        cells = [row["served"], row["served_percent"], row["attempts"], shown]
        cells += [row[name] for name in ("p50_first_token_ms", "p95_first_token_ms", "cost", "waste")]
        table.add_row(Text(str(row["target"])), *(Text(_cell(cell)) for cell in cells))
    return table


def _lines(report: Report) -> list[str]:
    lines = []
    if report.reasons:
        lines.append("no answer: " + ", ".join(f"{reason} {count}" for reason, count in report.reasons.items()))
    lines += [f"{spell.shown}: from {_hours(spell.start)} to {_hours(spell.end)}" for spell in report.spells]
    return lines


def _cell(value: object) -> str:
    return value if isinstance(value, str) else number(value if isinstance(value, int | float) else None)


def number(value: float | None) -> str:
    """A figure with three decimals at most; what is close to a hundred keeps six, because there every nine counts."""
    if value is None:
        return "-"
    decimals = 6 if 99.0 <= value < 100.0 else 3  # noqa: PLR2004 - nines
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _hours(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    parts = [f"{hours} h"] if hours else []
    parts += [f"{minutes} min"] if minutes else []
    parts += [f"{left} s"] if left or not parts else []
    return " ".join(parts)
