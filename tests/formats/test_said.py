"""What an answer says, read from the bytes that the client is to get."""

import json

import pytest

from standfast.canon.chat import ChatReply, Completed, Finish, Finished, Opened, StreamEvent, TextDelta
from standfast.formats._said import Said, said, said_in_stream
from standfast.formats.anthropic_messages import FORMAT as ANTHROPIC
from standfast.formats.base import Format
from standfast.formats.gemini import FORMAT as GEMINI
from standfast.formats.openai_chat import FORMAT as OPENAI

every_format = pytest.mark.parametrize("form", [OPENAI, ANTHROPIC, GEMINI], ids=lambda form: form.name)


def reply(*choices: object) -> bytes:
    """A whole reply of the front door's format."""
    return json.dumps({"id": "x", "choices": choices}).encode()


def stream(*chunks: list[object]) -> bytes:
    """A whole stream of the front door's format."""
    events = [b"data: " + json.dumps({"id": "x", "choices": choices}).encode() + b"\n\n" for choices in chunks]
    return b"".join(events) + b"data: [DONE]\n\n"


@every_format
@pytest.mark.parametrize("finish", [Finish.STOP, Finish.LENGTH])
def test_every_format_tells_text_and_finish(form: Format, finish: Finish) -> None:
    """What a format writes for its client is read back, whole and streamed."""
    whole = form.write_reply(ChatReply("i", "m", "héllo\nyou", finish, None), created=1)
    assert said(form, whole) == [Said("héllo\nyou", finish.value)]
    writer = form.writer(include_usage=False, created=1)
    events: list[StreamEvent] = [Opened("i", "m"), TextDelta("hé"), TextDelta("llo\n"), Finished(finish), Completed()]
    assert said_in_stream(form, b"".join(map(writer.write, events))) == [Said("héllo\n", finish.value)]


def test_every_choice_is_told() -> None:
    """`n` above 1: each choice for itself, streamed ones put together by their index."""
    whole = reply(
        {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"},
        {"index": 1, "message": {"content": "b"}, "finish_reason": "length"},
    )
    both = [Said("a", "stop"), Said("b", "length")]
    assert said(OPENAI, whole) == both
    pieces = stream(
        [{"index": 1, "delta": {"role": "assistant", "content": ""}}],
        [{"index": 0, "delta": {"content": "a"}}, {"index": 1, "delta": {"content": "b"}}],
        [{"index": 1, "delta": {}, "finish_reason": "length"}],
        [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        [],
    )
    assert said_in_stream(OPENAI, pieces) == both


@pytest.mark.parametrize("held", [{"tool_calls": [{"id": "c"}]}, {"function_call": {"name": "f"}}])
@pytest.mark.parametrize("finish", ["tool_calls", "function_call"])
def test_tool_calls_are_seen(held: dict[str, object], finish: str) -> None:
    """An answer that calls tools says so, whatever text stands beside the calls."""
    expected = [Said("wait", "tool_calls", calls_tools=True)]
    message = {"content": "wait", **held}
    assert said(OPENAI, reply({"message": message, "finish_reason": finish})) == expected
    chunks = stream([{"delta": {"content": "wait"}}], [{"delta": held}], [{"delta": {}, "finish_reason": finish}])
    assert said_in_stream(OPENAI, chunks) == expected


@pytest.mark.parametrize(
    ("finish", "word"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("model_length", "length"),
        ("content_filter", "content_filter"),
        ("eos", "stop"),
        (None, ""),
        (7, ""),
    ],
)
def test_finish_reasons_in_one_set_of_words(finish: object, word: str) -> None:
    """Dialects' words are translated, an unknown one counts as `stop`, and a missing one is not made up."""
    assert said(OPENAI, reply({"message": {"content": "a"}, "finish_reason": finish})) == [Said("a", word)]


def test_what_else_may_hold_the_text() -> None:
    """A refusal is what the answer says, and so are the text parts of a list; reasoning is not."""
    assert said(OPENAI, reply({"message": {"content": None, "refusal": "no"}})) == [Said("no", "")]
    parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert said(OPENAI, reply({"message": {"content": parts, "reasoning_content": "hm"}})) == [Said("ab", "")]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"choices": [', b"\xff"])
def test_what_is_no_answer_is_no_answer(body: bytes) -> None:
    """Bytes that are no reply raise ValueError, or have no choice; nothing else."""
    for form in (OPENAI, ANTHROPIC, GEMINI):
        try:
            choices = said(form, body)
        except ValueError:
            continue
        assert choices == []


def test_a_stream_of_nonsense_is_no_answer() -> None:
    """An event that is no JSON raises ValueError."""
    with pytest.raises(ValueError, match="JSON"):
        said_in_stream(OPENAI, b"data: <html>\n\n")
    assert said_in_stream(OPENAI, b": ping\n\ndata: [DONE]\n\n") == []
