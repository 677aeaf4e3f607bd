"""What a request may ask of the gateway itself, and what it may name."""

import asyncio
import json

import pytest

from standfast.lab import Fault
from support.chat import SOON, WIRES, ask, attempts, chat, entries, error_of, finished, kinds, run, targets
from support.http import call
from support.stack import stack

TWO_MODELS = {"m": ["openai/gpt-4.1", "anthropic/claude-haiku-4-5"]}
either = pytest.mark.parametrize("stream", [False, True])


@either
def test_a_deadline_ends_in_504(stream: bool) -> None:
    """B1: `deadline-ms` bounds the request as a whole, however patient the targets; nobody is blamed for it."""

    async def scenario() -> None:
        async with stack(TWO_MODELS, defaults={"breaker": {"consecutive": 1}}) as s:
            s.lab.openai.fail(Fault(hang=True))
            answer = await ask(s, stream=stream, headers={"x-standfast-deadline-ms": "150"})
            assert (answer.status, error_of(answer)["code"]) == (504, "deadline_passed")
            assert kinds(s.recorder.records[0]) == ["deadline_passed"]
            assert set(s.gateway.breaker_states().values()) == {"closed"}
            assert not entries(s, "anthropic")

    run(scenario)


def test_deadlines_end_in_their_order() -> None:
    """B1: of requests with different deadlines the shorter one ends first."""

    async def scenario() -> None:
        async with stack(TWO_MODELS) as s:
            s.lab.openai.fail(Fault(hang=True))
            ended: list[int] = []

            async def one(milliseconds: int) -> None:
                answer = await ask(s, standfast={"deadline_ms": milliseconds})
                assert answer.status == 504
                ended.append(milliseconds)

            await asyncio.gather(*(one(each) for each in (500, 100, 300)))
            assert ended == [100, 300, 500]

    run(scenario)


def test_a_deadline_is_shared_by_all_attempts() -> None:
    """B1: waiting for a hint does not go beyond the deadline: the error comes at once instead."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}) as s:
            s.lab.openai.fail(Fault(status=429, headers={"retry-after": "2"}))
            answer = await ask(s, headers={"x-standfast-deadline-ms": "1000"})
            assert (answer.status, attempts(answer)) == (429, 1)
            assert answer.headers["retry-after"] == "2"

    run(scenario)


@either
def test_fallback_off_keeps_the_model(stream: bool) -> None:
    """`fallback: 0`: only the model asked for may answer; the same model elsewhere still may."""

    async def scenario() -> None:
        models = {"m": ["openai/gpt-4.1", "anthropic/claude-haiku-4-5", "twin/gpt-4.1"]}
        async with stack(models, defaults={"retry": SOON}) as s:
            s.lab.openai.fail(Fault(status=500, key="openai"))
            answer = await ask(s, stream=stream, headers={"x-standfast-fallback": "0"})
            assert finished(answer)
            assert answer.headers["x-standfast-model"] == "gpt-4.1"
            s.lab.openai.fail(Fault(status=500))
            answer = await ask(s, stream=stream, standfast={"fallback": False})
            assert answer.status == 503
            assert not entries(s, "anthropic")

    run(scenario)


def test_labels_reach_the_record_and_not_the_provider() -> None:
    """Session, tags, priority and the caller's name stand in the record; the provider sees none of it."""

    async def scenario() -> None:
        keys = (("ann", "sk-client-ann-000000"), ("bob", "sk-client-bob-000000"))
        async with stack({"m": ["openai/gpt-4.1"]}, keys=keys) as s:
            headers = {"authorization": "Bearer sk-client-bob-000000", "x-standfast-tags": "a, b"}
            answer = await ask(s, headers=headers, standfast={"session": "s-1", "priority": 5})
            assert finished(answer)
            (record,) = s.recorder.records
            assert (record.session, record.tags, record.priority, record.caller) == ("s-1", ("a", "b"), 5, "bob")
            (entry,) = entries(s)
            assert b"standfast" not in entry.body.lower()
            assert not [name for name, _ in entry.headers if name.startswith("x-standfast")]
            assert "sk-client" not in json.dumps(entry.headers)
            for wrong in ({}, {"authorization": "Bearer sk-client-eve-000000"}):
                refused = await ask(s, headers=wrong)
                assert (refused.status, error_of(refused)["code"]) == (401, "invalid_api_key")
            assert len(entries(s)) == 1

    run(scenario)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("deadline-ms", "soon"),
        ("deadline-ms", "0"),
        ("priority", "9"),
        ("fallback", "perhaps"),
        ("tags", ",".join("abcdefghijklmnopqrstuvwxyz")),
        ("session", "x" * 300),
        ("dedline-ms", "100"),
        ("max-cost-usd", "-1"),
        ("max-cost-usd", "nan"),
        ("max-latency-ms", "0"),
        ("kind", "two words"),
        ("prefer", "cheap"),
    ],
)
def test_a_control_that_cannot_be_honoured_is_refused(name: str, value: str) -> None:
    """An unknown, impossible or future control is 400, never ignored; nothing is sent."""

    async def scenario() -> None:
        async with stack(TWO_MODELS) as s:
            by_header = await ask(s, headers={f"x-standfast-{name}": value})
            by_body = await ask(s, standfast={name.replace("-", "_"): value})
            for answer in (by_header, by_body):
                assert (answer.status, error_of(answer)["type"]) == (400, "invalid_request_error")
                assert answer.headers["x-should-retry"] == "false"
            assert not entries(s)
            assert s.gateway.in_flight == 0

    run(scenario)


def test_a_control_given_twice_is_refused() -> None:
    """The same control in header and body would be ambiguous."""

    async def scenario() -> None:
        async with stack(TWO_MODELS) as s:
            answer = await ask(s, headers={"x-standfast-priority": "1"}, standfast={"priority": 2})
            assert answer.status == 400
            assert not entries(s)

    run(scenario)


@pytest.mark.parametrize("wire", WIRES)
def test_a_provider_and_model_may_be_named_directly(wire: str) -> None:
    """`provider/model` needs no entry under `models`; an unknown provider or name is 404 with the nearest name."""

    async def scenario() -> None:
        async with stack({"gpt-best": ["openai/gpt-4.1"]}) as s:
            provider = WIRES[wire][0].partition("/")[0]
            for stream in (False, True):
                answer = await ask(s, f"{provider}/some-model", stream=stream)
                assert finished(answer)
                assert answer.headers["x-standfast-deployment"] == f"{provider}/some-model"
            assert {entry.model for entry in entries(s)} == {"some-model"}
            unknown = await ask(s, "gpt-bets")
            assert (unknown.status, error_of(unknown)["code"]) == (404, "model_not_found")
            assert "gpt-best" in error_of(unknown)["message"]
            assert (await ask(s, "nobody/gpt-4.1")).status == 404
            assert len(entries(s)) == 2

    run(scenario)


def test_embeddings_never_change_the_model() -> None:
    """Vectors of two models never mix: another deployment of the same model may answer, another model may not."""

    async def scenario() -> None:
        models = {
            "e": ["openai/text-embedding-3-small", "openai/text-embedding-3-large", "twin/text-embedding-3-small"],
            "mixed": ["openai/text-embedding-3-small", "openai/text-embedding-3-large"],
        }
        async with stack(models, defaults={"retry": SOON, "breaker": {"consecutive": 99, "min_calls": 99}}) as s:
            body = {"model": "e", "input": "hello"}
            healthy = await call(s.port, "/v1/embeddings", body)
            assert healthy.json()["model"] == "text-embedding-3-small"
            s.lab.openai.fail(Fault(status=500, key="openai"))
            answer = await call(s.port, "/v1/embeddings", body)
            assert answer.json()["data"] == healthy.json()["data"]
            assert answer.headers["x-standfast-deployment"] == "twin/text-embedding-3-small"
            refused = await call(s.port, "/v1/embeddings", {**body, "model": "mixed"})
            assert refused.status == 503
            assert {entry.model for entry in entries(s)} == {"text-embedding-3-small"}

    run(scenario)


@pytest.mark.parametrize("wire", WIRES)
def test_a_targets_params_are_its_own(wire: str) -> None:
    """`params` of a target are set in its request, and only in its."""

    async def scenario() -> None:
        params = {
            "openai": {"temperature": 0.25},
            "anthropic": {"temperature": 0.25},
            "gemini": {"generationConfig": {"temperature": 0.25}},
        }[wire]
        first, second = WIRES[wire]
        async with stack({"m": [{"target": first, "params": params}, second]}) as s:
            s.lab[wire].fail(Fault(status=500, times=1))
            assert finished(await ask(s))
            asked = [json.loads(entry.body) for entry in entries(s)]
            inner = [body.get("generationConfig", {}) if wire == "gemini" else body for body in asked]
            assert [each.get("temperature") for each in inner] == [0.25, None]
            assert targets(s.recorder.records[0]) == [first, second]

    run(scenario)


def test_a_targets_timeouts_are_its_own() -> None:
    """C1: `timeouts.gap` and `total` of one target do not hold for the next."""

    async def scenario() -> None:
        quick = {"target": "openai/gpt-4.1", "timeouts": {"total": "100ms"}}
        async with stack({"m": [quick, "twin/gpt-4.1"]}) as s:
            s.lab.openai.fail(Fault(delay=0.3))
            answer = await call(s.port, "/v1/chat/completions", chat())
            assert finished(answer)
            assert targets(s.recorder.records[0]) == ["openai/gpt-4.1", "twin/gpt-4.1"]

    run(scenario)


def test_names_that_clients_invent_do_not_pile_up() -> None:
    """E14, F6: clients may name models without end; what is kept for them is bounded, and what was learnt stays."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}, defaults={"breaker": {"consecutive": 1, "open": "60s"}}) as s:
            s.lab.openai.fail(Fault(status=500, model="gpt-4.1"))
            await ask(s)
            for n in range(600):
                assert finished(await ask(s, f"openai/x{n}", stream=n % 2 == 0))
            assert len(s.gateway.snapshot.outlets) <= 257
            assert len(s.gateway.breaker_states()) <= 257
            assert s.gateway.breaker_states()["openai/gpt-4.1"] == "open"

    run(scenario)
