"""Puts the schema's complaints into sentences: a path as written in the file, what would be right, what was meant.

No sentence of ours repeats a value: it may be a key.
"""

import re
import typing
from collections.abc import Mapping, Sequence
from types import UnionType

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from standfast import plugins
from standfast.config.interpolation import join
from standfast.errors import Problem

Place = tuple[int | str, ...]


def problems_of(error: ValidationError, schema: type[BaseModel], data: object) -> list[Problem]:
    """One problem for each place that `error` complains about; of several complaints about one place, the first."""
    found: dict[str, Problem] = {}
    for details in error.errors(include_url=False):
        steps = _written(details["loc"], data, missing=details["type"] == "missing")
        path = ""
        for step in steps:
            path = join(path, step)
        path = path or "(file)"
        found.setdefault(path, Problem(path, _sentence(details), _suggestion(details, schema)))
    return list(found.values())


def _written(place: Sequence[int | str], data: object, *, missing: bool) -> Place:
    """The part of a place that stands in the file: without the tags of unions and what short forms leave out."""
    steps: list[int | str] = []
    for step in place:
        listed = isinstance(data, list) and isinstance(step, int) and step < len(data)
        if listed or (isinstance(data, dict) and step in data):
            data = data[step]  # type: ignore[index]  # one of the two, as just seen
        elif isinstance(data, list) and isinstance(step, str):
            continue  # `models: {name: [...]}` is short for `{targets: [...]}`
        else:
            if missing and isinstance(data, dict):
                steps.append(step)
            break
        steps.append(step)
    return tuple(steps)


def _sentence(details: ErrorDetails) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "value_error":
        return str(context.get("error", details["msg"]))
    if kind == "string_pattern_mismatch":
        return "expected provider/upstream-model, both without blanks"
    if kind in _SENTENCES:
        return _SENTENCES[kind].format_map({name: str(value) for name, value in context.items()})
    return next((text for ending, text in _ENDINGS if kind.startswith(ending)), details["msg"].lower())


def _suggestion(details: ErrorDetails, schema: type[BaseModel]) -> str:
    if details["type"] == "literal_error":
        return plugins.nearest(str(details["input"]), re.findall(r"'([^']*)'", details.get("ctx", {})["expected"]))
    if details["type"] != "extra_forbidden":
        return ""
    *parents, name = details["loc"]
    found: object = schema
    for step in parents:
        found = _inside(found, step)
    known = _names(found) if isinstance(found, type) and issubclass(found, BaseModel) else ()
    return plugins.nearest(str(name), known)


def _names(model: type[BaseModel]) -> dict[str, object]:
    """Annotations by the names that are written in a file."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _inside(annotation: object, step: int | str) -> object:
    """The type of what stands at `step` inside a value of type `annotation`; None if that is unknown."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _plain(_names(annotation).get(str(step)))
    arguments = typing.get_args(annotation)
    if not arguments:
        return None
    return _plain(arguments[-1] if typing.get_origin(annotation) is not tuple else arguments[0])


def _plain(annotation: object) -> object:
    """Without `| None`."""
    if isinstance(annotation, UnionType) or typing.get_origin(annotation) is typing.Union:
        return next((part for part in typing.get_args(annotation) if part is not type(None)), None)
    return annotation


_SENTENCES: Mapping[str, str] = {
    "missing": "is missing",
    "extra_forbidden": "is not a setting that exists here",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be one of {expected}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "finite_number": "must be a finite number",
    "int_from_float": "expected a whole number",
}
_ENDINGS = (
    ("int_", "expected a whole number"),
    ("float_", "expected a number"),
    ("bool_", "expected true or false"),
    ("string_", "expected text"),
    ("model_", "expected settings (name: value)"),
    ("dict_", "expected settings (name: value)"),
    ("mapping_", "expected settings (name: value)"),
    ("tuple_", "expected a list"),
    ("list_", "expected a list"),
)
