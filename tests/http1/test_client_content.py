"""Content codings that nobody asked for: inflated under a cap, step by step, or refused."""

import gzip
import random
import zlib

import pytest

from standfast.http1.content import STEP, ContentError, Decoder

PLAIN = random.Random(7).randbytes(50_000) + b"standfast" * 30_000


def drain(decoder: Decoder) -> bytes:
    """All that the decoder gives now."""
    return b"".join(iter(decoder.pull, b""))


def inflate(coding: bytes, coded: bytes, size: int, cap: int = 1 << 24) -> bytes:
    """Decode in pieces of `size` bytes."""
    decoder = Decoder(coding, cap)
    plain = b""
    for start in range(0, len(coded), size):
        decoder.push(coded[start : start + size])
        plain += drain(decoder)
    decoder.finish()
    return plain


def raw_deflate(plain: bytes) -> bytes:
    """Deflate without its zlib wrapper, as some servers send it."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(plain) + packer.flush()


@pytest.mark.parametrize("size", [1, 2, 3, 1000, 1 << 20])
@pytest.mark.parametrize(
    ("coding", "coded"),
    [
        (b"gzip", gzip.compress(PLAIN)),
        (b"x-gzip", gzip.compress(PLAIN[:30_000]) + gzip.compress(PLAIN[30_000:])),
        (b"deflate", zlib.compress(PLAIN)),
        (b"deflate", raw_deflate(PLAIN)),
    ],
)
def test_decodes_however_sliced(coding: bytes, coded: bytes, size: int) -> None:
    """B16: a coded body gives the same bytes, whatever the slices and members."""
    assert inflate(coding, coded, size) == PLAIN


def test_bomb_stops_at_cap() -> None:
    """B16: a bomb is inflated in bounded steps and stops at the cap."""
    bomb = gzip.compress(bytes(64 << 20))
    decoder = Decoder(b"gzip", 1 << 20)
    decoder.push(bomb)
    total = 0
    while total < 1 << 20:
        data = decoder.pull()
        assert 0 < len(data) <= STEP
        total += len(data)
    assert total == 1 << 20
    with pytest.raises(ContentError, match="more than 1048576 bytes"):
        decoder.pull()


def test_exactly_the_cap_is_allowed() -> None:
    """The cap is the largest size that is allowed, not the smallest that is refused."""
    coded = gzip.compress(bytes(100_000))
    assert len(inflate(b"gzip", coded, 500, cap=100_000)) == 100_000
    with pytest.raises(ContentError):
        inflate(b"gzip", coded, 500, cap=99_999)


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize(
    ("coding", "coded"),
    [
        (b"gzip", gzip.compress(PLAIN)[:-1]),
        (b"gzip", gzip.compress(PLAIN)[:5000]),
        (b"gzip", b""),
        (b"deflate", b"x"),
        (b"gzip", b"not gzip at all"),
        (b"gzip", gzip.compress(PLAIN)[:-8] + bytes(8)),
        (b"gzip", gzip.compress(PLAIN) + b"surplus"),
        (b"deflate", zlib.compress(PLAIN) + b"surplus"),
        (b"gzip", gzip.compress(b"") * 1000),
    ],
)
def test_refuses_what_is_not_whole(coding: bytes, coded: bytes, size: int) -> None:
    """B16: truncated, corrupt or surplus coded bytes are an error, never a short body."""
    with pytest.raises(ContentError):
        inflate(coding, coded, size)


@pytest.mark.parametrize("coding", [b"br", b"zstd", b"compress", b"gzip, gzip"])
def test_refuses_unknown_codings(coding: bytes) -> None:
    """B16: a coding that we cannot remove is refused at the head."""
    with pytest.raises(ContentError, match="unknown"):
        Decoder(coding, 1000)
