"""How a request is sent where it belongs: strategies, wishes and the model `auto`, through the whole house."""

import json
from typing import Any

import pytest

from standfast.canon.ask import Ask
from standfast.engine.considering import ask_of
from standfast.engine.inquiry import Inquiry, read_controls
from standfast.lab import Fault
from standfast.policy.exchange import Exchange
from support.chat import SOON, ask, attempts, chat, entries, error_of, finished, run, until
from support.http import call
from support.stack import stack

THREE = ["openai/gpt-4.1", "anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash"]
CHEAPEST = "gemini/gemini-2.5-flash"  # of the three, by the published prices
either = pytest.mark.parametrize("stream", [False, True])


@either
def test_auto_needs_no_configuration(stream: bool) -> None:
    """`auto` is every model there is; it stands in the list of models, and a failure goes on to the next best."""

    async def scenario() -> None:
        async with stack({"a": THREE[:1], "b": THREE[1:]}, defaults={"retry": SOON}) as s:
            listed = [model["id"] for model in (await _get(s.port, "/v1/models"))["data"]]
            assert listed == ["a", "b", "auto"]
            assert (await _get(s.port, "/v1/models/auto"))["id"] == "auto"
            headers = {"x-standfast-trace": "1", "x-standfast-prefer": "quality"}
            answer = await ask(s, "auto", stream=stream, headers=headers)
            assert finished(answer)
            decision, attempt = json.loads(answer.headers["x-standfast-trace"])
            ranking = decision["decision"]["ranking"]
            assert sorted(row["target"] for row in ranking) == sorted(THREE)
            assert attempt["target"] == ranking[0]["target"] == answer.headers["x-standfast-deployment"]
            s.lab[ranking[0]["target"].partition("/")[0]].fail(Fault(status=500))
            answer = await ask(s, "auto", stream=stream, headers=headers)
            assert finished(answer)
            assert answer.headers["x-standfast-deployment"] == ranking[1]["target"]

    run(scenario)


async def _get(port: int, path: str) -> "dict[str, list[dict[str, str]]]":
    answer = await call(port, path, None, method="GET")
    found: dict[str, list[dict[str, str]]] = json.loads(answer.body)
    return found


def test_a_configured_auto_wins() -> None:
    """Who configures a model of that name has said what it is."""

    async def scenario() -> None:
        async with stack({"auto": ["openai/gpt-4.1"], "b": THREE[1:]}) as s:
            answer = await ask(s, "auto", headers={"x-standfast-prefer": "cost"})
            assert answer.headers["x-standfast-deployment"] == "openai/gpt-4.1"
            assert [route.strategy.name for route in s.gateway.snapshot.routes.values()] == ["priority", "priority"]

    run(scenario)


def test_auto_embeds_nothing() -> None:
    """Vectors of two models never mix, so there is no best one of all."""

    async def scenario() -> None:
        async with stack({"e": ["openai/text-embedding-3-small"], "m": THREE}) as s:
            answer = await call(s.port, "/v1/embeddings", {"model": "auto", "input": "hello"})
            assert (answer.status, error_of(answer)["param"]) == (400, "model")
            assert not entries(s)

    run(scenario)


@either
def test_the_cheapest_serves(stream: bool) -> None:
    """By the published prices of the three; and the next one when it fails."""

    async def scenario() -> None:
        models = {"m": {"strategy": "cheapest", "targets": THREE}}
        async with stack(models, defaults={"retry": SOON}) as s:
            answer = await ask(s, stream=stream)
            assert answer.headers["x-standfast-deployment"] == CHEAPEST
            s.lab.gemini.fail(Fault(status=500))
            answer = await ask(s, stream=stream)
            assert finished(answer)
            assert attempts(answer) > 1

    run(scenario)


def test_a_limit_on_the_cost_is_kept_even_when_all_that_is_cheap_fails() -> None:
    """`max-cost-usd` excludes under every strategy; too little for anybody is 400 before anything is sent."""

    async def scenario() -> None:
        async with stack({"m": THREE}, defaults={"retry": SOON}) as s:
            s.lab.gemini.fail(Fault(status=500))
            answer = await ask(s, headers={"x-standfast-max-cost-usd": "0.0015"}, max_tokens=500)
            assert answer.status == 503
            assert not entries(s, "openai")
            assert not entries(s, "anthropic")
            sent = len(entries(s))
            refused = await ask(s, standfast={"max_cost_usd": 0.0000001})
            assert (refused.status, error_of(refused)["code"]) == (400, "too_expensive")
            assert len(entries(s)) == sent
            assert s.gateway.in_flight == 0

    run(scenario)


def test_the_simple_call_keeps_its_wishes() -> None:
    """`use_fallback: false` changes one control and loses none."""

    async def scenario() -> None:
        async with stack({"m": THREE}) as s:
            headers = {"x-standfast-max-cost-usd": "0"}
            answer = await call(s.port, "/chat", {"prompt": "hello", "use_fallback": False}, headers)
            assert (answer.status, error_of(answer)["code"]) == (400, "too_expensive")
            assert not entries(s)

    run(scenario)


def test_wishes_do_not_reach_the_provider() -> None:
    """Controls are the gateway's own, from headers and from the body."""

    async def scenario() -> None:
        async with stack({"m": {"strategy": "smart", "targets": THREE[:1]}}) as s:
            headers = {"x-standfast-kind": "code", "x-standfast-max-latency-ms": "5000"}
            assert finished(await ask(s, headers=headers, standfast={"prefer": "cost", "max_cost_usd": 1}))
            (entry,) = entries(s)
            assert b"standfast" not in entry.body
            assert not [name for name, _ in entry.headers if "standfast" in name.lower()]

    run(scenario)


def test_turns_are_taken_through_the_whole_house() -> None:
    """`round_robin` over two deployments of one model: one after the other."""

    async def scenario() -> None:
        async with stack({"m": {"strategy": "round_robin", "targets": ["openai/gpt-4.1", "twin/gpt-4.1"]}}) as s:
            found = [(await ask(s)).headers["x-standfast-deployment"] for _ in range(6)]
            assert found == ["openai/gpt-4.1", "twin/gpt-4.1"] * 3

    run(scenario)


def test_a_session_sticks_and_comes_back() -> None:
    """`sticky`: one target for a session; while it is down another, afterwards the same again."""

    async def scenario() -> None:
        models = {"m": {"strategy": "sticky", "targets": ["openai/gpt-4.1", "twin/gpt-4.1"]}}
        breaker = {"consecutive": 1, "open": "100ms", "half_open_successes": 1, "ramp": 0}
        async with stack(models, defaults={"retry": SOON, "breaker": breaker}) as s:

            async def where() -> str:
                answer = await ask(s, headers={"x-standfast-session": "s-1"})
                assert finished(answer)
                return answer.headers["x-standfast-deployment"]

            home = await where()
            assert [await where() for _ in range(5)] == [home] * 5
            s.lab.openai.fail(Fault(status=500, key=home.partition("/")[0], times=1))
            assert await where() != home
            await until(lambda: s.gateway.breaker_states()[home] != "open")
            assert [await where() for _ in range(3)] == [home] * 3

    run(scenario)


def test_the_library_explains_what_would_happen() -> None:
    """`Gateway.explain` names the target that `chat` then asks, and sends nothing."""

    async def scenario() -> None:
        async with stack({"m": {"strategy": "cheapest", "targets": THREE}}) as s:
            hello = [{"role": "user", "content": "hello"}]
            decision = s.gateway.explain("m", hello)
            assert not entries(s)
            assert decision.rows[0].target == (await s.gateway.chat("m", hello)).deployment

    run(scenario)


def test_the_explanation_knows_what_the_judgement_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ask that is explained is the ask that is sent, field by field."""

    async def scenario() -> None:
        async with stack({"m": THREE}) as s:
            seen: list[Ask] = []

            def spy(ask: Ask, *rest: Any, **more: Any) -> Exchange:
                seen.append(ask)
                return Exchange(ask, *rest, **more)

            monkeypatch.setattr("standfast.engine.gateway.Exchange", spy)
            headers = {"x-standfast-session": "s", "x-standfast-tags": "a,b", "x-standfast-priority": "4"}
            headers |= {"x-standfast-deadline-ms": "5000", "x-standfast-fallback": "0"}
            body = chat(stream=True, max_tokens=77, reasoning_effort="low")
            await ask(s, stream=True, headers=headers, max_tokens=77, reasoning_effort="low")
            plane = s.plane
            form = plane._by_path[b"/v1/chat/completions"][0]
            controls = read_controls({name.removeprefix("x-standfast-"): value for name, value in headers.items()})
            inquiry = Inquiry(form, seen[0].operation, form.read(json.dumps(body).encode()), controls)
            other = ask_of(inquiry, s.gateway.snapshot.route("m"), seen[0].arrived)
            for field in Ask.__struct_fields__:
                if field != "prompt_tokens":  # the two bodies differ by blanks
                    assert getattr(other, field) == getattr(seen[0], field), field

    run(scenario)
