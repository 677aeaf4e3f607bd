"""What a reply tells besides the answer: headers, trace, the served model, the shape of errors."""

import json
import re

import pytest

from standfast.lab import Fault
from support.chat import SOON, WIRES, answer_of, ask, attempts, error_of, errors_in, finish_reasons, finished, run
from support.http import call
from support.stack import stack

every_wire = pytest.mark.parametrize("wire", WIRES)
either = pytest.mark.parametrize("stream", [False, True])


@every_wire
@either
def test_a_healthy_answer(wire: str, stream: bool) -> None:
    """G2, G3: the client speaks OpenAI whatever the upstream speaks, and gets the whole answer in one attempt."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES[wire])}) as s:
            answer = await ask(s, stream=stream)
            model = WIRES[wire][0].partition("/")[2]
            assert finished(answer)
            assert answer.text == answer_of(model)
            if stream:
                assert finish_reasons(answer) == ["stop"]
                pieces = [json.loads(data) for data in answer.events[:-1]]
                assert {piece["object"] for piece in pieces} == {"chat.completion.chunk"}
                assert {piece["model"] for piece in pieces} == {model}
                assert len({piece["id"] for piece in pieces}) == 1
                assert pieces[0]["choices"][0]["delta"]["role"] == "assistant"
            else:
                body = answer.json()
                assert (body["object"], body["model"]) == ("chat.completion", model)
                assert body["usage"]["completion_tokens"] > 0  # type: ignore[index]  # JSON
            (record,) = s.recorder.records
            assert (record.status, record.code, record.deployment) == (200, "", WIRES[wire][0])
            assert record.usage is not None or (stream and wire == "openai")
            assert (record.first_token is not None) is stream

    run(scenario)


@every_wire
def test_usage_comes_when_it_is_asked_for(wire: str) -> None:
    """C9: `include_usage` adds one usage chunk, and without it there is none."""

    async def scenario() -> None:
        async with stack({"m": [WIRES[wire][0]]}) as s:
            asked = await ask(s, stream=True, stream_options={"include_usage": True})
            usages = [piece["usage"] for piece in map(json.loads, asked.events[:-1]) if piece.get("usage")]
            assert len(usages) == 1
            assert usages[0]["total_tokens"] == usages[0]["prompt_tokens"] + usages[0]["completion_tokens"]
            silent = await ask(s, stream=True)
            assert not [piece for piece in map(json.loads, silent.events[:-1]) if piece.get("usage")]
            assert finished(asked)
            assert finished(silent)

    run(scenario)


@either
def test_the_reply_says_who_answered(stream: bool) -> None:
    """Every answer names id, model, deployment, attempts, and whether another than the first choice served."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1", "anthropic/claude-haiku-4-5"]}, defaults={"retry": SOON}) as s:
            plain = await ask(s, stream=stream)
            s.lab.openai.fail(Fault(status=500))
            other = await ask(s, stream=stream)
            for answer, model, deployment, tried, fallback in (
                (plain, "gpt-4.1", "openai/gpt-4.1", "1", "false"),
                (other, "claude-haiku-4-5", "anthropic/claude-haiku-4-5", "3", "true"),
            ):
                headers = answer.headers
                assert re.fullmatch(r"req_[0-9a-f]{20}", headers["x-standfast-request-id"])
                assert headers["x-standfast-model"] == model
                assert headers["x-standfast-deployment"] == deployment
                assert headers["x-standfast-attempts"] == tried
                assert headers["x-standfast-fallback"] == fallback
                assert "x-standfast-trace" not in headers
            assert [record.id for record in s.recorder.records] == [
                answer.headers["x-standfast-request-id"] for answer in (plain, other)
            ]

    run(scenario)


@either
def test_a_trace_tells_every_attempt(stream: bool) -> None:
    """With `x-standfast-trace: 1` the attempts travel with kinds, statuses and times, also on errors."""

    async def scenario() -> None:
        async with stack({"m": ["dead/gpt-4.1", "openai/gpt-4.1"]}) as s:
            answer = await ask(s, stream=stream, headers={"x-standfast-trace": "1"})
            first, second = json.loads(answer.headers["x-standfast-trace"])
            assert (first["target"], first["outcome"], first["kind"]) == ("dead/gpt-4.1", "failure", "connect_failed")
            assert second["target"] == "openai/gpt-4.1"
            assert second["outcome"] == ("answering" if stream else "success")
            assert 0 <= first["start_ms"] <= first["start_ms"] + first["ms"]
            s.lab.openai.fail(Fault(status=400))
            answer = await ask(s, stream=stream, headers={"x-standfast-trace": "yes"})
            rows = json.loads(answer.headers["x-standfast-trace"])
            assert [(row["kind"], row.get("status")) for row in rows] == [
                ("connect_failed", None),
                ("invalid_request", 400),
            ]

    run(scenario)


@either
def test_an_error_has_openais_shape(stream: bool) -> None:
    """A request that fails is JSON with message, type, param and code, names the attempts and what to do."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}, defaults={"retry": SOON}) as s:
            s.lab.openai.fail(Fault(status=500))
            answer = await ask(s, stream=stream)
            error = error_of(answer)
            assert answer.status == 503
            assert answer.headers["content-type"] == "application/json"
            assert set(error) == {"message", "type", "param", "code"}
            assert (error["type"], error["code"], error["param"]) == ("upstream_error", "server_error", None)
            assert "4 attempts for 'm' failed" in error["message"]
            assert "openai/gpt-4.1" in error["message"]
            assert "Retry later" in error["message"]
            assert answer.headers["x-should-retry"] == "false"
            assert attempts(answer) == 4
            assert "x-standfast-model" not in answer.headers

    run(scenario)


@every_wire
@either
def test_the_requested_model_can_be_named(wire: str, stream: bool) -> None:
    """`reply_model: requested`: the reply's `model` is what the client asked for; its text is not touched."""

    async def scenario() -> None:
        prompt = 'say "model":"x" now'
        async with stack({"mine": {"targets": [WIRES[wire][0]], "reply_model": "requested"}}) as s:
            answer = await ask(s, "mine", stream=stream, prompt=prompt)
            upstream = WIRES[wire][0].partition("/")[2]
            pieces = [json.loads(data) for data in answer.events[:-1]] if stream else [answer.json()]
            assert {piece["model"] for piece in pieces} == {"mine"}
            assert answer.text == answer_of(upstream, prompt)
            assert answer.headers["x-standfast-model"] == upstream
            assert finished(answer)

    run(scenario)


def test_the_served_model_is_named_by_default() -> None:
    """Without `reply_model` the reply names the model that served, byte for byte as the provider wrote it."""

    async def scenario() -> None:
        async with stack({"mine": ["openai/gpt-4.1"]}) as s:
            answer = await ask(s, "mine")
            assert answer.json()["model"] == "gpt-4.1"
            direct = await call(
                s.lab.openai.port,
                "/v1/chat/completions",
                {"model": "gpt-4.1", "messages": [{"role": "user", "content": "hello"}]},
                {"authorization": "Bearer sk-any"},
            )
            assert answer.body == direct.body

    run(scenario)


def test_a_broken_stream_names_its_attempt() -> None:
    """C4: the error event says which deployment broke off, and that what came is not complete."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}) as s:
            s.lab.openai.fail(Fault(cut_after_chunks=2))
            answer = await ask(s, stream=True)
            (error,) = errors_in(answer)
            assert "not complete" in error["message"]
            assert "openai/gpt-4.1" in error["message"]

    run(scenario)
