"""Planted keys, and every place where they must not come up."""

import http.client
import http.server
import json
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sdk.asking import CHAT_PATH, chat
from support.processes import GatewayProcess, LabProcess, fetch

Serve = Callable[..., GatewayProcess]
Configure = Callable[..., dict[str, Any]]

UPSTREAM, HEADER, OURS = "canary-upstream-4f9a", "canary-header-77c1", "canary-client-d00d"
WRONG, QUERY = "canary-wrong-guess-31", "canary-query-5e5e"
RIGHT = {"authorization": f"Bearer {OURS}", "x-standfast-trace": "1"}
NOWHERE: dict[str, list[str]] = {"log": [], "err": [], "out": [], "answers": []}
FAULTS: tuple[dict[str, object], ...] = (
    {"status": 401},
    {"status": 403},
    {"status": 429, "headers": {"retry-after": "0"}},
    {"status": 500},
    {"body": "html", "status": 200},
    {"reset": True},
    {"garbage": 100},
    {"redirect": f"http://127.0.0.1:1/?key={QUERY}"},
    {"cut_after_chunks": 1},
    {"error_event_after_chunks": 1},
)


class Echo(http.server.BaseHTTPRequestHandler):
    """An upstream that answers with what it was sent, keys included, as some proxies do."""

    def do_POST(self) -> None:
        """Echo the head as an error."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        padding = "." * int(asked["model"].partition("-")[2] or 0)
        values = (
            self.headers[name].removeprefix("Bearer ") for name in ("authorization", "x-extra") if name in self.headers
        )
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


class Ears:
    """Asks a gateway and remembers all that it said.

    Args:
        serve: starts it.
        tmp_path: where its log goes.
        config: sections of its configuration.
    """

    def __init__(self, serve: Serve, tmp_path: Path, **config: object) -> None:
        self._log = tmp_path / "requests.log"
        keys = [{"name": "canary", "key": OURS}]
        self.gateway = serve(keys=keys, log={"format": "json", "path": str(self._log)}, **config)
        self.answers: list[str] = []

    def ask(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> int:
        """One request, by default with the right key and a wish for the trace; the status."""
        sent = RIGHT if headers is None else headers
        answer = fetch(self.gateway.url, method, path, body, sent)
        self.answers.append(f"{answer.headers} {answer.body.decode()}")
        return answer.status

    def leaks(self) -> dict[str, list[str]]:
        """Stop the gateway; where which canary came up."""
        for path in ("/health", "/readyz", "/metrics", "/v1/models", "/openapi.json"):
            self.ask("GET", path)
        self.ask("GET", "/metrics", headers={"accept": "application/json"})
        process = self.gateway.process
        assert process.stop() == 0
        log = self._log.read_text()
        assert '"event":"request"' in log
        heard = {"log": log, "err": process.err, "out": process.out, "answers": "\n".join(self.answers)}
        words = {place: set(text.replace('"', " ").split()) for place, text in heard.items()}
        return {place: sorted(each for each in found if "canary-" in each) for place, found in words.items()}


def test_secrets_stay_inside(serve: Serve, lab: LabProcess, configure: Configure, tmp_path: Path) -> None:
    """E13: no key of a client or an upstream, right or wrong, in output, log, metrics, health or any answer."""
    providers = configure()["providers"]
    for name in ("openai", "anthropic", "gemini"):
        providers[name]["keys"] = [f"{UPSTREAM}-{name}"]
        providers[name]["headers"] = {"x-extra": HEADER}
    ears = Ears(serve, tmp_path, providers=providers)
    for fault in FAULTS:
        lab.fail("*", **fault)
        for stream in (False, True):
            ears.ask("POST", CHAT_PATH, chat(stream=stream))
    assert {entry["provider"] for entry in lab.journal()} == {"openai", "anthropic", "gemini"}
    lab.reset()
    statuses = [
        ears.ask("POST", CHAT_PATH, chat(), {"authorization": f"Bearer {WRONG}"}),
        ears.ask("POST", CHAT_PATH, chat(), {"authorization": WRONG}),
        ears.ask("POST", CHAT_PATH, chat(), {"x-api-key": WRONG}),
        ears.ask("GET", f"/v1/models?key={QUERY}", headers={"authorization": f"Bearer {WRONG}"}),
        ears.ask("POST", f"/v1/nothing?key={QUERY}", chat()),
        ears.ask("GET", f"/nowhere?key={QUERY}"),
        ears.ask("POST", CHAT_PATH, b'{"model": '),
    ]
    assert statuses == [401, 401, 401, 401, 404, 404, 400]
    ears.ask("POST", f"{CHAT_PATH}?key={QUERY}", chat())
    ears.gateway.process.signal(signal.SIGHUP)
    assert ears.leaks() == NOWHERE


@pytest.mark.parametrize("path", ["bad/v1", "v1"])
def test_an_upstream_that_echoes_its_key(serve: Serve, echo: str, tmp_path: Path, path: str) -> None:
    """E13: a configured key has no well-known shape and the upstream puts it into its error; nobody sees it."""
    providers = {"echo": {"type": "openai_like", "base_url": f"{echo}/{path}", "keys": [UPSTREAM]}}
    ears = Ears(serve, tmp_path, providers=providers, models={"m": ["echo/m"]})
    assert ears.ask("POST", CHAT_PATH, chat("m")) == (400 if path == "bad/v1" else 503)
    assert ears.leaks() == NOWHERE


def test_a_secret_header_that_is_echoed(serve: Serve, echo: str, tmp_path: Path) -> None:
    """E13: what stands under a provider's `headers` may be a key too, and is treated as one."""
    entry = {"type": "openai_like", "base_url": f"{echo}/bad/v1", "keys": ["none"], "headers": {"x-extra": HEADER}}
    ears = Ears(serve, tmp_path, providers={"echo": entry}, models={"m": ["echo/m"]})
    assert ears.ask("POST", CHAT_PATH, chat("m")) == 400
    assert ears.leaks() == NOWHERE


def test_a_secret_is_not_cut_in_two(serve: Serve, echo: str, tmp_path: Path) -> None:
    """E13: a text that is shortened is cleaned first: the half of a key that is left would not be recognised."""
    providers = {"echo": {"type": "openai_like", "base_url": f"{echo}/bad/v1", "keys": [UPSTREAM]}}
    names = [f"pad-{size}" for size in range(120, 320, 4)]
    ears = Ears(serve, tmp_path, providers=providers, models={name: [f"echo/{name}"] for name in names})
    for name in names:
        assert ears.ask("POST", CHAT_PATH, chat(name)) == 400
    assert ears.leaks() == NOWHERE
