"""The configuration under rehearsal."""

from pathlib import Path

import pytest

from standfast.errors import ConfigError
from standfast.sim import house
from standfast.sim.house import put

TEXT = """
providers:
  openai: {keys: ["${OPENAI_API_KEY}", "${SECOND_KEY}", "${THIRD:-third}"]}   # not ${COMMENT}
models:
  gpt-4.1: {targets: [openai/gpt-4.1], retry: {max_attempts: 2}}
"""


def written(path: Path, text: str = TEXT) -> house.House:
    """The house of a file."""
    file = path / "standfast.yaml"
    file.write_text(text)
    return house.from_file(file, {"SECOND_KEY": "real"})


def test_missing_keys_are_stood_in_for(tmp_path: Path) -> None:
    """A rehearsal sends nothing, so it needs no secrets; each missing one gets a value of its own, and is named."""
    found = written(tmp_path)
    keys = [key.get_secret_value() for key in found.config.providers["openai"].keys]
    assert keys == ["rehearsal-OPENAI_API_KEY", "real", "third"]
    assert found.notes == ("stood in for what the environment lacks: OPENAI_API_KEY",)


def test_toml_too(tmp_path: Path) -> None:
    """Both forms of a configuration file can be rehearsed, and their plain values are there for sweeps."""
    file = tmp_path / "standfast.toml"
    file.write_text('[providers.openai]\nkeys = ["${KEY}"]\n[models]\nm = ["openai/a"]\n')
    found = house.from_file(file, {})
    assert found.data["models"] == {"m": ["openai/a"]}


@pytest.mark.parametrize("text", ["models: [", "models: {a: [nobody/b]}"])
def test_a_broken_file_is_told_as_always(tmp_path: Path, text: str) -> None:
    """The configuration's own checks hold here too."""
    with pytest.raises(ConfigError, match=r"standfast\.yaml"):
        written(tmp_path, text)


def test_put_changes_a_copy() -> None:
    """What leads to a place is made where it is missing; the original stays as it was."""
    data = {"a": {"b.c": [1, {"d": 2}]}}
    assert put(data, "a.b.c[1].d", 3) == {"a": {"b.c": [1, {"d": 3}]}}
    assert put(data, "x.y", 3) == {**data, "x": {"y": 3}}
    assert data == {"a": {"b.c": [1, {"d": 2}]}}
    with pytest.raises(LookupError, match=r"there is no \[2\] in the list: the last is \[1\]"):
        put(data, "a.b.c[2].d", 3)
