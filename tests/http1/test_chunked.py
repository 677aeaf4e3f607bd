"""The chunked coding: strict, bounded, exact about the end."""

# ruff: noqa: D103 - small helpers

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.http1.chunked import ChunkedDecoder, ChunkedError, ChunkedTooLargeError


def encode(parts: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part) + b"0\r\n\r\n"


def feed_all(decoder: ChunkedDecoder, pieces: list[bytes]) -> None:
    for piece in pieces:
        decoder.feed(piece)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=8), st.binary(max_size=10), st.lists(st.integers(0, 400), max_size=6))
def test_any_slicing_gives_the_content_and_the_exact_end(parts: list[bytes], rest: bytes, cuts: list[int]) -> None:
    """However the bytes are sliced, the content is the same and the bytes after the end are left alone."""
    message = encode(parts)
    wire = message + rest
    decoder = ChunkedDecoder(10_000)
    consumed = 0
    edges = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    for start, stop in pairwise(edges):
        if not decoder.done:
            consumed += decoder.feed(wire[start:stop])
    assert decoder.done
    assert consumed == len(message)
    assert decoder.content == b"".join(parts)


@pytest.mark.parametrize(
    "wire",
    [
        b"5 \r\nabcde\r\n",
        b" 5\r\nabcde\r\n",
        b"+5\r\nabcde\r\n",
        b"-1\r\n",
        b"0x5\r\nabcde\r\n",
        b"1_0\r\n",
        b"g\r\n",
        b"\r\n",
        b"5\nabcde\n",
        b"5\rabcde\r",
        b"5\r\nabcdef\r\n",
        b"5\r\nabcde\n",
        b"5\r\nabcde0\r\n\r\n",
        b"11112222333344445\r\n",
        b"5;\x00\r\nabcde\r\n",
        b"5;a\rb\r\nabcde\r\n",
        b"5;" + b"a" * 2000 + b"\r\n",
        b"5;" + b"a" * 2000,
        b"0\r\nX y: 1\r\n\r\n",
        b"0\r\n folded\r\n\r\n",
        b"0\r\nX: \x01\r\n\r\n",
        b"0\r\n\n",
    ],
)
def test_malformed_is_refused_whole_and_byte_by_byte(wire: bytes) -> None:
    """E6: what two parsers could read in two ways is an error, in one piece or in many."""
    with pytest.raises(ChunkedError):
        ChunkedDecoder(1000).feed(wire)
    decoder = ChunkedDecoder(1000)
    with pytest.raises(ChunkedError):
        feed_all(decoder, [wire[index : index + 1] for index in range(len(wire))])


def test_too_large_is_known_at_the_size_line() -> None:
    """E1: a chunk that goes beyond the limit is refused before a byte of it is taken."""
    decoder = ChunkedDecoder(10)
    decoder.feed(b"8\r\nabcdefgh\r\n")
    with pytest.raises(ChunkedTooLargeError):
        decoder.feed(b"3\r\n")
    with pytest.raises(ChunkedTooLargeError):
        ChunkedDecoder(10).feed(b"ffffffffffffffff\r\n")


def test_framing_may_not_outweigh_content() -> None:
    """E6: endless extensions, one-byte chunks or trailers are cut off; chunks of ten bytes may go on for ever."""
    decoder = ChunkedDecoder(10**9)
    with pytest.raises(ChunkedError, match="framing"):
        feed_all(decoder, [b"1;" + b"e" * 900 + b"\r\nx\r\n"] * 200)
    decoder = ChunkedDecoder(10**9)
    with pytest.raises(ChunkedError, match="framing"):
        decoder.feed(b"1\r\nx\r\n" * 40_000)
    decoder = ChunkedDecoder(10**9)
    decoder.feed(b"0\r\n")
    with pytest.raises(ChunkedError, match="framing"):
        decoder.feed(b"a: b\r\n" * 20_000)
    decoder = ChunkedDecoder(10**9)
    decoder.feed(b"a\r\n0123456789\r\n" * 40_000)
    assert decoder.size == 400_000
