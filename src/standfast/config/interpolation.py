"""`${NAME}` and `${NAME:-default}` in the values of a configuration.

As in a shell, the default also stands in for an empty variable. `$${` is a plain `${`. Names of settings are never
interpolated, and what was put in is not read again: a variable's value may hold `${` safely.

A value that comes from the environment is text. Settings with a type convert it themselves; under `params`, whose
values have none, a value that is nothing but one reference becomes the number or truth value that it spells.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from standfast.errors import Problem

_REFERENCE = re.compile(r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\})?")
_UNTYPED = "params"


@dataclass(slots=True)
class Interpolation:
    """What came out.

    Attributes:
        data: a copy of the input with the references replaced.
        problems: variables that are missing, references that are none.
        values: what came from the environment; never to be shown.
    """

    data: object = None
    problems: list[Problem] = field(default_factory=list)
    values: set[str] = field(default_factory=set)


def interpolate(data: object, environ: Mapping[str, str]) -> Interpolation:
    """Replace every reference in every text of `data`."""
    result = Interpolation()
    result.data = _walk(data, "", environ, result, typed=True)
    return result


def join(path: str, step: str | int) -> str:
    """One step further down a path: `models.gpt-4.1`, `targets[1]`."""
    if isinstance(step, int):
        return f"{path}[{step}]"
    return f"{path}.{step}" if path else step


def _walk(data: object, path: str, environ: Mapping[str, str], result: Interpolation, *, typed: bool) -> object:
    if isinstance(data, Mapping):
        return {
            str(name): _walk(value, join(path, str(name)), environ, result, typed=typed and name != _UNTYPED)
            for name, value in data.items()
        }
    if isinstance(data, list | tuple):
        return [_walk(value, join(path, at), environ, result, typed=typed) for at, value in enumerate(data)]
    if isinstance(data, str) and "${" in data:
        return _replace(data, path, environ, result, typed=typed)
    if isinstance(data, float) and not math.isfinite(data):
        result.problems.append(Problem(path, "must be a finite number"))
        return 1.0  # any right value: the problem is named, more about it would be noise
    return data


def _replace(text: str, path: str, environ: Mapping[str, str], result: Interpolation, *, typed: bool) -> object:
    def put(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        name, default = match["name"], match["default"]
        if name is None:
            result.problems.append(Problem(path, "'${' begins no reference; write ${NAME}, ${NAME:-default}, or $${"))
            return ""
        value = environ.get(name)
        if value is None or (not value and default is not None):
            if default is None:
                message = f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}"
                result.problems.append(Problem(path, message))
            return default or ""
        result.values.add(value)
        return value

    replaced = _REFERENCE.sub(put, text)
    alone = _REFERENCE.fullmatch(text)
    return _typed(replaced) if not typed and alone is not None and alone["name"] else replaced


def _typed(text: str) -> object:
    """The number or truth value that `text` spells in JSON, else the text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, float) and not math.isfinite(value):
        return text
    return value if isinstance(value, bool | int | float) else text
