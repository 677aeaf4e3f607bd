"""`standfast serve --workers 2`: one port, several processes, one exit code."""

import json
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sdk.asking import CHAT_PATH, chat, streaming, until
from support.processes import GatewayProcess, LabProcess, Wire, fetch

Serve = Callable[..., GatewayProcess]
Configure = Callable[..., dict[str, Any]]

OFF = {"format": "off"}


def children(pid: int) -> list[int]:
    """Child processes."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def ready_children(pid: int) -> list[int]:
    """Those that handle SIGTERM in an event loop of their own (just forked, they still have their parent's handler)."""
    return [child for child in children(pid) if _handles(child, signal.SIGTERM) and _has_loop(child)]


def _handles(pid: int, number: signal.Signals) -> bool:
    mask = Path(f"/proc/{pid}/status").read_text().split("SigCgt:")[1].split()[0]
    return bool(int(mask, 16) & 1 << (number - 1))


def _has_loop(pid: int) -> bool:
    with suppress(FileNotFoundError):
        return any("eventpoll" in str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir())
    return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are counted in Linux' /proc")
def test_two_workers(serve: Serve, lab: LabProcess) -> None:
    """F1/F2: two processes share the port, one that is killed is replaced, and SIGTERM drains and ends all."""
    gateway = serve("--workers", "2")
    until(lambda: len(ready_children(gateway.process.pid)) == 2)
    team = children(gateway.process.pid)
    answers = [gateway.call("POST", CHAT_PATH, chat()) for _ in range(30)]
    assert {answer.status for answer in answers} == {200}
    assert len({answer.headers["x-standfast-request-id"] for answer in answers}) == 30
    os.kill(team[0], signal.SIGKILL)
    until(lambda: len(set(ready_children(gateway.process.pid)) - {team[0]}) == 2)
    assert {gateway.call("POST", CHAT_PATH, chat()).status for _ in range(10)} == {200}
    lab.fail("openai", tokens=40, chunk_delay=0.02)
    with Wire(gateway.url) as wire:
        answer = streaming(gateway, wire)
        gateway.process.signal(signal.SIGTERM)
        assert answer.read().rstrip().endswith(b"data: [DONE]")
    last = children(gateway.process.pid) if gateway.process.running else []
    assert gateway.process.wait() == 0
    assert not [pid for pid in last if Path(f"/proc/{pid}").exists()]
    assert "Traceback" not in gateway.process.err


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are counted in Linux' /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_meets_a_worker_that_starts(serve: Serve, number: signal.Signals) -> None:
    """F1/F12: a worker just forked is not killed by a reload, and does not spoil the exit code of a stop."""
    gateway = serve("--workers", "2")
    until(lambda: len(ready_children(gateway.process.pid)) == 2)
    team = children(gateway.process.pid)
    os.kill(team[0], signal.SIGKILL)
    until(lambda: set(children(gateway.process.pid)) - set(team))
    (fresh,) = set(children(gateway.process.pid)) - set(team)
    gateway.process.signal(number)
    if number == signal.SIGHUP:
        until(lambda: len(ready_children(gateway.process.pid)) == 2)
        assert fresh in children(gateway.process.pid)
    assert gateway.process.stop() == 0


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are counted in Linux' /proc")
def test_an_operators_word_holds_in_every_worker(serve: Serve, configure: Configure) -> None:
    """A breaker is forced, and the file read anew, in all that share the port: those that are started later, too."""
    key = "operator-0123456789"
    console = {"keys": [{"name": "ann", "key": key}]}
    gateway = serve("--workers", "2", console=console)
    until(lambda: len(ready_children(gateway.process.pid)) == 2)
    bearer = {"authorization": f"Bearer {key}"}

    def seen() -> dict[int, dict[str, Any]]:
        """What each worker tells of itself, however many connections it takes to meet them all."""
        found: dict[int, dict[str, Any]] = {}

        def ask() -> bool:
            told = fetch(gateway.url, "GET", "/admin/api/snapshot", None, bearer).json()
            found[told["session"]["worker"]] = told
            return len(found) == told["session"]["workers"] == 2

        until(ask)
        return found

    def breakers() -> set[str]:
        rows = [row for told in seen().values() for row in told["targets"]]
        return {row["breaker"] for row in rows if row["target"] == "openai/gpt-4.1"}

    body = {"target": "openai/gpt-4.1", "state": "open"}
    assert fetch(gateway.url, "POST", "/admin/api/breaker", body, bearer).status == 204
    until(lambda: breakers() == {"forced_open"})
    body = {"target": "openai/gpt-4.1", "state": None}
    assert fetch(gateway.url, "POST", "/admin/api/breaker", body, bearer).status == 204
    until(lambda: breakers() == {"closed"})
    gateway.config.write_text(json.dumps(configure(console=console, models={"only": ["openai/gpt-4.1-mini"]}, log=OFF)))
    assert fetch(gateway.url, "POST", "/admin/api/reload", None, bearer).json() == {"waiting_for_restart": []}
    until(lambda: all([row["model"] for row in told["models"]] == ["only"] for told in seen().values()))
    body = {"target": "openai/gpt-4.1-mini", "state": "open"}
    assert fetch(gateway.url, "POST", "/admin/api/breaker", body, bearer).status == 204
    team = children(gateway.process.pid)
    os.kill(team[0], signal.SIGKILL)
    until(lambda: len(set(ready_children(gateway.process.pid)) - {team[0]}) == 2)
    until(lambda: {row["breaker"] for told in seen().values() for row in told["targets"]} == {"forced_open"})
    assert all([row["model"] for row in told["models"]] == ["only"] for told in seen().values())
    gateway.config.write_text("models: [}")
    refused = fetch(gateway.url, "POST", "/admin/api/reload", None, bearer)
    assert (refused.status, refused.json()["error"]["code"]) == (409, "reload_refused")
    assert gateway.process.stop() == 0


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are counted in Linux' /proc")
def test_two_workers_speak_once(serve: Serve) -> None:
    """The address is told once, however many workers listen."""
    gateway = serve("--workers", "2")
    until(lambda: len(ready_children(gateway.process.pid)) == 2)
    assert gateway.process.stop() == 0
    assert gateway.process.err.count("Standfast is open at") == 1
