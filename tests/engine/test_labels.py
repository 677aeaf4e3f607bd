"""Answers whose headers say something else than their bodies: the content decides."""

import pytest

from standfast.lab import Fault
from support.chat import WIRES, answer_of, ask, at_rest, attempts, error_of, finished, run, until
from support.stack import stack

LABELS = (
    "application/octet-stream",
    "text/plain; charset=iso-8859-1",
    "application/json; charset=utf-16",
    "application/json",
    "text/html; charset=UTF-8",
    "text/event-stream",
    "nonsense",
)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", WIRES)
def test_an_answer_is_read_by_its_content(wire: str, stream: bool, label: str) -> None:
    """B19: whatever type and charset the provider names, the answer passes, and the client is told the right ones."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES[wire])}) as s:
            s.lab[wire].fail(Fault(content_type=label))
            answer = await ask(s, stream=stream, prompt="h\u00e9llo \U0001f600")
            assert finished(answer), answer.body
            assert attempts(answer) == 1
            assert answer.text == answer_of(WIRES[wire][0].partition("/")[2], "h\u00e9llo \U0001f600")
            right = "text/event-stream; charset=utf-8" if stream else "application/json"
            assert answer.headers["content-type"] == right
            await until(lambda: at_rest(s))

    run(scenario)


@pytest.mark.parametrize("label", LABELS)
def test_a_refusal_is_read_by_its_content(label: str) -> None:
    """B19: an error is classified by what it says, for the client's 400 as for anything else."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES["openai"])}) as s:
            s.lab.openai.fail(Fault(body="context_too_long", content_type=label))
            answer = await ask(s)
            assert (answer.status, error_of(answer)["code"]) == (400, "context_length_exceeded")

    run(scenario)


@pytest.mark.parametrize("fault", [{"cut_after_chunks": 2, "how": "clean_end"}, {"error_event_after_chunks": 2}])
def test_a_label_does_not_make_a_broken_stream_whole(fault: dict[str, object]) -> None:
    """B19, G2: what is read whole because of its label is judged as the stream that it is: another target answers."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES["openai"])}) as s:
            wrong = {"content_type": "application/json", "key": "openai", **fault}
            s.lab.openai.fail(Fault.model_validate(wrong))
            answer = await ask(s, stream=True)
            assert finished(answer)
            assert answer.text == answer_of("gpt-4.1")
            assert len(s.recorder.records[0].attempts) == 2
            await until(lambda: at_rest(s))

    run(scenario)
