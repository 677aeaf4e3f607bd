"""Play all shipped scenarios and write docs/availability.md's tables and pictures: `make availability`, a minute.

The prose beside them is written by hand: read it again after a play that differs. The table of drills is written by
docs/drills.py.
"""  # noqa: INP001 - a script, not a package

import subprocess
import sys
from pathlib import Path

from measured import PAGE, rewrite

from standfast.config.load import from_mapping
from standfast.sim import files
from standfast.sim.picture import draw
from standfast.sim.report import Report, report_of
from standfast.sim.settings import Scenario
from standfast.sim.stage import Stage

PICTURES = Path(__file__).with_name("pictures")

MIXED, SEEDS = "mixed-schedule", (1, 2, 3)
BARS = ("availability_unbroken", "broken", "attempts_beyond_failures", "p99_first_token_ms", "p99_total_ms")


def played() -> str:
    """The table, as `standfast simulate --table` prints it."""
    command = [sys.executable, "-m", "standfast.cli", "simulate", "--table"]
    table = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()  # noqa: S603 - our own
    commit = ["git", "log", "-1", "--format=%h", "--", "src"]
    at = subprocess.run(commit, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()  # noqa: S603 - the same
    return f"{table} Commit {at}."


def report(scenario: Scenario, label: str, seed: int) -> Report:
    """One play with the scenario's own configuration."""
    stage = Stage(from_mapping(scenario.config or {}, {}), scenario, seed)
    return report_of(stage.run(), scenario, label, seed)


def mixed() -> str:
    """The mixed schedule beside a healthy day, seed by seed."""
    ill = files.shipped(MIXED)
    well = ill.model_copy(update={"troubles": ()})
    headings = ("seed", "", "answered of what was not cut, %", "cut", "attempts beyond failures", "first token p99, ms")
    lines = ["| " + " | ".join((*headings, "whole answer p99, ms")) + " |", "|---|---|" + "---:|" * len(BARS)]
    for seed in SEEDS:
        for label, scenario in (("mixed schedule", ill), ("healthy", well)):
            figures = report(scenario, label, seed).figures
            cells = [f"{figures[name] or 0:,.5g}" for name in BARS]
            lines.append(f"| {seed} | {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def drawn() -> str:
    """A picture of each scenario with its own configuration, and the lines that show them."""
    PICTURES.mkdir(exist_ok=True)
    lines = []
    for name in files.names():
        scenario = files.shipped(name)
        picture = draw([report(scenario, "default", scenario.seed)])
        (PICTURES / f"{name}.svg").write_text(picture.svg(), "utf-8")
        lines.append(f"![{name}: {scenario.title}](pictures/{name}.svg)")
    return "\n\n".join(lines)


if __name__ == "__main__":
    table = played()
    if not table.startswith("| scenario |"):
        sys.exit("there is no table")
    rewrite("availability.py", {"table": table, "mixed": mixed(), "pictures": drawn()})
    sys.stdout.write(f"wrote {PAGE} and {PICTURES}\n")
