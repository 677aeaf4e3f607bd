"""The official OpenAI SDK for Node is satisfied with the gateway."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.node import Package, installed, node
from support.processes import GatewayProcess, LabProcess, bare_environment

SDK = Package(
    "openai",
    "7.55.0",
    "sha512-0r4snVSRN46m4wL2vXCW5Xw6CKGPbdNI8t79KZOpe8GKKPmhL8peDXN8YOY/2ipsOVWSfsP/vgkLjTmWB+kMug==",
)
SCRIPT = Path(__file__).with_name("openai_node.mjs")

Play = Callable[[str], Any]


@pytest.fixture(scope="session")
def modules() -> Path:
    """A folder with the SDK below node_modules."""
    return installed(SDK)


@pytest.fixture
def play(modules: Path, gateway: GatewayProcess) -> Play:
    """Plays one scenario of the script; what it printed."""

    def run(scenario: str) -> Any:
        command = [str(node()), str(SCRIPT), str(modules), scenario, gateway.api, gateway.key]
        done = subprocess.run(
            command, env=bare_environment({}), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_answers(play: Play, lab: LabProcess) -> None:
    """Whole, streamed and through the SDK's accumulator: the same text, finish and usage, for every upstream wire."""
    seen = play("answers")
    targets = {"gpt-4.1": "openai/gpt-4.1", "claude": "anthropic/claude-haiku-4-5", "gemini": "gemini/gemini-2.5-pro"}
    for model, target in targets.items():
        one = seen[model]
        assert "heard: hello node" in one["text"]
        assert one["text"] == one["stream"]["text"] == one["helper"]
        assert (one["finish"], one["stream"]["finish"]) == ("stop", ["stop"])
        assert one["usage"]["completion_tokens"] == one["stream"]["usage"]["completion_tokens"] > 0
        assert one["stream"]["models"] == [target.partition("/")[2]]
        assert one["headers"]["x-standfast-deployment"] == target
        assert one["headers"]["x-standfast-attempts"] == "1"
        assert one["headers"]["x-standfast-fallback"] == "false"
        assert one["headers"]["x-standfast-request-id"]
    assert len(lab.journal()) == 9


def test_embeddings(play: Play) -> None:
    """The SDK asks for base64 by itself; base64 and floats are the same vectors."""
    seen = play("embeddings")
    assert len(seen["packed"]) == 2
    assert seen["packed"] == seen["plain"]


def test_models(play: Play) -> None:
    """The list, and one of them."""
    seen = play("models")
    assert {"gpt-4.1", "claude", "gemini"} <= set(seen["names"])
    assert seen["one"] == "claude"


def test_errors(play: Play, lab: LabProcess) -> None:
    """Each of the SDK's error types, with code and param, and nothing is sent upstream."""
    seen = play("errors")
    shown = {name: (row["name"], row["status"], row["code"], row["param"]) for name, row in seen.items()}
    assert shown == {
        "key": ("AuthenticationError", 401, "invalid_api_key", None),
        "model": ("NotFoundError", 404, "model_not_found", "model"),
        "body": ("BadRequestError", 400, "invalid_request", "stream"),
        "tools": ("BadRequestError", 400, "unsupported_by_target", "tools"),
    }
    assert lab.journal() == []


def test_all_targets_down(play: Play, lab: LabProcess) -> None:
    """D7: the SDK, with its own retries on, does not ask again."""
    lab.fail("*", status=503)
    seen = play("refusal")
    assert (seen["name"], seen["status"], seen["shouldRetry"]) == ("InternalServerError", 503, "false")
    assert lab.providers() == ["openai", "anthropic", "gemini"]


def test_failover_before_content(play: Play, lab: LabProcess) -> None:
    """C3: an error event before the first text is never seen; Anthropic's answer is."""
    lab.fail("openai", error_event_after_chunks=0)
    seen = play("stream")
    assert "claude-sonnet-4-5 heard: hello node" in seen["text"]
    assert (seen["models"], seen["finish"]) == (["claude-sonnet-4-5"], ["stop"])


@pytest.mark.parametrize(
    "fault",
    [
        {"error_event_after_chunks": 2},
        {"cut_after_chunks": 2},
        {"cut_after_chunks": 2, "how": "reset"},
        {"cut_after_chunks": 2, "how": "clean_end"},
    ],
    ids=str,
)
def test_a_broken_stream_raises(play: Play, lab: LabProcess, fault: dict[str, object]) -> None:
    """C2/C4: what came before the break is delivered, then the SDK throws its APIError; nothing says finished."""
    lab.fail("openai", chunk_delay=0.02, **fault)
    seen = play("broken")
    assert (seen["text"], seen["finish"]) == ("\u2713 gpt-4.1", [])
    assert seen["error"]["isAPIError"]
    assert seen["error"]["type"] == "upstream_error"
    assert 1 <= len(lab.journal()) <= 2  # given again once where that may help; it broke again


def test_an_aborted_stream_closes_the_upstream(play: Play, lab: LabProcess) -> None:
    """C11: the abort reaches the provider, which would otherwise go on for eight seconds."""
    lab.fail("openai", tokens=400, chunk_delay=0.02)
    assert play("abort")["chunks"] == 3
    entry = lab.until("peer_closed", value=True)
    assert entry["outcome"] == "peer_closed"
