"""What the tests of the SDKs and of the serving process share: questions, targets, waiting."""

import base64
import http.client
import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from support.processes import TICK, GatewayProcess, Wire

KEY = "sk-client-0123456789abcdef"
CHAT_PATH = "/v1/chat/completions"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
"""A red pixel, PNG."""

USER = [{"role": "user", "content": "hello sdk"}]
FAMILIES = {
    "openai": ("gpt-4.1", "openai/gpt-4.1"),
    "anthropic": ("claude", "anthropic/claude-haiku-4-5"),
    "gemini": ("gemini", "gemini/gemini-2.5-pro"),
}
"""Wire behind the gateway -> the model to name, the target that answers."""

CONTINUED = {
    "openai": "able/gpt-4.1",
    "anthropic": "anthropic/claude-opus-4-5",
    "gemini": "gemini/gemini-2.0-flash",
}
"""Wire behind the gateway -> a target that goes on with an answer that was begun; the model is `rest-` and the wire."""

wires = pytest.mark.parametrize("wire", FAMILIES)


def upstream_body(entry: dict[str, Any]) -> bytes:
    """What a stand-in was sent."""
    return base64.b64decode(entry["body"])


def upstream_json(entry: dict[str, Any]) -> dict[str, Any]:
    """The same, decoded."""
    decoded: dict[str, Any] = json.loads(upstream_body(entry))
    return decoded


def chat(model: str = "gpt-4.1", prompt: str = "hello", **fields: object) -> dict[str, object]:
    """The body of a chat request."""
    return {"model": model, "messages": [{"role": "user", "content": prompt}], **fields}


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
