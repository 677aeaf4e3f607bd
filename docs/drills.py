"""Perform all shipped scenarios for real and write the table of drills in docs/availability.md: `make drills`.

It takes an hour and ten minutes, one drill after the other, so that none slows another. Reports are kept as JSON in the
folder that is named, if one is; what lies there already is not performed again.
"""  # noqa: INP001 - a script, not a package

import json
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).with_name("availability.md")
TABLE = re.compile(r"(<!-- drills: written by docs/drills.py -->\n).*?(\n<!-- /drills -->)", re.DOTALL)
MINUTES, RATE = 1.5, 20
AS_WRITTEN = {"all-down-and-back", "flash-sale", "mixed-schedule"}
"""Squeezed, what they are about would depend on milliseconds: they are performed in full."""
BARRED = {
    "availability": "answered, %",
    "p50_first_token_ms": "first token p50, ms",
    "attempts_per_request": "attempts",
}
MIXED = "mixed-schedule"
OWN_RATE = {"flash-sale", "rate-limit-storm"}
"""Scenarios about how many requests come: their rate is what it is."""


def lengths() -> dict[str, float]:
    """All shipped scenarios, and the minutes that their drills last."""
    shipped = json.loads(_standfast("simulate", "--list", "--json"))
    return {each["name"]: each["duration_s"] / 60.0 if each["name"] in AS_WRITTEN else MINUTES for each in shipped}


def performed(name: str, minutes: float) -> dict[str, object]:
    """The report of one drill."""
    rate = () if name in OWN_RATE | AS_WRITTEN else ("--rate", f"{RATE}")
    report: dict[str, object] = json.loads(_standfast("drill", name, "--minutes", f"{minutes:g}", *rate, "--json"))
    return {**report, "commit": _commit()}


def row(name: str, report: dict[str, object]) -> str:
    """One line: of every barred figure the drill's, the mean of the rehearsals, and how far they are apart."""
    figures: dict[str, float] = report["drill"]["figures"]  # type: ignore[index]
    verdicts: list[dict[str, object]] = report["agreement"]  # type: ignore[assignment]
    cells = [name, f"{report['drill']['duration_s'] / 60:g}", f"{figures['requests']:,}"]  # type: ignore[index]
    for each in verdicts:
        cells += [_number(each["drill"]), _number(each["rehearsals"]), told(each)]
    return "| " + " | ".join(cells) + " |"


def told(verdict: dict[str, object]) -> str:
    """How far apart, against what chance makes; bold where it is more than the bar and more than chance may make."""
    difference, chance, share = verdict["difference"], verdict["chance"], verdict["figure"] != "availability"
    words = f"{difference:+.2f}{' %' if share else ''} (±{chance:.2f})"
    if verdict["met"]:
        return words
    return f"{words}, chance" if verdict["by_chance"] else f"**{words}**"


def table(reports: dict[str, dict[str, object]]) -> str:
    """All of them, and what is needed to make it again."""
    columns = [column for name in BARRED.values() for column in (name, "rehearsed", "apart")]
    lines = [
        "| scenario | minutes | requests | " + " | ".join(columns) + " |",
        "|---|---:|---:|" + "---:|" * len(columns),
    ]
    lines += [row(name, report) for name, report in reports.items()]
    lies = sum(int(str(report["false_successes"])) for report in reports.values())
    looked = sum(report["drill"]["figures"]["requests"] for report in reports.values())  # type: ignore[index]
    late = max(float(str(report["clock_late_ms"])) for report in reports.values())
    commits = ", ".join(sorted({str(report["commit"]) for report in reports.values()}))
    below = (
        f"Seed 1, commit {commits}. {looked:,} answers were compared word by word:"
        f" {lies} false successes. The drill's clock was at most {late:.1f} ms late (95 % of the time)."
    )
    return "\n".join([*lines, "", below, *mixed(reports)])


def mixed(reports: dict[str, dict[str, object]]) -> list[str]:
    """The bars of the mixed schedule, as its drill met them."""
    if MIXED not in reports:
        return []
    figures: dict[str, float] = reports[MIXED]["drill"]["figures"]  # type: ignore[index]
    words = (
        f"*{MIXED}* on real sockets: {figures['availability_unbroken']:.3f} % of what was not cut"
        f" was answered ({figures['unavailable']} of {figures['requests']} were not, {figures['broken']} were cut),"
        f" {figures['attempts_beyond_failures']:.3f} attempts a request beyond the failures, first token p99"
        f" {figures['p99_first_token_ms']:,.0f} ms, whole answer p99 {figures['p99_total_ms']:,.0f} ms."
    )
    return ["", words]


def _number(value: object) -> str:
    if not isinstance(value, int | float):
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
    for name, minutes in lengths().items():
        kept = None if folder is None else folder / f"{name}.json"
        if kept is not None and kept.exists():
            reports[name] = json.loads(kept.read_text("utf-8"))
            continue
        sys.stderr.write(f"{name}, {minutes:g} minutes ...\n")
        reports[name] = performed(name, minutes)
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
