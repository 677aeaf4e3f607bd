"""The rules of server-sent events, and the limits on top of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.framing.sse import Decoder, Event, EventTooLarge, encode

LIMIT = 1 << 16


def decode(data: bytes, *, limit: int = LIMIT, step: int = 0) -> list[Event]:
    """All events of a stream, fed whole or in slices of `step` bytes."""
    decoder = Decoder(limit)
    slices = [data[i : i + step] for i in range(0, len(data), step)] if step else [data]
    events = [event for piece in slices for event in decoder.feed(piece)]
    return events + decoder.close()


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: a\n\n", [("", b"a")]),
        (b"data:a\n\n", [("", b"a")]),
        (b"data:  a\n\n", [("", b" a")]),
        (b"data: a\r\n\r\n", [("", b"a")]),
        (b"data: a\r\r", [("", b"a")]),
        (b"data: a\r\n\ndata: b\n\r\n", [("", b"a"), ("", b"b")]),
        (b"data: a\ndata: b\n\n", [("", b"a\nb")]),
        (b"event: ping\ndata: {}\n\n", [("ping", b"{}")]),
        (b"event: x\n\ndata: a\n\n", [("", b"a")]),
        (b": keep-alive\n\n\n\ndata: a\n\n", [("", b"a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("", b"a")]),
        (b"id: 1\nretry: 5\ndata: a\nunknown\n\n", [("", b"a")]),
        (b"data\n\n", [("", b"")]),
        (b"data: a\n\ndata: b\n", [("", b"a")]),
        (b"data: a\n\ndata: b", [("", b"a")]),
        (b'{\n  "error": 1\n}', [("", b'{\n  "error": 1\n}')]),
        (b"", []),
    ],
)
@pytest.mark.parametrize("step", [0, 1, 2])
def test_events(stream: bytes, expected: list[tuple[str, bytes]], step: int) -> None:
    """Line ends, joined data, comments, BOM, names and unterminated events follow the standard in any slicing."""
    assert [(event.name, event.data) for event in decode(stream, step=step)] == expected


def test_bare_json_is_marked() -> None:
    """JSON in place of an event is given, and told apart from events."""
    events = decode(b'data: {"a":1}\n\n[{"error":1}]\n')
    assert [event.bare for event in events] == [False, True]


def test_raw_is_the_event_as_it_came() -> None:
    """Every event keeps its own bytes; comments between events belong to none."""
    first, second = b"event: a\r\n: note\r\nid: 7\r\ndata: x\r\n\r\n", b"data: y\n\n"
    assert [event.raw for event in decode(first + b": ping\n\n" + second)] == [first, second]


def test_pending() -> None:
    """A remainder is visible until its event is complete."""
    decoder = Decoder(LIMIT)
    assert not decoder.pending
    decoder.feed(b"data: a")
    assert decoder.pending
    decoder.feed(b"\n")
    assert decoder.pending
    assert decoder.feed(b"\n")
    assert not decoder.pending
    decoder.feed(b"data: b")
    assert decoder.close() == []
    assert decoder.pending


def test_carriage_return_waits_for_its_line_feed() -> None:
    """C6: a CRLF cut in two is one line end."""
    decoder = Decoder(LIMIT)
    assert decoder.feed(b"data: a\r\n\r") == []
    assert [event.raw for event in decoder.feed(b"\n")] == [b"data: a\r\n\r\n"]


LINES = st.sampled_from(
    [b"data: \xc3\xa9\xf0\x9f\x98\x80", b"data: x", b"event: n", b": c", b"", b"", b"id: 1", b"data", b"{", b'"a": 1']
)
STREAMS = st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=20).map(
    lambda lines: b"".join(line + end for line, end in lines)
)


@given(STREAMS, st.lists(st.integers(1, 7), min_size=1, max_size=30))
def test_slicing_changes_nothing(stream: bytes, sizes: list[int]) -> None:
    """C6: chunk boundaries anywhere give the same events with the same bytes."""
    decoder = Decoder(LIMIT)
    events: list[Event] = []
    rest, turn = stream, 0
    while rest:
        size = sizes[turn % len(sizes)]
        events += decoder.feed(rest[:size])
        rest, turn = rest[size:], turn + 1
    assert events + decoder.close() == decode(stream)


def test_line_without_end_is_cut_at_the_limit() -> None:
    """C7: of a line of 1 GiB no more than the limit is held."""
    decoder = Decoder(1000)
    piece, fed = b"x" * 100, 0
    while fed < 1000:
        assert decoder.feed(piece) == []
        fed += len(piece)
    with pytest.raises(EventTooLarge):
        decoder.feed(piece)
    assert len(decoder._partial) == 0
    assert not decoder.pending


@pytest.mark.parametrize(
    "stream", [b"data: " + b"x" * 100 + b"\n\n", b"data: xxxxxxxx\n" * 9, b": " + b"x" * 99 + b"\n"]
)
@pytest.mark.parametrize("step", [0, 1, 7])
def test_event_over_the_limit(stream: bytes, step: int) -> None:
    """C7: line, event and comment have the same limit, in any slicing, and what came before is kept."""
    good = b"data: ok\n\n"
    decoder = Decoder(64)
    data = good + stream
    events: list[Event] = []
    with pytest.raises(EventTooLarge) as caught:  # noqa: PT012 - any of the slices may raise
        for i in range(0, len(data), step or len(data)):
            events += decoder.feed(data[i : i + (step or len(data))])
    assert [event.raw for event in events + caught.value.before] == [good]


def test_comments_never_fill_the_limit() -> None:
    """Keep-alive comments may go on for ever."""
    decoder = Decoder(64)
    for _ in range(1000):
        assert decoder.feed(b": keep-alive\n\n") == []
    assert not decoder.pending


def test_single_bytes_are_not_joined_again_and_again() -> None:
    """C7: a partial line grows in place, so work is linear in the bytes: one joined line, whatever the slices."""
    decoder = Decoder(1 << 20)
    buffer = decoder._partial
    for _ in range(100_000):
        decoder.feed(b"x")
    assert decoder._partial is buffer
    assert len(buffer) == 100_000
    assert len(decode(b"data: x\n\n" * 50_000)) == 50_000


@pytest.mark.parametrize("data", [b"x", b'{"a":1}', b"a\nb", b""])
def test_encode_is_the_inverse(data: bytes) -> None:
    """What is encoded decodes to itself, with its name."""
    (event,) = decode(encode(data, "name"))
    assert (event.name, event.data, event.raw) == ("name", data, encode(data, "name"))


def test_a_gibibyte_without_line_end_is_not_held() -> None:
    """C7: a caller that feeds on after the error still holds no more than the limit."""
    decoder, errors = Decoder(1 << 20), 0
    piece = b"x" * (1 << 19)
    for _ in range(1 << 11):
        try:
            decoder.feed(piece)
        except EventTooLarge:
            errors += 1
        assert len(decoder._partial) <= 1 << 20
    assert errors > 0
