"""The rest of a broken stream: asked for in the target's words, written in the client's, told once."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast import plugins
from standfast.canon.chat import ChatRequest, Completed, Finish, Finished, Message, Opened, Role, Text, UsageReport
from standfast.canon.prefill import FINAL_MESSAGE, PLAIN, PREFIX, Prefill
from standfast.canon.usage import Usage
from standfast.errors import Untranslatable
from standfast.formats._heard import Heard, heard
from standfast.formats._resume import SAME, SHORT, ResumeRelay
from standfast.formats.base import Format
from support.streams import FORMS, LIMIT, NAMES, PLACES, TEXTS, chunk, cut, read, written

CHAT = FORMS["openai_chat"]
ASKED = ChatRequest((Message(Role.USER, (Text("hello"),)),), stream=True, max_tokens=100)


def go_on(upstream: Format, client: Format, told: Heard, stream: bytes, size: int) -> tuple[bytes, ResumeRelay]:
    """What goes to the client, whatever the slices."""
    relay = ResumeRelay(upstream, client, told, Usage(3, 2), include_usage=True, max_event_bytes=LIMIT)
    out = b"".join(relay.feed(stream[at : at + size]) for at in range(0, len(stream), size))
    return out + relay.close(), relay


@pytest.mark.parametrize("client", NAMES)
@pytest.mark.parametrize("upstream", NAMES)
@given(TEXTS.filter(str.strip), st.integers(1, 59), st.tuples(PLACES, PLACES, st.integers(1, 90)))
def test_the_rest_is_told_exactly_once(
    upstream: str, client: str, text: str, broke: int, slices: tuple[list[int], list[int], int]
) -> None:
    """G3, the lossy mode: wherever it broke and however it is sliced, one stream with one beginning and one end."""
    form, (first, second, size) = FORMS[client], slices
    before = text[: 1 + broke % len(text)]
    if not before.strip():
        return
    pieces = written(form, cut(before, first), ends=False)
    told = heard(form, pieces)
    assert told.start == before.rstrip()
    rest = text[len(told.start) :]  # a model that was told no blanks says them itself
    stream = b"".join(written(FORMS[upstream], cut(rest, second), name="id-2", model="m-2"))
    out, relay = go_on(FORMS[upstream], form, told, stream, size)
    if len(told.start) >= SHORT and rest[: len(told.start)] == told.start[: len(rest)]:
        return  # says the same again: that is another test's
    assert relay.complete
    whole, others = read(form, b"".join(pieces) + out)
    assert whole == text
    assert [event for event in others if isinstance(event, Opened)] == [told.opened]
    assert others[-1] == Completed()
    assert Finished(Finish.STOP) in others
    assert relay.usage == Usage(7, 9)
    assert [event.usage for event in others if isinstance(event, UsageReport)][-1] == Usage(10, 11)


@pytest.mark.parametrize(
    ("before", "rest", "whole"),
    [
        ("one ", " two", "one two"),
        ("one ", "two", "one two"),
        ("one\n", "\n\ntwo", "one\n\ntwo"),
        ("one \n", " \t", "one \n\t"),
        ("one", " two", "one two"),
        ("one  ", "", "one  "),
    ],
)
def test_blanks_at_the_seam_stand_once(before: str, rest: str, whole: str) -> None:
    """The request leaves them out; what of them comes back is swallowed."""
    told = heard(CHAT, pieces := written(CHAT, [before], ends=False))
    out, relay = go_on(CHAT, CHAT, told, b"".join(written(CHAT, list(rest))), 1000)
    assert relay.complete
    assert read(CHAT, b"".join(pieces) + out)[0] == whole


ANSWERS = st.text("abcdefgh ", min_size=SAME + 1, max_size=80).filter(lambda text: len(text.strip()) > SAME)


@pytest.mark.parametrize("upstream", NAMES)
@given(ANSWERS, st.integers(SHORT, 79), st.tuples(PLACES, st.text("xyz ", max_size=20)))
def test_what_is_said_again_is_told_once(upstream: str, text: str, broke: int, rest: tuple[list[int], str]) -> None:
    """A server that repeats what it was given, or begins the same answer anew: only what follows is new."""
    places, more = rest
    before = text[: max(SHORT, broke % len(text))]
    if len(before.strip()) < SHORT:
        return
    told = heard(CHAT, pieces := written(CHAT, [before], ends=False))
    out, relay = go_on(FORMS[upstream], CHAT, told, b"".join(written(FORMS[upstream], cut(text + more, places))), 50)
    assert relay.complete
    assert read(CHAT, b"".join(pieces) + out)[0] == text + more


@given(ANSWERS, PLACES, st.integers(SAME, 79), st.text("xyz", max_size=20))
def test_another_answer_is_not_put_together_with_the_first(text: str, places: list[int], at: int, more: str) -> None:
    """G3: a server that begins anew and then says something else, or ends, has failed; nothing of it is given."""
    start = text.rstrip()
    at = min(at, len(start) - 1)
    told = heard(CHAT, written(CHAT, [text], ends=False))
    out, relay = go_on(CHAT, CHAT, told, b"".join(written(CHAT, cut(text[:at] + more, places))), 50)
    assert (out, relay.content) == (b"", False)
    assert relay.malformed == "it begins another answer"


@pytest.mark.parametrize("rest", ["Yes, of course", "Yes and", "Yes", "Yes and no, and perhaps"])
def test_a_rest_that_only_begins_alike_is_a_rest(rest: str) -> None:
    """What was held back in doubt is given: at the first difference, or at the end."""
    told = heard(CHAT, written(CHAT, ["Yes and no. " + 30 * "x"], ends=False))
    out, relay = go_on(CHAT, CHAT, told, b"".join(written(CHAT, list(rest))), 1000)
    assert relay.complete
    assert read(CHAT, out)[0] == rest


def test_a_few_characters_may_be_said_twice() -> None:
    """A laugh goes on with the same letters: what is too short to be known again is no repetition."""
    told = heard(CHAT, written(CHAT, ["ha"], ends=False))
    out, _ = go_on(CHAT, CHAT, told, b"".join(written(CHAT, ["ha", "ha"])), 1000)
    assert read(CHAT, out)[0] == "haha"


def test_the_rest_belongs_to_the_stream_that_has_begun() -> None:
    """No second role, and the id, the model and the time of the first attempt."""
    told = heard(CHAT, written(CHAT, ["one "], ends=False, name="first", model="model-a"))
    out, _ = go_on(CHAT, CHAT, told, b"".join(written(CHAT, ["two"], name="second", model="model-b")), 1000)
    chunks = [json.loads(line[6:]) for line in out.decode().split("\n\n") if line.startswith("data: {")]
    assert {(each["id"], each["model"], each["created"]) for each in chunks} == {("first", "model-a", 1_760_000_000)}
    assert not any("role" in choice["delta"] for each in chunks for choice in each["choices"])


def test_a_tool_call_is_no_rest() -> None:
    """Plain text only: a tool call that nobody can have asked for fails the attempt."""
    told = heard(CHAT, written(CHAT, ["text"], ends=False))
    out, relay = go_on(CHAT, CHAT, told, chunk({"tool_calls": [{"index": 0, "function": {"name": "f"}}]}), 1000)
    assert out == b""
    assert relay.malformed


# the request


def test_the_anthropic_way_is_a_last_message() -> None:
    """Without a mark; the limit of tokens is lowered by what was said."""
    form = FORMS["anthropic_messages"]
    body = json.loads(form.go_on(form.write_request(ASKED, "m", {}), 40 * "x", PLAIN))
    assert body["messages"] == [{"role": "user", "content": "hello"}, {"role": "assistant", "content": 40 * "x"}]
    assert (body["max_tokens"], body["stream"]) == (90, True)


def test_the_gemini_way_is_a_last_content_of_the_model() -> None:
    """Its limit of tokens stands in `generationConfig`."""
    form = FORMS["gemini"]
    body = json.loads(form.go_on(form.write_request(ASKED, "m", {}), 40 * "x", PLAIN))
    assert [content["role"] for content in body["contents"]] == ["user", "model"]
    assert body["contents"][1]["parts"] == [{"text": 40 * "x"}]
    assert body["generationConfig"] == {"maxOutputTokens": 90}


@pytest.mark.parametrize(
    ("prefill", "message", "fields"),
    [
        (PLAIN, {}, {}),
        (PREFIX, {"prefix": True}, {}),
        (FINAL_MESSAGE, {}, {"continue_final_message": True, "add_generation_prompt": False}),
    ],
)
def test_the_openai_dialects_each_have_their_mark(
    prefill: Prefill, message: dict[str, object], fields: dict[str, object]
) -> None:
    """vLLM, Mistral and DeepSeek, OpenRouter; all other values keep their bytes."""
    before = b'{"messages": [ {"role":"user", "content":"h\\u00e9"} ], "seed": 1.50, "model":"m", "max_tokens":7}'
    after = CHAT.go_on(before, "a \U0001f600", prefill)
    assert b' {"role":"user", "content":"h\\u00e9"} ,' in after
    assert b'"seed":1.50' in after
    body = json.loads(after)
    assert body["messages"][1] == {"role": "assistant", "content": "a \U0001f600", **message}
    assert {name: body[name] for name in fields} == fields
    assert body["max_tokens"] == 7


OPENAI = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True}
ANTHROPIC = {**OPENAI, "max_tokens": 9}
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "x"}]}]}
MORE_THAN_TEXT = [
    ("openai_chat", {**OPENAI, "n": 2}),
    ("openai_chat", {**OPENAI, "logprobs": True}),
    ("openai_chat", {**OPENAI, "tools": [{"type": "function", "function": {"name": "f"}}]}),
    ("openai_chat", {**OPENAI, "response_format": {"type": "json_object"}}),
    ("openai_chat", {**OPENAI, "reasoning_effort": "low"}),
    ("openai_chat", {**OPENAI, "guided_json": {}}),
    ("openai_chat", {**OPENAI, "messages": [*OPENAI["messages"], {"role": "assistant", "content": "a"}]}),
    ("anthropic_messages", {**ANTHROPIC, "tools": [{"name": "f", "input_schema": {}}]}),
    ("anthropic_messages", {**ANTHROPIC, "thinking": {"type": "enabled", "budget_tokens": 2000}}),
    ("anthropic_messages", {**ANTHROPIC, "output_config": {"format": {}}}),
    ("anthropic_messages", {**ANTHROPIC, "messages": [*OPENAI["messages"], {"role": "assistant", "content": "a"}]}),
    ("gemini", {**GEMINI, "tools": [{}]}),
    ("gemini", {**GEMINI, "generationConfig": {"responseMimeType": "application/json"}}),
    ("gemini", {**GEMINI, "generation_config": {"candidate_count": 2}}),
    ("gemini", {**GEMINI, "generationConfig": {"thinkingConfig": {"includeThoughts": True}}}),
    ("gemini", {"contents": [*GEMINI["contents"], {"role": "model", "parts": [{"text": "a"}]}]}),
]


@pytest.mark.parametrize(("name", "body"), MORE_THAN_TEXT)
def test_only_plain_text_is_continued(name: str, body: dict[str, object]) -> None:
    """Never with tools, a schema, several choices, log probabilities, reasoning, or an answer that the client began."""
    with pytest.raises(Untranslatable):
        FORMS[name].go_on(json.dumps(body).encode(), "text", PLAIN)


def test_every_format_of_chats_can_be_continued_or_says_that_it_cannot() -> None:
    """Vectors have no rest."""
    with pytest.raises(Untranslatable):
        plugins.load("formats", "openai_embeddings").FORMAT.go_on(b"{}", "", PLAIN)


def anthropic(kind: str, **fields: object) -> bytes:
    """One event of Anthropic's."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def gemini(*parts: object, **candidate: object) -> bytes:
    """One event of Gemini's."""
    return b"data: " + json.dumps({"candidates": [{"content": {"parts": parts}, **candidate}]}).encode() + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("name", "piece", "fault"),
    [
        ("anthropic_messages", anthropic("content_block_start", index=1, content_block={}), "it has several blocks"),
        (
            "anthropic_messages",
            anthropic("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "hm"}),
            "it has more than text: thinking_delta",
        ),
        ("anthropic_messages", anthropic("content_block_stop", index=0), "its text has finished"),
        ("gemini", gemini({"text": "hm", "thought": True}), "it has more than text: thought"),
        ("gemini", gemini({"inlineData": {"data": "x"}}), "it has more than text: inlineData"),
        ("gemini", gemini({"text": "a"}, index=1), "it has several choices"),
        ("gemini", gemini({"text": "a"}, logprobsResult={"x": 1}), "it has log probabilities"),
    ],
)
def test_what_a_writer_could_not_go_on_with_is_not_mended(name: str, piece: bytes, fault: str) -> None:
    """A text of one block, open, and nothing beside it: everything else is reported as broken."""
    told = heard(FORMS[name], [*written(FORMS[name], ["a"], ends=False), piece])
    assert (told.fault, told.start) == (fault, "")
