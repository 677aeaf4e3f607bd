"""Failure catalogue, part B: answers that are none - errors, pages, torn bodies, hostile heads."""

import asyncio
from collections.abc import Callable

import pytest

from standfast.engine.call import Call
from standfast.lab import Fault
from support.chat import (
    SOON,
    WIRES,
    answer_of,
    ask,
    at_rest,
    attempts,
    entries,
    error_of,
    errors_in,
    finished,
    kinds,
    run,
    targets,
    until,
)
from support.raw import http_answer, raw_upstream
from support.stack import stack

WITH_RAW = {"m": ["raw/gpt-4.1", "openai/gpt-4.1"]}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", WIRES)
def test_server_errors_fail_over(wire: str, stream: bool) -> None:
    """B14: every 5xx, JSON or HTML, sends the request to the next target, in all wires, whole and streamed."""

    async def scenario() -> None:
        first, second = WIRES[wire]
        async with stack({"m": [first, second]}, defaults={"breaker": {"consecutive": 99, "min_calls": 99}}) as s:
            key = f"-{wire}"
            for status in (500, 502, 503, 504, 520, 526, 529):
                for body in ("", "html"):
                    s.lab[wire].heal()
                    s.lab[wire].fail(Fault(status=status, body=body, key=key))
                    answer = await ask(s, stream=stream)
                    assert finished(answer), (status, body, answer.body)
                    assert attempts(answer) == 2
                    assert targets(s.recorder.records[-1]) == [first, second]
                    kind = "overloaded" if status in (503, 529) else "server_error"
                    assert kinds(s.recorder.records[-1]) == [kind, "success"]

    run(scenario)


@pytest.mark.parametrize("rate", [0.3, 0.8])
def test_errors_of_one_target_with_one_healthy_alternative_fail_nobody(rate: float) -> None:
    """B14, D2: 30 and 80 % injected 5xx on one of two targets, 300 requests at concurrency: all succeed."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1", "twin/gpt-4.1"]}) as s:
            s.lab.openai.fail(Fault(status=500, rate=rate, key="openai"))
            gate = asyncio.Semaphore(20)

            async def one(n: int) -> int:
                async with gate:
                    answer = await ask(s, stream=n % 2 == 0, prompt=f"n{n}")
                assert finished(answer), answer.body
                assert answer.text == answer_of("gpt-4.1", f"n{n}")
                return attempts(answer)

            tried = await asyncio.gather(*(one(n) for n in range(300)))
            wasted = sum(entry.status == 500 for entry in entries(s))
            assert max(tried) <= 2
            assert sum(tried) == 300 + wasted == len(entries(s))
            assert 0 < wasted <= 120
            await until(lambda: at_rest(s))

    run(scenario)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", WIRES)
def test_a_web_page_with_status_200_is_no_answer(wire: str, stream: bool) -> None:
    """B15: HTML with status 200 never reaches a client; the next target answers."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES[wire])}) as s:
            s.lab[wire].fail(Fault(status=200, body="html", key=f"-{wire}"))
            answer = await ask(s, stream=stream)
            assert finished(answer)
            assert attempts(answer) == 2
            assert b"<html" not in answer.body.lower()
            s.lab[wire].fail(Fault(status=200, body="html"))
            answer = await ask(s, stream=stream)
            assert answer.status == 503
            assert b"<html" not in answer.body.lower()

    run(scenario)


BROKEN = {
    "truncated": Fault(body="truncated_json"),
    "array": Fault(body="not_an_object"),
    "types": Fault(body="wrong_types"),
    "nothing": Fault(body="empty"),
    "short": Fault(wrong_content_length=50),
    "gzip": Fault(bad_gzip=True),
    "bomb": Fault(gzip_bomb=64 * 2**20),
    "cut": Fault(cut_after_chunks=2, how="close"),
    "reset": Fault(cut_after_chunks=2, how="reset"),
    "garbage": Fault(garbage=300),
    "header": Fault(huge_header=2**20),
    "headers": Fault(many_headers=10_000),
    "fold": Fault(obs_fold=True),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_answer_is_a_failed_attempt(name: str) -> None:
    """B16, B17, B20: torn, wrong, inflated or hostile answers are refused, the next target answers."""

    async def scenario() -> None:
        server = {"upstream": {"reply_bytes": 2**20}}
        async with stack({"m": list(WIRES["openai"])}, server=server) as s:
            s.lab.openai.fail(BROKEN[name].model_copy(update={"key": "openai"}))
            answer = await ask(s)
            assert finished(answer), answer.body
            assert attempts(answer) == 2
            assert kinds(s.recorder.records[-1])[0] in {"invalid_reply", "broken_stream", "empty_reply"}
            assert answer.headers["x-standfast-deployment"] == "twin/gpt-4.1"
            await until(lambda: at_rest(s))

    run(scenario)


@pytest.mark.parametrize(
    "name", ["truncated", "types", "nothing", "gzip", "bomb", "garbage", "header", "headers", "fold"]
)
def test_a_broken_stream_that_never_began_is_invisible(name: str) -> None:
    """B16, B17, B20: the same for streams: nothing of the broken answer reaches the client."""

    async def scenario() -> None:
        server = {"upstream": {"reply_bytes": 2**20}}
        async with stack({"m": list(WIRES["openai"])}, server=server) as s:
            s.lab.openai.fail(BROKEN[name].model_copy(update={"key": "openai"}))
            answer = await ask(s, stream=True)
            assert finished(answer), answer.body
            assert (attempts(answer), answer.text) == (2, answer_of("gpt-4.1"))

    run(scenario)


@pytest.mark.parametrize(
    ("wire", "stream"),
    [("openai", False), ("openai", True), ("anthropic", False), ("gemini", False), ("gemini", True)],
)
def test_an_answer_without_choices_is_none(wire: str, stream: bool) -> None:
    """B17: no choices at all is a failed attempt; with no other target it is an explicit error."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES[wire])}, defaults={"retry": SOON}) as s:
            s.lab[wire].fail(Fault(body="empty_choices", key=f"-{wire}"))
            answer = await ask(s, stream=stream)
            assert finished(answer)
            assert attempts(answer) == 2
            s.lab[wire].fail(Fault(body="empty_choices"))
            answer = await ask(s, stream=stream)
            assert answer.status == 503
            assert error_of(answer)["code"] in {"empty_reply", "invalid_reply"}

    run(scenario)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", WIRES)
def test_an_empty_completion_is_a_valid_answer(wire: str, stream: bool) -> None:
    """B17: a model may have nothing to say: finished without text is an answer, given once."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES[wire])}) as s:
            s.lab[wire].fail(Fault(body="empty_completion"))
            answer = await ask(s, stream=stream)
            assert finished(answer), answer.body
            assert (attempts(answer), answer.text) == (1, "")

    run(scenario)


@pytest.mark.parametrize("stream", [False, True])
def test_informational_answers_are_skipped(stream: bool) -> None:
    """B21: 100 and 103 before the answer change nothing."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}) as s:
            s.lab.openai.fail(Fault(informational=True))
            answer = await ask(s, stream=stream)
            assert (finished(answer), attempts(answer)) == (True, 1)

    run(scenario)


def test_hop_by_hop_headers_stay_where_they_are() -> None:
    """B20: headers of the upstream's connection do not reach the client, nor can they inject any."""

    async def scenario() -> None:
        body = {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        }
        answer = http_answer(
            200, body, "Keep-Alive: timeout=5", "Proxy-Authenticate: x", "Set-Cookie: a=b", "Trailer: x"
        )
        async with raw_upstream(answer) as raw, stack(WITH_RAW, providers={"raw": raw.provider}) as s:
            reply = await ask(s)
            assert (finished(reply), attempts(reply)) == (True, 1)
            assert not {"keep-alive", "proxy-authenticate", "set-cookie", "trailer"} & set(reply.headers)

    run(scenario)


@pytest.mark.parametrize(
    "bytes_",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad header\x01: x\r\n\r\n",
        b"",
    ],
    ids=["two-framings", "chunk-size", "upgrade", "length", "control", "nothing"],
)
def test_what_two_readers_could_understand_differently_is_refused(bytes_: bytes) -> None:
    """B20: an ambiguous or malformed answer is a failed attempt, never guessed at."""

    async def scenario() -> None:
        async with raw_upstream(bytes_) as raw, stack(WITH_RAW, providers={"raw": raw.provider}) as s:
            for stream in (False, True):
                answer = await ask(s, stream=stream)
                assert finished(answer)
                assert attempts(answer) == 2
                assert not errors_in(answer)
            await until(lambda: at_rest(s))

    run(scenario)


@pytest.mark.parametrize(
    ("stream", "name", "after", "tried"),
    [
        (False, "body", 0, ["invalid_reply", "success"]),
        (False, "end", 0, ["invalid_reply", "success"]),
        (True, "head", 0, ["invalid_reply", "success"]),
        (True, "body", 0, ["invalid_reply", "success"]),
        (True, "body", 2, ["invalid_reply", "success"]),  # in mid-stream: replayed
        (True, "end", 0, ["success"]),  # the terminator has come before
    ],
)
def test_an_error_of_ours_is_an_attempt_that_failed(
    stream: bool, name: str, after: int, tried: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception in our reading of a provider's answer is reported, and the request goes to the next one at once."""

    async def scenario() -> None:
        reports: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        real: Callable[..., object] = getattr(Call, name)
        left = [after]  # calls that go well; then one does not

        def broken(call: Call, *args: object) -> object:
            if left and not left[0]:
                left.clear()
                raise LookupError(name)
            if left:
                left[0] -= 1
            return real(call, *args)

        async with stack({"m": ["openai/gpt-4.1", "twin/gpt-4.1"]}) as s:
            s.lab.openai.fail(Fault(chunk_delay=0.01))
            monkeypatch.setattr(Call, name, broken)
            answer = await asyncio.wait_for(ask(s, stream=stream, prompt="hello you"), 5.0)
            assert not left
            assert finished(answer), answer.body
            assert answer.text == answer_of("gpt-4.1", "hello you")
            assert kinds(s.recorder.records[-1]) == tried
            for attempt in s.recorder.records[-1].attempts[: len(tried) - 1]:
                assert attempt.failure is not None
                assert "an error of ours (LookupError)" in attempt.failure.detail
            await until(lambda: at_rest(s))
        assert [type(each["exception"]) for each in reports] == [LookupError]

    run(scenario)


GOOD: dict[str, object] = {
    "id": "x",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2},
}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (http_answer(200, GOOD), "success"),
        (http_answer(200, {"error": {"message": "no", "code": "insufficient_quota"}}), "quota_exhausted"),
        (http_answer(200, b"<html>busy</html>"), "invalid_reply"),
        (http_answer(200, {"choices": []}), "empty_reply"),
        (http_answer(200, b"  \n "), "invalid_reply"),
        (http_answer(200, {**GOOD, "padding": "x" * 5_000}), "invalid_reply"),
        (http_answer(201, GOOD), "success"),
        (http_answer(429, {"error": {"message": "slow"}}, "retry-after: 7"), "rate_limited"),
        (http_answer(500, b"x" * 5_000), "invalid_reply"),
        (http_answer(503, {"error": {"message": "busy"}}), "overloaded"),
        (http_answer(204, b""), "invalid_reply"),
    ],
)
def test_in_one_piece_or_two_an_answer_means_the_same(answer: bytes, kind: str) -> None:
    """C6: its bytes come at once, or the head's end a moment later: one verdict, and the same books."""

    async def scenario() -> None:
        cut = answer.index(b"\r\n\r\n")
        told: list[list[object]] = []
        for pieces in ((answer,), (answer[:cut], answer[cut:])):
            async with (
                raw_upstream(*pieces, pause=0.05) as raw,
                stack(WITH_RAW, providers={"raw": raw.provider}, server={"upstream": {"reply_bytes": 4_096}}) as s,
            ):
                reply = await ask(s)
                assert finished(reply)
                record = s.recorder.records[-1]
                told.append([attempt.usage for attempt in record.attempts])
                told[-1] += [kinds(record), [attempt.failure for attempt in record.attempts], reply.status]
        assert kinds(record)[0] == kind
        assert told[0] == told[1]

    run(scenario)
