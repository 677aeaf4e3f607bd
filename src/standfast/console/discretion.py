"""What is told, as JSON without secrets; and still the JSON that it was.

Most messages hold nothing to take out: the redactor looks through the finished text. Where it finds something it may
have found a word of ours, because a key may be any word (`ollama` is what Ollama's users write): the name of a field,
of a state, of a target. So such a message is gone through value by value, and those are left as they are.
"""

import json
from collections.abc import Collection
from typing import Final, TypeAlias

import msgspec

from standfast.redact import REDACTED, Redactor, escape, scrub

_encode = msgspec.json.Encoder(decimal_format="number").encode

_WORDS: Final = frozenset(
    {
        "after",
        "before",
        "breaker",
        "health",
        "kind",
        "operation",
        "outcome",
        "purpose",
        "role",
        "source",
        "state",
        "status",
        "strategy",
        "subject",
        "type",
        "version",
    }
)
"""Fields whose values are words of ours."""

_BY_NAME: Final = frozenset({"answers", "failures"})
"""Fields whose own fields are names of targets; clients may have made them up."""

_Json: TypeAlias = "dict[str, _Json] | list[_Json] | str | float | bool | None"


def discreet(value: object, redactor: Redactor, names: Collection[str]) -> str:
    """A value as one line of JSON, free of secrets.

    Args:
        value: structs, dataclasses, plain values.
        redactor: knows the secrets.
        names: of models, targets and the like, as they are configured: none of them is a secret.
    """
    text = _written(value)
    clean = redactor.text(text)
    if clean.count(REDACTED) == text.count(REDACTED):
        return clean
    return escape(_written(_clean(msgspec.to_builtins(value), redactor, names)))


def _written(value: object) -> str:
    """As JSON. Half a surrogate pair is no UTF-8, but JSON can say it; one of them must not silence all the others."""
    try:
        return _encode(value).decode()
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value), separators=(",", ":"))


def _clean(value: _Json, redactor: Redactor, names: Collection[str]) -> _Json:
    if isinstance(value, str):
        return value if value in names else _text(value, redactor)
    if isinstance(value, list | tuple):
        return [_clean(each, redactor, names) for each in value]
    if isinstance(value, dict):
        return {name: _field(name, each, redactor, names) for name, each in value.items()}
    return value


def _field(name: str, value: _Json, redactor: Redactor, names: Collection[str]) -> _Json:
    if name in _WORDS and isinstance(value, str):
        return value
    if name in _BY_NAME and isinstance(value, dict):
        return {each if each in names else _text(each, redactor): count for each, count in value.items()}
    return _clean(value, redactor, names)


def _text(text: str, redactor: Redactor) -> str:
    return scrub(redactor.known(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass"))
