"""What a listener hears depends on the bytes of an answer alone, never on how the network cut them.

No socket here: a connection of the client gets the bytes from the test, so thousands of slicings take a second.
"""

import asyncio
import gzip
import itertools
import random
from dataclasses import dataclass
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.canon.failure import FailureKind
from standfast.clock import ManualClock
from standfast.http1.answer_head import cut
from standfast.http1.base import Origin
from standfast.http1.client import UpstreamClient
from standfast.http1.settings import UpstreamLimits
from standfast.http1.upstream_connection import Connection
from support.upstreams import Ear, send

ORIGIN = Origin("http", "127.0.0.1", 80)
BROKEN, INVALID = FailureKind.BROKEN_STREAM, FailureKind.INVALID_REPLY


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def set_write_buffer_limits(self, high: int) -> None:
        """Of `asyncio.Transport`."""

    def write(self, data: bytes) -> None:
        """Of `asyncio.Transport`."""
        assert not self.closed
        self.written += data

    def is_closing(self) -> bool:
        """Of `asyncio.Transport`."""
        return self.closed

    def abort(self) -> None:
        """Of `asyncio.Transport`."""
        self.closed = True


@dataclass(frozen=True)
class Heard:
    """What came out of one answer, cuts forgotten.

    Attributes:
        order: the words of the callbacks, several `body` in a row as one.
        kind: of the failure, None after a good end.
        kept: the connection went back to the pool.
    """

    order: tuple[str, ...]
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    data: bytes
    kind: FailureKind | None
    kept: bool


def _parked(limits: UpstreamLimits | None = None) -> tuple[UpstreamClient, Connection, Wire]:
    """A client with one idle connection."""
    client = UpstreamClient(limits or UpstreamLimits(), ManualClock())
    client._sweep_later = lambda: None  # type: ignore[method-assign] # there is no loop to keep a timer
    connection, wire = Connection(client, ORIGIN), Wire()
    connection.connection_made(cast("asyncio.Transport", wire))
    client.park(connection)
    return client, connection, wire


def _feed(connection: Connection, content: bytes, cuts: list[int]) -> None:
    """Give bytes to a connection in slices, until it is closed."""
    edges = [0, *sorted({cut % (len(content) + 1) for cut in cuts}), len(content)]
    for start, stop in itertools.pairwise(edges):
        if stop > start and not connection.transport.is_closing():
            connection.data_received(content[start:stop])


def hear(content: bytes, cuts: list[int], then: str = "", limits: UpstreamLimits | None = None) -> Heard:
    """Give one answer to a connection in slices; then its peer is silent, closes (`eof`) or resets (`rst`)."""
    client, connection, wire = _parked(limits)
    ear = Ear()
    call = send(client, ORIGIN, ear)
    assert wire.written.endswith(b"{}")
    _feed(connection, content, cuts)
    if then == "eof" and not wire.closed:
        connection.eof_received()
    if then:
        connection.connection_lost(ConnectionResetError() if then == "rst" and not wire.closed else None)
    order = [word for at, word in enumerate(ear.events) if word != "body" or ear.events[at - 1] != "body"]
    over = ear.events[-1:] in (["end"], ["lost"])
    assert (call.connection is None) == over
    assert sum(word in ("end", "lost") for word in ear.events) == over
    kind = ear.failure.kind if ear.failures else None
    return Heard(tuple(order), ear.status, tuple(ear.headers), ear.data, kind, client.idle(ORIGIN) == 1)


def chunked(*chunks: bytes, trailer: bytes = b"") -> bytes:
    """A chunked body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailer + b"\r\n"


def answer(*lines: bytes, body: bytes = b"", status: bytes = b"200 OK", version: bytes = b"1.1") -> bytes:
    """An answer with these header lines."""
    return b"\r\n".join([b"HTTP/" + version + b" " + status, *lines, b"", body])


EVENTS = tuple(b'data: {"n": %d, "text": "\xc3\xa9\xe2\x82\xac"}\r\n\n' % n for n in range(7))
TEXT = b"".join(EVENTS)
ZIPPED = gzip.compress(TEXT)
CHUNKED = b"transfer-encoding: chunked"
LENGTH = b"content-length: 5"
GZIP = b"content-encoding: gzip"
EARLY = b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n"
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"

# name: (answer, what the peer does then, data, failure, kept)
CASES: dict[str, tuple[bytes, str, bytes, FailureKind | None, bool]] = {
    "length": (answer(LENGTH, body=b"12345"), "", b"12345", None, True),
    "empty": (answer(b"content-length: 0"), "", b"", None, True),
    "204": (answer(status=b"204 No Content"), "", b"", None, True),
    "304": (answer(b"content-length: 9", status=b"304 Not Modified"), "", b"", None, True),
    "chunks": (answer(CHUNKED, body=chunked(*EVENTS)), "", TEXT, None, True),
    "chunk extension": (answer(CHUNKED, body=b"5;a=b\r\n12345\r\n0\r\n\r\n"), "", b"12345", None, True),
    "trailer": (answer(CHUNKED, body=chunked(b"12345", trailer=b"x-sum: 1\r\n")), "", b"12345", None, True),
    "gzip": (answer(CHUNKED, GZIP, body=chunked(ZIPPED[:9], ZIPPED[9:])), "", TEXT, None, True),
    "gzip length": (answer(GZIP, b"content-length: %d" % len(ZIPPED), body=ZIPPED), "", TEXT, None, True),
    "100": (GO_ON + answer(LENGTH, body=b"12345"), "", b"12345", None, True),
    "103, 100, 103": (EARLY + GO_ON + EARLY + answer(CHUNKED, body=chunked(*EVENTS)), "", TEXT, None, True),
    "429": (answer(LENGTH, b"retry-after: 7", body=b"12345", status=b"429 Slow"), "", b"12345", None, True),
    "close": (answer(LENGTH, b"connection: close", body=b"12345"), "", b"12345", None, False),
    "1.0": (answer(LENGTH, body=b"12345", version=b"1.0"), "", b"12345", None, False),
    "1.0 to the end": (answer(body=b"12345", version=b"1.0"), "eof", b"12345", None, False),
    "to the end": (answer(body=TEXT), "eof", TEXT, None, False),
    "gzip to the end": (answer(GZIP, body=ZIPPED), "eof", TEXT, None, False),
    "to a reset": (answer(body=TEXT), "rst", TEXT, BROKEN, False),
    "short": (answer(LENGTH, body=b"123"), "eof", b"123", BROKEN, False),
    "short, reset": (answer(LENGTH, body=b"123"), "rst", b"123", BROKEN, False),
    "no last chunk": (answer(CHUNKED, body=chunked(*EVENTS)[:-5]), "eof", TEXT, BROKEN, False),
    "half a chunk": (answer(CHUNKED, body=b"5\r\n123"), "eof", b"123", BROKEN, False),
    "no last line": (answer(CHUNKED, body=b"5\r\n12345\r\n0\r\n"), "eof", b"12345", BROKEN, False),
    "half a head": (b"HTTP/1.1 200 OK\r\ncontent-le", "eof", b"", BROKEN, False),
    "only 100": (GO_ON, "eof", b"", BROKEN, False),
    "surplus": (answer(LENGTH, body=b"12345junk"), "", b"12345", None, False),
    "response splitting": (answer(LENGTH, body=b"12345" + answer(LENGTH, body=b"false")), "", b"12345", None, False),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n", "eof", b"", INVALID, False),
    "HTTP/0.9": (b"<html>hello</html>", "eof", b"", INVALID, False),
    "101": (b"HTTP/1.1 101 X\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n", "", b"", INVALID, False),
    "two meanings": (answer(LENGTH, CHUNKED, body=b"5\r\n12345\r\n0\r\n\r\n"), "eof", b"", INVALID, False),
    "two lengths": (answer(LENGTH, b"content-length: 6", body=b"12345"), "eof", b"", INVALID, False),
    "length with a sign": (answer(b"content-length: +5", body=b"12345"), "eof", b"", INVALID, False),
    "chunk size": (answer(CHUNKED, body=b"5\r\n12345\r\nzz\r\n"), "eof", b"12345", INVALID, False),
    "huge chunk size": (answer(CHUNKED, body=b"f" * 20 + b"\r\n12345"), "eof", b"", INVALID, False),
    "folded": (answer(b"x: 1\r\n 2", LENGTH, body=b"12345"), "eof", b"", INVALID, False),
    "folded by a tab": (answer(b"x: 1\r\n\t2", LENGTH, body=b"12345"), "eof", b"", INVALID, False),
    "control byte": (answer(b"x: a\x01b", LENGTH, body=b"12345"), "eof", b"", INVALID, False),
    "NUL": (answer(b"x: a\x00b", LENGTH, body=b"12345"), "eof", b"", INVALID, False),
    "bare LF": (b"HTTP/1.1 200 OK\ncontent-length: 5\n\n12345", "eof", b"", INVALID, False),
    "bare CR": (answer(b"x: a\rb", LENGTH, body=b"12345"), "eof", b"", INVALID, False),
    "space before the colon": (answer(b"content-length : 5", body=b"12345"), "eof", b"", INVALID, False),
    "other coding": (answer(LENGTH, b"content-encoding: br", body=b"12345"), "", b"", INVALID, False),
    "two codings": (answer(LENGTH, GZIP, GZIP, body=b"12345"), "", b"", INVALID, False),
    "bad gzip": (answer(LENGTH, GZIP, body=b"12345"), "", b"", INVALID, False),
    "truncated gzip": (answer(CHUNKED, GZIP, body=chunked(ZIPPED[:-9])), "", TEXT, INVALID, False),
    "gzip and more": (answer(CHUNKED, GZIP, body=chunked(ZIPPED + b"more")), "", TEXT, INVALID, False),
    "transfer gzip": (answer(b"transfer-encoding: gzip, chunked", body=chunked(b"1")), "", b"", INVALID, False),
    "close in a trailer": (
        answer(CHUNKED, body=chunked(b"12345", trailer=b"connection: close\r\n")),
        "",
        b"12345",
        None,
        False,
    ),
    "length in a trailer": (
        answer(CHUNKED, body=chunked(b"12345", trailer=b"content-length: 3\r\n")),
        "",
        b"12345",
        INVALID,
        False,
    ),
    "chunked twice": (answer(CHUNKED, CHUNKED, body=chunked(b"1")), "", b"", INVALID, False),
}


@pytest.mark.parametrize("name", CASES)
@given(cuts=st.lists(st.integers(0, 4000), max_size=12))
def test_random_slicing(name: str, cuts: list[int]) -> None:
    """B20, B21, C2, C6: each kind of answer ends as it must, wherever it is cut."""
    content, then, data, kind, kept = CASES[name]
    heard = hear(content, cuts, then)
    assert (heard.kind, heard.kept) == (kind, kept)
    assert data.startswith(heard.data) if name == "truncated gzip" else heard.data == data
    assert heard == hear(content, [], then) or name == "truncated gzip"


@pytest.mark.parametrize("name", CASES)
def test_one_byte_at_a_time(name: str) -> None:
    """C6: byte by byte an answer means the same as in one piece."""
    content, then, _, kind, kept = CASES[name]
    heard, whole = hear(content, list(range(len(content))), then), hear(content, [], then)
    assert (heard.kind, heard.kept) == (kind, kept)
    assert (heard.status, heard.headers) == (whole.status, whole.headers)
    assert heard.data == whole.data or name == "truncated gzip"


def test_headers_of_the_final_answer_only() -> None:
    """B21: the headers of interim answers are not mixed into the final one's; names are lower-case."""
    heard = hear(EARLY + answer(b"X-A: 1", b"X-a:  2", LENGTH, body=b"12345"), [], "")
    assert heard.headers == ((b"x-a", b"1"), (b"x-a", b"2"), (b"content-length", b"5"))


def test_decoded_headers_describe_what_the_listener_sees() -> None:
    """The length and the coding of the coded bytes are not told: the listener sees decoded ones."""
    heard = hear(CASES["gzip length"][0], [], "")
    assert [name for name, _ in heard.headers] == []


@pytest.mark.parametrize("trailer", [b"content-encoding: gzip", b"content-type: a/b"])
def test_trailers_say_nothing(trailer: bytes) -> None:
    """Trailers are dropped: they are no headers, neither of this answer nor of the connection's next one."""
    first = answer(CHUNKED, b"x-a: 1", body=chunked(b"12345", trailer=trailer + b"\r\n"))
    for cuts in ([], list(range(len(first)))):
        client, connection, _ = _parked()
        one, two = Ear(), Ear()
        send(client, ORIGIN, one)
        _feed(connection, first, cuts)
        assert one.ended
        assert one.headers == [(b"transfer-encoding", b"chunked"), (b"x-a", b"1")]
        send(client, ORIGIN, two)
        _feed(connection, answer(b"x-b: 2", body=b"unannounced"), [])
        connection.eof_received()
        assert two.ended
        assert (two.headers, two.data) == ([(b"x-b", b"2")], b"unannounced")


def test_a_line_end_behind_an_answer() -> None:
    """An empty line behind an answer is nobody's: the answer stands, and nothing is made of it."""
    content = answer(LENGTH, body=b"12345") + b"\r\n"
    for cuts in ([], [len(content) - 2], list(range(len(content)))):
        heard = hear(content, cuts, "")
        assert (heard.kind, heard.data, heard.order) == (None, b"12345", ("head", "body", "end"))


LIMITED = UpstreamLimits(header_bytes=1000, reply_bytes=4096)


@pytest.mark.parametrize("cuts", [[], [1], list(range(0, 3000, 10)), list(range(3000))])
@pytest.mark.parametrize(
    "head",
    [
        b"x: " + b"a" * 1500,
        b"\r\n".join(b"x-%d: 1" % n for n in range(200)),
        b"a" * 1500 + b": x",
    ],
)
def test_header_limit(head: bytes, cuts: list[int]) -> None:
    """B20: headers over the limit are invalid, whole or without end, in any slicing."""
    for content in (answer(head, LENGTH, body=b"12345"), b"HTTP/1.1 200 OK\r\n" + head):
        heard = hear(content, cuts, "", LIMITED)
        assert (heard.kind, heard.data, heard.order) == (INVALID, b"", ("lost",))


def test_reason_phrase_counts() -> None:
    """B20: an endless status line is bounded as headers are."""
    heard = hear(b"HTTP/1.1 200 " + b"a" * 5000, list(range(0, 5000, 100)), "", LIMITED)
    assert heard.kind is INVALID


def test_endless_interim_answers() -> None:
    """B21: a peer that sends 1xx answers for ever is cut off at the headers' limit."""
    content = GO_ON * 200
    assert hear(content, list(range(0, len(content), 25)), "", LIMITED).kind is INVALID


def test_many_interim_answers_in_one_read() -> None:
    """B21: however many there are, each is looked at once."""
    heard = hear(GO_ON * 1_000 + answer(LENGTH, body=b"12345"), [], "", LIMITED)
    assert (heard.kind, heard.data, heard.headers) == (None, b"12345", ((b"content-length", b"5"),))
    looked = 0

    class Counted(bytes):
        """Counts what is looked at."""

        def index(self, sub: bytes, start: int = 0) -> int:  # type: ignore[override]
            nonlocal looked
            found = super().index(sub, start)
            looked += found - start
            return found

    many, start = Counted(GO_ON * 10_000), 0
    for _ in range(10_000):
        head, start = cut(many, start)
        assert head == GO_ON[:-2]
    assert looked < len(many)


def test_endless_trailers() -> None:
    """B20: trailers without end are bounded as headers are."""
    content = answer(CHUNKED, body=b"5\r\n12345\r\n0\r\n" + b"x: 1\r\n" * 500)
    assert hear(content, list(range(0, len(content), 50)), "", LIMITED).kind is INVALID


@pytest.mark.parametrize("lines", [1001, 10_000])
def test_header_count(lines: int) -> None:
    """B20: 10,000 header lines are refused whatever their size, in one packet and in many."""
    content = answer(b"\r\n".join([b"x:"] * lines), LENGTH, body=b"12345")
    for cuts in ([], list(range(0, len(content), 1000))):
        assert hear(content, cuts, "").kind is INVALID
    content = answer(b"\r\n".join([b"x:"] * 999), LENGTH, body=b"12345")
    for cuts in ([], list(range(0, len(content), 1000))):
        assert (hear(content, cuts, "").data, len(hear(content, cuts, "").headers)) == (b"12345", 1_000)


@pytest.mark.parametrize(
    "lines",
    [
        (b"transfer-encoding: gzip, chunked",),
        (CHUNKED, CHUNKED),
        (b"content-encoding: compress", LENGTH),
        (GZIP, b"content-encoding: gzip", LENGTH),
    ],
)
def test_a_head_that_is_refused_is_not_told(lines: tuple[bytes, ...]) -> None:
    """Who cannot have the body hears of no answer, in one packet and in many."""
    content = answer(*lines, body=b"12345")
    for cuts in ([], [30], list(range(len(content)))):
        heard = hear(content, cuts, "")
        assert (heard.kind, heard.order, heard.status) == (INVALID, ("lost",), 0)


def test_bomb_in_an_answer() -> None:
    """B16: a gzip bomb gives the listener no more than the cap, then invalid_reply."""
    bomb = gzip.compress(bytes(16 << 20))
    content = answer(CHUNKED, GZIP, body=chunked(bomb))
    for cuts in ([], list(range(0, len(content), 100))):
        heard = hear(content, cuts, "", LIMITED)
        assert heard.kind is INVALID
        assert len(heard.data) <= 4096


def test_garbage_raises_nothing() -> None:
    """Whatever a peer sends, the outcome is an answer, a failure or silence, and never an exception in the loop."""
    rng = random.Random(20)
    contents = [case[0] for case in CASES.values()]
    kinds: set[FailureKind | None] = set()
    for _ in range(1500):
        bad = bytearray(rng.choice(contents))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(bad))
            bad[at : at + rng.randint(0, 2)] = rng.randbytes(rng.randint(0, 3)) or b"\r\n"
            bad = bad or bytearray(b"x")
        cuts = [rng.randrange(len(bad) + 1) for _ in range(rng.randint(0, 5))]
        whole, sliced = hear(bytes(bad), [], "eof"), hear(bytes(bad), cuts, "eof")
        assert (whole.kind, whole.status) == (sliced.kind, sliced.status), (bytes(bad), cuts)
        kinds.add(whole.kind)
    assert kinds == {None, BROKEN, INVALID}


ODD_HEADS = st.sampled_from(
    [b"%x", b"%X", b"0%x", b"0x%x", b"+%x", b" %x", b"%x ", b"%x;a=b", b"%x;", b"-%x", b"%x_", b"%xg", b"%x\r", b"%x\n"]
)
CHUNKS = st.lists(
    st.tuples(st.binary(min_size=1, max_size=40), ODD_HEADS | st.just(b"%x"), st.integers(-1, 1), st.booleans()),
    min_size=1,
    max_size=6,
)


@given(CHUNKS, st.booleans(), st.lists(st.integers(0, 400), max_size=3))
def test_chunks_that_come_alone_mean_what_they_mean_together(
    chunks: list[tuple[bytes, bytes, int, bool]], edges: bool, cuts: list[int]
) -> None:
    """C6, B20: a chunk per read, with sizes of every writing, right and wrong, is read as the parser reads it."""
    head = answer(CHUNKED)
    body = [head]
    for data, form, off, wrong in chunks:
        body.append(form % (len(data) + off * wrong) + b"\r\n" + data + b"\r\n")
    content = b"".join(body) + b"0\r\n\r\n"
    places = list(itertools.accumulate(len(piece) for piece in body)) if edges else []
    alone, together = hear(content, [*places, *cuts], "eof"), hear(content, [], "eof")
    assert (alone.kind, alone.data, alone.status, alone.kept) == (
        together.kind,
        together.data,
        together.status,
        together.kept,
    )


def test_a_lone_chunk_passes_the_parser_by_and_the_end_is_still_seen() -> None:
    """The parser stands where it stood: the last chunk and the next answer are read right."""
    client, connection, _ = _parked()
    for _ in range(3):
        ear = Ear()
        send(client, ORIGIN, ear)
        connection.data_received(answer(CHUNKED, body=b"3\r\none\r\n"))
        for piece in (
            b"3\r\ntwo\r\n",
            b"5\r\nthree\r\n",
            b"a\r\n0123456789\r\n",
            b"4\r\nfo",
            b"ur\r\n",
            b"4\r\nfive\r\n",
        ):
            connection.data_received(piece)
        assert "end" not in ear.events
        connection.data_received(b"0\r\n\r\n")
        assert (ear.data, ear.events[-1]) == (b"onetwothree0123456789fourfive", "end")
        assert client.idle(ORIGIN) == 1
