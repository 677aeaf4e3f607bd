"""References to the environment."""

import pytest

from standfast.config.interpolation import interpolate
from standfast.config.load import from_mapping

ENVIRON = {"A": "alpha", "EMPTY": "", "PORT": "8123", "TEMP": "0.7", "YES": "true", "NESTED": "${A}"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "alpha"),
        ("x${A}y${A}", "xalphayalpha"),
        ("${A:-b}", "alpha"),
        ("${NOPE:-b}", "b"),
        ("${NOPE:-}", ""),
        ("${NOPE:-http://h:1/v1}", "http://h:1/v1"),
        ("${EMPTY}", ""),
        ("${EMPTY:-b}", "b"),
        ("$${A}", "${A}"),
        ("$A $ {A} $$", "$A $ {A} $$"),
        ("${NESTED}", "${A}"),
        ("${PORT}", "8123"),
    ],
)
def test_references(text: str, expected: str) -> None:
    """As in a shell; what was put in is not read again, and only `${` begins a reference."""
    result = interpolate({"a": [text]}, ENVIRON)
    assert result.data == {"a": [expected]}
    assert result.problems == []


def test_a_missing_variable_names_path_and_variable() -> None:
    """The reader learns which variable is missing and where."""
    (problem,) = interpolate({"providers": {"x": {"keys": ["k", "${NOPE}"]}}}, ENVIRON).problems
    assert problem.path == "providers.x.keys[1]"
    assert "NOPE" in problem.message


@pytest.mark.parametrize("text", ["${}", "${1A}", "${A", "${A:b}", "${A-b}"])
def test_a_broken_reference_is_a_problem(text: str) -> None:
    """A `${` that begins no reference is refused, not passed on."""
    assert [problem.path for problem in interpolate({"a": text}, ENVIRON).problems] == ["a"]


def test_names_are_not_interpolated() -> None:
    """Only values come from the environment."""
    assert interpolate({"${A}": 1}, ENVIRON).data == {"${A}": 1}


def test_numbers_work_where_numbers_are_wanted() -> None:
    """A port from the environment is a port; under `params` a lone reference becomes what it spells."""
    data = {
        "server": {"port": "${PORT}", "open_door": "${YES}"},
        "providers": {"openai": {"keys": ["k"]}},
        "models": {
            "m": {
                "targets": [
                    {"target": "openai/m", "params": {"temperature": "${TEMP}", "store": "${YES}", "user": "u${PORT}"}}
                ]
            }
        },
    }
    config = from_mapping(data, ENVIRON)
    assert config.server.port == 8123
    assert config.server.open_door is True
    assert config.models["m"].targets[0].params == {"temperature": 0.7, "store": True, "user": "u8123"}
