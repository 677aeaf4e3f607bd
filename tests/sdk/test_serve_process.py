"""`standfast serve` as a supervisor sees it: start, stop, exit codes, one connection for everything."""

import http.client
import http.server
import json
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from sdk.asking import CHAT_PATH, KEY, chat, refuses, streaming, until
from support.processes import GatewayProcess, LabProcess, Process, Wire, running, standfast

Serve = Callable[..., GatewayProcess]
Configure = Callable[..., dict[str, Any]]

# start


def test_it_starts_quietly(serve: Serve) -> None:
    """With every warning of Python's on, the banner is all that is written, from the start to a clean end."""
    gateway = serve(environ={"PYTHONWARNINGS": "default"})
    assert gateway.call("POST", CHAT_PATH, chat()).status == 200
    assert gateway.call("GET", "/readyz").json() == {"ready": True, "reloads": 0}
    assert gateway.process.stop() == 0
    assert gateway.process.out == ""
    lines = gateway.process.err.splitlines()
    assert lines[0] == f"Standfast is open at {gateway.url}"
    assert lines[-1].startswith("  curl ")
    models = json.loads(gateway.config.read_text())["models"]
    assert [line.split()[0] for line in lines[3 : 3 + len(models)]] == list(models)
    shut = f"console: {gateway.url}/console/ is shut until there is a key under console.keys"
    assert lines[3 + len(models) : -1] == ["", "keys: sdk", shut, "try:"]


def test_the_first_request_after_the_banner_is_served(serve: Serve) -> None:
    """The banner is a promise: whatever is asked next is answered, documentation included."""
    gateway = serve()
    assert gateway.call("GET", "/docs").status == 200
    assert gateway.call("GET", "/openapi.json").status == 200


def test_a_port_in_use(tmp_path: Path, configure: Configure) -> None:
    """Exit code 1 and one line that names the address and the way out."""
    path = tmp_path / "standfast.yaml"
    path.write_text(json.dumps(configure()))
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        with running(Process(standfast("serve", "--config", str(path), "--port", str(port)), tmp_path, "busy")) as busy:
            assert busy.wait() == 1
    assert f"127.0.0.1:{port}" in busy.err
    assert "in use" in busy.err.lower()
    assert "--port" in busy.err
    assert "Traceback" not in busy.err


def test_a_broken_configuration(tmp_path: Path, configure: Configure) -> None:
    """Exit code 2, and every problem with its path, not only the first."""
    path = tmp_path / "standfast.yaml"
    broken = configure(servr={}, defaults={"retry": {"max_attempts": "many"}})
    broken["models"]["gpt-4.1"] = ["opnai/gpt-4.1"]
    path.write_text(json.dumps(broken))
    with running(Process(standfast("serve", "--config", str(path), "--port", "0"), tmp_path, "broken")) as process:
        assert process.wait() == 2
    for told in ("servr", "did you mean 'server'", "defaults.retry.max_attempts", "models.gpt-4.1[0]", "opnai"):
        assert told in process.err
    assert "3 problems" in process.err
    assert "Traceback" not in process.err


# stop


def test_a_drain_lets_streams_end(serve: Serve, lab: LabProcess) -> None:
    """F1: after SIGTERM new connections are refused, twenty streams under way complete, the exit code is 0."""
    lab.fail("openai", tokens=60, chunk_delay=0.02)
    gateway = serve()
    with ExitStack() as stack:
        idle, *wires = (stack.enter_context(Wire(gateway.url)) for _ in range(21))
        idle.ask("GET", "/livez")
        answers = [streaming(gateway, wire) for wire in wires]
        gateway.process.signal(signal.SIGTERM)
        until(lambda: refuses(gateway.port))
        for answer in answers:
            rest = answer.read()
            assert rest.rstrip().endswith(b"data: [DONE]")
            assert rest.count(b'"content":" ') == 59
    assert gateway.process.wait() == 0
    assert [entry["outcome"] for entry in lab.journal()] == ["answered"] * 20


def test_a_drain_refuses_requests_on_open_connections(serve: Serve, lab: LabProcess) -> None:
    """F1: a kept-alive connection is closed or answered 503 while a stream holds the process, never left hanging."""
    lab.fail("openai", tokens=60, chunk_delay=0.02)
    gateway = serve()
    with Wire(gateway.url) as other, Wire(gateway.url) as wire:
        other.ask("GET", "/livez")
        answer = streaming(gateway, wire)
        gateway.process.signal(signal.SIGTERM)
        until(lambda: refuses(gateway.port))
        with suppress(ConnectionError, http.client.HTTPException):
            late = other.ask("POST", CHAT_PATH, chat("claude"), {"authorization": f"Bearer {KEY}"})
            assert late.status == 503
            assert late.headers["retry-after"]
        assert answer.read().rstrip().endswith(b"data: [DONE]")
    assert gateway.process.wait() == 0
    assert "anthropic" not in lab.providers()


def test_a_drain_cuts_what_takes_too_long(serve: Serve, lab: LabProcess) -> None:
    """F1/G9: a stream that outlasts server.drain gets an error event and no `[DONE]`; the upstream is closed."""
    lab.fail("openai", tokens=4000, chunk_delay=0.02)
    gateway = serve(server={"drain": "1s"})
    with Wire(gateway.url) as wire:
        answer = streaming(gateway, wire)
        gateway.process.signal(signal.SIGTERM)
        rest = answer.read()
    assert b"[DONE]" not in rest
    assert b'"finish_reason":"' not in rest
    events = [line[6:] for line in rest.decode().split("\n") if line.startswith("data: ")]
    assert json.loads(events[-1])["error"]["code"]
    assert gateway.process.wait() == 0
    assert lab.until("peer_closed", value=True)["outcome"] == "peer_closed"


def test_a_drain_answers_what_waits_too_long(serve: Serve, lab: LabProcess) -> None:
    """F1/G1: a request whose provider says nothing gets an explicit 503 before the process ends."""
    lab.fail("*", hang=True)
    gateway = serve(server={"drain": "1s"})
    with Wire(gateway.url) as wire, ExitStack() as stack:
        raw = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port)))
        body = json.dumps(chat()).encode()
        head = (f"POST {CHAT_PATH} HTTP/1.1", "Host: x", f"Authorization: Bearer {KEY}", f"Content-Length: {len(body)}")
        raw.sendall("\r\n".join((*head, "", "")).encode() + body)
        until(lambda: wire.ask("GET", "/health").json()["in_flight"] == 1)
        gateway.process.signal(signal.SIGTERM)
        raw.settimeout(10)
        answer = http.client.HTTPResponse(raw)
        answer.begin()
        assert answer.status == 503
        assert json.loads(answer.read())["error"]["code"]
    assert gateway.process.wait() == 0


# one connection


def test_one_connection_for_everything(gateway: GatewayProcess) -> None:
    """Health, metrics, models, documentation and questions share one kept-alive connection, in any order."""
    key = {"authorization": f"Bearer {gateway.key}"}
    with Wire(gateway.url) as wire:
        assert wire.ask("GET", "/livez").json() == {"status": "alive"}
        port = wire.local_port

        def question(step: int) -> None:
            answer = wire.ask("POST", CHAT_PATH, chat(prompt=f"step {step}", stream=bool(step % 2)), key)
            assert answer.status == 200
            assert f"heard: step {step} [" in answer.text
            assert wire.local_port == port

        question(0)
        flat = wire.ask("POST", "/chat", {"prompt": "hi", "system_prompt": "Be brief.", "use_fallback": True}, key)
        assert flat.status == 200
        told = flat.json()
        assert set(told) == {"status", "model", "content", "latency_ms", "fallback_used", "attempts_count"}
        assert (told["status"], told["model"], told["fallback_used"], told["attempts_count"]) == (
            "success",
            "gpt-4.1",
            False,
            1,
        )
        question(1)
        for number, path in enumerate(("/health", "/v1/health"), start=2):
            health = wire.ask("GET", path).json()
            assert health["status"] == "healthy"
            assert "gpt-4.1" in health["models"]
            question(number)
        assert wire.ask("GET", "/readyz").json()["ready"] is True
        question(4)
        text = wire.ask("GET", "/metrics")
        assert text.headers["content-type"].startswith("text/plain")
        assert b"# TYPE standfast_" in text.body
        question(5)
        summary = wire.ask("GET", "/metrics", headers={"accept": "application/json"})
        assert summary.headers["content-type"] == "application/json"
        assert summary.json()
        question(6)
        assert b"<html" in wire.ask("GET", "/docs").body
        question(7)
        models = wire.ask("GET", "/v1/models", headers=key).json()
        assert "gpt-4.1" in [model["id"] for model in models["data"]]
        question(8)
        assert wire.ask("GET", "/v1/models").status == 401
        assert wire.ask("GET", "/nowhere").status == 404
        question(9)
