"""`standfast serve` as a supervisor sees it: start, signals, exit codes, what it writes."""

import http.client
import http.server
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from support.processes import TICK, GatewayProcess, LabProcess, Process, gateway_process, running, standfast
from support.wire import Wire, fetch

KEY = "sk-client-0123456789abcdef"
CHAT_PATH = "/v1/chat/completions"

Serve = Callable[..., GatewayProcess]
Configure = Callable[..., dict[str, Any]]


def chat(model: str = "gpt-4.1", prompt: str = "hello", **fields: object) -> dict[str, object]:
    """The body of a chat request."""
    return {"model": model, "messages": [{"role": "user", "content": prompt}], **fields}


@pytest.fixture
def serve(tmp_path: Path, lab: LabProcess, configure: Configure) -> Iterator[Serve]:
    """Starts a gateway of the test's own; what still runs afterwards is stopped by its own pid."""
    del lab
    with ExitStack() as stack:

        def start(*arguments: str, environ: dict[str, str] | None = None, **changes: object) -> GatewayProcess:
            config = configure(**{"log": {"format": "off"}, **changes})
            return stack.enter_context(
                gateway_process(tmp_path, config, key=KEY, arguments=arguments, environ=environ)
            )

        yield start


def streaming(gateway: GatewayProcess, wire: Wire, **fields: object) -> http.client.HTTPResponse:
    """A stream whose first event has come."""
    answer = wire.send("POST", CHAT_PATH, chat(stream=True, **fields), {"authorization": f"Bearer {gateway.key}"})
    assert answer.status == 200
    assert answer.readline().startswith(b"data: ")
    return answer


def refuses(port: int) -> bool:
    """Nobody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return True
    return False


def until(condition: Callable[[], object], limit: float = 10.0) -> None:
    """Wait until something holds."""
    for _ in range(int(limit / TICK)):
        if condition():
            return
        time.sleep(TICK)
    raise AssertionError("it did not come to hold")


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
    assert lines[3 + len(models) : -1] == ["", "keys: sdk", "try:"]


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
    """F1: after SIGTERM new connections are refused, a stream under way completes, the exit code is 0."""
    lab.fail("openai", tokens=60, chunk_delay=0.02)
    gateway = serve()
    with Wire(gateway.url) as idle, Wire(gateway.url) as wire:
        idle.ask("GET", "/livez")
        answer = streaming(gateway, wire)
        gateway.process.signal(signal.SIGTERM)
        until(lambda: refuses(gateway.port))
        rest = answer.read()
    assert rest.rstrip().endswith(b"data: [DONE]")
    assert rest.count(b'"content":" ') == 59
    assert gateway.process.wait() == 0
    assert lab.journal()[-1]["outcome"] == "answered"


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
        head = f"POST {CHAT_PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
        raw.sendall(head.encode() + body)
        until(lambda: wire.ask("GET", "/health").json()["in_flight"] == 1)
        gateway.process.signal(signal.SIGTERM)
        raw.settimeout(10)
        answer = http.client.HTTPResponse(raw)
        answer.begin()
        assert answer.status == 503
        assert json.loads(answer.read())["error"]["code"]
    assert gateway.process.wait() == 0


# reload


def reloaded(gateway: GatewayProcess, text: str | None) -> dict[str, Any]:
    """Put a file in place (None deletes it), send SIGHUP, wait until it was judged; what /readyz says."""
    before = gateway.call("GET", "/readyz").json()
    if text is None:
        gateway.config.unlink()
    else:
        gateway.config.write_text(text)
    gateway.process.signal(signal.SIGHUP)
    until(lambda: gateway.call("GET", "/readyz").json() != before)
    return gateway.call("GET", "/readyz").json()


def test_a_good_file_is_swapped_in(serve: Serve, lab: LabProcess, configure: Configure) -> None:
    """F12/F13: after SIGHUP new models and client keys hold, old ones do not; a stream under way keeps its own."""
    lab.fail("openai", tokens=60, chunk_delay=0.02)
    gateway = serve()
    fresh = "sk-client-fresh-0123456789"
    config = configure(keys=[{"name": "new", "key": fresh}], log={"format": "off"})
    config["models"] = {"new": ["anthropic/claude-sonnet-4-5"]}
    with Wire(gateway.url) as wire:
        answer = streaming(gateway, wire)
        assert reloaded(gateway, json.dumps(config)) == {"ready": True, "reloads": 1}
        assert gateway.call("POST", CHAT_PATH, chat("new")).status == 401
        new = {"authorization": f"Bearer {fresh}"}
        assert fetch(gateway.url, "POST", CHAT_PATH, chat("new"), new).status == 200
        assert fetch(gateway.url, "POST", CHAT_PATH, chat("gpt-4.1"), new).status == 404
        assert answer.read().rstrip().endswith(b"data: [DONE]")


def test_a_bad_file_changes_nothing(serve: Serve, configure: Configure) -> None:
    """F12/G8: broken, half-written, empty, wrong or deleted: the old one serves on, /readyz says why, and it recovers."""
    gateway = serve()
    good = gateway.config.read_text()
    unknown = json.dumps(configure(surprise=True))
    secret = json.dumps(configure(keys=[{"name": "x", "key": ["sk-canary-in-a-file"]}]))
    errors = []
    for text in ("models: [}", good[: len(good) // 2], "", unknown, secret, None):
        told = reloaded(gateway, text)
        errors.append(told["reload_error"])
        assert (told["ready"], told["reloads"]) == (True, 0)
        assert gateway.call("POST", CHAT_PATH, chat()).status == 200
    assert len(set(errors)) == len(errors)
    assert "surprise" in errors[3]
    assert "sk-canary-in-a-file" not in errors[4] + gateway.process.err
    assert str(gateway.config) in errors[5]
    assert reloaded(gateway, good) == {"ready": True, "reloads": 1}


def test_reloads_under_load(serve: Serve, configure: Configure) -> None:
    """F12: fifty reloads while four clients ask without pause, and not one request fails."""
    gateway = serve()
    texts = [json.dumps(configure(log={"format": "off"}, server={"drain": f"{5 + step}s"})) for step in range(2)]
    stop = threading.Event()
    statuses: list[int] = []
    failures: list[str] = []

    def ask() -> None:
        with Wire(gateway.url) as wire:
            while not stop.is_set():
                try:
                    answer = wire.ask("POST", CHAT_PATH, chat(stream=True), {"authorization": f"Bearer {KEY}"})
                except (OSError, http.client.HTTPException) as error:
                    failures.append(repr(error))
                    return
                statuses.append(answer.status)
                if not answer.body.rstrip().endswith(b"[DONE]"):
                    failures.append(answer.body.decode())

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for each in clients:
        each.start()
    try:
        for number in range(50):
            assert reloaded(gateway, texts[number % 2])["reloads"] == number + 1
    finally:
        stop.set()
        for each in clients:
            each.join(20)
    assert failures == []
    assert set(statuses) == {200}
    assert len(statuses) > 50


# workers


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
        return any("eventpoll" in os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir())
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
    """F1/F12: a worker that has just been forked is not killed by a reload, and does not spoil the exit code of a stop."""
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
def test_two_workers_speak_once(serve: Serve) -> None:
    """The address is told once, however many workers listen."""
    gateway = serve("--workers", "2")
    until(lambda: len(ready_children(gateway.process.pid)) == 2)
    assert gateway.process.stop() == 0
    assert gateway.process.err.count("Standfast is open at") == 1


# what it says


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
            assert health["status"] == "ok"
            assert "gpt-4.1" in health["models"]  # type: ignore[operator]
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
        assert "gpt-4.1" in [model["id"] for model in models["data"]]  # type: ignore[index]
        question(8)
        assert wire.ask("GET", "/v1/models").status == 401
        assert wire.ask("GET", "/nowhere").status == 404
        question(9)


class Echo(http.server.BaseHTTPRequestHandler):
    """An upstream that answers with what it was sent, keys included, as some proxies do."""

    def do_POST(self) -> None:  # noqa: N802 - the base class's word
        """Echo the head as an error."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        padding = "." * int(asked["model"].partition("-")[2] or 0)
        values = (self.headers[name].removeprefix("Bearer ") for name in ("authorization", "x-extra"))
        sent = " ".join((padding, *values))
        status = 400 if "bad" in self.path else 401
        body = json.dumps({"error": {"message": f"not accepted: {sent}", "type": "x", "code": sent, "param": sent}})
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's word
        """Says nothing."""


@pytest.fixture
def echo() -> Iterator[str]:
    """Address of such an upstream."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_secrets_stay_inside(
    serve: Serve, lab: LabProcess, configure: Configure, tmp_path: Path, echo: str
) -> None:
    """E13: no key of a client or an upstream, right or wrong, in output, log, metrics, health or any answer."""
    upstream, other, ours = "canary-upstream-4f9a", "canary-header-77c1", "canary-client-d00d"
    wrong, query = "canary-wrong-guess-31", "canary-query-5e5e"
    log = tmp_path / "requests.log"
    providers = configure()["providers"]
    for name in ("openai", "anthropic", "gemini"):
        providers[name]["keys"] = [f"{upstream}-{name}"]
        providers[name]["headers"] = {"x-extra": other}
    for name, path in (("echo", "v1"), ("echo_bad", "bad/v1")):
        keys = [f"{upstream}-{name}"]
        providers[name] = {"type": "openai_like", "base_url": f"{echo}/{path}", "keys": keys, "headers": {"x-extra": other}}
    pads = [f"pad-{size}" for size in range(0, 260, 4)]
    """A text that is cut somewhere must not be cut inside a secret before the secret is taken out."""
    models = {**configure()["models"], "echo": ["echo/m", "echo_bad/m"]}
    models |= {name: [f"echo_bad/{name}"] for name in pads}
    gateway = serve(
        providers=providers,
        models=models,
        keys=[{"name": "canary", "key": ours}],
        log={"format": "json", "path": str(log)},
    )
    right = {"authorization": f"Bearer {ours}"}
    said: list[str] = []

    def say(method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> int:
        answer = fetch(gateway.url, method, path, body, headers)
        said.append(f"{answer.headers} {answer.body.decode()}")
        return answer.status

    faults: tuple[dict[str, object], ...] = (
        {"status": 401},
        {"status": 403},
        {"status": 429, "headers": {"retry-after": "0"}},
        {"status": 500},
        {"body": "html", "status": 200},
        {"reset": True},
        {"garbage": 100},
        {"redirect": f"http://127.0.0.1:1/?key={query}"},
        {"cut_after_chunks": 1},
        {"error_event_after_chunks": 1},
    )
    for fault in faults:
        lab.fail("*", **fault)
        for stream in (False, True):
            say("POST", CHAT_PATH, chat(stream=stream), {**right, "x-standfast-trace": "1"})
    lab.reset()
    for model in ("echo", *pads):
        say("POST", CHAT_PATH, chat(model), {**right, "x-standfast-trace": "1"})
    assert "not accepted" in said[-1]
    statuses = [
        say("POST", CHAT_PATH, chat(), {"authorization": f"Bearer {wrong}"}),
        say("POST", CHAT_PATH, chat(), {"authorization": wrong}),
        say("POST", CHAT_PATH, chat(), {"x-api-key": wrong}),
        say("POST", f"{CHAT_PATH}?key={query}", chat(), right),
        say("POST", f"/v1/nothing?key={query}", chat(), right),
        say("GET", f"/v1/models?key={query}", headers={"authorization": f"Bearer {wrong}"}),
        say("GET", f"/nowhere?key={query}", headers=right),
        say("POST", CHAT_PATH, b'{"model": ', right),
    ]
    assert statuses == [401, 401, 401, statuses[3], 404, 401, 404, 400]
    for path in ("/health", "/readyz", "/metrics", "/v1/models", "/openapi.json"):
        say("GET", path, headers=right)
    say("GET", "/metrics", headers={"accept": "application/json"})
    gateway.process.signal(signal.SIGHUP)
    assert gateway.process.stop() == 0
    assert log.read_text().count('"event":"request"') >= 2 * len(faults)
    heard = {"log": log.read_text(), "err": gateway.process.err, "out": gateway.process.out, "answers": "\n".join(said)}
    leaks = {place: sorted({word for word in _canaries(text)}) for place, text in heard.items()}
    assert leaks == {"log": [], "err": [], "out": [], "answers": []}


def _canaries(text: str) -> list[str]:
    return [word for word in text.replace('"', " ").split() if "canary-" in word or "canar..." in word]
