"""The configuration under rehearsal, and its variants."""

from pathlib import Path

import pytest

from standfast.errors import ConfigError
from standfast.sim import house
from standfast.sim.house import put
from support.rehearsal import scenario

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
    """Both forms of a configuration file can be rehearsed and swept."""
    file = tmp_path / "standfast.toml"
    file.write_text('[providers.openai]\nkeys = ["${KEY}"]\n[models]\nm = ["openai/a"]\n')
    found = house.from_file(file, {})
    (variant,) = house.sweep(found, scenario(), ["defaults.retry.max_attempts=3"])
    assert variant.config.defaults.retry.max_attempts == 3


@pytest.mark.parametrize("text", ["models: [", "models: {a: [nobody/b]}"])
def test_a_broken_file_is_told_as_always(tmp_path: Path, text: str) -> None:
    """The configuration's own checks hold here too."""
    with pytest.raises(ConfigError, match=r"standfast\.yaml"):
        written(tmp_path, text)


def test_a_sweep_is_every_combination(tmp_path: Path) -> None:
    """Names with dots in them, values of every type, the scenario's own settings too."""
    axes = [
        "models.gpt-4.1.retry.max_attempts=1,4",
        "scenario.workload.requests=7,9",
        "defaults.timeouts.first_token=5s",
    ]
    variants = house.sweep(written(tmp_path), scenario(), axes)
    found = [(v.config.models["gpt-4.1"].retry, v.scenario.workload.requests) for v in variants]
    assert [(retry.max_attempts if retry else None, requests) for retry, requests in found] == [
        (1, 7),
        (1, 9),
        (4, 7),
        (4, 9),
    ]
    assert variants[0].config.defaults.timeouts.first_token == 5.0
    assert variants[0].label == ", ".join(axis.split(",")[0] for axis in axes)


@pytest.mark.parametrize(
    ("axis", "words"),
    [
        ("defaults.retry.max_attempts", "expected PATH=VALUE"),
        ("=1", "expected PATH=VALUE"),
        ("defaults.retry.max_attempts=99", "must be at most 10"),
        ("defaults.retry.max_attemps=1", "max_attempts"),
        ("scenario.duration=never", "duration"),
        ("models.gpt-4.1.targets[7]=x/y", "no such place"),
        ("defaults.retry.budget=[", "cannot be read"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused(tmp_path: Path, axis: str, words: str) -> None:
    """Every variant is checked as a file would be, before any is played."""
    with pytest.raises(ConfigError, match=words):
        house.sweep(written(tmp_path), scenario(), [axis])


def test_put_changes_a_copy() -> None:
    """What leads to a place is made where it is missing; the original stays as it was."""
    data = {"a": {"b.c": [1, {"d": 2}]}}
    assert put(data, "a.b.c[1].d", 3) == {"a": {"b.c": [1, {"d": 3}]}}
    assert put(data, "x.y", 3) == {**data, "x": {"y": 3}}
    assert data == {"a": {"b.c": [1, {"d": 2}]}}
