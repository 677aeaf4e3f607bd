"""A drill's report as text: beside the rehearsal's."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from standfast.cli.simulate_text import WIDTH, number
from standfast.drill.live import UNKNOWN, Drilled
from standfast.drill.way import Leg
from standfast.sim.report import MEANINGS, Report


def show(done: Drilled) -> None:
    """Print both, what failed where, and how far they agree."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    drill, rehearsal, plain = done.report, done.rehearsal, done.plain
    console.print(Text(f"{drill.title}; seed {drill.seed}, {drill.duration:g} s", style="bold"))
    table = Table("figure")
    for heading in ("drill", "rehearsal", "difference", "without a way"):
        table.add_column(heading, justify="right")
    for name in MEANINGS:
        one, other = drill.figures.get(name), rehearsal.figures.get(name)
        if name in UNKNOWN or (one is None and other is None):
            continue
        table.add_row(name, number(one), number(other), _difference(one, other), number(plain.figures.get(name)))
    console.print(table)
    for label, report in (("drill", drill), ("rehearsal", rehearsal)):
        console.print(Text(f"{label}: {_reasons(report)}"))
    console.print(Text(f"false successes: {len(done.lies)} of {number(drill.figures['requests'])} answers looked at"))
    legs = "; ".join(f"{name} {_milliseconds(leg)}" for name, leg in done.way.legs().items())
    console.print(Text(f"the way on this machine, mean and p99 in ms: {legs}"))
    for note in drill.notes:
        console.print(Text(f"note: {note}"))
    for verdict in done.verdicts:
        console.print(Text(str(verdict)))


def _milliseconds(leg: Leg) -> str:
    return f"{leg.mean() * 1e3:.2f}, {leg.quantile(0.99) * 1e3:.2f}"


def _difference(one: float | None, other: float | None) -> str:
    if one is None or other is None:
        return ""
    return "=" if one == other else f"{'+' if one > other else '-'}{number(abs(one - other))}"


def _reasons(report: Report) -> str:
    reasons = ", ".join(f"{reason} {count}" for reason, count in report.reasons.items())
    failures: dict[str, int] = {}
    for row in report.targets:
        found = row["failures"]
        for kind, count in found.items() if isinstance(found, dict) else ():
            failures[str(kind)] = failures.get(str(kind), 0) + int(count)
    attempts = ", ".join(f"{kind} {count}" for kind, count in sorted(failures.items()))
    return f"no answer: {reasons or 'none'}; failed attempts: {attempts or 'none'}"
