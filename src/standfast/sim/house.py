"""The configuration under rehearsal: a file's, a scenario's own; `standfast.sim.sweep` varies it.

A rehearsal sends nothing, so it needs no upstream keys: variables that the environment lacks are stood in for.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from standfast.config.load import from_mapping, load
from standfast.config.schema import Config
from standfast.config.yaml_text import read_yaml
from standfast.sim.settings import Scenario

_NEEDED = re.compile(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class House:
    """A configuration, and what it was made from.

    Attributes:
        label: what reports call it.
        config: checked.
        data: plain values, for sweeps.
        environ: what references were filled from.
        notes: what the reader should know.
    """

    label: str
    config: Config
    data: Mapping[str, object]
    environ: Mapping[str, str]
    notes: tuple[str, ...] = ()


def from_file(path: Path, environ: Mapping[str, str] | None = None) -> House:
    """The configuration of a file.

    Raises:
        ConfigError: with every problem.
    """
    given = os.environ if environ is None else environ
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        text = ""  # `load` says what is wrong with it
    data = _plain(text, path.suffix.lower())
    missing = sorted({name for name in _needed(data) if name not in given})
    filled = {**given, **{name: f"rehearsal-{name}" for name in missing}}
    config = load(path, filled)
    notes = (f"stood in for what the environment lacks: {', '.join(missing)}",) if missing else ()
    return House(str(path), config, data if isinstance(data, dict) else {}, filled, notes)


def _plain(text: str, suffix: str) -> object:
    """What a file holds; None if it cannot be read: `load` says why."""
    try:
        return tomllib.loads(text) if suffix == ".toml" else read_yaml(text).data
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _needed(data: object) -> Iterator[str]:
    """The variables that are referred to and have no default."""
    if isinstance(data, Mapping):
        for value in data.values():
            yield from _needed(value)
    elif isinstance(data, list):
        for value in data:
            yield from _needed(value)
    elif isinstance(data, str):
        yield from _NEEDED.findall(data)


def from_scenario(scenario: Scenario, label: str) -> House | None:
    """The scenario's own configuration, None if it has none.

    Raises:
        ConfigError: with every problem.
    """
    if scenario.config is None:
        return None
    return House(label, from_mapping(scenario.config, {}), scenario.config, {})


def put(data: object, path: str, value: object) -> object:
    """A copy of plain values with one of them set; what leads there is made where it is missing.

    Names may hold dots (`models.gpt-4.1.strategy`): of the names that are there, the longest that fits is meant.

    Raises:
        LookupError: a list has no such place; says what it has.
    """
    if not path:
        return value
    if isinstance(data, list | tuple):
        match = re.match(r"\[(\d+)\]\.?(.*)$", path)
        if match is None:
            raise LookupError(f"{path!r} leads into a list: name one of its places, [0] for the first")
        if int(match[1]) >= len(data):
            last = f": the last is [{len(data) - 1}]" if data else ", it is empty"
            raise LookupError(f"there is no [{match[1]}] in the list{last}")
        at = int(match[1])
        return [put(each, match[2], value) if i == at else each for i, each in enumerate(data)]
    there: Mapping[str, object] = data if isinstance(data, Mapping) else {}
    name, rest = _first_step(there, path)
    return {**there, name: put(there.get(name), rest, value)}


def _first_step(there: Mapping[str, object], path: str) -> tuple[str, str]:
    known = [name for name in there if path == name or path.startswith((f"{name}.", f"{name}["))]
    name = max(known, key=len) if known else re.split(r"[.\[]", path, maxsplit=1)[0]
    return name, path[len(name) :].removeprefix(".")
