"""Start what the benchmark needs, and end every bit of it by its own pid."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from time import perf_counter, sleep

from bench import procfs

STOP_SECONDS = 5.0
INSTALL = {
    "nginx": "apt-get install nginx (Debian, Ubuntu) or dnf install nginx (Fedora)",
    "wrk": "apt-get install wrk (Debian, Ubuntu), or build it: https://github.com/wg/wrk",
}


class BenchError(Exception):
    """The benchmark cannot go on; the message says why and what to do."""


def require(commands: Iterable[str]) -> dict[str, str]:
    """Where each command is.

    Raises:
        BenchError: some are missing; says how to install them.
    """
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])  # Debian's nginx is in sbin
    found = {name: shutil.which(name, path=path) for name in commands}
    missing = [f"  {name}: {INSTALL.get(name, 'install it')}" for name, where in found.items() if where is None]
    if missing:
        raise BenchError("these commands are missing (the benchmark installs nothing):\n" + "\n".join(missing))
    return {name: where for name, where in found.items() if where is not None}


def require_free(ports: Iterable[int]) -> None:
    """Check that nobody holds any of the ports.

    Raises:
        BenchError: some are taken, or 127.0.0.2 cannot be bound (this is not Linux).
    """
    taken = []
    for port in ports:
        for host in ("127.0.0.1", "127.0.0.2"):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((host, port))
                except OSError as error:
                    taken.append(f"{host}:{port} ({error.strerror})")
    if taken:
        raise BenchError(f"ports are taken: {', '.join(taken)}; stop what holds them or choose others with --port-base")


class Process:
    """A process in a session of its own: the terminal's Ctrl-C reaches the benchmark alone, which then stops it.

    Raises:
        BenchError: from the constructor, if it cannot be started.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path, cwd: Path) -> None:
        self.name = name
        self.log = log
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        with log.open("ab") as out:
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    cwd=cwd,
                    env=environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise BenchError(f"cannot start {name} ({command[0]}): {error.strerror}") from error
        self.pid = self._process.pid

    def require_alive(self) -> None:
        """Check that it still runs.

        Raises:
            BenchError: it ended; with the end of its output.
        """
        if (code := self._process.poll()) is not None:
            tail = self.log.read_text(errors="replace")[-1500:]
            raise BenchError(f"{self.name} ended with code {code}:\n{tail}")

    def wait_port(self, port: int, seconds: float = 15.0) -> None:
        """Wait until it accepts connections.

        Raises:
            BenchError: it ended, or does not listen in time.
        """
        end = perf_counter() + seconds
        while perf_counter() < end:
            self.require_alive()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
                return
            sleep(0.02)
        raise BenchError(f"{self.name} does not listen on {port} after {seconds:g} s; see {self.log}")

    def stop(self) -> None:
        """Ask it to end; after five seconds end it and its descendants for good."""
        if self._process.poll() is not None:
            return
        family = procfs.tree(self.pid)
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait()
