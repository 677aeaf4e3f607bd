"""OpenAI chat: the outside of requests, the facts of replies, translation, errors."""

import contextlib
import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

from standfast.canon.chat import ChatReply, ChatRequest, Finish, Image, Message, Role, Text
from standfast.canon.usage import Usage
from standfast.errors import BrokenStream, InvalidRequest, Untranslatable
from standfast.formats.openai_chat import FORMAT

HELLO = {"role": "user", "content": "hello"}


def request(**fields: object) -> bytes:
    """A chat request with those fields."""
    return json.dumps({"model": "gpt-4.1", "messages": [HELLO], **fields}).encode()


def test_read() -> None:
    """The outside has what routing needs, and the body itself."""
    body = request(
        stream=True,
        stream_options={"include_usage": True},
        max_tokens=5,
        max_completion_tokens=7,
        reasoning_effort="low",
        standfast={"session": "s"},
        user="u",
    )
    envelope = FORMAT.read(body)
    assert envelope.body is body
    assert (envelope.model, envelope.stream, envelope.include_usage) == ("gpt-4.1", True, True)
    assert (envelope.max_tokens, envelope.reasoning, envelope.user) == (7, True, "u")
    assert envelope.controls == {"session": "s"}


def test_read_defaults() -> None:
    """Absent and null fields mean the default."""
    envelope = FORMAT.read(request(stream=None, stream_options=None, max_tokens=None, reasoning=None, user=None))
    assert (envelope.stream, envelope.include_usage, envelope.max_tokens) == (False, False, 0)
    assert (envelope.reasoning, envelope.user, dict(envelope.controls)) == (False, "", {})


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"hello", None),
        (b"[]", None),
        (b"null", None),
        (b'{"model":"m"', None),
        (b'{"model":"m","messages":[1]} x', None),
        (b'{"model":"m","messages":[NaN]}', None),
        (b'{"model":"m","messages":[1],"x":-Infinity}', None),
        (b'{"model":"m","messages":["\xff"]}', None),
        (b'{"model":"\xff","messages":[1]}', None),
        (b'{"model":"m","messages":["\\ud800"]}', None),
        (b'{"model":"m","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}", None),
        (b'{"x":' * 50_000 + b"1" + b"}" * 50_000, None),
        (b'{"messages":[1]}', "model"),
        (b'{"model":"","messages":[1]}', "model"),
        (b'{"model":5,"messages":[1]}', "model"),
        (b'{"model":null,"messages":[1]}', "model"),
        (b'{"model":"m"}', "messages"),
        (b'{"model":"m","messages":null}', "messages"),
        (b'{"model":"m","messages":[]}', "messages"),
        (b'{"model":"m","messages":[ \n' + b" " * 50 + b"]}", "messages"),
        (b'{"model":"m","messages":"hi"}', "messages"),
        (b'{"model":"m","messages":{}}', "messages"),
        (request(stream="yes"), "stream"),
        (request(stream_options=1), "stream_options"),
        (request(stream_options={"include_usage": 1}), "stream_options.include_usage"),
        (request(max_tokens="5"), "max_tokens"),
        (request(max_tokens=-1), "max_tokens"),
        (request(max_tokens=10**30), "max_tokens"),
        (b'{"model":"m","messages":[1],"max_tokens":' + b"9" * 5000 + b"}", "max_tokens"),
        (request(max_completion_tokens=0), "max_completion_tokens"),
        (request(reasoning_effort=1), "reasoning_effort"),
        (request(standfast=[]), "standfast"),
        (request(user=5), "user"),
    ],
)
def test_read_refuses(body: bytes, param: str | None) -> None:
    """E4: what cannot be routed is the client's 400, names the field and says what is right."""
    with pytest.raises(InvalidRequest) as caught:
        FORMAT.read(body)
    assert (caught.value.status, caught.value.param) == (400, param)
    assert param is None or f"'{param}' must be" in caught.value.message


def test_huge_numbers_elsewhere_pass() -> None:
    """E4: numbers in fields that are not ours are not parsed, and a million keys are read."""
    big = b'{"model":"m","messages":[1],"seed":' + b"9" * 5000 + b',"x":1e999}'
    assert FORMAT.splice(FORMAT.read(big), "n", {}) == big.replace(b'"m"', b'"n"')
    many = b'{"model":"m","messages":[1],' + b",".join(b'"k%d":0' % i for i in range(100_000)) + b"}"
    assert FORMAT.read(many).model == "m"


@given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 20))
def test_read_raises_nothing_else(noise: bytes, start: int, length: int) -> None:
    """B18, E4: mutated requests are read or refused, never anything else."""
    body = request(max_tokens=5, stream_options={"include_usage": True}, standfast={"session": "s"})
    mutated = body[:start] + noise + body[start + length :]
    for read in (FORMAT.read, FORMAT.parse_request):
        outcome: object = None
        try:
            outcome = read(mutated)
        except InvalidRequest as error:
            outcome = error
        assert outcome is not None


def test_splice_returns_the_same_object() -> None:
    """Nothing to change: the very bytes that came."""
    body = request(x=[1, 2])
    assert FORMAT.splice(FORMAT.read(body), "gpt-4.1", {}) is body


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
OURS = {"model", "messages", "standfast", "stream", "stream_options", "max_tokens", "max_completion_tokens"} | {
    *("reasoning_effort", "reasoning", "user", "temperature")
}


@given(
    st.dictionaries(st.text(max_size=8).filter(lambda key: key not in OURS), JSON, max_size=6),
    st.sampled_from([None, 1]),
)
def test_splice_keeps_unknown_fields(extra: dict[str, object], indent: int | None) -> None:
    """Unknown fields survive byte for byte, whitespace inside included."""
    raw = json.dumps({"model": "m", "messages": [HELLO], "standfast": {}, **extra}, indent=indent).encode()
    spliced = FORMAT.splice(FORMAT.read(raw), "other", {"temperature": 0.5})
    before = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    after = msgspec.json.decode(spliced, type=dict[str, msgspec.Raw])
    assert bytes(after.pop("model")) == b'"other"'
    assert bytes(after.pop("temperature")) == b"0.5"
    del before["model"], before["standfast"]
    assert {name: bytes(value) for name, value in after.items()} == {k: bytes(v) for k, v in before.items()}


@pytest.mark.parametrize(
    ("sent", "params", "expected"),
    [
        ({"max_tokens": 5}, {"max_completion_tokens": 9}, {"max_completion_tokens": 9}),
        ({"max_completion_tokens": 5}, {"max_tokens": 9}, {"max_tokens": 9}),
        ({"max_tokens": 5, "seed": 1}, {"max_tokens": None}, {"seed": 1}),
        ({"seed": 1}, {"seed": None, "top_p": 0.5}, {"top_p": 0.5}),
        ({"standfast": {"session": "s"}}, {}, {}),
        ({"standfast": {}}, {}, {}),
    ],
)
def test_splice_params(sent: dict[str, object], params: dict[str, object], expected: dict[str, object]) -> None:
    """Params set and remove fields, the twin of the token limit goes, and `standfast` never leaves the gateway."""
    spliced = json.loads(FORMAT.splice(FORMAT.read(request(**sent)), "gpt-4.1", params))
    assert spliced == {"model": "gpt-4.1", "messages": [HELLO], **expected}


def test_splice_resolves_duplicate_models() -> None:
    """A body that names two models is written anew, so that the upstream sees the one that was checked."""
    envelope = FORMAT.read(b'{"model":"dear","messages":[1],"model":"cheap"}')
    assert envelope.model == "cheap"
    assert FORMAT.splice(envelope, "cheap", {}).count(b'"model"') == 1


def reply(message: object = None, finish: object = "stop", **fields: object) -> bytes:
    """A complete reply."""
    choice = {"index": 0, "message": message or {"role": "assistant", "content": "hi"}, "finish_reason": finish}
    return json.dumps({"id": "c1", "object": "chat.completion", "model": "m", "choices": [choice], **fields}).encode()


def test_inspect_usage() -> None:
    """Cached and reasoning tokens are inside prompt and completion; null details count for nothing."""
    details = {"prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1}}
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        **details,
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    facts = FORMAT.inspect_reply(b"\n\n" + reply(usage=usage))
    assert facts.usage == Usage(10, 5, cached=4, cache_written=1, reasoning=2)
    assert (facts.finish, facts.empty, facts.error, facts.malformed) == ("stop", False, None, "")
    deepseek = {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 3, "prompt_tokens_details": None}
    assert FORMAT.inspect_reply(reply(usage=deepseek)).usage == Usage(9, 1, cached=3)
    assert FORMAT.inspect_reply(reply(usage=None)).usage is None


@pytest.mark.parametrize(
    "message",
    [
        {"content": "x"},
        {"content": [{"type": "text", "text": "x"}]},
        {"content": None, "tool_calls": [{"id": "1"}]},
        {"content": None, "refusal": "no"},
        {"reasoning_content": "x"},
    ],
)
def test_inspect_content(message: dict[str, object]) -> None:
    """Quirks 11, 22: any kind of content counts, even without a finish reason."""
    assert not FORMAT.inspect_reply(reply(message, None)).empty


@pytest.mark.parametrize(
    ("body", "empty", "malformed"),
    [
        (b"", True, True),
        (b" \n", True, True),
        (reply(choices=[]), True, False),
        (reply({"content": ""}, None), True, False),
        (reply({"content": None, "tool_calls": None}, None), True, False),
        (reply({"content": ""}, "stop"), False, False),
        (reply({"content": None, "tool_calls": None}, "length"), False, False),
        (b'{"id":"x"}', False, True),
        (b"<html><body>502 Bad Gateway</body></html>", False, True),
        (reply()[:-5], False, True),
        (b'"text"', False, True),
        (b"[" * 100_000, False, True),
    ],
)
def test_inspect_empty_and_malformed(body: bytes, empty: bool, malformed: bool) -> None:
    """B15, B16, B17, quirk 24: HTML, cut JSON and no choices are no answers; an empty completion that finished is."""
    facts = FORMAT.inspect_reply(body)
    assert (facts.empty, bool(facts.malformed)) == (empty, malformed)


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":{"message":"x","code":500}}',
        b'{"error":"busy"}',
        b'[{"error":{"code":400}}]',
        b'{"object":"error","message":"x"}',
        reply(error={"message": "x"}),
    ],
)
def test_inspect_error(body: bytes) -> None:
    """An error object delivered with status 200 is given to the provider's classification as it came."""
    assert FORMAT.inspect_reply(body).error == body


@pytest.mark.parametrize("finish", ["error", "insufficient_system_resource", "aborted"])
def test_inspect_interrupted(finish: str) -> None:
    """Quirk 23: a finish reason that means failure is an error inside a 200."""
    error = FORMAT.inspect_reply(reply(finish=finish)).error
    assert error is not None
    assert json.loads(error)["error"]["code"] == finish


@pytest.mark.parametrize(
    "body",
    [
        reply(usage="many"),
        reply(usage={"prompt_tokens": "9", "completion_tokens": -4, "prompt_tokens_details": 3}),
        reply(usage={"prompt_tokens": 10**30}),
        reply(usage={"prompt_tokens": math.nan}),
        reply(finish="brand_new"),
        reply(finish=7),
        reply({"content": 5}),
        reply(object=7, error=False),
        reply().replace(b"hi", b"\\ud800"),
        reply().replace(b'"index": 0', b'"index": "zero"'),
    ],
)
def test_inspect_tolerates(body: bytes) -> None:
    """B18: wrong types and unknown values in fields that we do not need are no failure."""
    facts = FORMAT.inspect_reply(body)
    assert (facts.malformed, facts.error, facts.empty) == ("", None, False)


@given(st.binary(max_size=40), st.integers(0, 250), st.integers(0, 30))
def test_inspect_never_raises(noise: bytes, start: int, length: int) -> None:
    """B18: no mutation of a reply makes the inspection fail."""
    body = reply(usage={"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 0}})
    mutated = body[:start] + noise + body[start + length :]
    facts = FORMAT.inspect_reply(mutated)
    assert facts.usage is None or facts.usage.prompt >= 0
    with contextlib.suppress(ValueError):
        assert FORMAT.parse_reply(mutated).id is not None


def test_parse_request() -> None:
    """The whole subset is read."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "auto"}}
    body = request(
        messages=[
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "what?"}, image]},
            {"role": "assistant", "content": "this", "tool_calls": None, "refusal": None},
        ],
        max_completion_tokens=9,
        temperature=1,
        top_p=0.5,
        stop="END",
        stream=True,
        stream_options={"include_usage": True},
        user="u",
        n=1,
        tool_choice="none",
        logprobs=False,
        presence_penalty=0,
        metadata={"a": "b"},
        store=False,
        service_tier="auto",
        seed=None,
        response_format={"type": "text"},
    )
    assert FORMAT.parse_request(body) == ChatRequest(
        messages=(
            Message(Role.SYSTEM, (Text("be brief"),)),
            Message(Role.USER, (Text("what?"), Image("image/png", "AAAA"))),
            Message(Role.ASSISTANT, (Text("this"),)),
        ),
        stream=True,
        include_usage=True,
        max_tokens=9,
        temperature=1.0,
        top_p=0.5,
        stop=("END",),
        user="u",
    )


def user(*parts: object) -> list[object]:
    """One user message of parts."""
    return [{"role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"n": 2}, "n"),
        ({"n": True}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"seed": 0}, "seed"),
        ({"store": True}, "store"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"brand_new": 0}, "brand_new"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"stream_options": {"odd": 1}}, "stream_options.odd"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{**HELLO, "name": "bob"}]}, "messages[0].name"),
        ({"messages": [{"role": "assistant", "tool_calls": [1]}]}, "messages[0].tool_calls"),
        ({"messages": user({"type": "input_audio"})}, "messages[0].content[0].type"),
        (
            {"messages": user({"type": "image_url", "image_url": {"url": "https://x/y.png"}})},
            "messages[0].content[0].image_url.url",
        ),
    ],
)
def test_parse_request_refuses_by_name(fields: dict[str, object], param: str) -> None:
    """Nothing is dropped in silence: what cannot be translated is refused and named."""
    with pytest.raises(Untranslatable) as caught:
        FORMAT.parse_request(request(**fields))
    assert caught.value.param == param
    assert "not supported yet" in caught.value.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [5]}, "messages[0]"),
        ({"messages": [{"role": "bot", "content": ""}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": user({"type": "text"})}, "messages[0].content[0].text"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"stop": [1]}, "stop[0]"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_parse_request_invalid(fields: dict[str, object], param: str) -> None:
    """A broken rule of the format is the client's 400 with the path of the field."""
    with pytest.raises(InvalidRequest) as caught:
        FORMAT.parse_request(request(**fields))
    assert (type(caught.value), caught.value.param) == (InvalidRequest, param)


def test_write_request_round_trip() -> None:
    """A canonical request survives writing and reading; params win."""
    canonical = ChatRequest(
        messages=(Message(Role.USER, (Text("a"), Image("image/png", "AAAA"))), Message(Role.ASSISTANT, (Text("b"),))),
        stream=True,
        include_usage=True,
        max_tokens=3,
        temperature=0.5,
        top_p=0.25,
        stop=("x",),
        user="u",
    )
    body = FORMAT.write_request(canonical, "m", {})
    assert FORMAT.parse_request(body) == canonical
    changed = json.loads(FORMAT.write_request(canonical, "m", {"max_completion_tokens": 8, "top_p": None}))
    assert (changed["max_completion_tokens"], "max_tokens" in changed, "top_p" in changed) == (8, False, False)
    newer = json.loads(FORMAT.write_request(canonical, "gpt-5-mini", {}))
    assert (newer["max_completion_tokens"], "max_tokens" in newer) == (3, False)


@pytest.mark.parametrize("usage", [None, Usage(10, 5, cached=4, reasoning=2)])
def test_write_reply(usage: Usage | None) -> None:
    """What is written is a valid completion for the official client, and reads back the same."""
    canonical = ChatReply("id-1", "m", "hello", Finish.LENGTH, usage)
    body = FORMAT.write_reply(canonical, created=1700000000)
    parsed = ChatCompletion.model_validate_json(body)
    assert (parsed.choices[0].message.content, parsed.choices[0].finish_reason) == ("hello", "length")
    assert FORMAT.parse_reply(body) == canonical


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": [{"type": "thinking", "thinking": []}, {"type": "text", "text": "a"}]}, "a"),
        ({"content": None, "refusal": "no"}, "no"),
        ({"tool_calls": None, "content": "x", "reasoning_content": "y"}, "x"),
        ({"content": None}, ""),
    ],
)
def test_parse_reply_text(message: dict[str, object], text: str) -> None:
    """Quirks 11, 22: content as a list, refusals and null members."""
    assert FORMAT.parse_reply(reply(message, "model_length")).text == text
    assert FORMAT.parse_reply(reply(message, "model_length")).finish is Finish.LENGTH
    assert FORMAT.parse_reply(reply(message, "brand_new")).finish is Finish.STOP


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[]", reply(choices=[]), reply({"tool_calls": [1]})])
def test_parse_reply_refuses(body: bytes) -> None:
    """What is no answer to a translated request is a ValueError that says why."""
    with pytest.raises(ValueError, match=r"."):
        FORMAT.parse_reply(body)


def test_errors() -> None:
    """Errors have all four keys; in a stream no `[DONE]` follows."""
    error = InvalidRequest("no", param="model")
    body = {"message": "no", "type": "invalid_request_error", "param": "model", "code": "invalid_request"}
    assert json.loads(FORMAT.write_error(error)) == {"error": body}
    event = FORMAT.write_stream_error(BrokenStream("cut"))
    assert event.startswith(b'data: {"error":{"message":"cut"')
    assert event.endswith(b"}\n\n")
    assert b"[DONE]" not in event
