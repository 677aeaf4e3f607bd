"""Hedged pairs on the wire: one winner, no bytes of the other, and the other's connection closed."""

import pytest

from standfast.lab import Fault
from support.chat import WIRES, Talk, answer_of, ask, at_rest, chat, entries, finish_reasons, finished, run, until
from support.stack import stack

HEDGED = {"hedge": {"after": "40ms"}, "retry": {"max_attempts": 2, "max_ambiguous": 1}}
FIRST, SECOND = Fault(first_token_delay=9, key="openai"), Fault(first_token_delay=0.1, key="twin")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("other", ["twin/gpt-4.1", "anthropic/gpt-4.1", "gemini/gpt-4.1"])
def test_the_loser_of_a_pair_is_closed_before_it_says_anything(other: str, stream: bool) -> None:
    """C17: both start, the second has content first: one answer, both in the record, the loser closed and unbilled."""

    async def scenario() -> None:
        slow = FIRST if stream else Fault(delay=9, key="openai")
        async with stack({"m": ["openai/gpt-4.1", other]}, defaults=HEDGED) as s:
            s.lab.openai.fail(slow)
            answer = await ask(s, stream=stream)
            assert finished(answer)
            assert answer.text == answer_of("gpt-4.1")
            if stream:
                assert finish_reasons(answer) == ["stop"]
                assert answer.body.count(b'"role":"assistant"') == 1
            (record,) = s.recorder.records
            told = {attempt.deployment: (attempt.outcome, attempt.purpose) for attempt in record.attempts}
            assert told == {"openai/gpt-4.1": ("cancelled", "answer"), other: ("success", "hedge")}
            assert record.deployment == other
            await until(lambda: entries(s, "openai")[0].peer_closed)
            assert entries(s, "openai")[0].output_tokens == 0
            await until(lambda: at_rest(s))

    run(scenario)


def test_the_loser_is_closed_while_the_winner_still_speaks() -> None:
    """C17: at the winner's first content, not at its end: the answer goes on for as long as it takes."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES["openai"])}, defaults=HEDGED) as s:
            s.lab.openai.fail(FIRST)
            s.lab.openai.fail(Fault(tokens=4, stall_after_chunks=2, key="twin"))
            talk = await Talk.begin(s, chat(stream=True))
            await talk.head()
            await until(lambda: entries(s)[0].peer_closed)
            assert s.gateway.in_flight == 1
            assert not entries(s)[1].peer_closed
            await talk.close()
            await until(lambda: at_rest(s))

    run(scenario)


def test_a_pair_that_says_the_same_at_once_gives_one_answer() -> None:
    """C17: many pairs whose contents come together: every client reads one answer, whole, from one of them."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES["openai"])}, defaults=HEDGED) as s:
            s.lab.openai.fail(Fault(first_token_delay=0.1, chunk_delay=0.002, key="openai"))
            s.lab.openai.fail(Fault(first_token_delay=0.06, chunk_delay=0.002, key="twin"))
            for _ in range(20):
                answer = await ask(s, stream=True)
                assert finished(answer)
                assert answer.text == answer_of("gpt-4.1")
            records = s.recorder.records
            assert all(len(record.attempts) == 2 for record in records)
            assert all([each.outcome for each in record.attempts].count("success") == 1 for record in records)
            await until(lambda: at_rest(s))

    run(scenario)
