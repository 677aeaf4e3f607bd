"""A broken stream given again: swallowed while equal, continued beyond, never spliced."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.canon.chat import Completed, Finish, Finished, Opened
from standfast.formats._heard import Heard, heard
from standfast.formats._replay import ReplayRelay
from standfast.formats.base import Format
from support.streams import FORMS, LIMIT, NAMES, PLACES, TEXTS, chunk, cut, read, written

CHAT = FORMS["openai_chat"]


def replay(upstream: Format, client: Format, told: Heard, stream: bytes, sizes: list[int]) -> tuple[bytes, ReplayRelay]:
    """What goes to the client, whatever the slices."""
    relay = ReplayRelay(upstream, client, told, include_usage=True, max_event_bytes=LIMIT)
    out, at, turn = b"", 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        out += relay.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    return out + relay.close(), relay


SLICES = st.tuples(PLACES, PLACES, st.lists(st.integers(1, 90), min_size=1, max_size=4))
"""How the first stream, the second and the bytes of the second are cut."""


@pytest.mark.parametrize("client", NAMES)
@pytest.mark.parametrize("upstream", NAMES)
@given(TEXTS, st.integers(1, 59), SLICES)
def test_equal_text_is_told_exactly_once(
    upstream: str, client: str, text: str, broke: int, slices: tuple[list[int], list[int], list[int]]
) -> None:
    """G3: wherever the first stream broke and however both are sliced, the client reads the whole text, once."""
    form = FORMS[client]
    first, second, sizes = slices
    before = text[: 1 + broke % len(text)]
    pieces = written(form, cut(before, first), ends=False)
    told = heard(form, pieces)
    assert (told.fault, told.text) == ("", before)
    stream = b"".join(written(FORMS[upstream], cut(text, second), name="id-2", model="m-2"))
    out, relay = replay(FORMS[upstream], form, told, stream, sizes)
    assert relay.complete
    assert relay.beyond
    assert not relay.diverged
    whole, others = read(form, b"".join(pieces) + out)
    assert whole == text
    assert [type(event) for event in others].count(Opened) == 1
    assert others[-1] == Completed()
    assert Finished(Finish.STOP) in others


@given(TEXTS, st.integers(0, 59), st.integers(0, 59), st.characters(exclude_categories=["Cs"]), SLICES)
def test_a_difference_ends_it(
    text: str, broke: int, at: int, other: str, slices: tuple[list[int], list[int], list[int]]
) -> None:
    """G3: one character that differs before the break, and nothing more reaches the client."""
    _, second, sizes = slices
    before = text[: 1 + broke % len(text)]
    at %= len(before)
    if before[at] == other:
        return
    changed = text[:at] + other + text[at + 1 :]
    told = heard(CHAT, written(CHAT, [before], ends=False))
    out, relay = replay(CHAT, CHAT, told, b"".join(written(CHAT, cut(changed, second))), sizes)
    assert (out, relay.complete, relay.beyond) == (b"", False, False)
    assert relay.diverged


def test_an_end_before_the_client_s_text_is_a_difference() -> None:
    """G2: a shorter answer is another answer."""
    told = heard(CHAT, written(CHAT, ["one two"], ends=False))
    out, relay = replay(CHAT, CHAT, told, b"".join(written(CHAT, ["one"])), [50])
    assert (out, relay.diverged) == (b"", "the second attempt ended before it had said as much")


def test_the_rest_belongs_to_the_stream_that_has_begun() -> None:
    """The chunks of the rest have the id, model and time of the first ones, and no second role."""
    pieces = written(CHAT, ["one "], ends=False, name="first", model="model-a")
    stream = b"".join(written(CHAT, ["one ", "two"], name="second", model="model-b"))
    out, _ = replay(CHAT, CHAT, heard(CHAT, pieces), stream, [1000])
    chunks = [json.loads(line[6:]) for line in out.decode().split("\n\n") if line.startswith("data: {")]
    assert {(chunk["id"], chunk["model"], chunk["created"]) for chunk in chunks} == {
        ("first", "model-a", 1_760_000_000)
    }
    assert not any("role" in choice["delta"] for chunk in chunks for choice in chunk["choices"])
    assert out.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("piece", "fault"),
    [
        (chunk({"tool_calls": [{"index": 0}]}), "it has more than text: tool_calls"),
        (chunk({"function_call": {"name": "f"}}), "it has more than text: function_call"),
        (chunk({"reasoning_content": "hm"}), "it has more than text: reasoning_content"),
        (chunk({"refusal": "no"}), "it has more than text: refusal"),
        (chunk({"audio": {"id": "a"}}), "it has more than text: audio"),
        (chunk({"content": [{"type": "text", "text": "x"}]}), "it has more than text"),
        (chunk({"content": "x"}, index=1), "it has several choices"),
        (chunk({"content": "x"}, logprobs={"content": []}), "it has log probabilities"),
        (chunk({}, finish_reason="stop"), "it has finished"),
        (b"data: nonsense\n\n", None),
        (b"", "it has no text"),
    ],
)
def test_what_cannot_be_compared_is_not_repeated(piece: bytes, fault: str | None) -> None:
    """Never inside a tool call, never with anything but the text of one choice."""
    before = [] if not piece else [chunk({"role": "assistant", "content": "a"})]
    told = heard(CHAT, [*before, piece])
    assert told.fault == fault if fault is not None else told.fault


@pytest.mark.parametrize(
    ("second", "word"),
    [
        (chunk({"tool_calls": [{"index": 0, "function": {"name": "f"}}]}), "tools"),
        (chunk({"content": "other"}, index=1), "several choices"),
    ],
)
def test_a_second_attempt_of_another_kind_diverges(second: bytes, word: str) -> None:
    """It says nothing about the upstream's health, and nothing of it reaches the client."""
    told = heard(CHAT, [chunk({"content": "text"})])
    out, relay = replay(CHAT, CHAT, told, second, [1000])
    assert (out, relay.malformed) == (b"", "")
    assert word in relay.diverged


def test_an_event_without_data_is_nothing() -> None:
    """B18: an empty `data:` line in the second attempt says nothing, and breaks nothing; found by the fuzz."""
    pieces = written(CHAT, ["one "], ends=False)
    stream = b"data:\n\nevent: ping\ndata:\n\n" + b"".join(written(CHAT, ["one ", "two"]))
    out, relay = replay(CHAT, CHAT, heard(CHAT, pieces), stream, [1000])
    assert relay.complete
    assert read(CHAT, out)[0] == "two"


def test_an_error_in_a_list_is_an_error() -> None:
    """B18: as Gemini's compatible endpoint sends it, in the second attempt too; found by the fuzz."""
    error = b'[{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}]'
    told = heard(CHAT, written(CHAT, ["one "], ends=False))
    out, relay = replay(CHAT, CHAT, told, b"data: " + error + b"\n\n", [1000])
    assert (out, relay.error) == (b"", error)


def test_a_late_event_after_the_end_is_nothing() -> None:
    """B18, C8: whatever comes behind `[DONE]`, the answer is whole."""
    relay = ReplayRelay(
        CHAT, CHAT, heard(CHAT, written(CHAT, ["one "], ends=False)), include_usage=True, max_event_bytes=LIMIT
    )
    out = relay.feed(b"".join(written(CHAT, ["one ", "two"])) + b"data: [1]\n\n") + relay.close()
    assert relay.complete
    assert read(CHAT, out)[0] == "two"
