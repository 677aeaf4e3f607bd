"""What is kept for the next run is whole, and made once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from support.kept import kept


def fill(folder: Path) -> None:
    """Something to keep."""
    (folder / "thing").write_text("whole")


def refuse(folder: Path) -> None:
    """A disk that is full in the middle of the work."""
    (folder / "thing").write_text("ha")
    raise OSError("disk full")


def test_made_once(tmp_path: Path) -> None:
    """What is there is taken as it is."""
    folder = kept("thing-1", fill, tmp_path / "home")
    assert kept("thing-1", refuse, tmp_path / "home") == folder
    assert [path.name for path in folder.iterdir()] == ["thing"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    """Half a thing is never taken for a whole one: the next run makes it anew."""
    with pytest.raises(OSError, match="disk full"):
        kept("thing-1", refuse, tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
    assert (kept("thing-1", fill, tmp_path) / "thing").read_text() == "whole"


def test_of_two_runs_one_waits(tmp_path: Path) -> None:
    """Two that start at once get the same folder, and one of them made it."""
    start, made = Barrier(2), []

    def make(folder: Path) -> None:
        made.append(folder)
        fill(folder)

    def run() -> Path:
        start.wait(10)
        return kept("thing-1", make, tmp_path)

    with ThreadPoolExecutor(2) as pool:
        folders = [future.result(10) for future in [pool.submit(run), pool.submit(run)]]
    assert folders[0] == folders[1]
    assert len(made) == 1
