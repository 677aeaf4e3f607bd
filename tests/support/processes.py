"""Running the command as a person or a supervisor does: processes of its own, on free loopback ports.

Output goes to files, so that no pipe can fill up and stop a process. A process is ended by its own pid.
"""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from support.http import Response

TICK = 0.01
"""Seconds between two looks at something that has no event."""


class Process:
    """A program that runs beside the test.

    Args:
        command: program and arguments.
        folder: working directory; output is kept there as NAME.out and NAME.err.
        name: of the output files.
        environ: added to the bare environment.
    """

    def __init__(self, command: list[str], folder: Path, name: str, environ: Mapping[str, str] | None = None) -> None:
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._popen = subprocess.Popen(
                command,
                cwd=folder,
                env=bare_environment(environ or {}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """It has not ended."""
        return self._popen.poll() is None

    @property
    def out(self) -> str:
        """What it has written to standard output."""
        return self._out.read_text("utf-8", "replace")

    @property
    def err(self) -> str:
        """What it has written to standard error."""
        return self._err.read_text("utf-8", "replace")

    def wait_for(self, pattern: str, *, out: bool = False, limit: float = 20.0) -> "re.Match[str]":
        """Wait until its standard error (or output) matches.

        Raises:
            AssertionError: it ended first, or said nothing of the kind within `limit` seconds.
        """
        for _ in range(int(limit / TICK)):
            ended = self._popen.poll()
            found = re.search(pattern, self.out if out else self.err, re.DOTALL)
            if found is not None:
                return found
            assert ended is None, f"ended with {ended}:\n{self.err}"
            time.sleep(TICK)
        raise AssertionError(f"{pattern!r} did not come:\n{self.err}")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._popen.send_signal(number)

    def wait(self, limit: float = 20.0) -> int:
        """Wait for its end; the exit code."""
        return self._popen.wait(limit)

    def stop(self) -> int:
        """SIGTERM, then wait; the exit code. What does not listen is killed, its children too."""
        try:
            if self.running:
                self.signal(signal.SIGTERM)
            return self.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._popen.wait()


def bare_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """No provider keys, no proxies; only what the interpreter needs."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH", "LANG") if name in os.environ}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **extra}


def standfast(*arguments: str) -> list[str]:
    """The command line of our own command."""
    return [sys.executable, "-m", "standfast.cli", *arguments]


@contextlib.contextmanager
def running(process: Process) -> Iterator[Process]:
    """The process, stopped afterwards.

    Raises:
        subprocess.TimeoutExpired: it did not end by itself; it was killed.
    """
    try:
        yield process
    finally:
        process.stop()


@contextlib.contextmanager
def told(process: Process, since: int | None = None) -> Iterator[None]:
    """Shows what a process said meanwhile (or from character `since` on), where a failing test's output is shown."""
    before = len(process.err) if since is None else since
    try:
        yield
    finally:
        sys.stderr.write(process.err[before:])


@contextlib.contextmanager
def dead_port() -> Iterator[int]:
    """A port where connections are refused, held so that nobody else takes it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        yield port


@dataclass
class LabProcess:
    """The stand-in providers, reached through their control API."""

    process: Process
    urls: Mapping[str, str]

    def fail(self, provider: str = "*", **fault: object) -> None:
        """Put a fault in force."""
        answer = self._control("POST", "/lab/faults", {"provider": provider, "fault": fault})
        assert answer.status == 200, answer.body

    def reset(self) -> None:
        """Lift all faults, forget what happened."""
        self._control("DELETE", "/lab/faults")
        self._control("DELETE", "/lab/journal")

    def journal(self, provider: str = "") -> list[dict[str, Any]]:
        """What the stand-ins saw, oldest first; see `standfast.lab.journal.Entry`. Bodies are base64."""
        entries: list[dict[str, Any]] = json.loads(self._control("GET", f"/lab/journal?provider={provider}").body)[
            "entries"
        ]
        return entries

    def providers(self) -> list[str]:
        """Which stand-in took each request, in order."""
        return [entry["provider"] for entry in self.journal()]

    def until(self, field_name: str, value: object, *, limit: float = 5.0) -> dict[str, Any]:
        """Wait until the newest entry has this value."""
        for _ in range(int(limit / TICK)):
            entries = self.journal()
            if entries and entries[-1][field_name] == value:
                return entries[-1]
            time.sleep(TICK)
        raise AssertionError(f"no entry with {field_name} = {value!r}: {self.journal()}")

    def _control(self, method: str, path: str, body: object = None) -> Response:
        return fetch(next(iter(self.urls.values())), method, path, body)


@dataclass
class GatewayProcess:
    """A serving gateway."""

    process: Process
    url: str
    config: Path
    key: str = ""

    @property
    def api(self) -> str:
        """Base URL of the OpenAI door."""
        return f"{self.url}/v1"

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Response:
        """One request on a connection of its own, with the client key if there is one."""
        key = {"authorization": f"Bearer {self.key}"} if self.key else {}
        return fetch(self.url, method, path, body, {**key, **headers})


@contextlib.contextmanager
def lab_process(folder: Path, name: str = "lab") -> Iterator[LabProcess]:
    """`standfast lab` on free ports."""
    with running(Process(standfast("lab", "--ports", "0", "0", "0", "--json"), folder, name)) as process:
        found = process.wait_for(r"\A(\{.*\n\})\n", out=True)
        yield LabProcess(process, json.loads(found[1])["providers"])


@contextlib.contextmanager
def gateway_process(
    folder: Path,
    config: Mapping[str, object],
    *,
    name: str = "gateway",
    key: str = "",
    arguments: tuple[str, ...] = (),
    environ: Mapping[str, str] | None = None,
    port: int = 0,
) -> Iterator[GatewayProcess]:
    """`standfast serve` with this configuration, on a free port if none is named."""
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(config))  # YAML contains JSON
    command = standfast("serve", "--config", str(path), "--port", str(port), *arguments)
    with running(Process(command, folder, name, environ)) as process:
        found = process.wait_for(r"Standfast is open at (http://\S+)\n.*try:\n.*\n")
        yield GatewayProcess(process, found[1], path, key)


class Wire:
    """One kept-alive connection.

    Args:
        url: where to.
        limit: seconds that a read may take.
    """

    def __init__(self, url: str, limit: float = 20.0) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=limit)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> http.client.HTTPResponse:
        """Send a request; the answer's head has come, its body is still to be read."""
        payload = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        self._connection.request(method, path, payload, {"content-type": "application/json", **(headers or {})})
        return self._connection.getresponse()

    def ask(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Response:
        """One request and its whole answer."""
        return whole(self.send(method, path, body, headers))

    @property
    def local_port(self) -> int | None:
        """Our end of the connection; None while there is none. It tells whether two requests shared a connection."""
        sock = self._connection.sock
        return sock.getsockname()[1] if sock is not None else None


def whole(answer: http.client.HTTPResponse) -> Response:
    """Read an answer to its end."""
    headers = {name.lower(): value for name, value in answer.getheaders()}
    try:
        return Response(answer.status, headers, answer.read())
    except http.client.IncompleteRead as broken:
        return Response(answer.status, headers, broken.partial, complete=False)


def fetch(url: str, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Response:
    """One request on a connection of its own."""
    with Wire(url) as wire:
        return wire.ask(method, path, body, headers)
