"""`POST /chat`: one prompt in, one flat object out."""

import asyncio
import json

import pytest

from standfast.lab import Fault
from support.chat import SOON, answer_of, at_rest, entries, run, until
from support.http import Response, call, request_bytes
from support.stack import Stack, stack

MODELS = {"m": ["openai/gpt-4.1", "anthropic/claude-haiku-4-5"], "n": ["gemini/gemini-2.5-flash"]}


async def ask_simply(s: Stack, headers: dict[str, str] | None = None, **fields: object) -> Response:
    """One simple call."""
    return await call(s.port, "/chat", {"prompt": "hello", **fields}, headers)


def test_a_simple_answer() -> None:
    """The flat object has status, model, content, latency, and whether a fallback served."""

    async def scenario() -> None:
        async with stack(MODELS) as s:
            answer = await ask_simply(s, system_prompt="Be brief.")
            body = answer.json()
            assert set(body) == {"status", "model", "content", "latency_ms", "fallback_used", "attempts_count"}
            assert (body["status"], body["model"], body["content"]) == ("success", "gpt-4.1", answer_of("gpt-4.1"))
            assert (body["fallback_used"], body["attempts_count"]) == (False, 1)
            assert isinstance(body["latency_ms"], float)
            assert answer.headers["x-standfast-deployment"] == "openai/gpt-4.1"
            sent = json.loads(entries(s)[0].body)
            assert [message["role"] for message in sent["messages"]] == ["system", "user"]
            assert (await ask_simply(s, model="n")).json()["model"] == "gemini-2.5-flash"

    run(scenario)


def test_a_fallback_is_told() -> None:
    """Another model than the first choice: `fallback_used` is true, with all attempts counted."""

    async def scenario() -> None:
        async with stack(MODELS, defaults={"retry": SOON}) as s:
            s.lab.openai.fail(Fault(status=500))
            body = (await ask_simply(s)).json()
            assert (body["model"], body["fallback_used"], body["attempts_count"]) == ("claude-haiku-4-5", True, 3)

    run(scenario)


def test_a_fallback_can_be_forbidden() -> None:
    """`use_fallback: false` keeps the model: the failure is told in the error's shape."""

    async def scenario() -> None:
        async with stack(MODELS, defaults={"retry": SOON}) as s:
            s.lab.openai.fail(Fault(status=500))
            answer = await ask_simply(s, use_fallback=False)
            assert answer.status == 503
            assert answer.json()["error"]["code"] == "server_error"  # type: ignore[index]  # JSON
            assert not entries(s, "anthropic")

    run(scenario)


@pytest.mark.parametrize(
    "body", [{}, {"prompt": 1}, {"prompt": "x", "promt": "y"}, {"prompt": "x", "use_fallback": "no"}, b"{", b""]
)
def test_anything_else_is_refused(body: object) -> None:
    """A body that is not the flat request is 400 and shows what is right."""

    async def scenario() -> None:
        async with stack(MODELS) as s:
            answer = await call(s.port, "/chat", body)
            assert answer.status == 400
            assert "prompt" in answer.body.decode()
            assert not entries(s)

    run(scenario)


def test_a_client_that_leaves_is_noticed() -> None:
    """C10: the simple call is cancelled like any other."""

    async def scenario() -> None:
        async with stack(MODELS) as s:
            s.lab.openai.fail(Fault(hang=True))
            _, writer = await asyncio.open_connection("127.0.0.1", s.port)
            writer.write(request_bytes("/chat", {"prompt": "hello"}))
            await until(lambda: entries(s))
            writer.transport.abort()
            await until(lambda: entries(s)[0].peer_closed)
            await until(lambda: at_rest(s))
            assert s.recorder.records[-1].status == 499

    run(scenario)


def test_controls_hold_for_the_simple_call_too() -> None:
    """Headers control it: a deadline ends it with 504."""

    async def scenario() -> None:
        async with stack(MODELS) as s:
            s.lab.openai.fail(Fault(hang=True))
            answer = await ask_simply(s, {"x-standfast-deadline-ms": "100"})
            assert answer.status == 504

    run(scenario)
