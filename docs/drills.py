"""Perform all shipped scenarios for real and write the table of drills in docs/availability.md: `make drills`.

It takes half an hour, one drill after the other: each needs most of two cores. Reports are kept as JSON in the folder
that is named, if one is; what lies there already is not performed again.
"""  # noqa: INP001 - a script, not a package

import json
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).with_name("availability.md")
TABLE = re.compile(r"(<!-- drills: written by docs/drills.py -->\n).*?(\n<!-- /drills -->)", re.DOTALL)
MINUTES, RATE = "2", "8"
HEADINGS = ("scenario", "", "answered, %", "first token p50, ms", "p99, ms", "attempts per request", "agrees")
FIGURES = ("availability", "p50_first_token_ms", "p99_first_token_ms", "attempts_per_request")
OWN_RATE = {"flash-sale", "rate-limit-storm"}
"""Scenarios about how many requests come: their rate is what it is."""


def names() -> list[str]:
    """All shipped scenarios."""
    done = _standfast("simulate", "--list", "--json")
    return [each["name"] for each in json.loads(done)]


def performed(name: str) -> dict[str, object]:
    """The report of one drill."""
    rate = () if name in OWN_RATE else ("--rate", RATE)
    report: dict[str, object] = json.loads(_standfast("drill", name, "--minutes", MINUTES, *rate, "--json"))
    return {**report, "commit": _commit()}


def rows(name: str, report: dict[str, object]) -> list[str]:
    """Two lines: the drill's figures, the rehearsal's."""
    lines = []
    for label in ("drill", "rehearsal"):
        figures = report[label]["figures"]  # type: ignore[index]
        cells = [_number(figures[figure]) for figure in FIGURES]
        first = name if label == "drill" else f"{figures['requests']:,} requests"
        last = agrees(report["agreement"]) if label == "drill" else ""
        lines.append("| " + " | ".join([first, label, *cells, last]) + " |")
    return lines


def agrees(verdicts: object) -> str:
    """In words: which bars are not met, and whether chance makes as much."""
    words = []
    for each in verdicts:  # type: ignore[attr-defined]
        if not each["met"]:
            unit = " points" if each["figure"] == "availability" else " %"
            chance = f"one deviation by chance: {each['chance']:.2g}"
            words.append(
                f"{'**' if not each['by_chance'] else ''}{each['figure']} {each['difference']:+.2g}{unit}"
                f"{'**' if not each['by_chance'] else ''} ({chance})"
            )
    return "; ".join(words) or "yes"


def table(reports: dict[str, dict[str, object]]) -> str:
    """All of them, and what is needed to make it again."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---|---|" + "---:|" * len(FIGURES) + "---|"]
    for name, report in reports.items():
        lines += rows(name, report)
    lies = sum(int(str(report["false_successes"])) for report in reports.values())
    looked = sum(report["drill"]["figures"]["requests"] for report in reports.values())  # type: ignore[index]
    late = max(float(str(report["clock_late_ms"])) for report in reports.values())
    commits = ", ".join(sorted({str(report["commit"]) for report in reports.values()}))
    below = (
        f"{MINUTES} minutes each, seed 1, commit {commits}. {looked:,} answers were compared word by word:"
        f" {lies} false successes. The drill's clock was at most {late:.1f} ms late (95 % of the time)."
    )
    return "\n".join([*lines, "", below])


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.3f}".rstrip("0").rstrip(".")  # noqa: PLR2004 - decimals


def _standfast(*arguments: str) -> str:
    command = [sys.executable, "-m", "standfast.cli", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout  # noqa: S603 - our own


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()  # noqa: S603 - the same


def main(folder: Path | None) -> None:
    """Play, and write."""
    reports: dict[str, dict[str, object]] = {}
    for name in names():
        kept = None if folder is None else folder / f"{name}.json"
        if kept is not None and kept.exists():
            reports[name] = json.loads(kept.read_text("utf-8"))
            continue
        sys.stderr.write(f"{name} ...\n")
        reports[name] = performed(name)
        if kept is not None:
            kept.write_text(json.dumps(reports[name]), "utf-8")
    written = table(reports)
    page, found = TABLE.subn(lambda match: match[1] + written + match[2], PAGE.read_text("utf-8"))
    if not found:
        sys.exit("docs/availability.md has lost the markers of its table of drills")
    PAGE.write_text(page, "utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
