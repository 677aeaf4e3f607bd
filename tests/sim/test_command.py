"""`standfast simulate`, from its arguments to its exit code."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from standfast.canon.attempt import Attempt, Outcome
from standfast.canon.deployment import Operation
from standfast.canon.instants import Wall
from standfast.canon.record import RequestRecord
from standfast.canon.usage import Usage
from standfast.cli import main
from standfast.hooks._lines import json_line
from standfast.sim import files, stage

WEATHER = """
title: A minute
duration: 60s
workload: {requests: 200, streaming: 0.5}
upstreams:
  "*": {first_token: {median: 300ms, p95: 1s}, per_token: 5ms, price: 3}
  primary: {errors: [{kind: connect_failed, share: 0.3}]}
"""
HOUSE = """
providers: {openai: {keys: ["${OPENAI_API_KEY}"]}, anthropic: {keys: ["${ANTHROPIC_API_KEY}"]}}
models: {m: [openai/a, anthropic/b]}
"""
ALONE = "providers: {openai: {keys: [k]}}\nmodels: {m: [openai/a]}\n"


pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a scenario and two configurations; no keys in the environment."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    for name, text in (("weather.yaml", WEATHER), ("house.yaml", HOUSE), ("alone.yaml", ALONE)):
        (tmp_path / name).write_text(text)
    (tmp_path / "directory.svg").mkdir()
    (tmp_path / "full.svg").symlink_to("/dev/full")
    return tmp_path


Output = pytest.CaptureFixture[str]


def run(capsys: Output, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    code = main(["simulate", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_configuration_and_a_scenario(capsys: Output) -> None:
    """The table for people; the keys that are missing are stood in for, and named."""
    code, out, err = run(capsys, "house.yaml", "weather.yaml")
    assert code == 0
    assert re.search(r"requests\s+│\s+200 ", out)
    assert re.search(r"availability\s+│\s+100 ", out)
    assert "anthropic/b" in out
    assert "stood in for what the environment lacks: ANTHROPIC_API_KEY, OPENAI_API_KEY" in err


def test_json_is_the_whole_report(capsys: Output) -> None:
    """Nothing but data on standard output; the requirements are part of it."""
    code, out, _ = run(capsys, "house.yaml", "weather.yaml", "--json", "--seed", "7", "--require", "availability>=99")
    found = json.loads(out)
    assert code == 0
    assert (found["seed"], found["figures"]["requests"]) == (7, 200)
    assert found["requirements"] == [{"requirement": "availability>=99", "value": 100.0, "met": True}]


def test_the_same_seed_gives_the_same_bytes_in_another_process(here: Path) -> None:
    """Whatever the hash seed of the interpreter: the report follows from its inputs alone."""
    command = [sys.executable, "-m", "standfast.cli", "simulate", "rate-limit-storm", "--scale", "0.05", "--json"]
    outputs = set()
    for number in ("1", "2"):
        environ = {**os.environ, "PYTHONHASHSEED": number}
        done = subprocess.run(command, env=environ, cwd=here, capture_output=True, timeout=60, check=True)
        outputs.add(done.stdout)
    assert len(outputs) == 1
    assert json.loads(outputs.pop())["figures"]["requests"] > 100


def test_a_requirement_that_fails_is_exit_code_1(capsys: Output) -> None:
    """Which one, and what the value is; those that hold are told too."""
    arguments = ("--require", "availability>=99", "--require", "attempts_per_request<=1.1")
    code, _, err = run(capsys, "house.yaml", "weather.yaml", *arguments)
    assert code == 1
    assert "availability>=99: met, it is 100" in err
    assert re.search(r"standfast: attempts_per_request<=1.1: not met, it is 1\.\d+", err)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "is missing; there are: all-down-and-back, brownout"),
        (("no-such",), "unknown scenario 'no-such'"),
        (("house.yaml", "tutorial-dya"), "Did you mean 'tutorial-day'"),
        (("missing.yaml", "brownout"), "missing.yaml: 1 problem"),
        (("brownout", "--require", "availabilty>=1"), "did you mean 'availability'"),
        (("brownout", "--picture", "x.gif"), "must end with .svg or .png"),
        (("brownout", "--sweep", "x"), "expected PATH=VALUE"),
        (("brownout", "--save", "x.yaml"), "can never take effect without --from-log"),
        (("brownout", "--scale", "0"), "must be greater than 0"),
        (("tutorial-day", "--scale", "1e308"), "must be greater than 0 and at most 1,000,000"),
        (("brownout", "--requests", "0"), "must be at least 1"),
        (("house.yaml", "brownout", "--from-log", "x.log"), "name only the configuration"),
        (("house.yaml", "--from-log", "x.log"), "x.log: 1 problem"),
        (("weather.yaml",), "is missing: name a configuration file"),
        (("--table", "--require", "availability>=100"), "--require: can never take effect with --table: it takes only"),
        (("--table", "house.yaml", "brownout", "--requests", "9"), "--requests: can never take effect with --table"),
        (("--table", "--list"), "--table: can never take effect with --list: it takes only --json"),
        (("--list", "--seed", "3", "--sweep", "x=1"), "--seed: can never take effect with --list"),
        (("house.yaml", "--from-log", "day.log", "--save", "no/such/x.yaml"), "there is no directory no/such"),
        (("house.yaml", "--from-log", "house.yaml", "--save", "house.yaml"), "is the log itself"),
        (("house.yaml", "weather.yaml", "--picture", "no/such/x.svg"), "there is no directory no/such"),
        (("house.yaml", "weather.yaml", "--picture", "directory.svg"), "it is a directory"),
    ],
)
def test_wrong_usage_is_exit_code_2(capsys: Output, arguments: tuple[str, ...], words: str) -> None:
    """What is wrong and what would be right, on standard error."""
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert words in err


def test_a_scenarios_own_configuration_is_used_when_none_is_named(capsys: Output) -> None:
    """A name is enough to see something."""
    code, out, _ = run(capsys, "flapping", "--scale", "0.02", "--json")
    assert code == 0
    assert json.loads(out)["label"] == "flapping's own configuration"


def test_the_working_directorys_configuration_is_found(here: Path, capsys: Output) -> None:
    """A scenario without one of its own is played with ./standfast.yaml."""
    (here / "standfast.yaml").write_text(ALONE)
    code, out, _ = run(capsys, "weather.yaml", "--json")
    assert code == 0
    assert [row["target"] for row in json.loads(out)["targets"]] == ["openai/a"]


def test_two_configurations_side_by_side(capsys: Output) -> None:
    """The same requests for both, the difference beside them; as JSON both reports."""
    code, out, _ = run(capsys, "house.yaml", "weather.yaml", "--compare", "alone.yaml")
    assert code == 0
    row = next(line for line in out.splitlines() if line.startswith("│ availability "))
    _, _, with_failover, alone, difference, _ = (cell.strip() for cell in row.split("│"))
    assert with_failover == "100"
    assert float(alone) < 100
    assert difference.startswith("-")
    assert len(re.findall(r"^│ openai/a +│", out, re.MULTILINE)) == 2  # who served what, for each
    assert len(re.findall(r"^│ anthropic/b +│", out, re.MULTILINE)) == 1
    assert {"house.yaml", "alone.yaml"} < set(out.splitlines())
    _, out, _ = run(capsys, "house.yaml", "weather.yaml", "--compare", "alone.yaml", "--json")
    assert [each["label"] for each in json.loads(out)["reports"]] == ["house.yaml", "alone.yaml"]


def test_a_sweep_is_a_table_of_variants(capsys: Output) -> None:
    """One line for each; requirements hold for every one of them."""
    sweep = ("--sweep", "defaults.retry.max_attempts=1,3", "--sweep", "scenario.workload.requests=100")
    code, out, err = run(capsys, "house.yaml", "weather.yaml", *sweep, "--require", "availability>=99.9")
    assert code == 1
    assert "defaults.retry.max_attempts=3" in out
    assert "not met" in err
    assert "(defaults.retry.max_attempts=1, scenario.workload.requests=100)" in err


def test_a_sweeps_heading_says_what_is_played(capsys: Output) -> None:
    """Every seed and every duration that is swept, not those of the file."""
    sweep = ("--sweep", "scenario.seed=3,4", "--sweep", "scenario.duration=30s,2m")
    _, out, _ = run(capsys, "house.yaml", "weather.yaml", *sweep)
    assert out.splitlines()[0] == "A minute; seeds 3, 4, 30 s, 2 min of virtual time"


def test_the_size_can_be_changed(capsys: Output) -> None:
    """So many requests, or so many times as many; a rate is scaled too."""
    for arguments, requests in ((("--requests", "40"), 40), (("--scale", "2.5"), 500)):
        _, out, _ = run(capsys, "house.yaml", "weather.yaml", "--json", *arguments)
        assert json.loads(out)["figures"]["requests"] == requests
    _, out, _ = run(capsys, "brownout", "--json", "--scale", "0.01")
    assert json.loads(out)["figures"]["requests"] == pytest.approx(360, abs=80)


def test_pictures_are_drawn(here: Path, capsys: Output) -> None:
    """SVG without anything that is not installed."""
    code, _, err = run(capsys, "house.yaml", "weather.yaml", "--picture", "day.svg")
    assert code == 0
    assert "drew day.svg" in err
    assert (here / "day.svg").read_text().startswith("<svg ")


def test_a_picture_that_fails_does_not_cost_the_report(capsys: Output) -> None:
    """A disk may be full when the run is over; its report is printed by then."""
    code, out, err = run(capsys, "house.yaml", "weather.yaml", "--json", "--picture", "full.svg")
    assert code == 2
    assert "cannot write full.svg: No space left" in err
    assert json.loads(out)["figures"]["requests"] == 200


def test_the_list_names_what_there_is(capsys: Output) -> None:
    """Names and titles; as data with what each is about."""
    code, out, _ = run(capsys, "--list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(files.names())
    _, out, _ = run(capsys, "--list", "--json")
    assert all(each["about"] and each["duration_s"] >= 600 for each in json.loads(out))


def test_a_recorded_day_is_rehearsed_and_saved(here: Path, capsys: Output) -> None:
    """From the log to a scenario, from the scenario to a report; the saved file plays the same."""
    attempt = Attempt("openai/a", 0, Outcome.SUCCESS, None, 0.0, 0.4, 1.4, Usage(100, 51))
    lines = [
        json_line(
            RequestRecord(
                "req",
                Wall(1.76e9 + at),
                "",
                "m",
                Operation.CHAT,
                stream=True,
                status=200,
                code="",
                deployment="openai/a",
                fallback=False,
                attempts=(attempt,),
                first_token=0.4,
                total=1.4,
                upstream=1.4,
                usage=attempt.usage,
            ),
            0.0,
        )
        for at in range(120)
    ]
    (here / "access.log").write_text("\n".join([*lines, "torn {"]) + "\n")
    code, out, err = run(capsys, "house.yaml", "--from-log", "access.log", "--save", "mine.yaml", "--json")
    assert code == 0
    assert json.loads(out)["figures"]["requests"] == 120
    assert "left out 1 lines that are not of this log: 121" in err
    assert "the log itself: 100.0000% answered" in err
    again = run(capsys, "house.yaml", "mine.yaml", "--json")[1]
    assert json.loads(again)["figures"] == json.loads(out)["figures"]


def test_what_suits_another_configuration_is_noted(here: Path, capsys: Output) -> None:
    """A trouble at a target that this configuration does not have is said, not hidden."""
    text = WEATHER + "troubles: [{at: 1s, lasts: 1s, where: antropic, slow: 2}]\n"
    (here / "weather.yaml").write_text(text)
    _, _, err = run(capsys, "house.yaml", "weather.yaml")
    assert "note: troubles[0].where: no target of this configuration is 'antropic'; did you mean 'anthropic'?" in err


def test_a_trouble_that_hits_nobody_meets_no_requirement(here: Path, capsys: Output) -> None:
    """Marked in the report; a rehearsal in which the trouble never came proves nothing."""
    (here / "weather.yaml").write_text(
        WEATHER + "troubles: [{name: third is slow, at: 1s, lasts: 1s, where: tertiary, slow: 2}]\n"
    )
    code, out, err = run(capsys, "house.yaml", "weather.yaml", "--require", "availability>=1", "--picture", "x.svg")
    assert code == 1
    assert "third is slow (hits nobody): from 1 s to 2 s" in out
    assert "cannot be judged, the configuration has no target that is hit by 'third is slow'" in err
    assert "third is slow (hits nobody)" in (here / "x.svg").read_text()
    code, out, _ = run(capsys, "house.yaml", "weather.yaml", "--json")
    assert code == 0
    assert json.loads(out)["troubles"][0]["hits_nobody"] is True


def test_the_table_is_markdown(capsys: Output) -> None:
    """Every shipped scenario in every way to serve."""
    code, out, _ = run(capsys, "--table", "--scale", "0.005")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("| scenario | served by | answered, %")
    assert sum(line.startswith("| ") and "| default |" in line for line in lines) == len(files.names())
    code, out, _ = run(capsys, "--table", "--scale", "0.001", "--seed", "5", "--json")
    rows = json.loads(out)
    assert code == 0
    assert {row["scenario"] for row in rows} == set(files.names())
    assert all(row["seed"] == 5 and row["figures"]["requests"] for row in rows)


def test_the_room_needs_no_event_loop() -> None:
    """None of its modules imports what waits, listens or reads a clock, and none brings in the engine or the wire."""
    room = Path(stage.__file__).parent
    banned = {"asyncio", "threading", "time", "socket", "selectors", "uvloop", "httptools"}
    for path in sorted(room.glob("*.py")):
        names = {
            each.name if isinstance(node, ast.Import) else str(node.module)
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for each in node.names
        }
        assert {name.split(".")[0] for name in names} & banned == set(), path.name
    modules = ", ".join(f"standfast.sim.{path.stem}" for path in room.glob("*.py") if path.stem != "__init__")
    code = f"import sys, {modules}; print([m for m in sys.modules if m.startswith('standfast.engine')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
