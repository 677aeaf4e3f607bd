"""Anthropic messages in both directions."""

import json

import pytest
from anthropic.types import Message as SDKMessage
from hypothesis import given
from hypothesis import strategies as st

from standfast.canon.chat import ChatReply, ChatRequest, Finish, Image, Message, Role, Text
from standfast.canon.usage import Usage
from standfast.errors import InvalidRequest, Unauthorized, Untranslatable
from standfast.formats.anthropic_messages import FORMAT
from standfast.framing.sse import encode

SYSTEM, USER, ASSISTANT = Role.SYSTEM, Role.USER, Role.ASSISTANT


def turn(role: Role, *pieces: str) -> Message:
    """A message of texts."""
    return Message(role, tuple(Text(piece) for piece in pieces))


def written(request: ChatRequest, **params: object) -> dict[str, object]:
    """The request as it goes upstream."""
    body: dict[str, object] = json.loads(FORMAT.write_request(request, "claude", params))
    return body


def test_write_request() -> None:
    """Quirk 1: max_tokens is supplied; systems are joined, turns merged, empty ones left out."""
    request = ChatRequest(
        messages=(
            turn(SYSTEM, "one"),
            turn(USER, "a"),
            Message(USER, (Image("image/png", "AAAA"),)),
            turn(ASSISTANT),
            turn(ASSISTANT, "b"),
            turn(SYSTEM, "two"),
            turn(USER, "c"),
        ),
        stop=("END",),
        user="u",
        temperature=0.5,
        stream=True,
    )
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    assert written(request) == {
        "model": "claude",
        "max_tokens": 4096,
        "system": "one\n\ntwo",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"}, image]},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c"},
        ],
        "temperature": 0.5,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u"},
        "stream": True,
    }


def test_params_win() -> None:
    """The target's params override, remove, and settle a temperature that would be refused."""
    request = ChatRequest((turn(USER, "a"),), max_tokens=5, temperature=1.5, top_p=0.5)
    body = written(request, temperature=0.7, max_tokens=9, top_p=None)
    assert (body["temperature"], body["max_tokens"], "top_p" in body) == (0.7, 9, False)


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (ChatRequest((turn(USER, "a"),), temperature=1.5), "temperature"),
        (ChatRequest((turn(ASSISTANT, "a"), turn(USER, "b"))), "messages"),
        (ChatRequest((Message(SYSTEM, (Image("image/png", "A"),)), turn(USER, "b"))), "messages"),
        (ChatRequest((turn(SYSTEM, "a"),)), "messages"),
        (ChatRequest(()), "messages"),
    ],
)
def test_write_request_refuses(request_: ChatRequest, param: str) -> None:
    """What this format cannot say is refused with advice."""
    with pytest.raises(InvalidRequest) as caught:
        FORMAT.write_request(request_, "claude", {})
    assert caught.value.param == param


def test_parse_request_round_trip() -> None:
    """A canonical request survives writing and reading."""
    request = ChatRequest(
        messages=(turn(SYSTEM, "s"), Message(USER, (Text("a"), Image("image/png", "AAAA"))), turn(ASSISTANT, "b")),
        stream=True,
        include_usage=True,
        max_tokens=7,
        temperature=1.0,
        top_p=0.5,
        stop=("x", "y"),
        user="u",
    )
    assert FORMAT.parse_request(FORMAT.write_request(request, "claude", {})) == request


BASE = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}


def body_of(**fields: object) -> bytes:
    """A client's request."""
    return json.dumps({**BASE, **fields}).encode()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"name": "f"}]}, "tools"),
        ({"top_k": 5}, "top_k"),
        ({"thinking": {"type": "adaptive"}}, "thinking"),
        ({"metadata": {"odd": 1}}, "metadata.odd"),
        ({"brand_new": 1}, "brand_new"),
        ({"messages": [{"role": "user", "content": [{"type": "document"}]}]}, "messages[0].content[0].type"),
    ],
)
def test_parse_request_refuses(fields: dict[str, object], param: str) -> None:
    """Nothing is dropped in silence."""
    with pytest.raises(Untranslatable) as caught:
        FORMAT.parse_request(body_of(**fields))
    assert caught.value.param == param


def test_harmless_fields() -> None:
    """Cache hints, disabled thinking and empty tools ask for nothing."""
    block = {"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}
    request = FORMAT.parse_request(body_of(system=[block], thinking={"type": "disabled"}, tools=[], top_k=None))
    assert request.messages[0] == turn(SYSTEM, "s")


def test_read_and_splice() -> None:
    """The outside is read; an unchanged body is the same object."""
    body = body_of(stream=True, thinking={"type": "adaptive"}, metadata={"user_id": "u"})
    envelope = FORMAT.read(body)
    assert (envelope.model, envelope.stream, envelope.max_tokens, envelope.reasoning) == ("m", True, 5, True)
    assert (envelope.user, envelope.include_usage) == ("u", True)
    assert FORMAT.splice(envelope, "m", {}) is body
    with_controls = FORMAT.read(body_of(standfast={"session": "s"}))
    assert json.loads(FORMAT.splice(with_controls, "n", {"max_tokens": 9})) == {**BASE, "model": "n", "max_tokens": 9}


@given(st.binary(max_size=30), st.integers(0, 90), st.integers(0, 20))
def test_read_raises_nothing_else(noise: bytes, start: int, length: int) -> None:
    """B18, E4: mutated requests are read or refused."""
    body = body_of()
    for read in (FORMAT.read, FORMAT.parse_request):
        outcome: object = None
        try:
            outcome = read(body[:start] + noise + body[start + length :])
        except InvalidRequest as error:
            outcome = error
        assert outcome is not None


def reply(**fields: object) -> bytes:
    """A provider's reply."""
    usage = {"input_tokens": 10, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2, "output_tokens": 5}
    base = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_sequence": None}
    content = [{"type": "thinking", "thinking": "t"}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    return json.dumps({**base, "content": content, "stop_reason": "end_turn", "usage": usage, **fields}).encode()


def test_parse_reply() -> None:
    """Quirk 7: the input excludes the cache, so the three are added; thinking is no answer text."""
    usage = Usage(16, 5, cached=4, cache_written=2)
    assert FORMAT.parse_reply(reply()) == ChatReply("msg_1", "claude", "ab", Finish.STOP, usage)
    assert FORMAT.inspect_reply(reply()).usage == usage


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop_sequence", Finish.STOP),
        ("max_tokens", Finish.LENGTH),
        ("model_context_window_exceeded", Finish.LENGTH),
        ("refusal", Finish.CONTENT_FILTER),
        ("pause_turn", Finish.STOP),
        ("brand_new", Finish.STOP),
    ],
)
def test_finish(reason: str, finish: Finish) -> None:
    """Quirk 23: every stop reason has an OpenAI reason; unknown counts as stop; a refusal may be empty."""
    assert FORMAT.parse_reply(reply(stop_reason=reason, content=[])).finish is finish
    assert not FORMAT.inspect_reply(reply(stop_reason=reason, content=[])).empty


@pytest.mark.parametrize(
    ("body", "empty", "error", "malformed"),
    [
        (b"", True, False, True),
        (b"<html>", False, False, True),
        (reply()[:-9], False, False, True),
        (reply(content=[], stop_reason=None), True, False, False),
        (b'{"type":"error","error":{"type":"overloaded_error"}}', False, True, False),
        (b"{}", False, False, True),
        (reply(usage="x", content=[{"type": 5}]), False, False, False),
    ],
)
def test_inspect(body: bytes, empty: bool, error: bool, malformed: bool) -> None:
    """B15, B16, B17, B18."""
    facts = FORMAT.inspect_reply(body)
    assert (facts.empty, facts.error is not None, bool(facts.malformed)) == (empty, error, malformed)


def test_tool_use_is_refused() -> None:
    """A tool call cannot be an answer to a request without tools."""
    with pytest.raises(ValueError, match="tool call"):
        FORMAT.parse_reply(reply(content=[{"type": "tool_use", "id": "1", "name": "f", "input": {}}]))


def test_write_reply() -> None:
    """The official client's type accepts what is written, and it reads back the same."""
    canonical = ChatReply("msg_1", "m", "hello", Finish.LENGTH, Usage(16, 5, cached=4, cache_written=2))
    body = FORMAT.write_reply(canonical, created=1)
    assert SDKMessage.model_validate_json(body).usage.input_tokens == 10
    assert FORMAT.parse_reply(body) == canonical


def test_errors() -> None:
    """Errors have Anthropic's shape, with its own type for the status and our stable code."""
    error = json.loads(FORMAT.write_error(Unauthorized("who?")))
    assert error == {
        "type": "error",
        "error": {"type": "authentication_error", "message": "who?", "code": "invalid_api_key"},
    }
    event = FORMAT.write_stream_error(Unauthorized("who?"))
    assert event.startswith(b"event: error\ndata: {")


def event(form: str, **fields: object) -> bytes:
    """One event of the stream."""
    return encode(json.dumps({"type": form, **fields}).encode(), form)


START = event("message_start", message={"id": "msg_1", "model": "m", "usage": {"input_tokens": 25, "output_tokens": 1}})
BLOCK = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
PING = event("ping")
HELLO = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hello"})
BLOCK_STOP = event("content_block_stop", index=0)
DELTA = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 15})
STOP = event("message_stop")


def test_relay() -> None:
    """Held until content, then passed, held from the stop reason to message_stop; usage is cumulative."""
    relay = FORMAT.relay(include_usage=False, max_event_bytes=1 << 16)
    assert relay.feed(START + BLOCK + PING) == b""
    assert not relay.content
    assert relay.feed(HELLO) == START + BLOCK + HELLO
    assert relay.feed(PING + BLOCK_STOP) == PING + BLOCK_STOP
    assert relay.feed(DELTA) == b""
    assert relay.finishing
    assert relay.feed(HELLO) == b""
    assert relay.feed(STOP) == DELTA + STOP
    assert relay.complete
    assert relay.usage == Usage(25, 15)


@pytest.mark.parametrize("stream", [START, START + BLOCK + HELLO, START + HELLO + DELTA])
def test_relay_needs_message_stop(stream: bytes) -> None:
    """C2: nothing replaces message_stop."""
    relay = FORMAT.relay(include_usage=False, max_event_bytes=1 << 16)
    out = relay.feed(stream) + relay.close()
    assert not relay.complete
    assert DELTA not in out


@pytest.mark.parametrize("before", [b"", START, START + HELLO, START + HELLO + DELTA])
def test_relay_error(before: bytes) -> None:
    """C3, C4: an error event ends the stream and never passes."""
    relay = FORMAT.relay(include_usage=False, max_event_bytes=1 << 16)
    relay.feed(before)
    assert relay.feed(event("error", error={"type": "overloaded_error"}) + STOP) == b""
    assert relay.error is not None
    assert not relay.complete


@pytest.mark.parametrize("bad", [b"data: {\n\n", b"data: x\n\n", b'{"id":"msg"}\n\n'])
def test_relay_malformed(bad: bytes) -> None:
    """An event that does not parse breaks the stream."""
    relay = FORMAT.relay(include_usage=False, max_event_bytes=1 << 16)
    assert relay.feed(START + HELLO + bad).endswith(HELLO)
    assert relay.malformed


def test_relay_empty_answer() -> None:
    """Quirk 24: an answer without content passes with its terminator."""
    relay = FORMAT.relay(include_usage=False, max_event_bytes=1 << 16)
    assert relay.feed(START + DELTA) == b""
    assert relay.feed(STOP) == START + DELTA + STOP
    assert (relay.content, relay.complete) == (True, True)


@given(st.lists(st.sampled_from([START, BLOCK, PING, HELLO, BLOCK_STOP, DELTA, STOP, b": c\n\n"])), st.integers(1, 50))
def test_slicing_changes_nothing(events: list[bytes], size: int) -> None:
    """C6: chunk boundaries anywhere give the same bytes and flags."""
    stream = b"".join(events).replace(b"\n", b"\r\n")
    results = set()
    for step in (len(stream) or 1, size, 1):
        relay = FORMAT.relay(include_usage=False, max_event_bytes=1 << 16)
        out = b"".join(relay.feed(stream[i : i + step]) for i in range(0, len(stream), step)) + relay.close()
        results.add((out, relay.content, relay.finishing, relay.complete, relay.usage))
    assert len(results) == 1
