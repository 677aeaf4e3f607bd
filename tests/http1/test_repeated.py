"""A head that comes again on its connection means exactly what it would mean on a fresh one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from http1.conftest import Bench
from standfast.http1.message import MessageReader
from standfast.http1.request_head import HeadError
from standfast.http1.settings import ServerLimits

LIMITS = ServerLimits(body_bytes=4096)


def message(body: bytes, *extra: bytes, path: bytes = b"/v1/x", length: bytes | None = None) -> bytes:
    """A request with a plain head."""
    lines = [b"POST %b HTTP/1.1" % path, b"Host: a", *extra, b"Content-Length: %b" % (length or b"%d" % len(body))]
    return b"\r\n".join((*lines, b"X-Last: 1", b"", body))


def reading(reader: MessageReader, data: bytes) -> object:
    """What a reader makes of `data`: the request and what is left, or why not."""
    try:
        request = reader.repeated(data, "peer")
        if request is None:
            reader.push(data)
            if reader.sniff() is None:
                return "incomplete head"
            request = reader.head("peer")
            body = reader.body()
            if body is None:
                return "incomplete body"
            request.body = body
    except HeadError as error:
        return error.status, error.message
    facts = (request.method, request.path, request.query, request.headers, request.body, request.peer)
    return facts, reader.rest(), reader.line


def mutated(data: bytes, at: int, change: bytes, cut: int) -> bytes:
    """`data` with `cut` bytes at a place replaced."""
    at %= len(data) + 1
    return data[:at] + change + data[at + cut :]


@given(
    st.binary(min_size=1, max_size=40),
    st.binary(min_size=1, max_size=40),
    st.integers(0, 200),
    st.sampled_from([b"", b"\r", b"\n", b"\r\n", b" ", b"0", b"9", b"-", b"+1", b"_", b"a", b"\x00", b"\r\nHost: b"]),
    st.integers(0, 3),
)
def test_a_second_request_is_read_as_on_a_fresh_connection(
    first: bytes, second: bytes, at: int, change: bytes, cut: int
) -> None:
    """E3: what is recognised as a repetition, and what only looks like one, means what a fresh parser says it means."""
    reader = MessageReader(LIMITS)
    for _ in range(2):
        assert isinstance(reading(reader, message(first)), tuple)
    again = mutated(message(second), at, change, cut)
    assert reading(reader, again) == reading(MessageReader(LIMITS), again)


@pytest.mark.parametrize(
    "data",
    [
        message(b"abc", length=b"4"),
        message(b"abc", length=b"2"),
        message(b"abc", length=b"03"),
        message(b"abc", length=b"99999999999999999"),
        message(b"abc", length=b"5000"),
        message(b"abc", length=b"+3"),
        message(b"abc", length=b"\xb2"),
        message(b"abc", b"Transfer-Encoding: chunked"),
        message(b"abc", b"Content-Length: 3"),
        message(b"abc") + b"GET",
    ],
)
def test_lengths_that_do_not_fit_are_no_repetition(data: bytes) -> None:
    """E3: a wrong, doubled, oversized or odd length after a good one is treated as it would be without the good one."""
    reader = MessageReader(LIMITS)
    assert isinstance(reading(reader, message(b"abc")), tuple)
    assert reading(reader, data) == reading(MessageReader(LIMITS), data)


def test_a_repetition_is_recognised_with_another_length() -> None:
    """The digits of the length are the only thing that may differ; the notes made about the head are kept."""
    reader = MessageReader(LIMITS)
    assert isinstance(reading(reader, message(b"abc")), tuple)
    request = reader.repeated(message(b"more than three"), "peer")
    assert request is not None
    assert (request.body, reader.pending) == (b"more than three", 0)
    request.notes["seen"] = 1
    third = reader.repeated(message(b"x"), "peer")
    assert third is not None
    assert third.notes == {"seen": 1}


@pytest.mark.parametrize(
    "extra", [b"Expect: 100-continue", b"Connection: close", b"Upgrade: h2c", b"Transfer-Encoding: chunked"]
)
def test_only_plain_heads_are_kept(extra: bytes) -> None:
    """Whatever changes what follows a head is looked at each time."""
    reader = MessageReader(LIMITS)
    reading(reader, message(b"abc", extra))
    reader.clear()
    assert reader.repeated(message(b"abc", extra), "peer") is None


def test_a_client_that_never_repeats_itself_is_not_watched() -> None:
    """After a few different heads the search for a repetition stops: it would be paid for nothing."""
    reader = MessageReader(LIMITS)
    for number in range(8):
        assert isinstance(reading(reader, message(b"abc", b"X-Number: %d" % number)), tuple)
    assert isinstance(reading(reader, message(b"abc", b"X-Number: 7")), tuple)
    assert reader.repeated(message(b"abc", b"X-Number: 7"), "peer") is None


def test_each_repetition_is_admitted_anew() -> None:
    """A key that was revoked in between is refused: the application sees every head."""
    bench = Bench()
    protocol, transport = bench.connect()
    for _ in range(3):
        protocol.data_received(message(b"abc"))
    assert len(bench.application.heads) == 3
    assert [work.request.body for work in bench.application.works] == [b"abc"] * 3
    bench.application.raising.add(b"/v1/x")
    protocol.data_received(message(b"abc"))
    assert len(bench.errors) == 1
    assert b"HTTP/1.1 500" in transport.written[-1]


def test_pipelined_repetitions_are_answered_in_order() -> None:
    """A repetition with another request behind it is read the long way; the order stays."""
    bench = Bench()
    protocol, _ = bench.connect()
    protocol.data_received(message(b"1"))
    protocol.data_received(message(b"22") + message(b"333"))
    protocol.data_received(message(b"4444"))
    assert [work.request.body for work in bench.application.works] == [b"1", b"22", b"333", b"4444"]
