"""YAML 1.2's core schema, strictly."""

import pytest

from standfast.config.yaml_text import read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("off", "off"),
        ("yes", "yes"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("none", "none"),
        ("'true'", "true"),
        ('"1"', "1"),
        ("1", 1),
        ("-7", -7),
        ("007", "007"),
        ("0x10", "0x10"),
        ("1:30", "1:30"),
        ("2026-01-31", "2026-01-31"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("3s", "3s"),
        (".", "."),
        ("1.2.3", "1.2.3"),
    ],
)
def test_scalars(text: str, value: object) -> None:
    """Words are words: no YAML 1.1 truth values, sexagesimal numbers or dates."""
    data = read_yaml(f"a: {text}\n").data
    assert data == {"a": value}
    assert isinstance(data, dict)
    assert type(data["a"]) is type(value)


def test_merge_and_alias() -> None:
    """Anchors, aliases and merges work; what is written beats what is merged."""
    document = read_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\n")
    assert document.data == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 2}}
    assert document.problems == []


@pytest.mark.parametrize("text", ["a: &a [*a]\n", "a: &a {b: *a}\n", "a: !x 1\n", "a: !!python/name:os.system x\n"])
def test_what_a_configuration_has_no_use_for(text: str) -> None:
    """A value inside itself, and tags, are problems at their path."""
    assert [problem.path.partition("[")[0].partition(".")[0] for problem in read_yaml(text).problems] == ["a"]


def test_lines() -> None:
    """Every value knows its line."""
    document = read_yaml("a:\n  - x\n  - {b: 1,\n     c: 2}\n")
    assert (document.lines["a[0]"], document.lines["a[1].b"], document.lines["a[1].c"]) == (2, 3, 4)
