"""Scenario files: where they are, and what is wrong with them - every problem at once, with its place and line."""

import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import yaml
from pydantic import ValidationError

from standfast import plugins
from standfast.config.interpolation import join
from standfast.config.words import problems_of
from standfast.config.yaml_text import YamlText, read_yaml
from standfast.errors import ConfigError, Problem
from standfast.sim.settings import Scenario

_SUFFIX = ".yaml"
_WHOLE = "(file)"
MAX_BYTES = 8 * 1024 * 1024


def names() -> tuple[str, ...]:
    """The scenarios that come with the package."""
    room = resources.files("standfast.sim") / "scenarios"
    return tuple(sorted(each.name.removesuffix(_SUFFIX) for each in room.iterdir() if each.name.endswith(_SUFFIX)))


def shipped(name: str) -> Scenario:
    """A scenario of the package.

    Raises:
        LookupError: there is none of that name; says which there are, and the nearest.
    """
    if name not in names():
        raise LookupError(plugins.unknown("scenario", name, names()))
    text = (resources.files("standfast.sim") / "scenarios" / f"{name}{_SUFFIX}").read_text("utf-8")
    return parse(text, name)


def find(name: str) -> Scenario:
    """The scenario of that name, or in the file of that path.

    Raises:
        ConfigError: there is none, or it has problems.
    """
    if name in names():
        return shipped(name)
    path = Path(name)
    if not (path.suffix or os.path.exists(name)):  # noqa: PTH110 - False, no error, for what no file can be called
        message = plugins.unknown("scenario", name, names()) + " Or name a YAML file."
        raise ConfigError([Problem("(scenario)", message)], name)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError([Problem(_WHOLE, f"cannot be read: {error.strerror}")], name) from None
    if len(content) > MAX_BYTES:
        raise ConfigError([Problem(_WHOLE, f"is larger than {MAX_BYTES // 1024 // 1024} MiB")], name)
    try:
        return parse(content.decode("utf-8-sig"), name)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(f"line {line}", "is no UTF-8 text")], name) from None


def parse(text: str, source: str) -> Scenario:
    """The scenario that a text describes.

    Args:
        text: YAML.
        source: what messages call it.

    Raises:
        ConfigError: with every problem.
    """
    try:
        document = read_yaml(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = ", ".join(part for part in (error.context, error.problem) if part) or "is no YAML"
        raise ConfigError([Problem(f"line {mark.line + 1}" if mark else _WHOLE, message)], source) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError([Problem(_WHOLE, str(error) or "is no YAML")], source) from None
    if document.data is None:
        raise ConfigError([*document.problems, Problem(_WHOLE, "is empty")], source)
    problems, scenario = _judge(document.data)
    if scenario is None or document.problems:
        found: dict[str, Problem] = {}  # one place, one problem: the later ones are its consequences
        for each in (*document.problems, *problems):
            found.setdefault(each.path, each)
        raise ConfigError([_with_line(each, document) for each in found.values()], source)
    return scenario


def from_mapping(data: Mapping[str, object], source: str = "scenario") -> Scenario:
    """A scenario from plain values.

    Raises:
        ConfigError: with every problem.
    """
    problems, scenario = _judge(data)
    if scenario is None:
        raise ConfigError(problems, source)
    return scenario


def write(scenario: Scenario) -> str:
    """The text of a scenario file."""
    data = scenario.model_dump(mode="json", exclude_unset=True)
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)


def _judge(data: object) -> tuple[list[Problem], Scenario | None]:
    if not isinstance(data, Mapping):
        return [Problem(_WHOLE, "expected settings (name: value)")], None
    try:
        scenario = Scenario.model_validate(data)
    except ValidationError as error:
        return [_in_our_words(each) for each in problems_of(error, Scenario, data)], None
    problems = _idle(scenario)
    return problems, None if problems else scenario


def _in_our_words(problem: Problem) -> Problem:
    if "provider/upstream-model" not in problem.message:
        return problem
    message = "expected *, primary, secondary, tertiary, last, region:NAME, a provider or provider/model"
    return Problem(problem.path, message, problem.suggestion)


def _idle(scenario: Scenario) -> list[Problem]:
    """What can never take effect: it begins after the end, or leaves a share of what nobody has."""
    begins = [(join("troubles", at), each.at) for at, each in enumerate(scenario.troubles)]
    begins += [(join("workload.bursts", at), each.at) for at, each in enumerate(scenario.workload.bursts)]
    problems = [
        Problem(join(path, "at"), f"can never take effect: the scenario ends after {scenario.duration:g} s")
        for path, at in begins
        if at >= scenario.duration
    ]
    if not any(each.capacity and each.capacity.divisible for each in scenario.upstreams.values()):
        message = "can never take effect: no section of upstreams has a capacity of more than one place; add it there"
        problems += [
            Problem(join(join("troubles", at), "capacity"), message)
            for at, each in enumerate(scenario.troubles)
            if each.capacity != 1
        ]
    return problems


def _with_line(problem: Problem, document: YamlText) -> Problem:
    """Named with the line of the nearest thing that is written."""
    path = problem.path
    while path and path not in document.lines:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    if not path:
        return problem
    return Problem(problem.path, f"{problem.message} (line {document.lines[path]})", problem.suggestion)
