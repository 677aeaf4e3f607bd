"""G1 and G2: over a random history of faults every request has one outcome, and no answer lies."""

import asyncio
import random
from collections import Counter

import pytest

from standfast.canon.attempt import Attempt
from standfast.lab import Fault
from standfast.lab.journal import Entry
from support.chat import (
    SOON,
    WIRES,
    Talk,
    answer_of,
    ask,
    at_rest,
    attempts,
    chat,
    entries,
    errors_in,
    finish_reasons,
    finished,
    run,
    until,
)
from support.http import Response
from support.stack import Stack, stack

FAULTS = (
    Fault(status=500),
    Fault(status=503),
    Fault(status=429),
    Fault(status=429, headers={"retry-after-ms": "60"}),
    Fault(status=400),
    Fault(reset=True),
    Fault(hang=True),
    Fault(cut_after_chunks=0),
    Fault(cut_after_chunks=1, how="clean_end"),
    Fault(cut_after_chunks=2, how="reset"),
    Fault(cut_after_chunks=3, how="close"),
    Fault(cut_after_chunks=99, how="clean_end"),
    Fault(cut_after_chunks=99, how="close"),
    Fault(stall_after_chunks=0),
    Fault(stall_after_chunks=2),
    Fault(error_event_after_chunks=0),
    Fault(error_event_after_chunks=2, done_after_error=True),
    Fault(status=200, body="html"),
    Fault(body="truncated_json"),
    Fault(body="empty"),
    Fault(bad_gzip=True),
    Fault(wrong_content_length=7),
    Fault(slice_bytes=3),
    Fault(late_chunks=2),
    Fault(two_finish_reasons=True),
    Fault(no_done=True),
    Fault(garbage=40),
    Fault(obs_fold=True),
    Fault(informational=True),
    Fault(chunk_delay=0.01),
    Fault(usage_missing=True),
)
RATE = 0.35


def settings() -> dict[str, object]:
    """Short timeouts, and breakers that leave the faults some traffic."""
    return {
        "timeouts": {"first_token": "200ms", "gap": "200ms"},
        "retry": SOON,
        "breaker": {"consecutive": 8, "rate": 0.9, "open": "50ms", "open_cap": "100ms"},
    }


def seen_with(s: Stack, prompt: str) -> list[Entry]:
    """What the stand-ins saw of one request."""
    marker = f'"{prompt}"'.encode()
    return [entry for entry in entries(s) if marker in entry.body]


def broke_off(attempt: Attempt) -> bool:
    """Did it fail after its first content?"""
    return attempt.failure is not None and attempt.first_content is not None


def assert_honest(s: Stack, answer: Response, prompt: str, stream: bool) -> str:
    """The rules for one answer; what it was."""
    record = next(each for each in s.recorder.records if each.id == answer.headers["x-standfast-request-id"])
    seen = seen_with(s, prompt)
    assert len(seen) <= 5  # four attempts; a stale connection may have swallowed one
    if finished(answer):
        model = record.deployment.partition("/")[2]
        assert record.status == 200
        assert record.attempts[-1].outcome.value == "success"
        assert answer.text == answer_of(model, prompt)
        assert seen[-1].model == model
        assert seen[-1].status == 200
        if stream:
            assert finish_reasons(answer) == ["stop"]
        return "answer"
    assert record.code
    assert not record.attempts or any(attempt.failure is not None for attempt in record.attempts)
    if answer.status == 200:
        assert len(errors_in(answer)) == 1
        assert answer.complete
        assert not finish_reasons(answer)
        assert "[DONE]" not in answer.events
        shown = answer.body.decode()
        assert any(attempt.first_content is not None for attempt in record.attempts), shown
        return "broken"
    assert answer.json()["error"]
    assert record.status == answer.status
    return "error"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_false_success_in_a_random_history(seed: int) -> None:
    """G1, G2, G3: hundreds of requests, streamed and not, to all wires under random faults: 0 false successes."""

    async def scenario() -> None:
        models = {f"{wire}-model": list(pair) for wire, pair in WIRES.items()}
        models["any"] = [pair[0] for pair in WIRES.values()]
        rng = random.Random(seed)
        async with stack(models, defaults=settings()) as s:
            for wire in WIRES:
                for fault in FAULTS:
                    s.lab[wire].fail(fault.model_copy(update={"rate": RATE / len(FAULTS) * 1.5}))
            gate = asyncio.Semaphore(24)
            outcomes: Counter[str] = Counter()

            async def one(n: int) -> None:
                stream, model, prompt = rng.random() < 0.6, rng.choice(list(models)), f"n{seed}-{n}"
                async with gate:
                    answer = await ask(s, model, stream=stream, prompt=prompt)
                assert 0 <= attempts(answer) <= 5  # four, and one that a stale connection may have swallowed
                outcomes[assert_honest(s, answer, prompt, stream)] += 1

            await asyncio.gather(*(one(n) for n in range(250)))
            assert sum(outcomes.values()) == 250 == len(s.recorder.records)
            assert len({record.id for record in s.recorder.records}) == 250
            assert outcomes["answer"] > 150
            assert any(broke_off(attempt) for record in s.recorder.records for attempt in record.attempts)
            assert sum(bool(entry.fault) for entry in entries(s)) > 50
            await until(lambda: at_rest(s))

    run(scenario, 30)


def test_clients_that_leave_at_random_leave_nothing() -> None:
    """G1, G7: clients that go at random points under random faults: one outcome each, everything given back."""

    async def scenario() -> None:
        models = {"any": [pair[0] for pair in WIRES.values()]}
        rng = random.Random(5)
        async with stack(models, defaults=settings()) as s:
            for wire in WIRES:
                for fault in FAULTS:
                    s.lab[wire].fail(fault.model_copy(update={"rate": RATE / len(FAULTS)}))
                s.lab[wire].fail(Fault(chunk_delay=0.01, rate=0.3))
            gate = asyncio.Semaphore(24)

            async def one(n: int) -> None:
                async with gate:
                    talk = await Talk.begin(s, chat("any", stream=n % 2 == 0, prompt=f"n{n}"))
                    await asyncio.sleep(rng.random() * 0.08)
                    talk.reset()

            await asyncio.gather(*(one(n) for n in range(150)))
            await until(lambda: at_rest(s))
            assert len({record.id for record in s.recorder.records}) == len(s.recorder.records) <= 150
            assert {record.status for record in s.recorder.records} >= {200, 499}

    run(scenario, 30)
