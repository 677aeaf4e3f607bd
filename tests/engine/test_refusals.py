"""Failure catalogue, part B: what a provider refuses, and who is shown what."""

import json
from collections.abc import Mapping

import pytest

from standfast.lab import Fault, Lab
from standfast.policy.cooldown import DEFAULT, QUARANTINE
from support.chat import SOON, WIRES, ask, attempts, entries, error_of, finished, kinds, run, targets
from support.raw import http_answer, raw_upstream
from support.stack import Stack, stack

BOTH = {"m": ["openai/gpt-4.1", "anthropic/claude-haiku-4-5"]}


def states(s: Stack) -> set[str]:
    """The states of all breakers."""
    return set(s.gateway.breaker_states().values())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault(status=400), 400, "invalid_request"),
        (Fault(status=413), 413, "payload_too_large"),
        (Fault(status=422, body="mistral_validation"), 422, "invalid_request"),
    ],
    ids=["400", "413", "422"],
)
def test_the_clients_fault_is_passed_on_at_once(wire: str, fault: Fault, status: int, code: str, stream: bool) -> None:
    """B3: what the client did wrong is told in OpenAI's shape, repeated nowhere, and nobody's ill health."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES[wire])}, defaults={"breaker": {"consecutive": 1}}) as s:
            s.lab[wire].fail(fault)
            answer = await ask(s, stream=stream)
            error = error_of(answer)
            assert (answer.status, error["code"], attempts(answer)) == (status, code, 1)
            assert error["type"] == "invalid_request_error"
            assert set(error) == {"message", "type", "param", "code"}
            assert answer.headers["x-should-retry"] == "false"
            assert "retry-after" not in answer.headers
            assert len(entries(s)) == 1
            assert states(s) == {"closed"}
            assert not s.recorder.changes

    run(scenario)


OVERFLOW = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens in the messages."


@pytest.mark.parametrize("wire", [*WIRES, "vllm"])
def test_every_wording_of_a_context_overflow_is_recognised(wire: str) -> None:
    """B4: four wordings, one code for the client; exactly one attempt, although another target stands by."""

    async def scenario() -> None:
        error = {"object": "error", "message": OVERFLOW, "type": "BadRequestError", "param": None, "code": 400}
        async with raw_upstream(http_answer(400, error)) as raw:
            first = "vllm/llama" if wire == "vllm" else WIRES[wire][0]
            models = {"m": [first, "gemini_twin/gemini-2.5-pro"]}
            async with stack(models, providers={"vllm": raw.provider}) as s:
                s.lab["openai" if wire == "vllm" else wire].fail(Fault(body="context_too_long"))
                for stream in (False, True):
                    answer = await ask(s, stream=stream)
                    assert (answer.status, attempts(answer)) == (400, 1)
                    assert error_of(answer)["code"] == "context_length_exceeded"
                assert len(entries(s)) + len(raw.requests) == 2

    run(scenario)


@pytest.mark.parametrize("wire", WIRES)
def test_a_policy_refusal_is_repeated_nowhere(wire: str) -> None:
    """B5: a prompt that the provider's policy refuses is an answer (400 or finish `content_filter`), not a failure."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES[wire])}, defaults={"breaker": {"consecutive": 1}}) as s:
            s.lab[wire].fail(Fault(body="content_filter"))
            answer = await ask(s)
            assert (answer.status, attempts(answer)) == (400, 1)
            assert wire != "openai" or error_of(answer)["code"] == "content_filter"
            s.lab[wire].heal()
            s.lab[wire].fail(Fault(body="refusal"))
            for stream in (False, True):
                answer = await ask(s, stream=stream)
                assert attempts(answer) == 1
                assert b"content_filter" in answer.body
            assert len(entries(s)) == 3
            assert states(s) == {"closed"}

    run(scenario)


@pytest.mark.parametrize("wire", WIRES)
def test_a_bad_key_is_wasted_once_and_never_the_clients_401(wire: str) -> None:
    """B6: a refused key is left alone after one attempt; the next key answers, and no request notices."""

    async def scenario() -> None:
        def pool(lab: Lab) -> Mapping[str, object]:
            suffix = {"openai": "/v1", "anthropic": "", "gemini": "/v1beta"}[wire]
            return {wire: {"base_url": lab[wire].url + suffix, "keys": ["sk-lab-key-bad", "sk-lab-key-good"]}}

        async with stack({"m": [WIRES[wire][0]]}, providers=pool) as s:
            s.lab[wire].fail(Fault(body="invalid_key", key="bad"))
            answers = [await ask(s, stream=n % 2 == 0) for n in range(12)]
            assert all(finished(answer) for answer in answers)
            assert sum(attempts(answer) for answer in answers) == 13
            assert sum(entry.key == "-bad" for entry in entries(s)) == 1
            assert [(change.subject, change.after) for change in s.recorder.changes] == [("quarantine", "resting")]
            assert states(s) == {"closed"}

    run(scenario)


def test_when_every_key_is_bad_the_next_provider_answers() -> None:
    """B6: one wasted attempt for each key, then none at all."""

    async def scenario() -> None:
        def pool(lab: Lab) -> Mapping[str, object]:
            return {"openai": {"base_url": f"{lab.openai.url}/v1", "keys": ["sk-bad-1", "sk-bad-2"]}}

        async with stack(BOTH, providers=pool) as s:
            s.lab.openai.fail(Fault(status=401))
            answers = [await ask(s) for _ in range(5)]
            assert all(finished(answer) for answer in answers)
            assert [attempts(answer) for answer in answers] == [3, 1, 1, 1, 1]
            assert len(entries(s, "openai")) == 2

    run(scenario)


@pytest.mark.parametrize("status", [401, 403])
def test_an_upstreams_401_is_not_the_clients(status: int) -> None:
    """B6: with no other key the client gets 503 and reads that the *upstream* key was refused."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}) as s:
            s.lab.openai.fail(Fault(status=status))
            answer = await ask(s)
            assert answer.status == 503
            assert error_of(answer)["type"] == "upstream_error"
            assert b"sk-lab-openai" not in answer.body
            again = await ask(s)
            assert (again.status, attempts(again)) == (503, 0)
            assert len(entries(s)) == 1

    run(scenario)


@pytest.mark.parametrize("wire", WIRES)
def test_a_missing_model_is_served_elsewhere(wire: str) -> None:
    """B8: 404 rests this model at this deployment only; other models of the same provider go on."""

    async def scenario() -> None:
        first = WIRES[wire][0]
        backup = "gemini_twin/gemini-2.5-pro"
        async with stack({"m": [first, backup], "n": [f"{first}-other"]}) as s:
            s.lab[wire].fail(Fault(status=404, model=first.partition("/")[2]))
            answers = [await ask(s, stream=n % 2 == 0) for n in range(4)]
            assert all(finished(answer) for answer in answers)
            assert [attempts(answer) for answer in answers] == [2, 1, 1, 1]
            assert kinds(s.recorder.records[0]) == ["model_not_found", "success"]
            other = await ask(s, "n")
            assert (finished(other), attempts(other)) == (True, 1)

    run(scenario)


def test_a_404_page_means_a_wrong_base_url() -> None:
    """B8: an HTML 404 is the deployment's failure, not a missing model; another target answers."""

    async def scenario() -> None:
        async with stack(BOTH, defaults={"retry": SOON}) as s:
            s.lab.openai.fail(Fault(status=404, body="html"))
            answer = await ask(s)
            assert finished(answer)
            assert set(kinds(s.recorder.records[0])[:-1]) == {"server_error"}
            failure = s.recorder.records[0].attempts[0].failure
            assert failure is not None
            assert "base_url" in failure.detail

    run(scenario)


def test_when_every_target_lacks_the_model_the_client_gets_404() -> None:
    """B8: the provider's 404 is the client's only if all attempts ended with it."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"], "n": ["openai/gpt-4.1-mini", "dead/x"]}) as s:
            s.lab.openai.fail(Fault(status=404))
            assert (await ask(s)).status == 404
            assert (await ask(s, "n")).status == 503

    run(scenario)


@pytest.mark.parametrize("status", [408, 409])
def test_transient_client_statuses_are_repeated(status: int) -> None:
    """B9: 408 and 409 are transient: repeated on the same target after a backoff, within the attempt limit."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}, defaults={"retry": SOON}) as s:
            s.lab.openai.fail(Fault(status=status, body="bad_request", times=2))
            answer = await ask(s)
            assert (finished(answer), attempts(answer)) == (True, 3)
            s.lab.openai.fail(Fault(status=status, body="bad_request"))
            answer = await ask(s)
            assert (answer.status, attempts(answer)) == (503, 4)

    run(scenario)


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        *((wire, "insufficient_quota") for wire in WIRES),
        *((wire, body) for wire in ("openai", "anthropic") for body in ("billing", "spend_limit")),
        ("gemini", "daily_quota"),
    ],
)
def test_a_spent_quota_is_not_asked_again(wire: str, body: str) -> None:
    """B12: no credit left (429, 402 or 400, by provider) rests the key for minutes; nothing is repeated there."""

    async def scenario() -> None:
        backup = "gemini_twin/gemini-2.5-pro"
        async with stack({"m": [WIRES[wire][0], backup]}) as s:
            s.lab[wire].fail(Fault(body=body, model=WIRES[wire][0].partition("/")[2]))
            answers = [await ask(s) for _ in range(4)]
            assert all(finished(answer) for answer in answers)
            assert [attempts(answer) for answer in answers] == [2, 1, 1, 1]
            assert kinds(s.recorder.records[0]) == ["quota_exhausted", "success"]
            assert targets(s.recorder.records[1]) == [backup]
            assert states(s) == {"closed"}
            assert (s.recorder.changes[0].until or 0) >= 150

    run(scenario)


def test_no_upstream_secret_is_told() -> None:
    """B6: neither the key nor the provider's words about it reach client, trace or record."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}) as s:
            s.lab.openai.fail(Fault(status=401))
            answer = await ask(s, headers={"x-standfast-trace": "1"})
            said = answer.body + json.dumps(answer.headers).encode() + repr(s.recorder.records).encode()
            assert b"sk-lab" not in said

    run(scenario)


@pytest.mark.parametrize(
    ("fault", "rest"),
    [
        ({"status": 401}, QUARANTINE / 2),
        ({"status": 429}, DEFAULT / 2),
        ({"status": 429, "headers": {"retry-after": "60"}}, 60.0),
        ({"status": 403}, QUARANTINE / 2),
    ],
    ids=["401", "429", "429-hint", "403"],
)
def test_one_bad_key_of_five_costs_its_probes_and_no_answer(fault: dict[str, object], rest: float) -> None:
    """B7: one key always refuses: no client sees it, the other four serve, the bad one gets what its rest allows."""

    async def scenario() -> None:
        keys = [f"sk-lab-key{number}" for number in range(5)]

        def pool(lab: Lab) -> dict[str, object]:
            return {"openai": {"base_url": f"{lab.openai.url}/v1", "keys": keys}}

        async with stack({"m": ["openai/gpt-4.1"]}, providers=pool, defaults={"retry": SOON}) as s:
            s.lab.openai.fail(Fault.model_validate({**fault, "key": "key3"}))
            began = s.gateway.services.clock.now()
            answers = [await ask(s, stream=number % 2 == 0) for number in range(100)]
            took = s.gateway.services.clock.now() - began
            assert all(finished(answer) for answer in answers)
            used = [entry.key[-4:] for entry in entries(s)]
            assert 1 <= used.count("key3") <= 1 + took // rest
            assert {used.count(f"key{number}") for number in (0, 1, 2, 4)} <= set(range(20, 31))
            assert states(s) == {"closed"}

    run(scenario)
