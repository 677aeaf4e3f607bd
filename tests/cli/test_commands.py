"""Help, exit codes, and what commands print."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from standfast.cli.app import COMMANDS, CONFIG_COMMANDS
from standfast.config.environment import init_text

Run = Callable[..., "subprocess.CompletedProcess[str]"]

GOOD = """
keys: [{name: dev, key: sf-canary-0123456789}]
providers: {openai: {keys: ["${OPENAI_API_KEY:-sk-canary-0123456789}"]}}
models: {a: [openai/a, openai/b], b: [openai/b]}
"""
BROKEN = "providers: {openai: {keys: [k]}}\nmodels: {a: [opnai/a]}\nlog: {format: jsn}\n"


@pytest.mark.parametrize("words", [[c.name] for c in COMMANDS] + [["config", c.name] for c in CONFIG_COMMANDS])
def test_help_shows_an_example(run: Run, words: list[str]) -> None:
    """Every command's help shows how it is used, with the command's own name."""
    done = run(*words, "--help")
    assert done.returncode == 0
    assert f"Example: standfast {' '.join(words)}" in done.stdout


def test_help_lists_every_command(run: Run) -> None:
    """The program's help names each command."""
    done = run("--help")
    assert done.returncode == 0
    assert [c.name for c in COMMANDS if not re.search(rf"^\s*{c.name}:", done.stdout, re.MULTILINE)] == []


@pytest.mark.parametrize(
    "words", [["nonsense"], ["ask"], ["serve", "--port", "many"], ["serve", "--nonsense"], ["lab", "--ports", "1"]]
)
def test_wrong_usage_is_exit_code_2(run: Run, words: list[str]) -> None:
    """Wrong usage ends with 2 and a way to help, on standard error."""
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "standfast --help" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["lab", "--ports", "99999", "1", "2"],
        ["lab", "--ports", "1", "-1", "2"],
        ["demo", "--lab-ports", "1", "2", "99999"],
        ["demo", "--lab-ports", "0", "1", "2"],
        ["simulate", "a" * 5000 + ".yaml"],
    ],
    ids=lambda words: " ".join(words)[:30],
)
def test_absurd_values_are_explained(run: Run, words: list[str]) -> None:
    """A port that cannot be, a name that no file can have: 2 and a sentence, no traceback."""
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert "65535" in done.stderr or "File name too long" in done.stderr


def test_version(run: Run) -> None:
    """The version is the package's."""
    done = run("--version")
    assert done.returncode == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", done.stdout.strip())


def test_config_check_good(run: Run, tmp_path: Path) -> None:
    """A right file: 0, and the counts."""
    (tmp_path / "f.yaml").write_text(GOOD)
    done = run("config", "check", "f.yaml")
    assert (done.returncode, done.stdout) == (0, "ok: 2 models, 3 targets\n")
    done = run("config", "check", "f.yaml", "--json")
    report = {"ok": True, "source": "f.yaml", "problems": [], "models": 2, "targets": 3}
    assert json.loads(done.stdout) == report


@pytest.mark.parametrize("words", [["config", "check", "f.yaml"], ["serve", "-c", "f.yaml"], ["check", "-c", "f.yaml"]])
def test_a_broken_file_is_exit_code_2_with_every_problem(run: Run, tmp_path: Path, words: list[str]) -> None:
    """F12: no command starts with a broken file, and each prints every problem."""
    (tmp_path / "f.yaml").write_text(BROKEN)
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "f.yaml: 2 problems" in done.stderr
    assert "models.a[0]: " in done.stderr
    assert "log.format: " in done.stderr
    assert "did you mean 'openai/a'?" in done.stderr


def test_problems_as_json(run: Run, tmp_path: Path) -> None:
    """With --json the problems are data on standard output; the exit code stays."""
    (tmp_path / "f.yaml").write_text(BROKEN)
    done = run("config", "check", "f.yaml", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 2
    assert (report["ok"], report["source"]) == (False, "f.yaml")
    assert [(p["path"], p["suggestion"]) for p in report["problems"]] == [
        ("models.a[0]", "openai/a"),
        ("log.format", "json"),
    ]
    assert all(set(p) == {"path", "message", "suggestion"} for p in report["problems"])


def test_config_show_hides_secrets(run: Run, tmp_path: Path) -> None:
    """The effective configuration has its defaults and none of its keys, in both notations."""
    (tmp_path / "f.yaml").write_text(GOOD)
    as_json = run("config", "show", "f.yaml", "--json", OPENAI_API_KEY="sk-canary-from-environment")
    as_yaml = run("config", "show", "--config", "f.yaml")
    assert (as_json.returncode, as_yaml.returncode) == (0, 0)
    assert "canary" not in as_json.stdout + as_yaml.stdout + as_json.stderr + as_yaml.stderr
    shown = json.loads(as_json.stdout)
    assert shown["providers"]["openai"]["keys"] == ["***"]
    assert shown["defaults"]["retry"]["max_attempts"] == 4
    assert "max_attempts: 4" in as_yaml.stdout


def test_config_init_writes_once(run: Run, tmp_path: Path) -> None:
    """The example is written, never over a file that is there unless told so, and it passes the check."""
    assert run("config", "init").returncode == 0
    path = tmp_path / "standfast.yaml"
    assert path.read_text() == init_text()
    path.write_text("mine")
    done = run("config", "init")
    assert (done.returncode, path.read_text()) == (2, "mine")
    assert "--force" in done.stderr
    assert json.loads(run("config", "init", "--force", "--json").stdout) == {"ok": True, "written": "standfast.yaml"}
    assert run("config", "check", OPENAI_API_KEY="sk-one").returncode == 0
    missing = run("config", "check")
    assert missing.returncode == 2
    assert "OPENAI_API_KEY" in missing.stderr


def test_config_init_refuses_what_is_no_yaml_name(run: Run, tmp_path: Path) -> None:
    """A YAML example does not go into a TOML file, nor into a directory that is not there."""
    assert run("config", "init", "x.toml").returncode == 2
    assert run("config", "init", "nowhere/x.yaml").returncode == 1
    assert list(tmp_path.iterdir()) == []


def test_without_anything_three_ways_forward(run: Run) -> None:
    """F12: with neither file nor keys, `serve` says what can be done and ends with 2."""
    done = run("serve")
    assert done.returncode == 2
    for way in ("standfast config init", "OPENAI_API_KEY", "standfast demo"):
        assert way in done.stderr


def test_the_environment_is_a_configuration(run: Run) -> None:
    """Provider keys in the environment are enough; STANDFAST_KEY becomes the client key."""
    done = run("config", "show", "--json", OPENAI_API_KEY="sk-one", STANDFAST_KEY="sf-one")
    shown = json.loads(done.stdout)
    assert list(shown["providers"]) == ["openai"]
    assert shown["keys"] == [{"name": "environment", "key": "***"}]


def test_the_working_directory_s_file_comes_before_the_environment(run: Run, tmp_path: Path) -> None:
    """A standfast.yaml that is there is used, also when there are keys; one that is broken is never skipped."""
    path = tmp_path / "standfast.yaml"
    path.write_text(GOOD)
    assert json.loads(run("config", "check", "--json", GEMINI_API_KEY="k").stdout)["source"] == "standfast.yaml"
    path.write_text("")
    assert run("config", "check", GEMINI_API_KEY="k").returncode == 2


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3"])  # noqa: S104 - refused before anything is bound
def test_serve_refuses_an_open_address_without_keys(run: Run, host: str) -> None:
    """An address that others can reach needs client keys; the option is judged like the file."""
    done = run("serve", "--host", host, "--port", "0", OPENAI_API_KEY="sk-one")
    assert done.returncode == 2
    assert "server.host" in done.stderr
