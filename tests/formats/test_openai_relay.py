"""The same-format relay of OpenAI streams: what is held, what passes, what ends it."""

import itertools
import json
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

from standfast.canon.usage import Usage
from standfast.formats._openai_relay import OpenAIRelay
from standfast.formats.openai_chat import FORMAT

LIMIT = 1 << 16
DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}


def event(data: object, end: bytes = b"\n") -> bytes:
    """One framed event."""
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + end * 2


def chunk(delta: object = None, finish: str | None = None, index: int = 0, **fields: object) -> bytes:
    """One chunk with one choice."""
    choice = {"index": index, "delta": delta or {}, "logprobs": None, "finish_reason": finish}
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return event({**head, "choices": [choice], **fields})


def text(piece: str, **fields: object) -> bytes:
    """A chunk with text."""
    return chunk({"content": piece}, **fields)


ROLE = chunk({"role": "assistant", "content": ""})
STOP = chunk({}, "stop")
ONLY_USAGE = event(
    {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": USAGE}
)


def relay(*, include_usage: bool = False, limit: int = LIMIT) -> OpenAIRelay:
    """A fresh relay."""
    return FORMAT.relay(include_usage=include_usage, max_event_bytes=limit)


def flags(machine: OpenAIRelay) -> tuple[object, ...]:
    """What the relay says of itself."""
    return (machine.content, machine.finishing, machine.complete, machine.error, machine.malformed, machine.usage)


def test_normal_stream() -> None:
    """Held until first content, passed as the same object, held from the finish to [DONE]."""
    machine = relay()
    assert machine.feed(ROLE) == b""
    assert not machine.content
    assert machine.feed(text("a")) == ROLE + text("a")
    assert machine.content
    piece = text("b")
    assert machine.feed(piece) is piece
    many = text("c") * 50
    assert machine.feed(many) is many
    assert machine.feed(STOP) == b""
    assert (machine.finishing, machine.complete) == (True, False)
    assert machine.feed(DONE) == STOP + DONE
    assert flags(machine) == (True, True, True, None, "", None)
    assert machine.feed(text("late")) == b""
    assert machine.close() == b""


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "x"},
        {"content": [{"type": "text", "text": "x"}]},
        {"tool_calls": [{"index": 0, "id": "t"}]},
        {"refusal": "no"},
        {"reasoning": "x"},
        {"reasoning_content": "x"},
        {"audio": {"id": "a"}},
        {"function_call": {"name": "f"}},
    ],
)
def test_content(delta: dict[str, object]) -> None:
    """Each kind of content commits the stream."""
    machine = relay()
    assert machine.feed(chunk(delta)) == chunk(delta)
    assert machine.content


@pytest.mark.parametrize(
    "data",
    [
        ROLE,
        chunk({"content": None, "tool_calls": None}),
        chunk({"reasoning_content": "", "tool_calls": []}),
        b": keep-alive\n\n",
        b"\r\n\r\n",
        event({"choices": [], "prompt_filter_results": [{}], "id": "", "model": ""}),
        event({"type": "ping"}),
        text("x")[:-1],
    ],
)
def test_no_content(data: bytes) -> None:
    """C3: roles, null members, comments, blank lines, filter results and parts of events are no content."""
    machine = relay()
    assert machine.feed(data) == b""
    assert flags(machine) == (False, False, False, None, "", None)


def test_azure_first_chunk_is_not_lost() -> None:
    """Prompt filter results without choices wait for the first content and then go with it."""
    first = event({"choices": [], "prompt_filter_results": [{}], "id": "", "model": ""})
    assert relay().feed(first + text("x")) == first + text("x")


def test_legacy_text() -> None:
    """A legacy completion's `text` is content."""
    legacy = event({"choices": [{"index": 0, "text": "x", "finish_reason": None}]})
    assert relay().feed(legacy) == legacy


def test_usage_chunk() -> None:
    """Quirk 8: the usage chunk goes to the client only if it asked, and counts in both cases."""
    for include_usage in (False, True):
        machine = relay(include_usage=include_usage)
        out = machine.feed(text("a") + STOP + ONLY_USAGE + DONE)
        assert out == text("a") + STOP + (ONLY_USAGE if include_usage else b"") + DONE
        assert machine.usage == Usage(9, 4)
        assert machine.complete


def test_usage_on_the_finish_chunk() -> None:
    """DeepSeek, Mistral: a chunk with a choice passes with its usage."""
    last = chunk({"content": ""}, "stop", usage=USAGE)
    machine = relay()
    assert machine.feed(text("a") + last + DONE) == text("a") + last + DONE
    assert machine.usage == Usage(9, 4)


def test_usage_on_every_chunk_passes() -> None:
    """Continuous usage (vLLM): the last count stands; `usage: null` is unremarkable."""
    machine = relay()
    nulls = text("a", usage=None)
    machine.feed(nulls)
    assert machine.feed(nulls) is nulls
    more = text("b", usage=USAGE)
    assert machine.feed(more) == more
    assert machine.usage == Usage(9, 4)


def test_openrouter_usage_after_finish() -> None:
    """Usage on a choice without content after the finish is kept for a client that asked, and is no late content."""
    tail = chunk({"content": ""}, usage=USAGE)
    machine = relay(include_usage=True)
    assert machine.feed(text("a") + STOP + tail + DONE) == text("a") + STOP + tail + DONE


@pytest.mark.parametrize("before", [b"", ROLE, ROLE + text("a"), text("a") + STOP])
@pytest.mark.parametrize(
    "data",
    [
        {"error": {"message": "boom", "code": 500}},
        {"error": "boom"},
        {"error": {"message": "x"}, "choices": []},
        [{"error": {"code": 503}}],
        {"object": "error", "message": "x"},
    ],
)
@pytest.mark.parametrize("name", [b"", b"event: error\n"])
def test_error_wins_over_done(before: bytes, data: object, name: bytes) -> None:
    """C3, C4, C5, quirk 9: an error event ends the stream, never passes, and [DONE] after it changes nothing."""
    machine = relay()
    out = machine.feed(before)
    assert machine.feed(name + event(data) + DONE) == b""
    assert machine.error == json.dumps(data).encode()
    assert (machine.complete, machine.malformed) == (False, "")
    assert machine.feed(DONE) + machine.close() == b""
    assert STOP not in out


def test_error_as_plain_json() -> None:
    """An error that comes without any framing is an error; another JSON body is no stream."""
    machine = relay()
    machine.feed(b'{\n "error": {"message": "x"}\n}')
    assert machine.close() == b""
    assert machine.error is not None
    machine = relay()
    machine.feed(b'{"choices":[{"message":{"content":"x"}}]}')
    assert machine.close() == b""
    assert machine.malformed


@pytest.mark.parametrize("reason", ["error", "insufficient_system_resource", "aborted"])
def test_failing_finish(reason: str) -> None:
    """Quirk 23: a finish reason that means failure is an error, not an end."""
    machine = relay()
    assert machine.feed(text("a") + chunk({}, reason) + DONE) == text("a")
    assert machine.error is not None
    assert json.loads(machine.error)["error"]["code"] == reason
    assert not machine.complete


def test_unknown_finish_passes() -> None:
    """Quirk 23: a finish reason outside the enum ends a stream like any other."""
    machine = relay()
    assert machine.feed(text("a") + chunk({}, "brand_new") + DONE).endswith(DONE)
    assert machine.complete


def test_done_without_finish() -> None:
    """[DONE] is no proof of success."""
    machine = relay()
    assert machine.feed(text("a") + DONE) == text("a")
    assert (machine.complete, machine.malformed) == (False, "ended without finish_reason")
    machine = relay()
    assert machine.feed(DONE) == b""
    assert machine.malformed


def test_close() -> None:
    """C2: a well-formed end is forgiven a missing [DONE] after the finish, and broken before it."""
    machine = relay()
    assert machine.feed(text("a") + STOP) == text("a")
    assert machine.close() == STOP + DONE
    assert machine.complete
    for broken in (b"", ROLE, text("a"), text("a") + STOP[:-1]):
        machine = relay()
        machine.feed(broken)
        assert machine.close() == b""
        assert not machine.complete


def test_empty_completion() -> None:
    """Quirk 24: an answer that finishes without content passes, but only once its terminator has come."""
    machine = relay()
    assert machine.feed(ROLE + STOP) == b""
    assert (machine.content, machine.finishing) == (False, True)
    assert machine.feed(DONE) == ROLE + STOP + DONE
    assert (machine.content, machine.complete) == (True, True)


def test_late_chunks_are_dropped() -> None:
    """C8: content, a second finish and foreign indexes after the finish are ignored; usage still counts."""
    machine = relay()
    late = text("late") + chunk({}, "length") + chunk({"content": "x"}, index=7) + chunk({"content": "y"}, usage=USAGE)
    assert machine.feed(text("a") + STOP + late + DONE) == text("a") + STOP + DONE
    assert machine.usage == Usage(9, 4)


def test_several_choices() -> None:
    """Quirk 21: with n > 1 the stream finishes when each choice has, and content of the others flows on in between."""
    second = text("b", index=1)
    machine = relay()
    assert machine.feed(text("a") + second) == text("a") + second
    assert machine.feed(STOP) == b""
    assert not machine.finishing
    assert machine.feed(text("late")) == b""
    assert machine.feed(second) == second
    end = chunk({}, "stop", index=1)
    assert machine.feed(end) == b""
    assert machine.finishing
    assert machine.feed(DONE) == STOP + end + DONE


def test_choices_one_after_the_other() -> None:
    """The next choice may begin when those before have finished; its content is not late."""
    second, end = text("b", index=1), chunk({}, "stop", index=1)
    machine = relay()
    out = machine.feed(text("a") + STOP + second)
    assert not machine.finishing
    assert out + machine.feed(end + DONE) == text("a") + second + STOP + end + DONE


def test_new_choice_leaves_the_fast_path() -> None:
    """A choice that begins while another flows is counted, so the stream does not finish without it."""
    machine = relay()
    machine.feed(text("a"))
    machine.feed(text("a"))
    machine.feed(text("b", index=1))
    machine.feed(STOP)
    assert not machine.finishing


@pytest.mark.parametrize(
    "bad",
    [
        b"data: {\n\n",
        b'data: {"choices":[{"index":0,"delta":{"content":"x"}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"content":"x}\n\n',
        b"data: <html>\n\n",
        b"data: 5\n\n",
        b"data: " + b"[" * 10_000 + b"\n\n",
    ],
)
@pytest.mark.parametrize("before", [b"", text("a")])
def test_malformed_event(bad: bytes, before: bytes) -> None:
    """An event that is no chunk breaks the stream and never passes, on the fast path neither."""
    machine = relay()
    assert machine.feed(before) == before
    assert machine.feed(bad) == b""
    assert machine.malformed
    assert not machine.complete


def test_html_with_200() -> None:
    """B15: an HTML page gives no byte and no completion."""
    machine = relay()
    assert machine.feed(b"<!doctype html>\n<html>\n<body>data: no</body>\n\n</html>") + machine.close() == b""
    assert (machine.content, machine.complete) == (False, False)


@pytest.mark.parametrize(
    "odd",
    [
        text("x").replace(b'"index": 0', b'"index": null'),
        text("x", usage="none"),
        text("x", object=5),
        text("\\ud800").replace(b"\\\\ud800", b"\\ud800"),
        text("x", error=None),
        text("x", error={}),
        b"data: \n\n" + text("x"),
    ],
)
def test_tolerated_chunks(odd: bytes) -> None:
    """B18: wrong types in what we do not need pass byte for byte."""
    machine = relay()
    assert machine.feed(odd).endswith(odd[-60:])
    assert (machine.content, machine.malformed, machine.error) == (True, "", None)


def test_empty_finish_reason_is_none() -> None:
    """Some servers write an empty string for "not yet"."""
    machine = relay()
    assert machine.feed(text("a", finish="")) == text("a", finish="")
    assert not machine.finishing


@pytest.mark.parametrize("before", [b"", text("a")])
def test_limits(before: bytes) -> None:
    """C7: an endless line, an endless event and endless events without content are all cut at the limit."""
    machine = relay(limit=4096)
    fed = 0
    machine.feed(before)
    while not machine.malformed and fed < 1 << 30:
        machine.feed(b"x" * 1024)
        fed += 1024
    assert fed <= 5 * 1024
    machine = relay(limit=4096)
    assert machine.feed(text("x" * 5000)) == b""
    assert "exceeds" in machine.malformed
    machine = relay(limit=4096)
    for _ in range(100):
        machine.feed(ROLE)
    assert "without content" in machine.malformed


def test_many_tiny_events_are_not_kept() -> None:
    """C7: of many events in one slice nothing stays behind."""
    machine = relay()
    machine.feed(text("a"))
    piece = text("b") * 20_000
    assert machine.feed(piece) == piece
    assert not machine._decoder.pending
    assert (machine._held, machine._out) == ([], [])


def slices(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """The stream in pieces of those sizes, over and over."""
    start = turn = 0
    while start < len(data):
        yield data[start : start + sizes[turn % len(sizes)]]
        start, turn = start + sizes[turn % len(sizes)], turn + 1


PIECES = st.lists(
    st.sampled_from(
        [
            *(ROLE, text("a"), text("é😀"), text("b"), text("x", index=1), STOP, chunk({}, "stop", index=1)),
            *(ONLY_USAGE, text("u", usage=USAGE), DONE, b": ping\n\n", b"\n\n", event({"error": "x"}), b"data: {\n\n"),
            *(chunk({"tool_calls": [{"index": 0}]}), chunk({}, "error"), b"event: x\ndata: {}\n\n", text("y" * 3000)),
        ]
    ),
    max_size=12,
).map(b"".join)


@given(PIECES, st.sampled_from([b"\n", b"\r\n", b"\r"]), st.lists(st.integers(1, 400), min_size=1), st.booleans())
def test_slicing_changes_nothing(stream: bytes, end: bytes, sizes: list[int], include_usage: bool) -> None:
    """C6: chunk boundaries anywhere give the same bytes and the same flags, up to one byte at a time."""
    stream = stream.replace(b"\n", end)
    results = set()
    for cut in ([len(stream) or 1], sizes, [1]):
        machine = relay(include_usage=include_usage, limit=2000)
        out = b"".join([*map(machine.feed, slices(stream, cut)), machine.close()])
        results.add((out, *flags(machine)))
    assert len(results) == 1


def test_ten_thousand_slicings() -> None:
    """C6: a stream of every kind of event, cut at random in 10,000 ways, arrives byte for byte."""
    stream = ROLE + text("a") + text("é😀") + b": ping\n\n" + text("b" * 50) + STOP + ONLY_USAGE + DONE
    whole = relay(include_usage=True)
    expected = whole.feed(stream) + whole.close()
    assert whole.complete
    rng = random.Random(6)
    for _ in range(10_000):
        machine = relay(include_usage=True)
        edges = sorted(rng.sample(range(1, len(stream)), rng.randrange(1, 40)))
        pieces = [stream[start:stop] for start, stop in itertools.pairwise([0, *edges, len(stream)])]
        assert b"".join([*map(machine.feed, pieces), machine.close()]) == expected
        assert flags(machine) == flags(whole)


@given(PIECES)
def test_invariants(stream: bytes) -> None:
    """Nothing before content, [DONE] only at the end of a complete stream, never an error event to the client."""
    machine = relay()
    out = b""
    for piece in slices(stream, [97]):
        out += machine.feed(piece)
        assert machine.content or not out
        assert (b"[DONE]" in out) == machine.complete
    out += machine.close()
    assert out.endswith(DONE) == machine.complete
    assert b'"error"' not in out.replace(b'"finish_reason": "error"', b"")
    assert [bool(machine.complete), machine.error is not None, bool(machine.malformed)].count(True) <= 1


def test_official_client_reads_it() -> None:
    """What passes is a valid stream of the official client's chunk type."""
    machine = relay(include_usage=True)
    out = machine.feed(ROLE + text("hi") + STOP + ONLY_USAGE + DONE)
    lines = [line.removeprefix(b"data: ") for line in out.split(b"\n\n") if line]
    parsed = [ChatCompletionChunk.model_validate_json(line) for line in lines[:-1]]
    assert [item.choices[0].delta.content for item in parsed[:2]] == ["", "hi"]
    assert lines[-1] == b"[DONE]"
