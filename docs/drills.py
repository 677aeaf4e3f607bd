"""Perform all shipped scenarios for real and write the table of drills in docs/availability.md: `make drills`.

It takes two hours, one scenario after the other, so that none slows another; several drills of one begin at a
distance that is longer than its crowd. Reports are kept as JSON in the folder that is named, if one is; what lies
there already is not performed again.
"""  # noqa: INP001 - a script, not a package

import json
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measured import PAGE, rewrite

from standfast.drill.agreement import BARS, CHANCE

Report = dict[str, Any]
"""What `standfast drill --json` prints, and the commit."""

MINUTES, RATE = 1.5, 20
AS_WRITTEN = {"all-down-and-back", "flash-sale", "mixed-schedule"}
"""Squeezed, what they are about would depend on milliseconds: they are performed in full."""
TIMES, DISTANCE = {"all-down-and-back": 4, "flash-sale": 8, "mixed-schedule": 8}, 110.0
"""Chance makes about 0.07, 0.25 and 0.2 points of availability there: the mean of so many drills says more than one.
Seconds between their beginnings."""

BARRED = {
    "availability": "answered, %",
    "p50_first_token_ms": "first token p50, ms",
    "attempts_per_request": "attempts",
}
LEGS = ("there", "held", "back")
LIMITS = {bar.figure: bar.limit for bar in BARS}
MIXED = "mixed-schedule"
OWN_RATE = {"flash-sale", "rate-limit-storm"}
"""Scenarios about how many requests come: their rate is what it is."""


def lengths() -> dict[str, float]:
    """All shipped scenarios, and the minutes that their drills last."""
    shipped = json.loads(_standfast("simulate", "--list", "--json"))
    return {each["name"]: each["duration_s"] / 60.0 if each["name"] in AS_WRITTEN else MINUTES for each in shipped}


def performed(name: str, minutes: float) -> Report:
    """The report of one drill."""
    rate = () if name in OWN_RATE | AS_WRITTEN else ("--rate", f"{RATE}")
    report: Report = json.loads(_standfast("drill", name, "--minutes", f"{minutes:g}", *rate, "--json"))
    return {**report, "commit": _commit()}


@dataclass(frozen=True)
class Apart:
    """One figure of a scenario: the mean of its drills against that of the rehearsals; `chance` is one deviation.

    The rehearsals are on the drills' way, `plain` is the mean of those without one.
    """

    figure: str
    drill: float
    rehearsals: float
    difference: float
    plain: float
    chance: float

    def __str__(self) -> str:
        """Bold where it is more than the bar and more than chance may make."""
        words = f"{self.difference:+.2f}{'' if self.figure == 'availability' else ' %'} (±{self.chance:.2f})"
        if abs(self.difference) <= LIMITS[self.figure]:
            return words
        return f"{words}, chance" if abs(self.difference) <= CHANCE * self.chance else f"**{words}**"


def apart(drills: list[Report]) -> list[Apart]:
    """Every barred figure; of several drills the mean, which chance moves less."""
    return [
        Apart(
            found[0]["figure"],
            *(
                statistics.fmean(each[name] for each in found)
                for name in ("drill", "rehearsals", "difference", "plain")
            ),
            found[0]["chance"] / len(found) ** 0.5,
        )
        for found in zip(*(report["agreement"] for report in drills), strict=True)
    ]


def row(name: str, drills: list[Report]) -> str:
    """One line: of every barred figure the drill's, the mean of the rehearsals, and how far they are apart; the way."""
    requests = sum(report["drill"]["figures"]["requests"] for report in drills)
    minutes = f"{drills[0]['drill']['duration_s'] / 60:g}"
    cells = [name, minutes if len(drills) == 1 else f"{len(drills)} x {minutes}", f"{requests:,}"]
    for each in apart(drills):
        cells += [_number(each.drill), _number(each.rehearsals), str(each)]
        if each.figure == "availability":
            cells.append(f"{each.rehearsals - each.plain:+.2f}")
    cells.append(" / ".join(f"{statistics.fmean(leg(each, name) for each in drills):.1f}" for name in LEGS))
    return "| " + " | ".join(cells) + " |"


def leg(report: Report, name: str) -> float:
    """Mean of one leg of the way, ms."""
    return float(report["way"][name]["mean_ms"])


def slowest(reports: list[Report]) -> str:
    """The longest way of all drills, in words."""
    worst = (f"{name} {max(report['way'][name]['p99_ms'] for report in reports):.1f} ms" for name in LEGS)
    return f"The way at its slowest (99 % of one drill's attempts): {', '.join(worst)}."


def table(reports: dict[str, list[Report]]) -> str:
    """All of them, and what is needed to make it again."""
    columns = [column for name in BARRED.values() for column in (name, "rehearsed", "apart")]
    columns[3:3] = ["made by the way"]
    columns.append(f"the way: {', '.join(LEGS)}, ms")
    lines = [
        "| scenario | minutes | requests | " + " | ".join(columns) + " |",
        "|---|---:|---:|" + "---:|" * len(columns),
    ]
    lines += [row(name, drills) for name, drills in reports.items()]
    every = [report for drills in reports.values() for report in drills]
    lies = sum(report["false_successes"] for report in every)
    looked = sum(report["drill"]["figures"]["requests"] for report in every)
    late = max(report["clock_late_ms"] for report in every)
    commits = ", ".join(sorted({report["commit"] for report in every}))
    below = (
        f"Seed 1, commit {commits}. {looked:,} answers were compared word by word:"
        f" {lies} false successes. The drill's clock was at most {late:.1f} ms late (95 % of the time)."
        f" {slowest(every)}"
    )
    return "\n".join([*lines, "", below, *mixed(reports)])


def mixed(reports: dict[str, list[Report]]) -> list[str]:
    """The bars of the mixed schedule, as its drills met them."""
    if MIXED not in reports:
        return []
    drills = [report["drill"]["figures"] for report in reports[MIXED]]
    total = {name: sum(each[name] for each in drills) for name in ("requests", "answered", "unavailable", "broken")}
    lost = total["unavailable"]
    most = max(each["attempts_beyond_failures"] for each in drills)
    first, whole = (
        f"{min(found):,.0f} to {max(found):,.0f} ms"
        for found in ([each[name] for each in drills] for name in ("p99_first_token_ms", "p99_total_ms"))
    )
    words = (
        f"*{MIXED}* on real sockets: {100 * total['answered'] / (total['answered'] + lost):.3f} % of what was not cut"
        f" was answered ({lost} of {total['requests']:,} were not, {total['broken']} were cut), at most {most:.3f}"
        f" attempts a request beyond the failures, first token p99 {first}, whole answer p99 {whole}."
    )
    return ["", words]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.3f}".rstrip("0").rstrip(".")  # noqa: PLR2004 - decimals


def _standfast(*arguments: str) -> str:
    command = [sys.executable, "-m", "standfast.cli", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout  # noqa: S603 - our own


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()  # noqa: S603 - the same


def kept(name: str, minutes: float, number: int, folder: Path | None) -> Report:
    """The report that lies in the folder, or that of a drill performed now."""
    path = None if folder is None else folder / f"{name}{f'.{number + 1}' if number else ''}.json"
    if path is not None and path.exists():
        found: Report = json.loads(path.read_text("utf-8"))
        return found
    sys.stderr.write(f"{name}, {minutes:g} minutes ...\n")
    report = performed(name, minutes)
    if path is not None:
        path.write_text(json.dumps(report), "utf-8")
    return report


def main(folder: Path | None) -> None:
    """Play, and write."""
    reports: dict[str, list[Report]] = {}
    with ThreadPoolExecutor(max(TIMES.values())) as threads:
        for name, minutes in lengths().items():
            drills = []
            for number in range(TIMES.get(name, 1)):
                drills.append(threads.submit(kept, name, minutes, number, folder))
                wait(drills, DISTANCE)
            reports[name] = [drill.result() for drill in drills]
    rewrite("drills.py", {"drills": table(reports)})
    sys.stdout.write(f"wrote {PAGE}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
