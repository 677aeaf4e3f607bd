"""Validated answers, kept answers and the last resort, through a running gateway."""

import asyncio
import json
from pathlib import Path

import pytest

from standfast.engine.inquiry import Controls
from standfast.lab import Fault
from standfast.stores.sqlite import SqliteAnswers
from support.chat import (
    CHAT_PATH,
    SOON,
    WIRES,
    Talk,
    answer_of,
    ask,
    at_rest,
    attempts,
    chat,
    entries,
    error_of,
    errors_in,
    finished,
    kinds,
    run,
    targets,
    until,
)
from support.http import Response, call
from support.stack import Stack, stack

HELLO = [{"role": "user", "content": "hello"}]
TWO = ["openai/gpt-4.1", "anthropic/claude-haiku-4-5"]
CLAUDE = {"regex": "claude"}
"""A rule that only one of the two keeps: the stand-ins' answers name the model."""

PATIENT: dict[str, object] = {"retry": SOON, "breaker": {"consecutive": 99, "min_calls": 99}}
KEEP = {"ttl": "1m"}
ON_ERROR = {"ttl": 0, "stale_if_error": "1h"}
SORRY = {"message": "All lines are busy."}

either = pytest.mark.parametrize("stream", [False, True])
every_wire = pytest.mark.parametrize("wire", WIRES)


def model(wire: str = "openai") -> str:
    """The upstream model of a wire's first target."""
    return WIRES[wire][0].partition("/")[2]


def sources(s: Stack) -> list[str]:
    """Where the answers came from, by the records."""
    return [record.source for record in s.recorder.records]


def marks(answer: Response) -> tuple[str, str]:
    """How an answer is marked: x-standfast-source and x-standfast-cache."""
    return answer.headers.get("x-standfast-source", ""), answer.headers.get("x-standfast-cache", "")


# validation


@either
def test_an_answer_that_does_not_count_fails_over(stream: bool) -> None:
    """An invalid answer is a failed attempt: the next target's is given, and nothing of the first is seen."""

    async def scenario() -> None:
        async with stack({"m": {"targets": TWO, "validate": CLAUDE}}, defaults=PATIENT) as s:
            answer = await ask(s, stream=stream)
            assert finished(answer)
            assert answer.text == answer_of("claude-haiku-4-5")
            assert answer.headers["x-standfast-deployment"] == TWO[1]
            record = s.recorder.records[0]
            assert set(kinds(record)[:-1]) == {"invalid_reply"}
            assert kinds(record)[-1] == "success"
            assert b"gpt-4.1" not in answer.body.replace(b'"model":"gpt-4.1"', b"")
            await until(lambda: at_rest(s))

    run(scenario)


@every_wire
def test_what_counts_is_given_in_every_wire(wire: str) -> None:
    """Rules are asked of the answer as the client gets it, whatever wire it came by."""

    async def scenario() -> None:
        text = answer_of(model(wire))
        rules = {"min_chars": len(text), "max_chars": len(text), "finish_reason": ["stop"], "regex": "heard: hello"}
        async with stack({"m": {"targets": list(WIRES[wire]), "validate": rules}}) as s:
            for stream in (False, True):
                answer = await ask(s, stream=stream)
                assert (finished(answer), answer.text, attempts(answer)) == (True, text, 1)
            for stream in (False, True):
                answer = await ask(s, stream=stream, prompt="a longer prompt")
                assert error_of(answer)["code"] == "invalid_reply"

    run(scenario)


@either
def test_when_no_answer_counts_the_rule_is_named(stream: bool) -> None:
    """The error says which rule was broken and quotes nothing of the answer; it is no success."""

    async def scenario() -> None:
        async with stack({"m": {"targets": ["openai/gpt-4.1"], "validate": {"json": True}}}, defaults=PATIENT) as s:
            answer = await ask(s, stream=stream, prompt="canary words")
            assert answer.status in (502, 503)
            error = error_of(answer)
            assert error["code"] == "invalid_reply"
            assert "it is not JSON" in error["message"]
            assert b"canary" not in answer.body
            assert s.recorder.records[0].deployment == ""

    run(scenario)


@every_wire
@pytest.mark.parametrize("fault", [Fault(cut_after_chunks=2), Fault(stall_after_chunks=2)], ids=["cut", "stall"])
def test_a_held_stream_breaks_unseen(wire: str, fault: Fault) -> None:
    """C2: a stream that is held back for its rules has shown nothing yet, so its break is an ordinary failover."""

    async def scenario() -> None:
        rules = {"validate": {"min_chars": 1}}
        defaults = {**PATIENT, "timeouts": {"gap": "150ms"}}
        async with stack({"m": {"targets": list(WIRES[wire]), **rules}}, defaults=defaults) as s:
            s.lab[wire].fail(fault.model_copy(update={"key": f"-{wire}"}))
            answer = await ask(s, stream=True)
            assert (finished(answer), answer.text) == (True, answer_of(model(wire)))
            assert targets(s.recorder.records[0])[-1] == WIRES[wire][1]
            await until(lambda: at_rest(s))

    run(scenario)


def test_a_held_stream_is_kept_alive() -> None:
    """While an answer is held back the client gets comments, and its content only once all of it is there."""

    async def scenario() -> None:
        server = {"heartbeat": "50ms"}
        async with stack({"m": {"targets": ["openai/gpt-4.1"], "validate": {"min_chars": 1}}}, server=server) as s:
            s.lab.openai.fail(Fault(tokens=12, chunk_delay=0.03))
            answer = await ask(s, stream=True)
            assert finished(answer)
            before, _, content = answer.body.partition(b"data: ")
            assert before.count(b": ping") >= 2
            assert b": ping" not in content
            (record,) = s.recorder.records
            (attempt,) = record.attempts
            assert record.first_token is not None
            assert attempt.first_content is not None
            assert attempt.first_content < 0.2 < record.first_token  # the target was quick, the client had to wait

    run(scenario)


def test_a_client_that_leaves_a_held_stream_closes_it() -> None:
    """C10: leaving while nothing has been shown closes the upstream as at any other time."""

    async def scenario() -> None:
        async with stack({"m": {"targets": ["openai/gpt-4.1"], "validate": {"min_chars": 1}}}) as s:
            s.lab.openai.fail(Fault(stall_after_chunks=2))
            talk = await Talk.begin(s, chat(stream=True))
            await until(lambda: entries(s))
            talk.reset()
            await until(lambda: entries(s)[0].peer_closed)
            await until(lambda: at_rest(s))
            assert s.recorder.records[0].status == 499

    run(scenario)


@either
def test_a_request_may_ask_for_more(stream: bool) -> None:
    """Rules of the request come in addition to the model's, in the body or in a header; the provider sees none."""

    async def scenario() -> None:
        async with stack({"m": {"targets": TWO, "validate": {"min_chars": 3}}}, defaults=PATIENT) as s:
            by_body = await ask(s, stream=stream, standfast={"validate": CLAUDE})
            by_header = await ask(s, stream=stream, headers={"x-standfast-validate": json.dumps(CLAUDE)})
            for answer in (by_body, by_header):
                assert (finished(answer), answer.text) == (True, answer_of("claude-haiku-4-5"))
            assert (await ask(s, stream=stream)).text == answer_of("gpt-4.1")
            refused = await ask(s, stream=stream, standfast={"validate": {"min_chars": 1, "regex": "^claude$"}})
            assert not finished(refused)
            assert not any(b"standfast" in entry.body for entry in entries(s))

    run(scenario)


@pytest.mark.parametrize("value", ['{"min_char": 1}', '{"regex": "("}', "{", '{"json_schema": {"$ref": "#"}}', "5"])
def test_a_rule_that_cannot_be_used_is_refused(value: str) -> None:
    """A mistake in the rules of a request is told before anything is sent."""

    async def scenario() -> None:
        async with stack({"m": TWO}) as s:
            answer = await ask(s, headers={"x-standfast-validate": value})
            assert (answer.status, error_of(answer)["param"]) == (400, "validate")
            embeddings = await call(
                s.port, "/v1/embeddings", {"model": "m", "input": "x", "standfast": {"validate": {"min_chars": 1}}}
            )
            assert embeddings.status == 400
            assert not entries(s)

    run(scenario)


@either
def test_the_rules_of_one_request_make_nobody_ill(stream: bool) -> None:
    """D9: a caller whose own rules nothing can satisfy opens no breaker: the deployments answered as they should."""

    async def scenario() -> None:
        defaults = {"retry": SOON, "breaker": {"consecutive": 2}}
        async with stack({"m": TWO}, defaults=defaults) as s:
            for _ in range(5):
                refused = await ask(s, stream=stream, standfast={"validate": {"regex": "^impossible$"}})
                assert error_of(refused)["code"] == "rejected_reply"
                assert refused.status == 503
            assert set(s.gateway.breaker_states().values()) == {"closed"}
            assert finished(await ask(s, stream=stream))

    run(scenario)


def test_rules_of_one_target_are_its_own() -> None:
    """`validate` under a target lies over the model's: the same answer may count for one and not for another."""

    async def scenario() -> None:
        first = {"target": TWO[0], "params": {"max_tokens": 2}, "validate": {"finish_reason": ["stop"]}}
        second = {"target": TWO[1], "params": {"max_tokens": 2}}
        async with stack({"m": [first, second]}, defaults=PATIENT) as s:
            answer = await ask(s)
            assert finished(answer)
            assert answer.headers["x-standfast-deployment"] == TWO[1]
            choices = json.loads(answer.body)["choices"]
            assert choices[0]["finish_reason"] == "length"

    run(scenario)


# kept answers


@every_wire
@either
def test_the_same_request_is_answered_at_once(wire: str, stream: bool) -> None:
    """A fresh kept answer is given without asking anybody: the same bytes, marked, no attempt, no tokens."""

    async def scenario() -> None:
        async with stack({"m": {"targets": list(WIRES[wire]), "cache": KEEP}}) as s:
            first = await ask(s, stream=stream)
            second = await ask(s, stream=stream)
            assert finished(first)
            assert marks(first) == ("", "miss")
            assert marks(second) == ("cache", "hit")
            assert (second.status, second.body) == (200, first.body)
            assert second.headers["content-type"] == first.headers["content-type"]
            assert second.headers["x-standfast-deployment"] == WIRES[wire][0]
            assert second.headers["x-standfast-request-id"] != first.headers["x-standfast-request-id"]
            assert (attempts(second), second.headers["x-standfast-fallback"]) == (0, "false")
            assert 0 <= int(second.headers["age"]) <= 5
            assert len(entries(s)) == 1
            old, new = s.recorder.records
            assert (old.source, new.source) == ("", "cache")
            assert (new.status, new.code, new.attempts, new.usage, new.deployment) == (200, "", (), None, "")
            assert old.attempts
            await until(lambda: at_rest(s))

    run(scenario)


def test_what_counts_as_the_same() -> None:
    """White space, order and spelling do not tell requests apart; any other value, the mode and `temperature` do."""

    async def scenario() -> None:
        async with stack({"m": {"targets": ["openai/gpt-4.1"], "cache": KEEP}}) as s:
            await ask(s, temperature=0.5, top_p=1)
            spelled = (
                b'{"top_p":1,\n "temperature": 5e-1, "messages": [{"content":"h\\u0065llo","role":"user"}],"model":"m"}'
            )
            assert marks(await call(s.port, CHAT_PATH, spelled)) == ("cache", "hit")
            assert marks(await ask(s, temperature=0.5, top_p=1, standfast={"session": "s"})) == ("cache", "hit")
            for other in (
                {"temperature": 0.6},
                {"temperature": 0.5, "top_p": 1.0},
                {"prompt": "hallo"},
                {"stream": True},
            ):
                assert marks(await ask(s, **other)) == ("", "miss")  # type: ignore[arg-type]
            assert len(entries(s)) == 5

    run(scenario)


def test_nobody_gets_an_answer_of_another_caller() -> None:
    """E15: a hundred callers with the same and with marked prompts: each gets only what was made for it."""

    async def scenario() -> None:
        keys = tuple((f"caller{n}", f"sk-client-{n:06d}") for n in range(100))
        async with stack({"m": {"targets": ["openai/gpt-4.1"], "cache": KEEP}}, keys=keys) as s:

            async def one(n: int) -> None:
                headers = {"authorization": f"Bearer {keys[n][1]}"}
                own = await ask(s, headers=headers, prompt=f"mark-{n}-end")
                assert f"mark-{n}-end" in own.text
                assert (await ask(s, headers=headers, prompt=f"mark-{n}-end")).body == own.body
                assert marks(await ask(s, headers=headers)) == ("", "miss")

            await asyncio.gather(*(one(n) for n in range(100)))
            assert len(entries(s)) == 200
            assert sorted(sources(s)).count("cache") == 100

    run(scenario, limit=40)


@either
def test_failures_are_not_kept(stream: bool) -> None:
    """An error, a broken answer and one that the client left are asked again, and what then comes is kept."""

    async def scenario() -> None:
        defaults = {**PATIENT, "on_break": "error"}
        async with stack({"m": {"targets": ["openai/gpt-4.1"], "cache": KEEP}}, defaults=defaults) as s:
            bad = (
                Fault(status=400),
                Fault(status=500),
                Fault(cut_after_chunks=2),
                Fault(status=200, body="server_error"),
            )
            for fault in bad:
                s.lab.openai.fail(fault)
                assert not finished(await ask(s, stream=stream))
                s.lab.openai.heal()
            s.lab.openai.fail(Fault(stall_after_chunks=2))
            talk = await Talk.begin(s, chat(stream=stream))
            await until(lambda: s.gateway.in_flight)
            talk.reset()
            await until(lambda: not s.gateway.in_flight)
            s.lab.openai.heal()
            seen = len(entries(s))
            assert marks(await ask(s, stream=stream)) == ("", "miss")
            assert len(entries(s)) == seen + 1
            assert marks(await ask(s, stream=stream)) == ("cache", "hit")

    run(scenario)


@either
def test_a_stale_answer_stands_in_for_an_error(stream: bool) -> None:
    """D5: when everything failed, what was kept is given, marked as stale; the attempts are told."""

    async def scenario() -> None:
        async with stack({"m": {"targets": ["openai/gpt-4.1"], "cache": ON_ERROR}}, defaults=PATIENT) as s:
            first = await ask(s, stream=stream)
            assert marks(await ask(s, stream=stream)) == ("", "miss")
            s.lab.openai.fail(Fault(status=500))
            stale = await ask(s, stream=stream, headers={"x-standfast-trace": "1"})
            assert (stale.status, stale.body, marks(stale)) == (200, first.body, ("stale", "stale"))
            assert attempts(stale) > 1
            trace = [row for row in json.loads(stale.headers["x-standfast-trace"]) if "outcome" in row]
            assert [row["outcome"] for row in trace[:-1]] == ["failure"] * attempts(stale)
            assert trace[-1] == {"target": "openai/gpt-4.1", "outcome": "stale"}
            record = s.recorder.records[-1]
            assert (record.source, record.status, record.code, record.usage) == ("stale", 200, "", None)
            assert len(record.attempts) == attempts(stale)
            assert (await ask(s, stream=stream, prompt="other")).status == 503
            await until(lambda: at_rest(s))

    run(scenario)


def test_an_open_breaker_is_no_error_while_there_is_a_stale_answer() -> None:
    """D5: nobody can be asked at all: the kept answer is given at once, without an attempt."""

    async def scenario() -> None:
        defaults = {"retry": {**SOON, "max_attempts": 1}, "breaker": {"consecutive": 1, "open": "60s"}}
        async with stack({"m": {"targets": ["openai/gpt-4.1"], "cache": ON_ERROR}}, defaults=defaults) as s:
            first = await ask(s)
            s.lab.openai.fail(Fault(status=500))
            for _ in range(3):
                answer = await ask(s)
                assert (answer.body, marks(answer)) == (first.body, ("stale", "stale"))
            assert s.gateway.breaker_states()["openai/gpt-4.1"] == "open"

    run(scenario)


def test_a_wrong_request_is_told_so_although_an_answer_is_kept() -> None:
    """What the upstream refuses as the client's mistake stays a 400."""

    async def scenario() -> None:
        entry = {"targets": ["openai/gpt-4.1"], "cache": ON_ERROR, "fallback": SORRY}
        async with stack({"m": entry}) as s:
            await ask(s)
            s.lab.openai.fail(Fault(status=400))
            assert (await ask(s)).status == 400

    run(scenario)


def test_a_caller_may_do_without() -> None:
    """`cache: off` neither gives nor keeps an answer, `refresh` gives none and keeps the new one."""

    async def scenario() -> None:
        async with stack({"m": {"targets": ["openai/gpt-4.1"], "cache": KEEP}}) as s:
            assert marks(await ask(s, headers={"x-standfast-cache": "off"})) == ("", "")
            assert marks(await ask(s)) == ("", "miss")
            assert marks(await ask(s, standfast={"cache": "off"})) == ("", "")
            assert marks(await ask(s, standfast={"cache": "refresh"})) == ("", "")
            assert marks(await ask(s, standfast={"cache": True})) == ("cache", "hit")
            refused = await ask(s, headers={"x-standfast-cache": "perhaps"})
            assert (refused.status, error_of(refused)["param"]) == (400, "cache")
            assert len(entries(s)) == 4

    run(scenario)


def test_embeddings_are_kept_too() -> None:
    """Vectors of the same input are given again, byte for byte."""

    async def scenario() -> None:
        async with stack({"e": {"targets": ["openai/text-embedding-3-small"], "cache": KEEP}}) as s:
            body = {"model": "e", "input": ["hello", "you"]}
            first = await call(s.port, "/v1/embeddings", body)
            second = await call(s.port, "/v1/embeddings", body)
            assert (second.body, marks(second)) == (first.body, ("cache", "hit"))
            assert len(entries(s)) == 1

    run(scenario)


@either
def test_a_kept_answer_has_the_name_that_was_asked_for(stream: bool) -> None:
    """With `reply_model: requested` what is kept is what the client got, the name included."""

    async def scenario() -> None:
        entry = {"targets": ["openai/gpt-4.1"], "cache": KEEP, "reply_model": "requested"}
        async with stack({"m": entry}) as s:
            first = await ask(s, stream=stream)
            second = await ask(s, stream=stream)
            assert second.body == first.body
            assert b'"model":"m"' in second.body.replace(b'": "', b'":"')

    run(scenario)


def test_a_kept_answer_through_the_simple_call_and_the_library() -> None:
    """The flat object and the library's reply say that nobody was asked."""

    async def scenario() -> None:
        async with stack({"m": {"targets": ["openai/gpt-4.1"], "cache": KEEP}}) as s:
            first = (await call(s.port, "/chat", {"prompt": "hello"})).json()
            second = (await call(s.port, "/chat", {"prompt": "hello"})).json()
            assert second["content"] == first["content"]
            assert (second["model"], second["fallback_used"], second["attempts_count"]) == ("gpt-4.1", False, 0)
            controls = Controls(session="s")
            for expected in ("", "cache"):
                reply = await s.gateway.chat("m", HELLO, controls=controls, seed=1)
                assert (reply.text, reply.model) == (answer_of("gpt-4.1"), "gpt-4.1")
                assert (reply.deployment, reply.fallback, reply.source) == ("openai/gpt-4.1", False, expected)
            assert (reply.attempts, reply.usage) == ((), None)
            texts = ["".join([piece async for piece in s.gateway.stream("m", HELLO, seed=1)]) for _ in range(2)]
            assert texts == [answer_of("gpt-4.1")] * 2
            assert sources(s) == ["", "cache", "", "cache", "", "cache"]
            await until(lambda: at_rest(s))

    run(scenario)


def test_a_restart_forgets_no_kept_answer(tmp_path: Path) -> None:
    """`store: sqlite`: what one process kept another one gives, once it has read the file."""

    async def scenario() -> None:
        models = {"m": {"targets": ["openai/gpt-4.1"], "cache": KEEP}}
        store = {"store": "sqlite", "path": str(tmp_path / "answers.db")}
        async with stack(models, cache=store) as s:
            first = await ask(s)
        async with stack(models, cache=store) as s:
            kept = s.gateway.services.answers.store
            assert isinstance(kept, SqliteAnswers)
            await ask(s, prompt="reads the file")
            await until(kept.loaded.is_set)
            second = await ask(s)
            assert (second.body, marks(second)) == (first.body, ("cache", "hit"))

    run(scenario)


@either
def test_only_answers_that_count_are_kept_and_given(stream: bool) -> None:
    """What is kept satisfied the rules; a request with stricter rules is not told what breaks them."""

    async def scenario() -> None:
        entry = {"targets": TWO, "validate": CLAUDE, "cache": KEEP}
        async with stack({"m": entry}, defaults=PATIENT) as s:
            await ask(s, stream=stream)
            again = await ask(s, stream=stream)
            assert (again.text, marks(again)) == (answer_of("claude-haiku-4-5"), ("cache", "hit"))
            assert again.headers["x-standfast-fallback"] == "true"
            seen = len(entries(s))
            stricter = await ask(s, stream=stream, standfast={"validate": {"min_chars": 10_000}})
            assert not finished(stricter)
            own = await ask(s, stream=stream, standfast={"fallback": False})
            assert marks(own) != ("cache", "hit")
            assert len(entries(s)) > seen

    run(scenario)


# the last resort


@either
def test_the_message_takes_the_place_of_an_error(stream: bool) -> None:
    """When nobody can answer, the configured message is a complete answer, and marked."""

    async def scenario() -> None:
        async with stack({"m": {"targets": TWO, "fallback": SORRY}}, defaults=PATIENT) as s:
            for each in (s.lab.openai, s.lab.anthropic):
                each.fail(Fault(status=500))
            answer = await ask(s, stream=stream, headers={"x-standfast-trace": "1"})
            assert (finished(answer), answer.text) == (True, SORRY["message"])
            assert marks(answer) == ("fallback", "")
            assert answer.headers["x-standfast-fallback"] == "true"
            assert "x-standfast-deployment" not in answer.headers
            assert attempts(answer) >= 2
            assert json.loads(answer.headers["x-standfast-trace"])[-1]["outcome"] == "fallback"
            pieces = [json.loads(data) for data in answer.events[:-1]] if stream else [json.loads(answer.body)]
            assert {piece["model"] for piece in pieces} == {"m"}
            record = s.recorder.records[0]
            assert (record.source, record.status, record.code, record.deployment) == ("fallback", 200, "", "")
            assert (record.usage, record.fallback) == (None, True)
            await until(lambda: at_rest(s))

    run(scenario)


@either
def test_the_message_is_the_last_resort_only(stream: bool) -> None:
    """Not while a target answers, not before a kept answer, not for a wrong request, not for who wants no fallback."""

    async def scenario() -> None:
        entry = {"targets": ["openai/gpt-4.1"], "cache": ON_ERROR, "fallback": SORRY}
        async with stack({"m": entry}, defaults=PATIENT) as s:
            assert (await ask(s, stream=stream)).text == answer_of("gpt-4.1")
            s.lab.openai.fail(Fault(status=500))
            assert marks(await ask(s, stream=stream)) == ("stale", "stale")
            assert marks(await ask(s, stream=stream, prompt="other")) == ("fallback", "")
            off = await ask(s, stream=stream, prompt="other", headers={"x-standfast-fallback": "0"})
            assert off.status == 503
            json_wanted = await ask(s, stream=stream, prompt="other", response_format={"type": "json_object"})
            assert json_wanted.status == 503
            s.lab.openai.heal()
            s.lab.openai.fail(Fault(status=400))
            assert (await ask(s, stream=stream, prompt="other")).status == 400

    run(scenario)


def test_nothing_follows_content() -> None:
    """G3: an answer that broke off is reported as broken, though there is a message."""

    async def scenario() -> None:
        entry = {"targets": ["openai/gpt-4.1"], "on_break": "error", "fallback": SORRY, "cache": ON_ERROR}
        async with stack({"m": entry}) as s:
            await ask(s, stream=True)
            s.lab.openai.fail(Fault(cut_after_chunks=2))
            answer = await ask(s, stream=True)
            assert [error["code"] for error in errors_in(answer)] == ["broken_stream"]
            assert SORRY["message"].encode() not in answer.body
            assert s.recorder.records[-1].source == ""

    run(scenario)


@either
def test_the_message_comes_when_the_time_is_over(stream: bool) -> None:
    """B1: a deadline that passes is nobody's mistake; the client still listens and is told the message."""

    async def scenario() -> None:
        async with stack({"m": {"targets": ["openai/gpt-4.1"], "fallback": SORRY}}) as s:
            s.lab.openai.fail(Fault(hang=True))
            answer = await ask(s, stream=stream, headers={"x-standfast-deadline-ms": "150"})
            assert (finished(answer), answer.text) == (True, SORRY["message"])

    run(scenario)


@pytest.mark.parametrize(("kept", "source"), [(True, "stale"), (False, "fallback")])
def test_a_stream_whose_head_has_left_is_marked_inside(kept: bool, source: str) -> None:
    """After a heartbeat no header can be added: a comment says where the answer comes from."""

    async def scenario() -> None:
        entry = {"targets": ["openai/gpt-4.1"], "cache": ON_ERROR, "fallback": SORRY}
        async with stack({"m": entry}, defaults=PATIENT, server={"heartbeat": "50ms"}) as s:
            if kept:
                await ask(s, stream=True)
            s.lab.openai.fail(Fault(delay=0.15, status=500))
            answer = await ask(s, stream=True)
            assert finished(answer)
            assert answer.body.startswith(b": ping")
            assert f": x-standfast-source: {source}\n\n".encode() in answer.body
            assert answer.text == (answer_of("gpt-4.1") if kept else SORRY["message"])

    run(scenario)


def test_the_message_through_the_simple_call_and_the_library() -> None:
    """The flat object and the library's reply say that it is a fallback."""

    async def scenario() -> None:
        async with stack({"m": {"targets": ["openai/gpt-4.1"], "fallback": SORRY}}, defaults=PATIENT) as s:
            s.lab.openai.fail(Fault(status=500))
            flat = (await call(s.port, "/chat", {"prompt": "hello"})).json()
            assert (flat["content"], flat["model"], flat["fallback_used"]) == (SORRY["message"], "m", True)
            assert (await call(s.port, "/chat", {"prompt": "hello", "use_fallback": False})).status == 503
            reply = await s.gateway.chat("m", HELLO)
            assert (reply.text, reply.model, reply.source) == (SORRY["message"], "m", "fallback")
            assert (reply.deployment, reply.fallback, reply.usage) == ("", True, None)
            assert len(reply.attempts) >= 2
            assert "".join([piece async for piece in s.gateway.stream("m", HELLO)]) == SORRY["message"]

    run(scenario)


def test_a_reload_changes_the_terms() -> None:
    """Rules, ages and messages follow the configuration; what is kept stays."""

    async def scenario() -> None:
        async with stack({"m": {"targets": ["openai/gpt-4.1"], "cache": KEEP}}) as s:
            await ask(s)
            config = s.gateway.snapshot.config
            plain = config.models["m"].model_copy(update={"cache": None})
            s.gateway.reload(config.model_copy(update={"models": {"m": plain}}))
            assert marks(await ask(s)) == ("", "")
            s.gateway.reload(config)
            assert marks(await ask(s)) == ("cache", "hit")

    run(scenario)
