"""B18: mutated JSON through everything that reads it; nothing raises but what its contract names.

`make test` plays a share. The whole million: `make fuzz` (STANDFAST_FUZZ sets the number of cases).
"""

import json
import os
import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from standfast import plugins
from standfast.canon.chat import Opened
from standfast.canon.failure import Failure
from standfast.canon.instants import Wall
from standfast.canon.prefill import FINAL_MESSAGE
from standfast.errors import StandfastError
from standfast.formats._asked import asked
from standfast.formats._heard import Heard, heard
from standfast.formats._replay import ReplayRelay
from standfast.formats._resume import ResumeRelay
from standfast.formats._said import said, said_in_stream
from standfast.formats._translate import relay_for, translate_reply
from standfast.formats.base import Format, StreamRelay
from standfast.framing import sse
from standfast.lab import anthropic_wire, bodies, gemini_wire, openai_wire
from standfast.lab.ask import Ask, Stream, Wire, reply_to
from standfast.providers.base import Answer, Provider
from support.mutants import TOKENS, fuzz, mutant

CASES = int(os.environ.get("STANDFAST_FUZZ", "16000"))
SEED = 18
Found = TypeVar("Found")
_OPENED = Opened("x", "m")
LIMIT = 64 * 1024

CHATS = ("openai_chat", "anthropic_messages", "gemini")
FORMS: dict[str, Format] = {name: plugins.load("formats", name).FORMAT for name in (*CHATS, "openai_embeddings")}
PROVIDERS: list[Provider] = [
    plugins.load("providers", name).PROVIDER for name in plugins.names("providers") if not name.startswith("_")
]
WIRES: dict[str, Wire] = {"openai_chat": openai_wire, "anthropic_messages": anthropic_wire, "gemini": gemini_wire}
SHORT = {"openai_chat": "openai", "anthropic_messages": "anthropic", "gemini": "gemini"}

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
RICH_REPLIES: dict[str, list[object]] = {
    "openai_chat": [
        {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": []}],
                        "refusal": None,
                        "reasoning_content": "hm",
                        "tool_calls": [CALL],
                        "function_call": {"name": "f", "arguments": ""},
                        "audio": {"id": "a"},
                    },
                    "logprobs": {"content": [{"token": "a", "logprob": -0.1}]},
                    "finish_reason": "tool_calls",
                    "content_filter_results": {"hate": {"filtered": False}},
                },
                {"index": 1, "message": {"role": "assistant", "content": "b"}, "finish_reason": "length"},
            ],
            "usage": {
                "prompt_tokens": 9,
                "completion_tokens": 3,
                "total_tokens": 12,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 1},
                "prompt_cache_hit_tokens": 4,
            },
            "prompt_filter_results": [{"prompt_index": 0}],
        }
    ],
    "anthropic_messages": [
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "a", "citations": [{"type": "char_location"}]},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
            ],
            "stop_reason": "tool_use",
            "stop_sequence": None,
            "stop_details": {"type": "refusal", "category": "cyber"},
            "usage": {
                "input_tokens": 9,
                "output_tokens": 3,
                "cache_creation_input_tokens": 2,
                "cache_read_input_tokens": 4,
                "cache_creation": {"ephemeral_5m_input_tokens": 2},
                "output_tokens_details": {"thinking_tokens": 1},
            },
        }
    ],
    "gemini": [
        {
            "candidates": [
                {
                    "content": {
                        "role": "model",
                        "parts": [
                            {"text": "hm", "thought": True},
                            {"text": "a", "thoughtSignature": "s"},
                            {"functionCall": {"name": "f", "args": {"a": 1}, "id": "1"}},
                            {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
                        ],
                    },
                    "finishReason": "STOP",
                    "index": 0,
                    "safetyRatings": [{"category": "c", "probability": "NEGLIGIBLE"}],
                }
            ],
            "promptFeedback": {"blockReason": "SAFETY", "safetyRatings": []},
            "usageMetadata": {
                "promptTokenCount": 9,
                "candidatesTokenCount": 2,
                "thoughtsTokenCount": 1,
                "cachedContentTokenCount": 4,
                "toolUsePromptTokenCount": 1,
                "totalTokenCount": 12,
            },
            "modelVersion": "m",
            "responseId": "r",
        }
    ],
    "openai_embeddings": [
        {
            "object": "list",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.1, -0.2]}],
            "model": "m",
            "usage": {"prompt_tokens": 3, "total_tokens": 3},
        }
    ],
}
REQUESTS: dict[str, list[object]] = {
    "openai_chat": [
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "be kind"},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "hello"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "auto"}},
                    ],
                },
                {"role": "assistant", "content": None, "tool_calls": []},
                {"role": "user", "content": "again"},
            ],
            "max_completion_tokens": 5,
            "temperature": 0.5,
            "stop": ["a"],
            "stream": True,
            "stream_options": {"include_usage": True},
            "user": "u",
            "standfast": {"session": "s", "tags": ["a"]},
            "n": 1,
            "response_format": {"type": "text"},
        },
        {"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": [TOOL], "reasoning_effort": "low"},
    ],
    "anthropic_messages": [
        {
            "model": "m",
            "max_tokens": 9,
            "system": [{"type": "text", "text": "be kind", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "hello"},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                    ],
                },
                {"role": "assistant", "content": "a"},
                {"role": "user", "content": "b"},
            ],
            "stop_sequences": ["x"],
            "metadata": {"user_id": "u"},
            "thinking": {"type": "disabled"},
            "stream": True,
        }
    ],
    "gemini": [
        {
            "contents": [
                {
                    "role": "user",
                    "parts": [{"text": "hello"}, {"inlineData": {"mimeType": "image/png", "data": "aGk="}}],
                },
                {"role": "model", "parts": [{"text": "a"}]},
                {"parts": [{"text": "b"}]},
            ],
            "systemInstruction": {"parts": [{"text": "be kind"}]},
            "generationConfig": {
                "maxOutputTokens": 9,
                "temperature": 1,
                "stopSequences": ["x"],
                "thinkingConfig": {"thinkingBudget": 0},
            },
            "safetySettings": [],
        }
    ],
    "openai_embeddings": [{"model": "m", "input": ["a", "b"], "dimensions": 8, "encoding_format": "base64"}],
}
ERRORS: list[object] = [
    json.loads(body.data)
    for name in bodies.names()
    for wire in SHORT.values()
    if (body := bodies.canned(name, wire)).status >= 400 and body.content_type != "text/html"
]
HEADERS = (
    *(b"retry-after", b"retry-after-ms", b"x-should-retry", b"x-ratelimit-remaining-requests", b"date"),
    *(b"x-ratelimit-reset-tokens", b"anthropic-ratelimit-tokens-reset", b"anthropic-ratelimit-tokens-remaining"),
    *(b"x-ratelimit-limit-tokens", b"content-type", b"anthropic-ratelimit-requests-limit"),
)
VALUES = (
    *(b"1", b"-1", b"1e9", b"nan", b"inf", b"abc", b"", b"6m0s", b"1h23m31s", b"370ms", b"9" * 400, b"\xff"),
    *(b"2026-01-01T00:00:00Z", b"Wed, 21 Oct 2099 07:28:00 GMT", b"2026-13-45T99:99:99Z", b"0x10", b"1d", b"true"),
)


def _streams() -> dict[str, list[Stream]]:
    """Healthy streams of every wire, and some with more than text."""
    asks = [Ask("", "m", prompt="hello", include_usage=True), Ask("", "m", prompt="a b", choices=2)]
    return {
        name: [wire.stream(each, reply_to(each), usage=True, dialect="") for each in asks]
        for name, wire in WIRES.items()
    }


def _event(raw: bytes) -> tuple[str, object]:
    """Name and content of an event of the lab's."""
    (event,) = sse.Decoder(LIMIT).feed(raw)
    try:
        return event.name, json.loads(event.data)
    except ValueError:
        return event.name, None


EVENTS: dict[str, list[list[tuple[str, object]]]] = {
    name: [
        [
            _event(raw)
            for raw in (*each.preamble, *each.content, *each.finish, each.terminator, each.error)
            if raw and not raw.startswith(b":")
        ]
        for each in streams
    ]
    for name, streams in _streams().items()
}
EVENTS["openai_chat"][1] += [
    ("", {"id": "x", "choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, **CALL}]}, "finish_reason": None}]})
]
EVENTS["anthropic_messages"][1] += [
    ("content_block_start", {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use"}}),
    (
        "content_block_delta",
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{"}},
    ),
]
EVENTS["gemini"][1] += [("", RICH_REPLIES["gemini"][0])]
REPLIES: dict[str, list[object]] = {
    name: RICH_REPLIES[name]
    + [json.loads(wire.body(ask := Ask("", "m", prompt="hello"), reply_to(ask), usage=True, dialect="").data)]
    for name, wire in WIRES.items()
} | {"openai_embeddings": RICH_REPLIES["openai_embeddings"]}
ANYTHING: list[object] = [
    each for family in (REPLIES, REQUESTS) for each_ in family.values() for each in each_
] + ERRORS


def _reply(rng: random.Random) -> None:
    """A whole answer: inspected, read, translated to every format, judged."""
    name = rng.choice((*CHATS, *CHATS, "openai_embeddings"))
    form = FORMS[name]
    body = mutant(rng.choice(REPLIES[name]), rng, ANYTHING)
    facts = form.inspect_reply(body)
    assert facts.usage is None or min(facts.usage.prompt, facts.usage.completion) >= 0
    if facts.error is not None:
        _classified(facts.error, 200, rng)
    if name == "openai_embeddings":
        return
    for client in CHATS:
        if client != name:
            out, _ = translate_reply(form, FORMS[client], body, created=1)
            if out:
                assert not FORMS[client].inspect_reply(out).malformed
    try:
        said(form, body)
    except ValueError:
        return


def _request(rng: random.Random) -> None:
    """A client's request: refused by an error that knows its status, or spliced, translated and continued."""
    name = rng.choice((*CHATS, *CHATS, "openai_embeddings"))
    form = FORMS[name]
    body = mutant(rng.choice(REQUESTS[name]), rng, ANYTHING)
    asked(form, body)
    envelope = _refused(lambda: form.read(body))
    if envelope is not None:
        _refused(lambda: form.splice(envelope, "other", {"temperature": 1}))
        _refused(lambda: form.go_on(form.splice(envelope, "m", {}), "text", FINAL_MESSAGE))
    request = _refused(lambda: form.parse_request(body))
    if request is not None:
        for target in CHATS:
            _refused(lambda target=target: FORMS[target].write_request(request, "m", {}))


def _refused(read: Callable[[], Found]) -> Found | None:
    """What was read; None if it was refused as the client's mistake."""
    try:
        return read()
    except StandfastError as error:
        if error.status // 100 != 4:
            raise
        return None


def _error(rng: random.Random) -> None:
    """An error answer, with headers of any kind."""
    _classified(
        mutant(rng.choice(ERRORS), rng, ANYTHING), rng.choice((200, 400, 401, 403, 404, 413, 429, 500, 529)), rng
    )


def _classified(body: bytes, status: int, rng: random.Random) -> None:
    headers = [(rng.choice(HEADERS), rng.choice(VALUES)) for _ in range(rng.randrange(3))]
    received = Wall(1_760_000_000.0)
    for provider in PROVIDERS:
        failure = provider.classify(Answer(status, headers, body, received))
        assert isinstance(failure, Failure)
        provider.rates(headers, received)


def _stream(rng: random.Random) -> None:
    """A stream: relayed to every format, repeated, continued, read back and judged, in slices of any size."""
    name = rng.choice(CHATS)
    events = rng.choice(EVENTS[name])
    hit = rng.randrange(len(events))
    pieces = []
    for at, (kind, content) in enumerate(events):
        data = b"[DONE]" if content is None else json.dumps(content).encode()
        if at == hit:
            data = mutant({} if content is None else content, rng, ANYTHING)
        pieces.append(_framed(kind, data, rng))
    if rng.random() < 0.1:
        rng.shuffle(pieces)
    stream = b"".join(pieces)
    size = rng.choice((1 << 20, 1 << 20, 100, 7))
    form = FORMS[name]
    for client in CHATS:
        relay = relay_for(FORMS[client], form, include_usage=True, max_event_bytes=LIMIT, created=1)
        _drained(relay, stream, size)
    client_form = FORMS[rng.choice(CHATS)]
    told = Heard("\u2713 m heard:", _OPENED, 1)
    _drained(ReplayRelay(form, client_form, told, include_usage=True, max_event_bytes=LIMIT), stream, size)
    _drained(ResumeRelay(form, client_form, told, include_usage=True, max_event_bytes=LIMIT), stream, size)
    heard(form, pieces)
    try:
        said_in_stream(form, stream)
    except ValueError:
        return


def _framed(kind: str, data: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.02:
        return data + b"\n\n"
    if kind and rng.random() < 0.02:
        kind = rng.choice(("error", "ping", "message_stop", ""))
    name = f"event: {kind}\n".encode() if kind else b""
    return name + b"".join(b"data: " + line + b"\n" for line in data.split(b"\n")) + b"\n"


def _drained(relay: StreamRelay, stream: bytes, size: int) -> None:
    out = [relay.feed(stream[at : at + size]) for at in range(0, len(stream), size)]
    out.append(relay.close())
    assert not relay.complete or (relay.error is None and not relay.malformed)


def test_mutated_answers() -> None:
    """B18: whole answers of every format, 0 unhandled."""
    assert fuzz(CASES // 4, SEED, _reply) == []


def test_mutated_requests() -> None:
    """B18: requests of every format, 0 unhandled, every refusal with a status of the client's."""
    assert fuzz(CASES // 4, SEED + 1, _request) == []


def test_mutated_errors() -> None:
    """B18: error answers and their headers through every provider, 0 unhandled."""
    assert fuzz(CASES // 4, SEED + 2, _error) == []


def test_mutated_streams() -> None:
    """B18: streams of every format to every format, repeated and continued, 0 unhandled."""
    assert fuzz(CASES // 4, SEED + 3, _stream) == []


def test_the_fuzz_finds_what_it_looks_for() -> None:
    """A reader that raises what nobody expects is a finding, told once with its place."""

    def careless(rng: random.Random) -> None:
        value: Any = json.loads(mutant({"choices": [{"index": 0}]}, rng, ANYTHING))
        _ = value["choices"][0]["index"] + 1

    found = fuzz(400, SEED, careless)
    assert any(finding.startswith("TypeError at ") for finding in found)
    assert any(finding.startswith("KeyError at ") for finding in found)
    assert len(found) == len(set(found))


def test_every_token_is_tried() -> None:
    """None of the broken values is left out by chance: a thousand documents hold them all."""
    rng = random.Random(SEED)
    seen: Sequence[bytes] = [mutant({"a": 1}, rng, ANYTHING) for _ in range(4000)]
    text = b"\n".join(seen)
    assert all(token in text for token in TOKENS)
