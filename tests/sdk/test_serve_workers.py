"""`standfast serve --workers 2`: one port, several processes, one exit code."""

import json
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from sdk.asking import CHAT_PATH, chat, streaming, until
from support.processes import GatewayProcess, LabProcess, Wire, fetch

Serve = Callable[..., GatewayProcess]
Configure = Callable[..., dict[str, Any]]

OFF = {"format": "off"}
OPERATOR = "operator-0123456789"
_PREFIX = len("req_") + 12
"""Of a request's id; each process has its own."""
_BEARER = {"authorization": f"Bearer {OPERATOR}"}


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

    def seen() -> dict[str, Any]:
        """What all of them tell together, when both do."""
        found: list[dict[str, Any]] = []

        def ask() -> bool:
            found.append(fetch(gateway.url, "GET", "/admin/api/snapshot", None, bearer).json())
            return bool(found[-1]["seen"] == found[-1]["session"]["workers"] == 2)

        until(ask)
        return found[-1]

    def breaker(target: str = "openai/gpt-4.1") -> tuple[str, str]:
        """As both see it; a reason would tell that they do not agree."""
        (row,) = (row for row in seen()["targets"] if row["target"] == target)
        return row["breaker"], row["reason"]

    body = {"target": "openai/gpt-4.1", "state": "open"}
    assert fetch(gateway.url, "POST", "/admin/api/breaker", body, bearer).status == 204
    until(lambda: breaker() == ("forced_open", ""))
    body = {"target": "openai/gpt-4.1", "state": None}
    assert fetch(gateway.url, "POST", "/admin/api/breaker", body, bearer).status == 204
    until(lambda: breaker() == ("closed", ""))
    gateway.config.write_text(json.dumps(configure(console=console, models={"only": ["openai/gpt-4.1-mini"]}, log=OFF)))
    assert fetch(gateway.url, "POST", "/admin/api/reload", None, bearer).json() == {"waiting_for_restart": []}
    until(lambda: [row["model"] for row in seen()["models"]] == ["only"])  # whoever has others tells them, too
    body = {"target": "openai/gpt-4.1-mini", "state": "open"}
    assert fetch(gateway.url, "POST", "/admin/api/breaker", body, bearer).status == 204
    team = children(gateway.process.pid)
    os.kill(team[0], signal.SIGKILL)
    until(lambda: len(set(ready_children(gateway.process.pid)) - {team[0]}) == 2)
    until(lambda: breaker("openai/gpt-4.1-mini") == ("forced_open", ""))
    assert [row["model"] for row in seen()["models"]] == ["only"]
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


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are counted in Linux' /proc")
def test_the_console_tells_of_all_workers_together(serve: Serve, tmp_path: Path) -> None:
    """F1: what one connection is told counts every request once, whichever worker served it, and survives a worker."""
    console = {"keys": [{"name": "ann", "key": OPERATOR}]}
    (temporary := tmp_path / "temporary").mkdir()
    gateway = serve("--workers", "3", console=console, environ={"TMPDIR": str(temporary)})
    until(lambda: len(ready_children(gateway.process.pid)) == 3)
    team = children(gateway.process.pid)
    asked = {"model": "alias", "messages": [{"role": "user", "content": "hello"}]}
    until(lambda: _get(gateway, "snapshot")["seen"] == 3)
    before = [gateway.call("POST", CHAT_PATH, asked).status for _ in range(20)]
    until(lambda: _attempts(_get(gateway, "snapshot")) == 20)
    with connect(f"{gateway.url.replace('http', 'ws')}/admin/ws", additional_headers=_BEARER, max_size=None) as feed:
        first = _hear(feed)
        assert (first["type"], first["seen"], first["session"]["workers"]) == ("snapshot", 3, 3)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: gateway.call("POST", CHAT_PATH, asked), range(40)))
        during = [answer.status for answer in answers]
        served = {answer.headers["x-standfast-request-id"][:_PREFIX] for answer in answers}
        assert set(before + during) == {200}
        told, known, skipped = _ended(first["seconds"]), {row["id"] for row in first["requests"]}, 0
        while told < 60:
            message = _hear(feed)
            assert message["type"] == "tick", message
            told += _ended([message["sample"]])
            known |= {row["id"] for row in message["requests"]}
            skipped += message["skipped"]
        assert (told, len(known) + skipped) == (60, 60)
        assert len(served) > 1  # or this test shows nothing
        killed = first["session"]["worker"] % 3  # not the one that tells us: workers are forked in order
        os.kill(team[killed], signal.SIGKILL)
        seen, told = [], 0
        while not seen or seen[-1] != 3:
            message = _hear(feed)
            if message["type"] == "snapshot":
                seen.append(message["seen"])
                assert _ended(message["seconds"]) == 60
        assert seen[0] == 2
        assert gateway.call("POST", CHAT_PATH, asked).status == 200
        while (message := _hear(feed))["type"] != "tick" or not _ended([message["sample"]]):
            pass
    minutes = _get(gateway, "history")["minutes"]
    assert _ended(minutes) <= 61
    assert gateway.process.stop() == 0
    assert "Traceback" not in gateway.process.err
    assert list(temporary.iterdir()) == []


def _get(gateway: GatewayProcess, what: str) -> dict[str, Any]:
    told: dict[str, Any] = fetch(gateway.url, "GET", f"/admin/api/{what}", None, _BEARER).json()
    return told


def _hear(feed: ClientConnection) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(feed.recv(10))
    return told


def _attempts(told: dict[str, Any]) -> int:
    return sum(int(row["answered"]) for row in told["targets"])


def _ended(samples: list[dict[str, Any]]) -> int:
    return sum(int(sample["answered"]) for sample in samples)
