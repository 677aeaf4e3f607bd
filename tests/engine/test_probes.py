"""What a probe sends, and how it reads what comes back."""

import contextlib
from collections.abc import AsyncIterator

import pytest

from standfast.config.load import from_mapping
from standfast.engine.gateway import Gateway
from standfast.engine.sync import SyncGateway
from standfast.engine.target_report import TargetReport
from standfast.lab import Fault
from support.chat import run
from support.raw import http_answer, raw_upstream
from support.watching import watched

KEY = "correct-horse-battery"  # of a shape that nobody takes for a key


def completion(text: str | None, finish: str) -> bytes:
    """A well-formed answer in OpenAI's shape."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    usage = {"prompt_tokens": 12, "completion_tokens": 16, "total_tokens": 28}
    return http_answer(200, {"id": "c", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage})


@contextlib.asynccontextmanager
async def answered(answer: bytes, kind: str = "generate") -> AsyncIterator[tuple[TargetReport, Gateway, list[bytes]]]:
    """The report of one ordered check of an upstream that answers so."""
    async with raw_upstream(answer) as raw:
        provider = {**raw.provider, "keys": [KEY], "headers": {"x-own": "1"}}
        config = from_mapping({"providers": {"raw": provider}, "models": {"m": ["raw/m"]}}, {})
        async with Gateway(config) as gateway:
            (report,) = await gateway.check(kind)  # type: ignore[arg-type]
            yield report, gateway, raw.requests


@pytest.mark.parametrize(
    ("text", "finish", "ok"),
    [
        ("OK", "stop", True),
        ("ok.", "stop", True),
        ("Sure: OK!", "stop", True),
        (None, "length", True),  # it thinks before it speaks, and the few tokens are spent
        ("", "length", True),
        ("Let me think about token", "length", False),
        ("A token is a word", "stop", False),
        ("NOK", "stop", False),
    ],
)
def test_the_expected_word_is_a_word(text: str | None, finish: str, ok: bool) -> None:
    """It must stand by itself, in capitals or not; a model that spent its tokens on thinking has answered too."""

    async def scenario() -> None:
        async with answered(completion(text, finish)) as (report, _, _):
            assert report.ok is ok, report.detail

    run(scenario)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (http_answer(200, b"<html>maintenance</html>"), "invalid_reply"),
        (http_answer(200, {"error": {"message": "boom", "type": "server_error", "code": None}}), "server_error"),
        (http_answer(200, {"object": "chat.completion", "choices": []}), "empty_reply"),
        (http_answer(401, {"error": {"message": f"Incorrect API key provided: {KEY}"}}), "auth_failed"),
        (http_answer(400, {"error": {"message": f"there is no account {KEY}"}}), "invalid_request"),
        (http_answer(529, b""), "overloaded"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{", "broken_stream"),
    ],
)
def test_what_comes_back_is_named_by_its_kind(answer: bytes, kind: str) -> None:
    """Every way to fail has its kind and an advice, and a key that the provider quotes is not shown."""

    async def scenario() -> None:
        async with answered(answer) as (report, _, _):
            assert (report.ok, report.detail.partition(":")[0]) == (False, kind)
            assert report.advice
            assert KEY not in repr(report)

    run(scenario)


def test_a_probe_is_a_request_like_others() -> None:
    """It carries the key and the fixed headers, and its tokens are counted against the key's limits."""

    async def scenario() -> None:
        async with answered(completion("OK", "stop")) as (report, gateway, requests):
            assert report.ok
            head = requests[0].lower()
            assert head.startswith(b"post /v1/chat/completions ")
            assert f"authorization: bearer {KEY}".encode() in head
            assert b"x-own: 1" in head
            (deployment,) = gateway.snapshot.fleet.deployments()
            assert gateway.snapshot.fleet.in_flight(deployment) == 0

    run(scenario)


def test_a_bad_key_found_by_a_check_is_put_to_rest() -> None:
    """A generate check is settled like a real attempt: 401 quarantines the key, and is told."""

    async def scenario() -> None:
        async with answered(http_answer(401, {"error": {"message": "no"}})) as (report, _, _):
            assert (report.keys_free, report.keys, report.health) == (0, 1, "unknown")
            assert report.reason == "auth_failed says nothing of the deployment"

    run(scenario)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("openai/gpt-4.1", "/v1/models"),
        ("anthropic/claude-sonnet-4-5", "/v1/models"),
        ("gemini/gemini-2.5-flash", "/v1beta/models"),
    ],
)
def test_a_ping_asks_the_free_endpoint(target: str, path: str) -> None:
    """The provider file names it; it costs nothing and carries the key."""

    async def scenario() -> None:
        async with watched({"m": [target]}) as w:
            (report,) = await w.gateway.check()
            (entry,) = w.asked()
            assert (entry.method, entry.path, entry.size, entry.output_tokens) == ("GET", path, 0, 0)
            assert entry.key
            assert (report.ok, report.health, report.kind, report.reason) == (True, "healthy", "ping", "ping succeeds")

    run(scenario)


def test_a_ping_that_is_refused_names_the_kind() -> None:
    """Ill health, a bad key and a missing endpoint are told apart; only the first counts."""

    async def scenario() -> None:
        async with watched({"m": ["openai/gpt-4.1"]}) as w:
            for status, kind, health in (
                (500, "server_error", "unhealthy"),
                (401, "auth_failed", "unknown"),
                (404, "model_not_found", "unknown"),
            ):
                w.lab.openai.heal()
                w.lab.openai.fail(Fault(status=status, scope="all"))
                (report,) = await w.gateway.check()
                assert (report.ok, report.detail.partition(":")[0], report.health) == (False, kind, health)

    run(scenario)


@pytest.mark.parametrize("kind", ["ping", "generate"])
def test_a_check_that_was_late_names_its_own_limit(kind: str) -> None:
    """A check obeys `health.timeout`: nobody is sent to the requests' time-outs, which change nothing here."""

    async def scenario() -> None:
        async with watched({"m": ["openai/gpt-4.1"]}, timeout="50ms") as w:
            w.lab.openai.fail(Fault(delay=5.0, scope="all"))
            (report,) = await w.gateway.check(kind)  # type: ignore[arg-type]
            assert "no answer within 0.05 s" in report.detail
            assert "health.timeout" in report.advice
            assert "first_token" not in report.advice

    run(scenario)


def test_the_blocking_gateway_checks_too() -> None:
    """`SyncGateway.check` gives the same reports, and its watch ends with it."""
    mapping = {
        "providers": {"dead": {"type": "openai_like", "base_url": "http://127.0.0.1:1/v1", "keys": ["none"]}},
        "models": {"m": ["dead/x"]},
    }
    with SyncGateway(mapping) as gateway:
        for kind in ("ping", "generate"):
            (report,) = gateway.check(kind)
            assert (report.target, report.ok, report.kind) == ("dead/x", False, kind)
