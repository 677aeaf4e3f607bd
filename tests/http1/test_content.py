"""Content codings of upstream replies: inflated in bounded steps, never beyond the cap, never short in silence."""

import gzip
import itertools
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.http1.content import STEP, ContentError, Decoder

CAP = 1 << 20


def raw_deflate(data: bytes) -> bytes:
    """Deflate without the zlib wrapper, as some servers send it."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def inflate(coding: bytes, coded: bytes, cuts: list[int], cap: int = CAP) -> bytes:
    """Decode a body that arrives in slices."""
    decoder = Decoder(coding, cap)
    out = []
    edges = [0, *sorted(cut % (len(coded) + 1) for cut in cuts), len(coded)]
    for start, stop in itertools.pairwise(edges):
        decoder.push(coded[start:stop])
        while piece := decoder.pull():
            assert len(piece) <= STEP
            out.append(piece)
    decoder.finish()
    return b"".join(out)


CODINGS = {
    b"gzip": gzip.compress,
    b"x-gzip": gzip.compress,
    b"deflate": zlib.compress,
}


@pytest.mark.parametrize("coding", sorted(CODINGS))
@given(data=st.binary(max_size=3000), cuts=st.lists(st.integers(0, 10_000), max_size=8))
def test_slicing_does_not_matter(coding: bytes, data: bytes, cuts: list[int]) -> None:
    """C6: a coded body decodes to the same bytes wherever the network cuts it."""
    assert inflate(coding, CODINGS[coding](data), cuts) == data


@given(data=st.binary(min_size=1, max_size=3000), cuts=st.lists(st.integers(0, 10_000), max_size=8))
def test_deflate_without_wrapper(data: bytes, cuts: list[int]) -> None:
    """`deflate` is understood without its zlib header too, as browsers do."""
    assert inflate(b"deflate", raw_deflate(data), cuts) == data


@pytest.mark.parametrize("size", [STEP - 1, STEP, STEP + 1, 3 * STEP, CAP])
def test_step_boundaries(size: int) -> None:
    """Bodies that end exactly at a step or at the cap are whole, in one push as well as byte by byte."""
    data = random.Random(size).randbytes(1000) * (size // 1000 + 1)
    data = data[:size]
    coded = gzip.compress(data)
    assert inflate(b"gzip", coded, []) == data
    assert inflate(b"gzip", coded, list(range(0, len(coded), 7))) == data


def test_members_follow_each_other() -> None:
    """RFC 1952 allows several gzip members; a hostile number of them is refused."""
    assert inflate(b"gzip", gzip.compress(b"one") + gzip.compress(b"two"), [3, 9]) == b"onetwo"
    with pytest.raises(ContentError, match="surplus"):
        inflate(b"gzip", gzip.compress(b"") * 100, [])


@pytest.mark.parametrize("coding", sorted(CODINGS))
def test_truncated_everywhere(coding: bytes) -> None:
    """B16: a coded body that stops early is never taken for a short one, wherever it stops."""
    coded = CODINGS[coding](b"some content " * 20)
    for stop in range(len(coded)):
        with pytest.raises(ContentError, match="truncated"):
            inflate(coding, coded[:stop], [])


def test_surplus_after_the_end() -> None:
    """B16: bytes after the end of a coded body make it invalid."""
    with pytest.raises(ContentError, match="surplus"):
        inflate(b"deflate", zlib.compress(b"x") + b"y", [])
    with pytest.raises(ContentError, match="corrupt"):
        inflate(b"gzip", gzip.compress(b"x") + b"junk", [])


@pytest.mark.parametrize("coding", [b"br", b"zstd", b"gzip, gzip", b"GZIP"])
def test_unknown_coding(coding: bytes) -> None:
    """A coding that we cannot undo is refused at the head."""
    with pytest.raises(ContentError, match="unknown"):
        Decoder(coding, CAP)


def test_bomb_is_never_inflated_beyond_the_cap() -> None:
    """B16: a bomb gives at most the cap, step by step, and then fails."""
    bomb = gzip.compress(bytes(32 << 20))
    decoder = Decoder(b"gzip", CAP)
    decoder.push(bomb)
    sizes: list[int] = []
    with pytest.raises(ContentError, match=f"more than {CAP} bytes"):
        sizes.extend(len(piece) for piece in iter(decoder.pull, b""))
    assert CAP - STEP <= sum(sizes) <= CAP
    assert max(sizes) <= STEP


@pytest.mark.parametrize("coding", sorted(CODINGS))
def test_damage_raises_nothing_else(coding: bytes) -> None:
    """B16: damaged bytes end in the original data or in `ContentError`, in no other exception."""
    rng = random.Random(16)
    data = bytes(STEP) + rng.randbytes(300) + bytes(STEP)
    good = CODINGS[coding](data)
    refused = 0
    for _ in range(400):
        bad = bytearray(good)
        for _ in range(rng.randint(1, 3)):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        try:
            inflate(coding, bytes(bad), [rng.randrange(len(bad)) for _ in range(3)])
        except ContentError:
            refused += 1
    assert refused > 300
