"""The short way of a stream's chunks: the client gets the same bytes as on the long way, however they come.

No socket here: real connections and answers on transports in memory.
"""

import json
from dataclasses import dataclass
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.canon.failure import Failure, FailureKind
from standfast.clock import ManualClock
from standfast.formats._openai_relay import OpenAIRelay
from standfast.http1.answer import Answer
from standfast.http1.base import Headers, Origin
from standfast.http1.client import Call, UpstreamClient
from standfast.http1.gather import Gathering, Turn
from standfast.http1.settings import UpstreamLimits
from standfast.http1.splice import Flow, Splice, Tape
from standfast.http1.upstream_connection import Connection

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False
        self.protocol: Any = None
        self.reads = 0

    def write(self, data: bytes) -> None:
        """Of `asyncio.Transport`; uvloop's raises when it is closed."""
        if self.closed:
            raise RuntimeError("the handler is closed")
        self.written.append(data)

    def is_closing(self) -> bool:
        """Of `asyncio.Transport`."""
        return self.closed

    def abort(self) -> None:
        """Of `asyncio.Transport`."""
        self.closed = True

    close = abort

    def set_protocol(self, protocol: object) -> None:
        """Of `asyncio.BaseTransport`."""
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int) -> None:
        """Of `asyncio.Transport`."""


@dataclass
class Owner:
    """The client's connection, as its answer sees it."""

    keep: bool = True
    write_paused: bool = False
    backlog: int = 0

    def answered(self) -> None:
        """The answer is written."""

    def cut(self) -> None:
        """The answer is broken."""


@dataclass
class Mark:
    """Where content leaves its mark."""

    touched: int = -1
    turn: int = 7


class Counting(Connection):
    """Counts what it gets to read."""

    __slots__ = ("reads",)

    def data_received(self, data: bytes) -> None:
        """Counted."""
        self.reads += 1
        super().data_received(data)


class Listener:
    """What the engine's call does with a stream, and nothing else."""

    def __init__(self, *, short: bool, newer: bool = True) -> None:
        self.relay = OpenAIRelay(include_usage=False, max_event_bytes=65_536)
        self.owner, self.wire, self.mark, self.tape = Owner(), Wire(), Mark(), Tape(1 << 20)
        self.out = Gathering(cast("Any", self.wire), Turn())
        self.answer = Answer(cast("Any", self.owner), self.out, cast("Any", _Serving()), newer)
        self.way: Splice | None = None
        self._short = short
        self.failure: Failure | None = None
        self.connection = connected(self)
        self.upstream = cast("Wire", self.connection.transport.real)

    def read(self, data: bytes) -> None:
        """The upstream sends."""
        self.upstream.reads += 1
        self.upstream.protocol.data_received(data)

    @property
    def short(self) -> int:
        """How many reads never reached the connection."""
        return self.upstream.reads - self.connection.reads

    def head(self, status: int, headers: Headers) -> None:
        """The answer begins."""
        del headers
        self.answer.begin(status, b"")

    def body(self, data: bytes) -> None:
        """The next bytes: through the relay, and the short way is offered after the first that change nothing."""
        out = self.relay.feed(data)
        if out:
            self.tape.add(out)
            self.answer.write(out)
        if out is data and self._short and self.way is None:
            flow = Flow(self.relay.shape, self.mark, self.mark, self.tape)
            self.way = self.connection.way = self.answer.splice(flow)

    def end(self) -> None:
        """The answer ended well-formed."""
        out = self.relay.close()
        if out:
            self.answer.write(out)

    def lost(self, failure: Failure) -> None:
        """It did not."""
        self.failure = failure

    @property
    def told(self) -> bytes:
        """What the client was told, its frames removed."""
        self.out.flush()
        raw = b"".join(self.wire.written).partition(b"\r\n\r\n")[2]
        body = b""
        while raw:
            size, _, rest = raw.partition(b"\r\n")
            count = int(size, 16)
            body += rest[:count]
            assert rest[count : count + 2] == b"\r\n"
            raw = rest[count + 2 :]
        return body


class _Serving:
    def date_line(self) -> bytes:
        return b""


class Client(UpstreamClient):
    """Keeps no connection: that would need an event loop."""

    def park(self, connection: Connection) -> None:
        """Forget it."""


def connected(listener: Listener) -> Counting:
    """A connection to an upstream that has a request under way and the answer's head read."""
    client = Client(UpstreamLimits(), ManualClock())
    connection = Counting(client, Origin("http", "127.0.0.1", 80))
    connection.reads = 0
    wire = Wire()
    wire.protocol = connection
    connection.connection_made(cast("Any", wire))
    call = Call(client, connection.origin, b"", listener, 1.0, 1.0, connection)
    connection.begin(call, b"POST / HTTP/1.1\r\n\r\n", client._clock.now())
    return connection


def event(text: str | None, *, finish: str | None = None, **fields: object) -> bytes:
    """A chunk of OpenAI's stream."""
    delta = {} if text is None else {"content": text}
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    body = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **fields}
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


def chunk(data: bytes, form: str = "x") -> bytes:
    """A chunk of HTTP/1.1."""
    return format(len(data), form).encode() + b"\r\n" + data + b"\r\n"


def play(reads: list[bytes], *, short: bool) -> Listener:
    """Let a stream come in these reads."""
    listener = Listener(short=short)
    for data in (HEAD, *reads):
        listener.read(data)
    return listener


def test_tokens_take_the_short_way_as_they_came() -> None:
    """Plain chunks reach the client's transport in the very frames of the upstream; one with an escape is looked at."""
    frames = [chunk(event(text)) for text in ("Hel", "lo", ",", " wörld", "", "!" * 700)]
    listener = play(frames, short=True)
    assert listener.way is not None
    listener.out.flush()
    assert listener.wire.written[-len(frames) + 2 :] == frames[2:]
    assert listener.short == 2  # the first is remembered, the escaped one is read
    assert listener.mark.touched == 7
    assert (
        b"".join(listener.tape.told())
        == listener.told
        == b"".join(map(event, ("Hel", "lo", ",", " wörld", "", "!" * 700)))
    )


@pytest.mark.parametrize(
    "odd",
    [
        event('a "quote"'),
        event("line\nbreak"),
        event("wörld"),  # escaped by the encoder: a backslash
        event("x", obfuscation="abc"),
        event("x", usage=None),
        event("x") + event("y"),
        b": ping\n\n",
        event(None),
    ],
)
def test_what_has_another_shape_is_read(odd: bytes) -> None:
    """An event that differs in more than plain text goes through the format's eyes, and reaches the client whole."""
    reads = [chunk(event("a")), chunk(event("b")), chunk(event("c")), chunk(odd), chunk(event("d")), chunk(event("e"))]
    assert play(reads, short=True).told == play(reads, short=False).told


def test_a_finish_between_plain_chunks_is_not_missed() -> None:
    """Content after the finish is late and dropped, although it has the shape of what was plain before."""
    reads = [chunk(event(text)) for text in "abc"]
    reads += [chunk(event(None, finish="stop")), chunk(event("late")), chunk(b"data: [DONE]\n\n"), b"0\r\n\r\n"]
    listener = play(reads, short=True)
    assert b"late" not in listener.told
    assert listener.relay.complete
    assert listener.told.endswith(b"data: [DONE]\n\n")


def test_after_half_an_event_nothing_is_taken_for_whole() -> None:
    """The second half of a split event may look like a plain chunk of its own; it is the rest of the first."""
    whole = event("x" * 40)
    reads = [chunk(event("a")), chunk(event("b")), chunk(whole[:30]), chunk(whole[30:]), chunk(event("c"))]
    assert play(reads, short=True).told == play(reads, short=False).told


def test_a_client_that_reads_slowly_gets_the_long_way() -> None:
    """While the client's connection is paused its backlog is counted, and the order is kept afterwards."""
    listener = play([chunk(event(text)) for text in "abc"], short=True)
    listener.owner.write_paused = True
    listener.answer.hold()
    before = listener.short
    listener.read(chunk(event("d")))
    assert listener.owner.backlog > 0
    listener.owner.write_paused = False
    for text in "efg":
        listener.read(chunk(event(text)))
    assert listener.short > before
    assert listener.told == b"".join(map(event, "abcdefg"))


def test_no_event_overtakes_one_that_waits_for_the_end_of_the_turn() -> None:
    """What took the long way waits in the gathering transport; the short way is closed until it has left."""
    listener = play([chunk(event(text)) for text in "abc"], short=True)
    listener.read(chunk(event("d")) + chunk(event("e")))
    listener.out.parts.append(chunk(b": ping\n\n"))
    for text in "fg":
        listener.read(chunk(event(text)))
    assert listener.told == b"".join((*map(event, "abcde"), b": ping\n\n", *map(event, "fg")))


@pytest.mark.parametrize("form", ["X", "04x"])
def test_sizes_written_otherwise_are_understood(form: str) -> None:
    """Upper case and leading zeros are HTTP as well; the client gets every event."""
    texts = ["a" * 60, "b" * 61, "c" * 62, "d" * 63]
    listener = play([chunk(event(text), form) for text in texts], short=True)
    assert listener.told == b"".join(map(event, texts))


def test_a_wrong_size_is_not_passed_on() -> None:
    """A chunk whose size does not fit its bytes is for the parser to judge."""
    good = [chunk(event(text)) for text in "abc"]
    wrong = chunk(event("d"))
    wrong = b"%x" % (int(wrong[:2], 16) + 1) + wrong[2:]
    listener = play([*good, wrong, b"\r\n"], short=True)
    assert listener.failure is not None
    assert listener.short == 0


def test_a_closed_client_gets_nothing_more() -> None:
    """Nothing is written to a transport that closes, and to none of an answer that is over."""
    listener = play([chunk(event(text)) for text in "abc"], short=True)
    listener.out.flush()
    count = len(listener.wire.written)
    listener.answer.detach()
    listener.read(chunk(event("d")))
    listener.out.flush()
    assert len(listener.wire.written) == count


def test_a_client_whose_transport_has_just_closed_gets_nothing_more() -> None:
    """Its protocol hears of it in the loop's next turn; a chunk before that takes the long way to nowhere."""
    listener = play([chunk(event(text)) for text in "abc"], short=True)
    listener.out.flush()
    count, passed = len(listener.wire.written), listener.short
    listener.wire.closed = True
    listener.read(chunk(event("d")))
    listener.out.flush()
    assert (len(listener.wire.written), listener.short) == (count, passed)
    assert listener.failure is None


def test_what_the_upstreams_transport_tells_reaches_the_connection() -> None:
    """While the splice is its protocol: the end, in the middle of a stream, is a broken stream."""
    listener = play([chunk(event(text)) for text in "abcd"], short=True)
    assert listener.upstream.protocol is listener.way
    listener.upstream.protocol.eof_received()
    assert listener.failure is not None
    assert listener.failure.kind is FailureKind.BROKEN_STREAM
    assert listener.upstream.protocol is listener.connection
    assert listener.tape.told() == [event(text) for text in "abcd"]


def test_a_tape_without_room_remembers_nothing() -> None:
    """Neither what is told from then on nor what was before; the stream goes on."""
    listener = Listener(short=True)
    listener.tape.room = 3 * len(event("a"))
    for data in (HEAD, *(chunk(event(text)) for text in "abcdefgh")):
        listener.read(data)
    assert listener.tape.room < 0
    assert listener.tape.told() == []
    assert listener.short >= 3
    assert listener.told == b"".join(map(event, "abcdefgh"))


def test_an_old_client_has_no_short_way() -> None:
    """HTTP/1.0 knows no chunks, so theirs are taken off."""
    listener = Listener(short=True, newer=False)
    for data in (HEAD, *(chunk(event(text)) for text in "abc")):
        listener.read(data)
    listener.out.flush()
    assert listener.way is None
    assert b"".join(listener.wire.written).endswith(b"".join(map(event, "abc")))


def test_the_way_ends_with_its_answer() -> None:
    """The next answer on the connection does not reach the client of the one before."""
    listener = play([chunk(event(text)) for text in "abc"], short=True)
    listener.read(chunk(event(None, finish="stop")) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
    assert listener.connection.way is None
    assert listener.upstream.protocol is listener.connection


TEXTS = st.one_of(st.text(max_size=12), st.sampled_from(["", "a", 'say "hi"', "back\\slash", "ü", "\n", "x" * 300]))
EVENTS = st.one_of(
    TEXTS.map(event),
    TEXTS.map(event),
    TEXTS.map(event),
    st.builds(event, TEXTS, obfuscation=st.sampled_from(["a", "bb"])),
    st.builds(event, st.none(), finish=st.sampled_from(["stop", "length"])),
    st.just(event(None, usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3})),
    st.just(b'data: {"error": {"message": "no"}}\n\n'),
    st.just(b": ping\n\n"),
    st.just(b"data: [DONE]\n\n"),
    st.just(b"data: {nonsense}\n\n"),
)


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Events in chunks, one or several or a part of one in each, and the chunks in reads."""
    events = draw(st.lists(EVENTS, min_size=1, max_size=25))
    bodies: list[bytes] = []
    for data in events:
        how = draw(st.integers(0, 9))
        if how == 0 and len(data) > 2:
            cut = draw(st.integers(1, len(data) - 1))
            bodies += [data[:cut], data[cut:]]
        elif how == 1 and bodies:
            bodies[-1] += data
        else:
            bodies.append(data)
    reads: list[bytes] = []
    for body in bodies:
        data = chunk(body, draw(st.sampled_from(["x", "x", "x", "X"])))
        how = draw(st.integers(0, 9))
        if how == 0:
            cut = draw(st.integers(1, len(data) - 1))
            reads += [data[:cut], data[cut:]]
        elif how == 1 and reads:
            reads[-1] += data
        else:
            reads.append(data)
    return reads


@given(streams())
def test_both_ways_tell_the_same(reads: list[bytes]) -> None:
    """C6: whatever comes, in whatever slices, the client hears and the relay knows the same with the short way."""
    with_it, without = play(reads, short=True), play(reads, short=False)
    assert with_it.told == without.told
    assert b"".join(with_it.tape.told()) == b"".join(without.tape.told())
    for name in ("content", "finishing", "complete", "error", "malformed", "usage"):
        assert getattr(with_it.relay, name) == getattr(without.relay, name)


def test_a_full_tape_is_blank() -> None:
    """What cannot be remembered whole is not remembered at all."""
    tape = Tape(10)
    tape.add(b"12345")
    tape.add(b"67890x")
    tape.add(b"1")
    assert tape.room < 0
    assert tape.pieces == []
