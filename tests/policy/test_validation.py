"""Rules about answers, and what a request may bring of them."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.policy.validation import (
    ASKED_SCHEMA_PARTS,
    ASKED_WORK,
    JUDGED_CHARS,
    Rules,
    ValidateSettings,
    asked_rules,
)

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
    "additionalProperties": False,
}


def fault(text: str, finish: str = "stop", *, calls_tools: bool = False, **rules: object) -> str:
    """Why an answer does not count."""
    return Rules(ValidateSettings.model_validate(rules)).fault(text, finish, calls_tools=calls_tools)


ROWS: list[tuple[dict[str, object], str, str, str]] = [
    # rules, text, finish reason, fault
    ({}, "", "", ""),
    ({"not_empty": True}, "", "stop", "it is empty"),
    ({"not_empty": True}, " \n\t ", "stop", "it is empty"),
    ({"not_empty": True}, ".", "stop", ""),
    ({"min_chars": 3}, "ab", "stop", "it has fewer than 3 characters"),
    ({"min_chars": 3}, "  ab  ", "stop", "it has fewer than 3 characters"),
    ({"min_chars": 3}, "äöü", "stop", ""),
    ({"max_chars": 3}, "abcd", "stop", "it has more than 3 characters"),
    ({"max_chars": 3}, " abc\n", "stop", ""),
    ({"json": True}, "yes", "stop", "it is not JSON"),
    ({"json": True}, "", "stop", "it is not JSON"),
    ({"json": True}, "```json\n{}\n```", "stop", "it is not JSON"),
    ({"json": True}, '{"a": 1} and more', "stop", "it is not JSON"),
    ({"json": True}, '{"a": NaN}', "stop", "it is not JSON"),
    ({"json": True}, ' {"a": [1, 2.5, null]}\n', "stop", ""),
    ({"json": True}, "[" * 100_000, "stop", "its JSON is nested too deeply"),
    ({"json": True}, "1" + "0" * 4000, "stop", ""),
    ({"json_schema": PERSON}, "not json", "stop", "it is not JSON"),
    ({"json_schema": PERSON}, '{"name": "Ann", "age": 4}', "stop", ""),
    ({"json_schema": PERSON}, '{"age": 4}', "stop", "its JSON breaks `json_schema` (required at required)"),
    (
        {"json_schema": PERSON},
        '{"name": "Ann", "age": -4}',
        "stop",
        "its JSON breaks `json_schema` (minimum at properties/age/minimum)",
    ),
    ({"finish_reason": ["stop"]}, "cut", "length", "it ended with finish reason length"),
    ({"finish_reason": ["stop"]}, "cut", "", "it ended with finish reason none"),
    ({"finish_reason": ["stop", "length"]}, "cut", "length", ""),
    ({"regex": "^[A-Z]"}, "lower", "stop", "it does not match `regex`"),
    ({"regex": "^[A-Z]"}, "  Upper", "stop", ""),
    ({"regex": "b"}, "abc", "stop", ""),
    ({"not_regex": "(?i)as an ai"}, "As an AI, I cannot", "stop", "it matches `not_regex`"),
    ({"not_regex": "(?i)as an ai"}, "Here it is", "stop", ""),
    ({"regex": "a", "not_regex": "b"}, "ab", "stop", "it matches `not_regex`"),
]


@pytest.mark.parametrize(("rules", "text", "finish", "expected"), ROWS, ids=range(len(ROWS)))
def test_each_rule_says_what_it_means(rules: dict[str, object], text: str, finish: str, expected: str) -> None:
    """Every rule accepts what it should and names itself where it does not."""
    assert fault(text, finish, **rules) == expected


def test_an_answer_that_calls_tools_has_no_text_to_judge() -> None:
    """Tool calls are judged by the finish reason alone."""
    rules: dict[str, object] = {"min_chars": 5, "not_empty": True, "json_schema": PERSON, "regex": "x"}
    assert fault("", "tool_calls", calls_tools=True, **rules) == ""
    assert fault("", "tool_calls", calls_tools=True, finish_reason=["stop"], **rules) != ""


@given(st.text(min_size=1), st.sampled_from([row[0] for row in ROWS]))
def test_no_fault_quotes_the_answer(text: str, rules: dict[str, object]) -> None:
    """What is said about an answer is the same whatever the answer says: faults go into logs."""
    marked = f"{text}-canary-{text}"
    for answer in (marked, json.dumps({"name": marked, marked: marked}), json.dumps(marked)):
        assert "canary" not in fault(answer, **rules)


PATTERNS = ["(a+)+$", "(a|aa)+b", "(.*a){25}b", "^(a?){60}a{60}$", "([a-z]+)*!"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_no_pattern_takes_more_than_linear_time(pattern: str) -> None:
    """Patterns that keep a backtracking engine busy for ever are judged at once, in `regex` and in a schema."""
    text = "a" * 5000 + "?"
    assert fault(text, regex=pattern) == "it does not match `regex`"
    assert (
        fault(json.dumps(text), json_schema={"pattern": pattern})
        == "its JSON breaks `json_schema` (pattern at pattern)"
    )


def test_a_text_too_long_for_a_pattern_does_not_count() -> None:
    """There is a bound on what a regular expression is tried on; beyond it the answer is refused, not waved through."""
    assert fault("a" * JUDGED_CHARS, regex="a") == ""
    assert "longer than" in fault("a" * (JUDGED_CHARS + 1), regex="a")
    assert "longer than" in fault("a" * (JUDGED_CHARS + 1), not_regex="b")


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {"items": {"$ref": "#"}},
    ],
)
def test_a_schema_that_refers_to_itself_is_no_trap(schema: dict[str, object]) -> None:
    """An operator's recursive schema judges nested answers, and a circle of references ends."""
    assert fault("[[[1]]]", json_schema=schema) == ""
    assert fault("[" * 200 + "]" * 200, json_schema=schema) == ""


# layers


def test_layers_replace_only_what_they_write() -> None:
    """A nearer level's rules lie over the farther one's, rule by rule; a neutral value switches a rule off."""
    base = ValidateSettings(min_chars=5, not_empty=True, regex="a")
    assert ValidateSettings(min_chars=2).over(base) == ValidateSettings(min_chars=2, not_empty=True, regex="a")
    assert ValidateSettings(min_chars=0, not_empty=False, regex=None).over(base) == ValidateSettings()
    assert ValidateSettings(min_chars=2).over(None) == ValidateSettings(min_chars=2)
    assert ValidateSettings(max_chars=3).over(base).contradictory


def test_rules_that_ask_for_nothing_are_not_demanding() -> None:
    """Rules at their neutral values cost nothing: no stream is held back for them."""
    assert not ValidateSettings().demanding
    assert not ValidateSettings(min_chars=0, finish_reason=()).demanding
    for rules in ({"min_chars": 1}, {"json": True}, {"finish_reason": ["stop"]}, {"not_regex": "x"}, {"max_chars": 9}):
        assert ValidateSettings.model_validate(rules).demanding


# what a request may bring


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (5, ""),
        ({"min_char": 5}, "min_char"),
        ({"min_chars": -1}, "min_chars"),
        ({"min_chars": 9, "max_chars": 3}, "no answer"),
        ({"finish_reason": ["done"]}, "finish_reason.0"),
        ({"regex": "("}, "regex"),
        ({"regex": "(?=look)"}, "regex"),
        ({"regex": r"(a)\1"}, "regex"),
        ({"regex": "a" * 1001}, "regex"),
        ({"regex": "(?:[a-z]{500}){500}"}, "regex"),
        ({"json_schema": 5}, "json_schema"),
        ({"json_schema": {"type": "objekt"}}, "json_schema"),
        ({"json_schema": {"pattern": "(?=look)"}}, "json_schema"),
        ({"json_schema": {"$ref": "http://127.0.0.1:9/schema"}}, "json_schema"),
        ({"json_schema": {"$ref": "file:///etc/passwd"}}, "json_schema"),
        ({"json_schema": {"$schema": "http://example.test/own"}}, "json_schema"),
        ({"json_schema": {"items": {"$ref": "#"}}}, "json_schema"),
        ({"json_schema": {"items": {"$ref": "#/$defs/none"}}}, "json_schema"),
        ({"json_schema": {"enum": ["x" * 70_000]}}, "json_schema"),
        ({"json_schema": {"allOf": [{}] * (ASKED_SCHEMA_PARTS + 1)}}, "json_schema"),
    ],
)
def test_a_request_brings_no_rule_that_cannot_be_used(value: object, said: str) -> None:
    """What a request brings is refused by name before anything is sent, and the message repeats none of it."""
    with pytest.raises(ValueError, match=rf"^{said}") as caught:
        asked_rules(value)
    assert "objekt" not in str(caught.value)
    assert "look" not in str(caught.value).replace("look-around", "")


def bomb(levels: int) -> dict[str, object]:
    """A small schema that means 2^levels times the same."""
    parts: dict[str, object] = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(levels)}
    return {"$defs": {**parts, f"a{levels}": {"type": "integer"}}, "$ref": "#/$defs/a0"}


def test_references_are_counted_as_often_as_they_are_followed() -> None:
    """A schema whose references multiply is refused by what it would cost, however short it is."""
    assert asked_rules({"json_schema": bomb(5)}).json_schema is not None
    with pytest.raises(ValueError, match="references are followed"):
        asked_rules({"json_schema": bomb(60)})


@pytest.mark.parametrize("keyword", ["properties", "patternProperties", "enum", "const", "examples", "default", "x"])
def test_no_place_hides_a_reference_to_itself(keyword: str) -> None:
    """A circle is found wherever it stands: a property may be named as a keyword is."""
    hidden = {"properties": {keyword: {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}}
    with pytest.raises(ValueError, match="refers to itself"):
        asked_rules({"json_schema": hidden})


@pytest.mark.parametrize(
    "schema",
    [
        {"$defs": {"a": {"$id": "b", "$ref": "#/$defs/c"}, "c": {}}},
        {"$schema": "http://json-schema.org/draft-04/schema#", "definitions": {"a": {"id": "b"}}},
        {"$dynamicRef": "#a"},
        {"$recursiveRef": "#"},
    ],
)
def test_references_whose_end_only_judging_finds_are_refused(schema: dict[str, object]) -> None:
    """What moves the base of references, or moves while it is judged, cannot be counted beforehand."""
    with pytest.raises(ValueError, match="cannot come with a request"):
        asked_rules({"json_schema": schema})


def test_what_people_write_is_fine() -> None:
    """The schemas that libraries make, with shared definitions, are taken; so is a property of a misleading name."""
    schema = {
        "$defs": {"Step": {"type": "object", "properties": {"why": {"type": "string"}}, "required": ["why"]}},
        "type": "object",
        "properties": {
            "steps": {"type": "array", "items": {"$ref": "#/$defs/Step"}},
            "last": {"$ref": "#/$defs/Step"},
            "id": {"type": "string"},
            "$ref": {"type": "string"},
        },
        "examples": [{"id": "x"}],
    }
    rules = Rules(asked_rules({"json_schema": schema}), asked=True)
    assert rules.fault('{"steps": [{"why": "so"}], "id": "7"}', "stop") == ""
    assert rules.fault('{"steps": [{}]}', "stop") == "its JSON breaks `json_schema` (required)"


def test_a_large_schema_and_a_long_answer_together_are_too_much() -> None:
    """The work of judging is bounded by their product, for rules that a request brings."""
    schema = {"properties": {f"p{n}": {"type": "string"} for n in range(1500)}}
    rules = Rules(asked_rules({"json_schema": schema}), asked=True)
    short, long = json.dumps({"p1": "x"}), json.dumps({"p1": "x" * (ASKED_WORK // 1000)})
    assert rules.fault(short, "stop") == ""
    assert "too long to be judged" in rules.fault(long, "stop")
    assert Rules(ValidateSettings.model_validate({"json_schema": schema})).fault(long, "stop") == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
WORDS = st.sampled_from(["$ref", "$id", "$defs", "items", "allOf", "type", "properties", "pattern", "a"])
SCHEMAS = st.recursive(
    st.sampled_from(["#", "#/$defs/a", "#/a", "object", "(?=a)", "x"]) | JSON,
    lambda inner: st.dictionaries(WORDS, inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=15,
)


@given(st.dictionaries(WORDS, SCHEMAS, max_size=4), JSON)
@settings(deadline=None)
def test_whatever_a_request_brings_is_used_or_refused(schema: dict[str, object], answer: object) -> None:
    """No schema makes anything but a rule or a refusal, and no answer makes a rule fail in another way."""
    try:
        rules = Rules(asked_rules({"json_schema": schema}), asked=True)
    except ValueError:
        return
    assert isinstance(rules.fault(json.dumps(answer), "stop"), str)
