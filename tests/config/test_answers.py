"""What a configuration may say about answers."""

import pytest

from standfast.config.environment import redacted
from standfast.config.load import from_mapping
from standfast.errors import ConfigError

GOOD: dict[str, object] = {"providers": {"openai": {"keys": ["sk-1"]}}, "models": {"m": ["openai/m"]}}
SCHEMA = {"type": "object", "required": ["a"]}


def problems(data: dict[str, object]) -> list[tuple[str, str]]:
    """Path and suggestion of what is wrong; empty if nothing is."""
    try:
        from_mapping(data, {})
    except ConfigError as error:
        return [(problem.path, problem.suggestion) for problem in error.problems]
    return []


def model(**entry: object) -> dict[str, object]:
    """A configuration whose model says this."""
    return {**GOOD, "models": {"m": {"targets": ["openai/m"], **entry}}}


def target(**entry: object) -> dict[str, object]:
    """A configuration whose one target says this, in the short form of a model."""
    return {**GOOD, "models": {"m": [{"target": "openai/m", **entry}]}}


RIGHT = [
    model(validate={"min_chars": 5, "json": True, "json_schema": SCHEMA, "finish_reason": ["stop"], "regex": "^[{]"}),
    model(validate={"json_schema": {"items": {"$ref": "#"}}}),
    target(validate={"not_empty": True, "max_chars": 9, "not_regex": "(?i)sorry"}),
    {**GOOD, "defaults": {"validate": {"not_empty": True}, "cache": {"ttl": "1m"}, "fallback": {"message": "Later."}}},
    model(cache={"ttl": 0, "stale_if_error": "1h"}),
    {**model(cache={}), "cache": {"max_bytes": 1_000_000, "max_entries": 5, "max_entry_bytes": 1000}},
    {**GOOD, "defaults": {"cache": {}}, "cache": {"store": "memory"}},
    model(fallback={"message": "Later."}, validate={"min_chars": 5}),
    model(fallback={"message": '{"a": 1}'}, validate={"json_schema": SCHEMA}),
    {**model(fallback={"message": ""}, validate={"min_chars": 50}), "defaults": {"fallback": {"message": "Later."}}},
]


@pytest.mark.parametrize("data", RIGHT, ids=range(len(RIGHT)))
def test_what_is_right_has_no_problem(data: dict[str, object]) -> None:
    """The checks refuse nothing that can take effect."""
    assert problems(data) == []


WRONG = [
    (model(validate={"min_char": 5}), "models.m.validate.min_char", "min_chars"),
    (model(validate={"min_chars": "five"}), "models.m.validate.min_chars", ""),
    (model(validate={"finish_reason": ["stopp"]}), "models.m.validate.finish_reason[0]", "stop"),
    (model(validate={"finish_reason": "stop"}), "models.m.validate.finish_reason", ""),
    (model(validate={"min_chars": 5, "max_chars": 4}), "models.m.validate", ""),
    (model(validate={"regex": "(?=x)"}), "models.m.validate.regex", ""),
    (model(validate={"regex": ""}), "models.m.validate.regex", ""),
    (model(validate={"json_schema": {"type": "objekt"}}), "models.m.validate.json_schema", ""),
    (model(validate={"json_schema": {"$ref": "https://x.test/s"}}), "models.m.validate.json_schema", ""),
    (model(validate={"json_schema": {"maximum": float("inf")}}), "models.m.validate.json_schema.maximum", ""),
    (target(validate={"max_chars": -1}), "models.m[0].validate.max_chars", ""),
    (model(cache={"tll": "1m"}), "models.m.cache.tll", "ttl"),
    (model(cache={"ttl": "8d"}), "models.m.cache.ttl", ""),
    (model(cache="5m"), "models.m.cache", ""),
    (model(fallback="sorry"), "models.m.fallback", ""),
    (model(fallback={}), "models.m.fallback.message", ""),
    # layers that contradict each other
    ({**model(validate={"max_chars": 2}), "defaults": {"validate": {"min_chars": 3}}}, "models.m.validate", ""),
    ({**target(validate={"max_chars": 2}), "defaults": {"validate": {"min_chars": 3}}}, "models.m[0].validate", ""),
    # what can never take effect
    (model(fallback={"message": "No."}, validate={"min_chars": 5}), "models.m.fallback.message", ""),
    (model(fallback={"message": "No."}, validate={"finish_reason": ["tool_calls"]}), "models.m.fallback.message", ""),
    (
        {**GOOD, "defaults": {"fallback": {"message": "No."}, "validate": {"json": True}}},
        "defaults.fallback.message",
        "",
    ),
    ({**GOOD, "cache": {"max_entries": 5}}, "cache", ""),
    ({**model(cache={"ttl": 0}), "cache": {}}, "cache", ""),
    # where answers are kept
    ({**model(cache={}), "cache": {"store": "memmory"}}, "cache.store", "memory"),
    ({**model(cache={}), "cache": {"path": "answers.db"}}, "cache.path", ""),
    ({**model(cache={}), "cache": {"store": "sqlite"}}, "cache.path", ""),
    ({**model(cache={}), "cache": {"store": "sqlite", "path": "/no/such/place/a.db"}}, "cache.path", ""),
    ({**model(cache={}), "cache": {"max_bytes": 2000, "max_entry_bytes": 2000}}, "cache", ""),
]


@pytest.mark.parametrize(("data", "path", "suggestion"), WRONG, ids=[f"{n}-{row[1]}" for n, row in enumerate(WRONG)])
def test_one_mistake_is_one_problem(data: dict[str, object], path: str, suggestion: str) -> None:
    """Each mistake gives exactly one problem, at its own path."""
    assert problems(data) == [(path, suggestion)]


def test_the_names_are_those_of_the_file() -> None:
    """What is shown of a configuration has the words that are written in it."""
    config = from_mapping(model(validate={"json": True}), {})
    shown = redacted(config)
    assert shown["models"]["m"]["validate"]["json"] is True  # type: ignore[index]
    assert config.models["m"].validation is not None
    assert config.models["m"].validation.parses
