"""Variants of one rehearsal: `PATH=VALUE,VALUE...`, every combination of the values.

A path leads into the configuration, or with `scenario.` in front into the scenario. Every variant is checked as a file
would be, before any is played.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from standfast.config.load import from_mapping
from standfast.config.schema import Config
from standfast.config.yaml_text import read_yaml
from standfast.errors import ConfigError, Problem
from standfast.sim import files
from standfast.sim.house import House, put
from standfast.sim.settings import Scenario

OWN = "scenario"
"""The first step of a path that leads into the scenario."""

_HOUSE = f"{OWN}.config"
_EXPECTED = "expected PATH=VALUE,VALUE..., for instance defaults.retry.budget=0.1,0.2"
_PLACE = re.compile(r"(?:\.targets)?\[(\d+)\]\.(?=.)")

Point = Mapping[str, tuple[str, object]]
"""One combination: of each path the value, as written and as read."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One point of a sweep; `label` says what differs, as it was written."""

    label: str
    config: Config
    scenario: Scenario


def sweep(house: House, scenario: Scenario, axes: Sequence[str]) -> list[Variant]:
    """Every combination of the values of `PATH=VALUE,VALUE...`.

    Args:
        house: the configuration that is varied.
        scenario: varied too, by paths that begin with `scenario.`.
        axes: for instance `defaults.retry.max_attempts=1,2,4`.

    Raises:
        ConfigError: an axis cannot be understood or can never take effect, or a variant has problems.
    """
    parsed = [_axis(axis) for axis in axes]
    paths = [path for path, _ in parsed]
    problems = [each for path in paths if (each := _idle(path)) is not None]
    problems += [
        Problem(other, f"is swept by {path} too: one of them would have no effect, give all values in one --sweep")
        for path, other in itertools.combinations(paths, 2)
        if _within(path, other) or _within(other, path)
    ]
    if problems:
        raise ConfigError(problems, "--sweep")
    points = itertools.product(*(values for _, values in parsed))
    return [_variant(house, scenario, dict(zip(paths, point, strict=True))) for point in points]


def split(text: str) -> list[str]:
    """At the commas that stand outside of brackets, braces and quotes: `[1,2],[2,1]` are two values."""
    parts, depth, quote, before = [""], 0, "", ","
    for sign in text:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'" and before in "[{,:":  # elsewhere it is an apostrophe
            quote = sign
        elif sign in "[{":
            depth += 1
        elif sign in "]}":
            depth -= 1
        elif sign == "," and depth <= 0:
            parts.append("")
            before = ","
            continue
        parts[-1] += sign
        before = before if sign == " " else sign
    return parts


def _axis(text: str) -> tuple[str, list[tuple[str, object]]]:
    path, sign, values = text.partition("=")
    if not sign or not path.strip() or not values:
        raise ConfigError([Problem(text, _EXPECTED)], "--sweep")
    return path.strip(), [(each.strip(), _value(text, each)) for each in split(values)]


def _value(axis: str, text: str) -> object:
    try:
        read = read_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigError([Problem(axis, f"holds a value that cannot be read: {text.strip()}")], "--sweep") from None
    if read.problems:
        raise ConfigError([Problem(axis, each.message) for each in read.problems], "--sweep")
    return read.data


def _idle(path: str) -> Problem | None:
    """The configuration is chosen before a sweep: what a scenario brings is not looked at again."""
    if not _within(_HOUSE, path):
        return None
    right = path.removeprefix(_HOUSE).lstrip(".")
    meant = f"write {right}=..." if right else "write the path inside of it"
    return Problem(path, f"can never take effect: {meant}, which leads into the configuration that is played")


def _within(outer: str, inner: str) -> bool:
    return inner == outer or inner.startswith((f"{outer}.", f"{outer}["))


def _variant(house: House, scenario: Scenario, point: Point) -> Variant:
    data: object = house.data
    weather: object = scenario.model_dump(mode="json", exclude_unset=True)
    label = ", ".join(f"{path}={written}" for path, (written, _) in point.items())
    for path, (_, value) in point.items():
        try:
            if path.startswith(f"{OWN}."):
                weather = put(weather, path.removeprefix(f"{OWN}."), value)
            else:
                data = put(_in_full(data, path), path, value)
        except LookupError as error:
            raise ConfigError([Problem(path, str(error.args[0]))], "--sweep") from None
    config = from_mapping(data, house.environ) if isinstance(data, Mapping) else house.config
    own = any(path.startswith(f"{OWN}.") for path in point)
    changed = files.from_mapping(weather) if own and isinstance(weather, Mapping) else scenario
    return Variant(label, config, changed)


def _in_full(data: object, path: str) -> object:
    """The same configuration without the short forms that the path would have to lead through.

    There are two: `models: {name: [...]}` for `{targets: [...]}`, and a target's text for `{target: text}`.
    """
    models = data.get("models") if isinstance(data, Mapping) else None
    for name, model in models.items() if isinstance(models, Mapping) else ():
        at = f"models.{name}"
        rest = path.removeprefix(at)
        if not path.startswith((f"{at}.", f"{at}[")):
            continue
        if isinstance(model, list) and rest.startswith("."):
            return _in_full(put(data, at, {"targets": model}), path)
        place = _PLACE.match(rest)
        targets = model.get("targets") if isinstance(model, Mapping) else model
        if place is None or not isinstance(targets, list) or int(place[1]) >= len(targets):
            continue
        target = targets[int(place[1])]
        if isinstance(target, str):
            return put(data, f"{at}{place[0].removesuffix('.')}", {"target": target})
    return data
