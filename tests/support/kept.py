"""What is slow to get is got once and kept beside the interpreter's packages, for the next run of the tests."""

import fcntl
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

HOME = Path(sys.prefix) / "npm"
"""Where it is kept: in the virtual environment, so that `make clean` removes it."""


def kept(name: str, make: Callable[[Path], None], home: Path = HOME) -> Path:
    """A folder with a name of its own.

    It gets its name when it is complete, so that an interrupted run leaves nothing that looks whole. Of two runs at
    once the second waits for the first.

    Args:
        name: says what and which version; another content needs another name.
        make: fills an empty folder; called only if the folder is not there.
        home: where the folder is kept.
    """
    folder = home / name
    if not folder.exists():
        home.mkdir(parents=True, exist_ok=True)
        with (home / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=home) as workshop:
                    fresh = Path(workshop) / "fresh"
                    fresh.mkdir()
                    make(fresh)
                    fresh.rename(folder)
    return folder
