"""From format to format: requests, replies and streams."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

from standfast.canon.usage import Usage
from standfast.formats import anthropic_messages, gemini, openai_chat
from standfast.formats._translate import TranslatingRelay, relay_for, translate_reply
from standfast.formats.base import Format
from standfast.framing.sse import Decoder

OPENAI, ANTHROPIC, GEMINI = openai_chat.FORMAT, anthropic_messages.FORMAT, gemini.FORMAT
FORMATS: list[Format] = [OPENAI, ANTHROPIC, GEMINI]


def sse(data: object, name: str = "", end: str = "\n") -> bytes:
    """One framed event."""
    head = f"event: {name}{end}" if name else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}{end}{end}".encode()


def anthropic(form: str, **fields: object) -> bytes:
    """One event of Anthropic's."""
    return sse({"type": form, **fields}, form)


def openai(delta: object = None, finish: str | None = None, **fields: object) -> bytes:
    """One chunk of OpenAI's."""
    return sse(
        {"id": "id1", "model": "up", "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}], **fields}
    )


def google(text: str | None, finish: str | None = None) -> bytes:
    """One chunk of Gemini's."""
    candidate = {"content": {"parts": [{"text": text}]} if text is not None else {}, "finishReason": finish, "index": 0}
    usage = {"promptTokenCount": 16, "candidatesTokenCount": 5, "cachedContentTokenCount": 4}
    return sse(
        {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "up", "responseId": "id1"}, end="\r\n"
    )


INPUT = {"input_tokens": 12, "cache_read_input_tokens": 4, "output_tokens": 1}
USAGE = {"prompt_tokens": 16, "completion_tokens": 5, "total_tokens": 21, "prompt_tokens_details": {"cached_tokens": 4}}
STREAMS: dict[str, tuple[bytes, bytes, bytes]] = {  # before the finish, the finish, the terminator
    "openai_chat": (
        openai({"role": "assistant", "content": ""})
        + b": ping\n\n"
        + openai({"content": "Hé"})
        + openai({"content": "😀"}),
        openai({}, "length") + sse({"id": "id1", "choices": [], "usage": USAGE}),
        b"data: [DONE]\n\n",
    ),
    "anthropic_messages": (
        anthropic("message_start", message={"id": "id1", "model": "up", "usage": INPUT})
        + anthropic("content_block_start", index=0, content_block={"type": "text", "text": ""})
        + anthropic("ping")
        + anthropic("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "hm"})
        + anthropic("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hé"})
        + anthropic("content_block_delta", index=0, delta={"type": "text_delta", "text": "😀"})
        + anthropic("content_block_stop", index=0)
        + anthropic("brand_new_event"),
        anthropic("message_delta", delta={"stop_reason": "max_tokens"}, usage={"output_tokens": 5}),
        anthropic("message_stop"),
    ),
    "gemini": (google("Hé") + google("😀"), google("", "MAX_TOKENS"), b""),
}


def run(client: Format, upstream: Format, stream: bytes, step: int = 0) -> tuple[bytes, TranslatingRelay]:
    """A stream through a fresh relay."""
    relay = relay_for(client, upstream, include_usage=True, max_event_bytes=1 << 16, created=7)
    assert isinstance(relay, TranslatingRelay)
    step = step or len(stream) or 1
    out = b"".join(relay.feed(stream[i : i + step]) for i in range(0, len(stream), step))
    return out + relay.close(), relay


PAIRS = [(client, upstream) for client in FORMATS for upstream in FORMATS if client is not upstream]


def read_back(client: Format, stream: bytes) -> tuple[str, str, Usage | None, bool]:
    """Text, finish, usage and completeness of a stream, by the client format's own reader."""
    relay = TranslatingRelay(client.reader(), OPENAI.writer(include_usage=True, created=7), 1 << 16)
    out = relay.feed(stream) + relay.close()
    chunks = [json.loads(event.data) for event in Decoder(1 << 16).feed(out) if event.data != b"[DONE]"]
    choices = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
    text = "".join(choice["delta"].get("content", "") for choice in choices)
    return text, "".join(choice["finish_reason"] or "" for choice in choices), relay.usage, relay.complete


@pytest.mark.parametrize(("client", "upstream"), PAIRS, ids=lambda value: str(value.name))
def test_stream(client: Format, upstream: Format) -> None:
    """Text, finish and usage arrive in every pair; nothing before content, no finish before the terminator."""
    body, finish, end = STREAMS[upstream.name]
    relay = relay_for(client, upstream, include_usage=True, max_event_bytes=1 << 16, created=7)
    out = relay.feed(body)
    assert relay.content
    assert out
    assert relay.feed(finish) == b""
    assert (relay.finishing, relay.complete) == (True, False)
    out += relay.feed(end) + relay.close()
    assert relay.complete
    assert relay.usage == Usage(16, 5, cached=4)
    assert read_back(client, out) == ("Hé😀", "length", Usage(16, 5, cached=4), True)


@pytest.mark.parametrize(("client", "upstream"), PAIRS, ids=lambda value: str(value.name))
def test_slicing_changes_nothing(client: Format, upstream: Format) -> None:
    """C6: chunk boundaries anywhere, CRLF and UTF-8 split, give the same bytes."""
    stream = b"".join(STREAMS[upstream.name])
    assert len({run(client, upstream, stream, step)[0] for step in (0, 1, 2, 3, 7, 100)}) == 1


@pytest.mark.parametrize(("client", "upstream"), PAIRS, ids=lambda value: str(value.name))
@given(data=st.data())
def test_cut_streams_are_never_complete(client: Format, upstream: Format, data: st.DataObject) -> None:
    """C2: a stream that ends anywhere before its finish is never reported as whole."""
    body, finish, _ = STREAMS[upstream.name]
    stream = body + finish
    cut = data.draw(st.integers(0, len(body) + 20))
    out, relay = run(client, upstream, stream[:cut])
    assert not relay.complete
    assert relay.content or not out


@pytest.mark.parametrize(("client", "upstream"), PAIRS, ids=lambda value: str(value.name))
def test_error_event(client: Format, upstream: Format) -> None:
    """C3, C4, C5: an in-band error is never passed on, and wins over a terminator after it."""
    body, finish, end = STREAMS[upstream.name]
    error = sse({"type": "error", "error": {"message": "boom"}}, "error")
    for before in (b"", body, body + finish):
        out, relay = run(client, upstream, before + error + end)
        assert relay.error is not None
        assert not relay.complete
        assert b"boom" not in out


@pytest.mark.parametrize(("client", "upstream"), PAIRS, ids=lambda value: str(value.name))
def test_malformed(client: Format, upstream: Format) -> None:
    """An event that does not parse, or JSON without framing, breaks the stream."""
    for bad in (b"data: {\n\n", b'{"a": 1}\n\n', b"data: " + b"x" * (1 << 17)):
        _, relay = run(client, upstream, STREAMS[upstream.name][0] + bad)
        assert relay.malformed
        assert not relay.complete


def test_openai_chunks_are_valid() -> None:
    """The official client's type accepts every chunk of a translated stream; usage only if asked for."""
    stream = b"".join(STREAMS["anthropic_messages"])
    out, _ = run(OPENAI, ANTHROPIC, stream)
    events = Decoder(1 << 16).feed(out)
    assert events[-1].data == b"[DONE]"
    chunks = [ChatCompletionChunk.model_validate_json(event.data) for event in events[:-1]]
    assert {(chunk.id, chunk.created, chunk.model) for chunk in chunks} == {("id1", 7, "up")}
    assert chunks[0].choices[0].delta.role == "assistant"
    assert (chunks[-1].choices, chunks[-1].usage is not None) == ([], True)
    relay = relay_for(OPENAI, ANTHROPIC, include_usage=False, max_event_bytes=1 << 16, created=7)
    assert b"usage" not in relay.feed(stream)


def test_late_text_and_second_finish() -> None:
    """C8: after the finish nothing is added and the first reason stands."""
    late = google("late") + google("", "SAFETY")
    out, relay = run(OPENAI, GEMINI, google("a") + google("b", "STOP") + late)
    assert read_back(OPENAI, out)[:2] == ("ab", "stop")
    assert relay.complete


@pytest.mark.parametrize(
    ("upstream", "stream"),
    [
        (GEMINI, sse({"promptFeedback": {"blockReason": "SAFETY"}})),
        (GEMINI, google(None, "SAFETY")),
        (ANTHROPIC, anthropic("message_delta", delta={"stop_reason": "refusal"}) + anthropic("message_stop")),
    ],
)
def test_filtered_stream(upstream: Format, stream: bytes) -> None:
    """Refusals and blocked prompts are whole answers: no text, content_filter."""
    out, relay = run(OPENAI, upstream, stream)
    assert read_back(OPENAI, out)[:2] == ("", "content_filter")
    assert (relay.content, relay.complete) == (True, True)


def test_lone_surrogates_do_not_break_the_writer() -> None:
    """B18: what UTF-8 cannot hold becomes a question mark."""
    piece = openai({"content": "x"}).replace(b'"x"', b'"\\ud800"')
    out, relay = run(ANTHROPIC, OPENAI, piece + openai({}, "stop") + b"data: [DONE]\n\n")
    assert relay.complete
    assert b'"text":"?"' in out


REPLIES = {
    "openai_chat": {"id": "id1", "model": "up", "usage": USAGE}
    | {"choices": [{"message": {"content": "hi"}, "finish_reason": "length"}]},
    "anthropic_messages": {"id": "id1", "model": "up", "usage": {**INPUT, "output_tokens": 5}}
    | {"content": [{"type": "text", "text": "hi"}], "stop_reason": "max_tokens"},
    "gemini": {"responseId": "id1", "modelVersion": "up"}
    | {"usageMetadata": {"promptTokenCount": 16, "candidatesTokenCount": 5, "cachedContentTokenCount": 4}}
    | {"candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "MAX_TOKENS"}]},
}


@pytest.mark.parametrize(("client", "upstream"), PAIRS, ids=lambda value: str(value.name))
def test_reply(client: Format, upstream: Format) -> None:
    """A complete reply arrives in every pair, with its facts."""
    body, facts = translate_reply(upstream, client, json.dumps(REPLIES[upstream.name]).encode(), created=7)
    assert facts.usage == Usage(16, 5, cached=4)
    assert client.parse_reply(body) == upstream.parse_reply(json.dumps(REPLIES[upstream.name]).encode())
    for bad in (b"", b"<html>", b"{}", b'{"error":{"message":"x"}}'):
        body, facts = translate_reply(upstream, client, bad, created=7)
        assert body == b""
        assert facts.malformed or facts.error or facts.empty


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
MESSAGES = st.lists(TEXT, min_size=1, max_size=5).map(
    lambda texts: [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]
)


@pytest.mark.parametrize("target", [ANTHROPIC, GEMINI], ids=lambda value: str(value.name))
@given(messages=MESSAGES, limit=st.integers(1, 9999), temperature=st.floats(0, 1), stop=st.lists(TEXT, max_size=3))
def test_request_round_trip(
    target: Format, messages: list[dict[str, str]], limit: int, temperature: float, stop: list[str]
) -> None:
    """An OpenAI request reaches the other formats and says the same there."""
    fields = {"model": "m", "messages": messages, "max_tokens": limit, "temperature": temperature, "stop": stop}
    canonical = OPENAI.parse_request(json.dumps(fields).encode())
    there = target.parse_request(target.write_request(canonical, "up", {}))
    assert (there.messages, there.max_tokens, there.stop) == (canonical.messages, limit, tuple(stop))
    assert there.temperature == temperature


def test_same_format_is_not_translated() -> None:
    """Both sides alike: the format's own relay."""
    for form in FORMATS:
        relay = relay_for(form, form, include_usage=False, max_event_bytes=1 << 16, created=0)
        assert type(relay) is type(form.relay(include_usage=False, max_event_bytes=1 << 16))
