"""JSON schemas and regular expressions that nobody can make slow, compiled once.

The engine is jsonschema-rs, for both. Its patterns run in time linear in the text (no look-around, no back references)
and have a bound on their compiled size; it follows references that lead in a circle without falling over; and it is
told to fetch nothing. Compared with it, jsonschema is 250 times slower and fastjsonschema makes Python code out of the
schema, and both leave patterns to a backtracking engine.
"""

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from jsonschema_rs import Validator

Schema = Mapping[str, Any]
"""Plain JSON values."""

COMPILED_BYTES = 1 << 20
"""The most that one compiled pattern may take."""

_MOVING = ("$dynamicRef", "$recursiveRef")
"""References that only judging can follow."""


def compiled_schema(schema: Schema) -> "Validator":
    """Ready to judge values.

    Raises:
        ValueError: it is no schema, or refers to something outside itself.
    """
    return _compiled(text_of(schema))


@functools.lru_cache(maxsize=128)
def compiled_pattern(pattern: str) -> "Validator":
    """Ready to judge texts: valid are those in which it is found.

    Raises:
        ValueError: it is no regular expression of this engine, or too large.
    """
    make, errors = _engine()
    try:
        return make({"pattern": pattern})
    except errors:
        raise ValueError(
            "is no regular expression that can be used; look-around and back references do not exist here, and large"
            " repetitions take too much room"
        ) from None


def text_of(schema: Schema) -> bytes:
    """One text for all spellings of a schema."""
    return msgspec.json.encode(schema, order="sorted")


def unfolded(schema: Schema) -> int:
    """How many parts a schema has when every reference is replaced by what it names.

    Judging costs at most that many steps for each part of the value; without this count a small schema of references
    to references could cost exponentially many. Whatever looks like a reference counts as one, even inside `enum`.

    Raises:
        ValueError: a reference leads outside, to itself, or to a place that only the judging would find.
    """
    known: dict[str, int] = {}
    base = "id" if "draft-04" in str(schema.get("$schema")) else "$id"

    def size(node: object) -> int:
        if isinstance(node, list):
            return 1 + sum(map(size, node))
        if not isinstance(node, dict):
            return 1
        moved = node is not schema and isinstance(node.get(base), str)
        if moved or any(isinstance(node.get(name), str) for name in _MOVING):
            raise ValueError("$id below the top and dynamic references cannot come with a request")
        total = 1 + sum(map(size, node.values()))
        reference = node.get("$ref")
        return total + named(reference) if isinstance(reference, str) else total

    def named(reference: str) -> int:
        if reference not in known:
            known[reference] = -1
            known[reference] = size(_found(schema, reference))
        if known[reference] < 0:
            raise ValueError("a schema that refers to itself cannot come with a request")
        return known[reference]

    return size(schema)


def _found(schema: Schema, reference: str) -> object:
    if reference != "#" and not reference.startswith("#/"):
        raise ValueError('a $ref must lead inside the schema, for instance "#/$defs/name"')
    node: object = schema
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, dict) or name not in node:
            raise ValueError("a $ref leads nowhere")
        node = node[name]
    return node


@functools.lru_cache(maxsize=128)
def _compiled(text: bytes) -> "Validator":
    make, errors = _engine()
    try:
        return make(msgspec.json.decode(text))
    except errors as error:
        said = str(error)
    if "etriev" in said or "registry" in said:
        raise ValueError("refers to something outside itself; nothing is fetched")
    if '"regex"' in said:
        raise ValueError("holds a pattern that cannot be used: look-around and back references do not exist here")
    raise ValueError("is no JSON schema")


def _engine() -> tuple[Callable[[Any], "Validator"], tuple[type[Exception], ...]]:
    """How to compile, and what that raises. Loaded when the first rule asks for it: it has 6 MB."""
    import jsonschema_rs  # noqa: PLC0415 - most gateways never need it

    options = jsonschema_rs.RegexOptions(size_limit=COMPILED_BYTES)

    def make(schema: Any) -> "Validator":  # noqa: ANN401 - plain JSON values
        return jsonschema_rs.validator_for(schema, pattern_options=options, offline=True)

    return make, (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError)
