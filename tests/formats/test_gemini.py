"""Gemini in both directions."""

import json

import pytest
from google.genai import types as sdk
from hypothesis import given
from hypothesis import strategies as st

from standfast.canon.chat import ChatReply, ChatRequest, Finish, Image, Message, Role, Text
from standfast.canon.usage import Usage
from standfast.errors import InvalidRequest, UnknownModel, Untranslatable
from standfast.formats.gemini import FORMAT

SYSTEM, USER, ASSISTANT = Role.SYSTEM, Role.USER, Role.ASSISTANT


def turn(role: Role, *pieces: str) -> Message:
    """A message of texts."""
    return Message(role, tuple(Text(piece) for piece in pieces))


def written(request: ChatRequest, **params: object) -> dict[str, object]:
    """The request as it goes upstream."""
    body: dict[str, object] = json.loads(FORMAT.write_request(request, "gemini-2.5-flash", params))
    return body


def test_write_request() -> None:
    """Roles, system instruction, images and settings stand where Gemini wants them; the user label is left out."""
    request = ChatRequest(
        messages=(
            turn(SYSTEM, "s"),
            turn(USER, "a"),
            Message(USER, (Image("image/png", "AAAA"),)),
            turn(ASSISTANT, "b"),
            turn(USER, "c"),
        ),
        max_tokens=5,
        temperature=1.5,
        top_p=0.5,
        stop=("x",),
        user="u",
        stream=True,
    )
    image = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    assert written(request) == {
        "systemInstruction": {"parts": [{"text": "s"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "a"}, image]},
            {"role": "model", "parts": [{"text": "b"}]},
            {"role": "user", "parts": [{"text": "c"}]},
        ],
        "generationConfig": {"maxOutputTokens": 5, "temperature": 1.5, "topP": 0.5, "stopSequences": ["x"]},
    }


def test_params() -> None:
    """Params reach generationConfig by their own name or merged as an object, and top-level fields by theirs."""
    request = ChatRequest((turn(USER, "a"),), temperature=1.0, max_tokens=3)
    body = written(request, temperature=None, topK=4, generationConfig={"maxOutputTokens": 9}, safetySettings=[1])
    assert body["generationConfig"] == {"maxOutputTokens": 9, "topK": 4}
    assert body["safetySettings"] == [1]


@pytest.mark.parametrize("messages", [(turn(ASSISTANT, "a"), turn(USER, "b")), (turn(SYSTEM, "s"),), ()])
def test_write_request_refuses(messages: tuple[Message, ...]) -> None:
    """The first turn must be the user's."""
    with pytest.raises(InvalidRequest) as caught:
        FORMAT.write_request(ChatRequest(messages), "m", {})
    assert caught.value.param == "messages"


def test_parse_request_round_trip() -> None:
    """A canonical request survives writing and reading; stream comes from the URL."""
    request = ChatRequest(
        messages=(turn(SYSTEM, "s"), Message(USER, (Text("a"), Image("image/png", "AAAA"))), turn(ASSISTANT, "b")),
        include_usage=True,
        max_tokens=5,
        temperature=1.5,
        top_p=0.5,
        stop=("x",),
    )
    assert FORMAT.parse_request(FORMAT.write_request(request, "m", {})) == request


def test_snake_case() -> None:
    """The API takes snake case too."""
    body = {
        "system_instruction": {"parts": {"text": "s"}},
        "contents": [{"parts": [{"inline_data": {"mime_type": "image/png", "data": "A"}}]}],
        "generation_config": {"max_output_tokens": 5},
    }
    request = FORMAT.parse_request(json.dumps(body).encode())
    assert request.messages == (turn(SYSTEM, "s"), Message(USER, (Image("image/png", "A"),)))
    assert request.max_tokens == 5


CONTENTS = [{"role": "user", "parts": [{"text": "hi"}]}]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"googleSearch": {}}]}, "tools"),
        ({"cachedContent": "x"}, "cachedContent"),
        ({"generationConfig": {"topK": 3}}, "generationConfig.topK"),
        ({"generationConfig": {"candidateCount": 2}}, "generationConfig.candidateCount"),
        ({"contents": [{"parts": [{"functionCall": {"name": "f"}}]}]}, "contents[0].parts[0].functionCall"),
    ],
)
def test_parse_request_refuses(fields: dict[str, object], param: str) -> None:
    """Nothing is dropped in silence."""
    with pytest.raises(Untranslatable) as caught:
        FORMAT.parse_request(json.dumps({"contents": CONTENTS, **fields}).encode())
    assert caught.value.param == param


def test_read_and_splice() -> None:
    """Model and stream are the URL's; params merge into generationConfig; unknown fields keep their bytes."""
    body = b'{"contents": [{"parts":  [{"text":"hi"}]}], "generationConfig": {"topK":  3}, "x": {"y":  1}}'
    envelope = FORMAT.read(body)
    assert (envelope.model, envelope.stream, envelope.max_tokens) == ("", False, 0)
    assert FORMAT.splice(envelope, "m", {}) is body
    spliced = FORMAT.splice(envelope, "m", {"temperature": 0.5})
    assert b'{"y":  1}' in spliced
    assert json.loads(spliced)["generationConfig"] == {"topK": 3, "temperature": 0.5}
    thinking = json.dumps({"contents": CONTENTS, "generationConfig": {"thinkingConfig": {"thinkingBudget": -1}}})
    assert FORMAT.read(thinking.encode()).reasoning
    controls = FORMAT.read(json.dumps({"contents": CONTENTS, "standfast": {"session": "s"}}).encode())
    assert controls.controls == {"session": "s"}
    assert json.loads(FORMAT.splice(controls, "m", {})) == {"contents": CONTENTS}


@given(st.binary(max_size=30), st.integers(0, 90), st.integers(0, 20))
def test_read_raises_nothing_else(noise: bytes, start: int, length: int) -> None:
    """B18, E4: mutated requests are read, spliced or refused."""
    body = json.dumps({"contents": CONTENTS, "generationConfig": {"maxOutputTokens": 5}, "standfast": {}}).encode()
    mutated = body[:start] + noise + body[start + length :]
    for read in (lambda data: FORMAT.splice(FORMAT.read(data), "m", {"temperature": 1}), FORMAT.parse_request):
        outcome: object = None
        try:
            outcome = read(mutated)
        except InvalidRequest as error:
            outcome = error
        assert outcome is not None


def reply(parts: object = None, finish: str | None = "STOP", **fields: object) -> bytes:
    """A provider's reply, or a chunk of its stream."""
    shown = [{"text": "think", "thought": True}, {"text": "hi"}] if parts is None else parts
    candidate = {"content": {"role": "model", "parts": shown}, "finishReason": finish, "index": 0}
    usage = {"promptTokenCount": 29, "candidatesTokenCount": 10, "thoughtsTokenCount": 202, "totalTokenCount": 241}
    head = {"modelVersion": "gemini", "responseId": "r1"}
    return json.dumps({"candidates": [candidate], "usageMetadata": usage, **head, **fields}).encode()


def test_parse_reply() -> None:
    """Quirk 6: thoughts are outside candidates, so both are added; thought parts are no answer text."""
    usage = Usage(29, 212, reasoning=202)
    assert usage.total == 241
    assert FORMAT.parse_reply(reply()) == ChatReply("r1", "gemini", "hi", Finish.STOP, usage)
    assert FORMAT.inspect_reply(reply()).usage == usage


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("MAX_TOKENS", Finish.LENGTH),
        *((word, Finish.CONTENT_FILTER) for word in ("SAFETY", "RECITATION", "BLOCKLIST", "SPII", "IMAGE_SAFETY")),
        ("BRAND_NEW", Finish.STOP),
    ],
)
def test_finish(reason: str, finish: Finish) -> None:
    """Quirk 23: every finish reason has an OpenAI reason; unknown counts as stop; a blocked answer may be empty."""
    assert FORMAT.parse_reply(reply([], reason)).finish is finish
    assert not FORMAT.inspect_reply(reply([], reason)).empty


def test_blocked_prompt() -> None:
    """A blocked prompt is a complete answer: filtered, without text."""
    body = b'{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":3}}'
    assert FORMAT.parse_reply(body) == ChatReply("", "", "", Finish.CONTENT_FILTER, Usage(3, 0))
    facts = FORMAT.inspect_reply(body)
    assert (facts.finish, facts.empty, facts.error) == ("SAFETY", False, None)


@pytest.mark.parametrize(
    ("body", "empty", "error", "malformed"),
    [
        (b"", True, False, True),
        (b"<html>", False, False, True),
        (reply()[:-9], False, False, True),
        (b'{"candidates":[]}', True, False, False),
        (reply([], None), True, False, False),
        (reply([], "MALFORMED_FUNCTION_CALL"), False, True, False),
        (b'[{"error":{"code":400}}]', False, True, False),
        (b'{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}', False, True, False),
        (
            b'{"candidates":[{"content":5,"finishReason":7,"index":"x"},{"content":{"parts":[{"text":"a"}]}}]}',
            *[False] * 3,
        ),
    ],
)
def test_inspect(body: bytes, empty: bool, error: bool, malformed: bool) -> None:
    """B15, B16, B17, B18."""
    facts = FORMAT.inspect_reply(body)
    assert (facts.empty, facts.error is not None, bool(facts.malformed)) == (empty, error, malformed)


def test_function_call_is_refused() -> None:
    """A function call cannot be an answer to a request without tools."""
    with pytest.raises(ValueError, match="function call"):
        FORMAT.parse_reply(reply([{"functionCall": {"name": "f"}}]))


def test_write_reply() -> None:
    """The official client's type accepts what is written, and it reads back the same."""
    canonical = ChatReply("r1", "m", "hello", Finish.LENGTH, Usage(16, 5, cached=4, reasoning=2))
    body = FORMAT.write_reply(canonical, created=1)
    assert sdk.GenerateContentResponse.model_validate_json(body).text == "hello"
    assert FORMAT.parse_reply(body) == canonical


def test_errors() -> None:
    """Errors have Google's shape, with our code as the reason."""
    error = json.loads(FORMAT.write_error(UnknownModel("no such model")))["error"]
    assert (error["code"], error["status"], error["details"][0]["reason"]) == (404, "NOT_FOUND", "model_not_found")
    assert FORMAT.write_stream_error(UnknownModel("x")).startswith(b'data: {"error":')


def event(data: bytes) -> bytes:
    """One event with Gemini's CRLF."""
    return b"data: " + data + b"\r\n\r\n"


FIRST = event(reply([{"text": "a"}], None))
THOUGHT = event(reply([{"text": "t", "thought": True}], None))
EMPTY = event(reply([{"text": ""}], None))
LAST = event(reply([{"text": "b"}], "STOP"))
USAGE = event(b'{"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2}}')


def test_relay() -> None:
    """Quirk 10: CRLF events pass as they came; the finish waits for the end of the body."""
    relay = FORMAT.relay(include_usage=False, max_event_bytes=1 << 16)
    assert relay.feed(EMPTY) == b""
    assert relay.feed(FIRST) == EMPTY + FIRST
    assert relay.feed(LAST + USAGE) == b""
    assert relay.feed(FIRST) == b""
    assert (relay.finishing, relay.complete) == (True, False)
    assert relay.close() == LAST + USAGE
    assert relay.complete
    assert FORMAT.relay(include_usage=False, max_event_bytes=1 << 16).feed(THOUGHT) == THOUGHT


def test_relay_blocked_prompt() -> None:
    """A blocked prompt passes at the end of the body."""
    blocked = event(b'{"promptFeedback":{"blockReason":"SAFETY"}}')
    relay = FORMAT.relay(include_usage=False, max_event_bytes=1 << 16)
    assert relay.feed(blocked) == b""
    assert relay.close() == blocked
    assert relay.complete


@pytest.mark.parametrize("before", [b"", FIRST, FIRST + LAST])
@pytest.mark.parametrize("bare", [True, False])
def test_relay_error(before: bytes, bare: bool) -> None:
    """C3, C4: an error ends the stream, as an event or as bare JSON of several lines."""
    error = json.dumps({"error": {"code": 503, "status": "UNAVAILABLE"}}, indent=2).encode()
    relay = FORMAT.relay(include_usage=False, max_event_bytes=1 << 16)
    out = relay.feed(before) + relay.feed(error if bare else event(error.replace(b"\n", b""))) + relay.close()
    assert relay.error is not None
    assert json.loads(relay.error)["error"]["code"] == 503
    assert not relay.complete
    assert b"UNAVAILABLE" not in out
    assert LAST not in out


def test_relay_without_finish() -> None:
    """C2: an end without a finish reason is a broken stream."""
    relay = FORMAT.relay(include_usage=False, max_event_bytes=1 << 16)
    assert relay.feed(FIRST) == FIRST
    assert relay.close() == b""
    assert not relay.complete
