"""What is cut from a head's bytes is what the parser, which has accepted them, calls its headers."""

from contextlib import suppress
from itertools import pairwise

import pytest
from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpResponseParser
from hypothesis import example, given
from hypothesis import strategies as st

from standfast.http1.answer_head import CODED, AnswerHead
from standfast.http1.settings import UpstreamLimits
from standfast.http1.upstream_answer import AnswerReader


class Parsed:
    """The parser's own word: the headers of each head that it completes, as its callbacks tell them."""

    def __init__(self) -> None:
        self.heads: list[list[tuple[bytes, bytes]]] = []
        self._lines: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self._lines.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self.heads.append(self._lines)
        self._lines = []


class Reader(AnswerReader):
    """The house's reader, fed as a connection feeds it; keeps every final head."""

    def feed(self, data: bytes) -> None:
        """A piece from the network."""
        self._seen += len(data)
        if not self._status:
            self._raw = data if not self._raw else self._more(data)
        self._parser.feed_data(data)

    @property
    def head(self) -> AnswerHead | None:
        """Complete, or None."""
        return self._head


def told(pieces: list[bytes]) -> list[tuple[bytes, bytes]] | None:
    """The final head's headers by the house's reader; None if there is none."""
    reader = Reader(UpstreamLimits())
    with suppress(HttpParserCallbackError, HttpParserError, HttpParserUpgrade):
        for piece in pieces:
            reader.feed(piece)
            if reader.head is not None:
                break
    return None if reader.head is None else list(reader.head)


NAMES = st.sampled_from(
    [b"X-A", b"x-b", b"Date", b"Vary", b"SERVER", b"content-type", b"X-Request-ID", b"a", b"!#$%&'*+-"]
)
VALUES = st.binary(max_size=12).map(lambda data: data.translate(None, b"\x00\r\n\x7f"))
BLANKS = st.sampled_from([b"", b" ", b"  ", b"\t", b" \t "])
LINES = st.builds(lambda *parts: b"".join(parts), NAMES, st.just(b":"), BLANKS, VALUES, BLANKS, st.just(b"\r\n"))
ODD = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b" folded\r\n", b"X : y\r\n", b"X\r\n", b":\r\n", b"a: b\nc: d\r\n", b"a: b\r\r\n"]
)
HEADS = st.lists(st.one_of(LINES, LINES, LINES, ODD), max_size=6).map(b"".join)
LENGTH = b"Content-Length: 2\r\n"


@given(
    st.lists(st.tuples(st.sampled_from([100, 102, 103]), HEADS), max_size=2),
    HEADS,
    st.sampled_from([b"", b"\r\n", b"\n\r\n", b"\r\n\r\n"]),
    st.lists(st.integers(1, 400), max_size=3),
)
@example([], b"A: \r\n", b"\r\n\r\n", [])
@example([(103, b"Link: </a>\r\n")], b"x: 1\r\n", b"\r\n", [1, 40])
def test_headers_are_those_of_the_parser(
    interims: list[tuple[int, bytes]], head: bytes, before: bytes, cuts: list[int]
) -> None:
    """However odd the bytes and wherever the network cuts them: accepted or not, and what is in it."""
    data = b"".join(before + b"HTTP/1.1 %d Early\r\n%b\r\n" % (status, lines) for status, lines in interims)
    data += before + b"HTTP/1.1 200 OK\r\n" + LENGTH + head + b"\r\nhi"
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[start:stop] for start, stop in pairwise(edges)]
    parsed = Parsed()
    with suppress(HttpParserError, HttpParserUpgrade):
        HttpResponseParser(parsed).feed_data(data)
    found = told(pieces)
    if len(parsed.heads) > len(interims):
        assert found == parsed.heads[len(interims)]
    else:
        assert found is None


@pytest.mark.parametrize(
    ("lines", "coded", "framed"),
    [
        (b"X: 1", False, False),
        (b"VARY: Accept-Encoding", False, False),
        (b"Content-LENGTH: 2", False, True),
        (b"X-Content-Length: 2", False, False),
        (b"tRANSFER-eNCODING: chunked", True, True),
        (b"Content-ENCODING: gzip", True, False),
    ],
)
def test_what_frames_the_body_is_seen_in_any_case(lines: bytes, coded: bool, framed: bool) -> None:
    """A name is found whatever its letters are; the name of a coding in another header's value is none."""
    raw = b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n"
    head = AnswerHead(raw, raw.lower())
    assert (CODED in head.lower, head.framed) == (coded, framed)


def test_a_head_is_a_collection() -> None:
    """It can be gone through twice, counted, and asked; without some headers it still says what they said."""
    raw = b"HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length:2\r\na:  2 \r\n"
    head = AnswerHead(raw, raw.lower())
    assert list(head) == list(head) == [(b"a", b"1"), (b"content-length", b"2"), (b"a", b"2")]
    assert (len(head), (b"a", b"2") in head, (b"A", b"1") in head) == (3, True, False)
    assert (head.word(b"a"), head.word(b"length"), head.word(b"http/1.1 200 ok")) == (b"1", b"", b"")
    rest = head.without(b"a")
    assert (list(rest), rest.framed) == ([(b"content-length", b"2")], True)
