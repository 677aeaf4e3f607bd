"""`standfast serve` and SIGHUP: all or nothing, and never a failed request."""

import http.client
import http.server
import json
import signal
import threading
from collections.abc import Callable
from typing import Any

from sdk.asking import CHAT_PATH, KEY, chat, streaming, until
from support.processes import GatewayProcess, LabProcess, Wire, fetch

Serve = Callable[..., GatewayProcess]
Configure = Callable[..., dict[str, Any]]


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
    """F12/G8: broken, half-written, empty, wrong, deleted: the old one serves on, /readyz says why, it recovers."""
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
