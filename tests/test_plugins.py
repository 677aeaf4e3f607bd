"""Plug-in rooms: adding a plug-in is adding a file."""

import importlib
from pathlib import Path

import pytest

import standfast
from standfast import plugins

ROOMS = [
    room
    for room in ("strategies", "providers", "formats", "stores", "hooks")
    if (Path(standfast.__path__[0]) / room).is_dir()
]


@pytest.mark.parametrize("room", ROOMS)
def test_every_file_is_a_plug_in(room: str) -> None:
    """The names are the files, sorted, but for `base` and what begins with an underscore: no list to forget."""
    files = {path.stem for path in (Path(standfast.__path__[0]) / room).glob("*.py")}
    assert plugins.names(room) == tuple(sorted(name for name in files if not name.startswith("_") and name != "base"))
    assert plugins.names(room)


@pytest.mark.parametrize("room", ROOMS)
def test_every_plug_in_loads_by_its_name(room: str) -> None:
    """The configuration word is the module."""
    for name in plugins.names(room):
        assert plugins.load(room, name) is importlib.import_module(f"standfast.{room}.{name}")


def test_a_new_file_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file in a room is a plug-in of it, and helpers beside it are not."""
    for name in ("newest", "_helper", "base"):
        (tmp_path / f"{name}.py").write_text("STRATEGY = 1\n", "utf-8")
    room = importlib.import_module("standfast.strategies")
    monkeypatch.setattr(room, "__path__", [*room.__path__, str(tmp_path)])
    assert "newest" in plugins.names("strategies")
    assert not {"_helper", "base"} & set(plugins.names("strategies"))
    assert plugins.load("strategies", "newest").STRATEGY == 1
    with pytest.raises(LookupError):
        plugins.load("strategies", "_helper")


@pytest.mark.parametrize("name", ["priorty", "Priority", "priority.py", "../priority", "base", "_x", ""])
def test_an_unknown_name_is_an_error_that_helps(name: str) -> None:
    """The message says what was asked for and what there is; nothing outside of the room can be loaded."""
    with pytest.raises(LookupError) as caught:
        plugins.load("strategies", name)
    assert repr(name) in str(caught.value)
    assert "priority" in str(caught.value)
    assert "weighted" in str(caught.value)


def test_a_near_miss_is_suggested() -> None:
    """`priorty` was meant to be `priority`; `zzz` resembles nothing, so nothing is suggested."""
    assert "Did you mean 'priority'?" in plugins.unknown("strategy", "priorty", ["weighted", "priority"])
    far = plugins.unknown("strategy", "zzz", ["weighted", "priority"])
    assert far == "unknown strategy 'zzz'. Known: priority, weighted."
    assert plugins.unknown("store", "x", []) == "unknown store 'x'. Known: none."


@pytest.mark.parametrize(("name", "near"), [("opnai", "openai"), ("gemni", "gemini"), ("xyz", ""), ("", "")])
def test_the_nearest_name(name: str, near: str) -> None:
    """The known name most like it, or nothing at all."""
    assert plugins.nearest(name, ["openai", "gemini", "anthropic"]) == near
