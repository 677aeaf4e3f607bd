"""Runs the command as a person does: another process, its own working directory, a bare environment."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]


def bare_environment(extra: dict[str, str]) -> dict[str, str]:
    """No provider keys, no proxies; only what the interpreter needs."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH", "LANG") if name in os.environ}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **extra}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `standfast ARGUMENTS` to its end in an empty directory."""

    def call(*arguments: str, stdin: str = "", **environ: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "standfast.cli", *arguments],
            cwd=tmp_path,
            env=bare_environment(environ),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return call


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `standfast ARGUMENTS`; what still runs at the end of the test is stopped by its own pid."""
    with contextlib.ExitStack() as stack:

        def call(*arguments: str, **environ: str) -> "subprocess.Popen[str]":
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "standfast.cli", *arguments],
                    cwd=tmp_path,
                    env=bare_environment(environ),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(_stop, process)
            return process

        yield call


def _stop(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.fixture
def ports() -> tuple[int, int, int]:
    """Three ports that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        first, second, third = (each.getsockname()[1] for each in held)
        return first, second, third
