"""docs/simulate.md tells what the command does."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from standfast.cli import main
from standfast.config.load import from_mapping
from standfast.config.routes import routes_of
from standfast.sim import files
from standfast.sim.cast import cast
from standfast.sim.report import MEANINGS

PAGE = (Path(__file__).parents[2] / "docs" / "simulate.md").read_text("utf-8")


KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")


def blocks(kind: str) -> list[str]:
    """The page's examples of a kind."""
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def test_the_examples_scenario_is_one() -> None:
    """The long example is read as it stands."""
    text = next(block for block in blocks("yaml") if block.startswith("title:"))
    found = files.parse(text, "docs/simulate.md")
    assert found.duration == 3_600
    house = yaml.safe_load(next(block for block in blocks("yaml") if block.startswith("providers:")))
    routes = routes_of(from_mapping(house, dict.fromkeys(KEYS, "k")))
    assert cast(found, routes).notes == []  # with the page's configuration every trouble finds its targets


def rehearsal() -> tuple[list[str], str]:
    """The scenarios of the workflow's matrix, and its command."""
    workflow = yaml.safe_load(next(block for block in blocks("yaml") if block.startswith("name:")))
    job = workflow["jobs"]["rehearse"]
    command = next(step["run"] for step in job["steps"] if "simulate" in step.get("run", ""))
    return job["strategy"]["matrix"]["scenario"], command


@pytest.mark.parametrize("scenario", rehearsal()[0])
def test_the_workflow_holds(
    scenario: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The workflow as it stands, with the configuration that stands beside it, for every scenario of its matrix."""
    monkeypatch.chdir(tmp_path)
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    Path("standfast.yaml").write_text(next(block for block in blocks("yaml") if block.startswith("providers:")))
    program, *arguments = shlex.split(rehearsal()[1].replace("${{ matrix.scenario }}", scenario))
    assert program == "standfast"
    assert main(arguments) == 0
    told = capsys.readouterr().err
    assert told.count(": met, it is ") == 3
    assert Path("rehearsal.svg").exists()


def test_every_figure_of_the_page_is_one() -> None:
    """No figure is promised that no report has."""
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`([a-z][a-z0-9_]+)`", row)]
    assert len(named) > 15
    assert [name for name in named if name not in MEANINGS] == []


def test_every_option_of_the_page_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Each `--option` of an example stands in the command's help."""
    main(["simulate", "--help"])
    offered = capsys.readouterr().out
    used = {option for block in blocks("console") for option in re.findall(r"--[a-z-]+", block)}
    assert len(used) > 6
    assert [option for option in used if option not in offered] == []
