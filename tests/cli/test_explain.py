"""`standfast explain`."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]

CONFIG = """
providers:
  openai: {keys: [k]}
  local: {type: openai_like, base_url: "http://127.0.0.1:1/v1", keys: [none]}
models:
  m: [openai/gpt-4.1, local/x]
  cheap: {strategy: cheapest, targets: [openai/gpt-4.1, openai/gpt-4o-mini, local/x]}
facts:
  local/x: {context: 1500, abilities: []}
"""


@pytest.fixture
def explain(run: Run, tmp_path: Path) -> Run:
    """Runs `standfast explain ARGUMENTS` beside a configuration."""
    (tmp_path / "standfast.yaml").write_text(CONFIG)
    return lambda *arguments, **more: run("explain", *arguments, **more)


def test_it_tells_who_and_why(explain: Run) -> None:
    """One line for each target, best first, with the factors; the kind is read from the text."""
    done = explain("Write a Python function")
    assert (done.returncode, done.stderr) == (0, "")
    headline, *lines = done.stdout.splitlines()
    assert "model auto; strategy smart" in headline
    assert "kind code" in headline
    assert [line.split("\t")[0] for line in lines] == ["1", "2", "3"]
    assert {line.split("\t")[1] for line in lines} == {"openai/gpt-4.1", "openai/gpt-4o-mini", "local/x"}
    assert all("quality" in line and "price" in line for line in lines)


def test_as_data(explain: Run) -> None:
    """The same as JSON, with who was passed over and why."""
    words = ("hello", "--model", "cheap", "--priority", "5", "--max-tokens", "2000", "--json")
    report = json.loads(explain(*words).stdout)
    assert report["ok"] is True
    assert (report["strategy"], report["priority"], report["answer_tokens"]) == ("cheapest", 5, 512)
    assert [row["target"] for row in report["rows"]] == ["openai/gpt-4o-mini", "openai/gpt-4.1", "local/x"]
    assert report["rows"][-1]["passed_over"].startswith("needs about 20")
    assert [(row["place"], row["dropped"]) for row in report["rows"]] == [(1, ""), (2, ""), (3, "")]
    assert report["rows"][0]["score"] == pytest.approx(report["rows"][0]["factors"]["usd"])


def test_needs_and_limits(explain: Run) -> None:
    """Options stand for what a request could say; who cannot do it is passed over, who is too dear not asked at all."""
    done = explain("hello", "--needs", "tools", "images", "--kind", "legal", "--prefer", "cost", "--stream")
    assert "kind legal; needs images, tools" in done.stdout
    assert "3\tlocal/x\t" in done.stdout
    assert "passed over: lacks images, tools" in done.stdout
    done = explain("hello", "--model", "m", "--max-cost-usd", "0.1")
    assert "-\tlocal/x\t-\tcannot be asked: unpriced, 0.1 $ are allowed" in done.stdout


def test_a_preference_shuts_nobody_out(explain: Run) -> None:
    """Nobody is quick enough, and the request is answered all the same: all keep their places, and it is a success."""
    done = explain("hello", "--max-latency-ms", "1")
    assert done.returncode == 0
    lines = done.stdout.splitlines()[1:]
    assert [line.split("\t")[0] for line in lines] == ["1", "2", "3"]
    assert all("passed over: expected to take" in line for line in lines)
    report = json.loads(explain("hello", "--max-latency-ms", "1", "--model", "m", "--json").stdout)
    assert (report["ok"], [row["place"] for row in report["rows"]]) == (True, [1, 2])
    assert all(row["passed_over"] and not row["dropped"] for row in report["rows"])


def test_who_cannot_be_asked_has_no_place(run: Run, tmp_path: Path) -> None:
    """An operator's word shuts one out, then both; only then nobody could be asked."""
    shut = "{{target: local/{}, breaker: {{force: open}}}}"
    provider = "providers: {local: {type: openai_like, base_url: 'http://127.0.0.1:1/v1', keys: [none]}}\n"
    for second, code, places in (("local/y", 0, ["-", "1"]), (shut.format("y"), 1, ["-", "-"])):
        (tmp_path / "standfast.yaml").write_text(f"{provider}models: {{m: [{shut.format('x')}, {second}]}}\n")
        done = run("explain", "hello", "--model", "m")
        assert (done.returncode, done.stderr) == (code, "")
        lines = done.stdout.splitlines()[1:]
        assert [line.split("\t")[0] for line in lines] == places
        assert "cannot be asked: an operator has forced its breaker open" in lines[0]


def test_exit_codes(explain: Run) -> None:
    """0 if somebody could be asked, 1 if nobody, 2 for wrong usage; messages on standard error."""
    assert explain("hello", "--model", "m").returncode == 0
    for words in (
        ("--model", "nobody"),
        ("--max-cost-usd", "0"),
        ("--kind", "two words"),
        ("--priority", "9"),
        ("--max-tokens", "0"),
    ):
        done = explain("hello", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("standfast: ")
    assert explain(" ").returncode == 2
    assert explain("hello", "--prefer", "cheap").returncode == 2


def test_the_question_may_come_through_a_pipe(explain: Run) -> None:
    """Without a prompt standard input is read."""
    assert "kind translation" in explain(stdin="Translate this to German: hello").stdout
