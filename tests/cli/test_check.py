"""`standfast check`: what it shows to people and machines, and its exit codes."""

import json
import re
import subprocess
from collections.abc import Callable
from io import StringIO
from pathlib import Path

from rich.console import Console

from standfast.cli.check import STYLES, cells, table
from standfast.engine.target_report import TargetReport

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]

GOOD = TargetReport("openai/gpt-4.1", True, "closed", 12.4, "", "healthy", "ping succeeds", "ping", 0.2, 2, 2)
SLOW = TargetReport(
    "anthropic/claude-sonnet-4-5",
    True,
    "closed",
    3400.0,
    "",
    "degraded",
    "ping takes 3400 ms",
    "ping",
    0.2,
    1,
    1,
    "See it.",
)
DOWN = TargetReport(
    "dead/[x]", False, "open", None, "connect_failed: [refused]", "unhealthy", "", "ping", 0.1, 0, 1, "Mend it."
)
NOBODY = TargetReport("spare/m", None, "closed", None, "not checked: every key rests", keys=3, advice="Wait.")


def shown(*reports: TargetReport, width: int = 80) -> str:
    """The table as a terminal of that width shows it, without colours."""
    console = Console(file=StringIO(), width=width, force_terminal=False)
    console.print(table(list(reports)))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_the_table_fits_a_terminal() -> None:
    """A line for each target with state, latency, breaker, keys and last check, within 80 columns."""
    text = shown(GOOD, SLOW, DOWN, NOBODY)
    assert max(map(len, text.splitlines())) <= 80
    rows = [re.sub(r" +", " ", line.strip()) for line in text.splitlines()]
    assert "openai/gpt-4.1 healthy 12 closed 2/2 0 s ago" in rows
    assert "anthropic/claude-sonnet-4-5 degraded 3400 closed 1/1 0 s ago" in rows
    assert "dead/[x] unhealthy - open 0/1 0 s ago" in rows
    assert "spare/m unknown - closed 0/3 never" in rows


def test_below_the_table_stands_what_to_do() -> None:
    """For each target that is not healthy: why, and what its reader can do; nothing for the others."""
    text = shown(GOOD, SLOW, DOWN, NOBODY)
    below = [line.rstrip() for line in text.splitlines()]
    for why, what in (
        ("anthropic/claude-sonnet-4-5: ping takes 3400 ms", "  See it."),
        ("dead/[x]: connect_failed: [refused]", "  Mend it."),
        ("spare/m: not checked: every key rests", "  Wait."),
    ):
        assert below[below.index(why) + 1] == what
    assert not [line for line in below if line.startswith("openai/gpt-4.1:")]


def test_every_state_has_its_colour() -> None:
    """A state is told by its word and by its colour."""
    assert set(STYLES) == {"healthy", "degraded", "unhealthy", "unknown"}
    assert len(set(STYLES.values())) == 4


def test_a_line_of_plain_text_has_every_column() -> None:
    """Without a terminal a report is one line of tab-separated cells, always as many."""
    assert {len(cells(report)) for report in (GOOD, SLOW, DOWN, NOBODY)} == {9}
    assert cells(DOWN) == (
        *("dead/[x]", "no", "unhealthy", "-", "open", "0/1", "0 s ago", "connect_failed: [refused]", "Mend it."),
    )


def stand_ins(start: Start) -> str:
    """The address of a stand-in provider."""
    process = start("lab", "--ports", "0", "0", "0", "--json")
    assert process.stdout is not None
    text = ""
    while not text.endswith("}\n") or text.count("{") != text.count("}"):
        text += process.stdout.readline()
    url = json.loads(text)["providers"]["openai"]
    assert isinstance(url, str)
    return url


def test_exit_codes_are_honest(start: Start, run: Run, tmp_path: Path) -> None:
    """0 if all targets are healthy, 1 if one is not, 2 for a kind that does not exist; for both kinds of check."""
    path = tmp_path / "standfast.yaml"
    good = f"providers:\n  openai: {{base_url: '{stand_ins(start)}/v1', keys: [k]}}\n"
    path.write_text(good + "models: {a: [openai/gpt-4.1, openai/gpt-4.1-mini]}\n")
    for kind in ("ping", "generate"):
        done = run("check", "--kind", kind, "--json")
        report = json.loads(done.stdout)
        assert (done.returncode, done.stderr, report["ok"], report["kind"]) == (0, "", True, kind)
        rows = [(row["target"], row["health"], row["kind"], row["keys_free"]) for row in report["targets"]]
        assert rows == [("openai/gpt-4.1", "healthy", kind, 1), ("openai/gpt-4.1-mini", "healthy", kind, 1)]
    slow = "models: {a: [openai/gpt-4.1]}\ndefaults: {health: {degraded_ms: 0.001}}\n"
    path.write_text(good + slow)
    done = run("check", "--json")
    assert (done.returncode, json.loads(done.stdout)["targets"][0]["health"]) == (1, "degraded")
    assert run("check", "--kind", "nonsense").returncode == 2
