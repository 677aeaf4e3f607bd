"""How an answer is read and how it may end: well-formed, broken or invalid, however the network slices it."""

import asyncio
import gzip
import random
import zlib

import pytest

from http1.client_peer import CHUNKED, LOOPS, OK, Heard, Line, answering, bench, peer, run, until
from standfast.canon.failure import FailureKind

H = b"HTTP/1.1 200 OK\r\n"
pytestmark = pytest.mark.parametrize("loop", LOOPS)


async def outcome(*pieces: bytes, then: str = "stay", **limits: int) -> tuple[Heard, int, int]:
    """The one answer to a request; connections that stay open, and connections that were made."""
    async with peer(answering(*pieces, then=then)) as upstream, bench(**limits) as b:
        heard = await b.ask(upstream.origin)
        if heard.failure is not None:
            await until(lambda: b.client.open_connections == 0)
        return heard, b.client.open_connections, len(upstream.lines)


@pytest.mark.parametrize(
    ("pieces", "then"),
    [
        ((H + b"content-length: 6\r\n\r\nfoo", b"bar"), "stay"),
        ((CHUNKED, b"3\r\nfoo\r\n", b"3;x=y\r\nbar\r\n0\r\n", b"trailer: 1\r\n\r\n"), "stay"),
        ((H + b"\r\nfoo", b"bar"), "close"),
        ((b"HTTP/1.0 200 OK\r\n\r\nfoobar",), "close"),
    ],
)
def test_three_good_ends(loop: str, pieces: tuple[bytes, ...], then: str) -> None:
    """C2: announced length met, terminating chunk, or end of file where nothing was announced."""

    async def main() -> None:
        heard, left, _ = await outcome(*pieces, then=then)
        assert heard.data == b"foobar"
        assert heard.events[0] == "head"
        assert heard.events[-1] == "end"
        assert left == (then == "stay")

    run(main(), loop)


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_statuses_without_body(loop: str, status: bytes) -> None:
    """204 and 304 end with their head."""

    async def main() -> None:
        heard, left, _ = await outcome(b"HTTP/1.1 " + status + b"\r\n\r\n")
        assert (heard.events, left) == (["head", "end"], 1)

    run(main(), loop)


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize(
    ("pieces", "place"),
    [
        ((), "before the answer"),
        ((b"HTTP/1.1 20",), "inside the headers"),
        ((H + b"content-le",), "inside the headers"),
        ((b"HTTP/1.1 100 Continue\r\n\r\n",), "inside the headers"),
        ((H + b"content-length: 10\r\n\r\nfoo",), "inside the body"),
        ((H + b"content-length: 10\r\n\r\n",), "inside the body"),
        ((CHUNKED + b"5\r\nfo",), "inside the body"),
        ((CHUNKED + b"3\r\nfoo\r\n",), "inside the body"),
        ((CHUNKED + b"3\r\nfoo\r\n0\r\n",), "inside the body"),
    ],
)
def test_broken_ends(loop: str, pieces: tuple[bytes, ...], place: str, then: str) -> None:
    """C2, A6: closed or reset at any stage is a broken stream; sent, told once, and not repeated."""

    async def main() -> None:
        heard, _, made = await outcome(*pieces, then=then)
        assert heard.events.count("lost") == 1
        assert heard.events[-1] == "lost"
        assert heard.failure is not None
        assert (heard.failure.kind, heard.failure.sent) == (FailureKind.BROKEN_STREAM, True)
        assert place in heard.failure.detail
        assert heard.failure.status == (200 if place == "inside the body" else 0)
        assert made == 1
        if b"foo" in b"".join(pieces):
            assert heard.data == b"foo"

    run(main(), loop)


def test_reset_of_an_unannounced_body_is_broken(loop: str) -> None:
    """C2: only a clean end of file ends a body without announced length; a reset never does."""

    async def main() -> None:
        heard, _, _ = await outcome(H + b"\r\nfoo", then="reset")
        assert heard.events == ["head", "body", "lost"]
        assert heard.failure is not None
        assert heard.failure.kind is FailureKind.BROKEN_STREAM

    run(main(), loop)


def test_reset_after_request_was_read(loop: str) -> None:
    """A6: one request is seen, and the failure is ambiguous."""

    async def main() -> None:
        seen: list[bytes] = []

        async def script(line: Line) -> None:
            seen.append(await line.request())
            line.reset()

        async with peer(script) as upstream, bench() as b:
            heard = await b.ask(upstream.origin)
            assert heard.failure is not None
            assert heard.failure.ambiguous
            assert len(seen) == 1

    run(main(), loop)


@pytest.mark.parametrize("then", ["close", "reset"])
def test_not_sent_when_the_body_was_not_written(loop: str, then: str) -> None:
    """A connection that dies while part of the request is still in our buffer cannot have been billed."""

    async def main() -> None:
        async def script(line: Line) -> None:
            await line.more()
            line.close() if then == "close" else line.reset()

        async with peer(script) as upstream, bench() as b:
            heard = await b.ask(upstream.origin, bytes(32 << 20))
            assert heard.failure is not None
            assert heard.failure.kind is FailureKind.BROKEN_STREAM
            assert not heard.failure.sent
            assert not heard.failure.ambiguous

    run(main(), loop)


def test_large_request_arrives_whole(loop: str) -> None:
    """A body larger than every buffer arrives whole, and its connection serves again."""

    async def main() -> None:
        body = random.Random(3).randbytes(8 << 20)
        got: list[bytes] = []

        async def script(line: Line) -> None:
            while request := await line.request():
                got.append(request.partition(b"\r\n\r\n")[2])
                await line.send(OK)

        async with peer(script) as upstream, bench() as b:
            assert (await b.ask(upstream.origin, body)).events == ["head", "body", "end"]
            assert got == [body]
            assert b.client.idle(upstream.origin) == 1

    run(main(), loop)


def test_silence_is_no_error(loop: str) -> None:
    """A9: a silent upstream is nobody's error here; cancelling closes it at once."""

    async def main() -> None:
        closed = asyncio.Event()

        async def script(line: Line) -> None:
            await line.request()
            await line.gone()
            closed.set()

        async with peer(script) as upstream, bench() as b:
            heard = Heard()
            call = b.send(upstream.origin, heard)
            await until(lambda: b.client.open_connections)
            await asyncio.sleep(0.05)
            assert heard.events == []
            call.cancel()
            await asyncio.wait_for(closed.wait(), 2)
            assert heard.events == []

    run(main(), loop)


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\ncontent-encoding: br\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n" * 5,
    ],
)
@pytest.mark.parametrize("apart", [False, True])
def test_interim_answers_are_skipped(loop: str, interim: bytes, apart: bool) -> None:
    """B21: 1xx answers are skipped, and their headers are not the final answer's."""

    async def main() -> None:
        heard, left, _ = await outcome(*((interim, OK) if apart else (interim + OK,)))
        assert (heard.events, heard.data) == (["head", "body", "end"], b"hi")
        assert heard.headers == [(b"content-length", b"2")]
        assert left == 1

    run(main(), loop)


INVALID = {
    "101": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "101 alone": b"HTTP/1.1 101 Switching Protocols\r\n\r\nabc",
    "no HTTP": b"220 smtp.example.test ready\r\n",
    "status 099": b"HTTP/1.1 099 X\r\ncontent-length: 0\r\n\r\n",
    "obs-fold": H + b"a: b\r\n c\r\ncontent-length: 0\r\n\r\n",
    "control byte": H + b"a: b\x01\r\ncontent-length: 0\r\n\r\n",
    "NUL": H + b"a: b\x00c\r\ncontent-length: 0\r\n\r\n",
    "bare CR": H + b"a: b\rc: d\r\ncontent-length: 0\r\n\r\n",
    "bare LF": H + b"a: b\nc: d\r\ncontent-length: 0\r\n\r\n",
    "space before colon": H + b"a : b\r\ncontent-length: 0\r\n\r\n",
    "length and chunks": H + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": H + b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n",
    "two lengths": H + b"content-length: 2\r\ncontent-length: 2\r\n\r\nhi",
    "length overflow": H + b"content-length: 99999999999999999999999\r\n\r\nhi",
    "negative length": H + b"content-length: -1\r\n\r\nhi",
    "chunk size": CHUNKED + b"zz\r\nhi\r\n",
    "chunk overflow": CHUNKED + b"fffffffffffffffff\r\nhi",
    "chunk end": CHUNKED + b"2\r\nhiXX0\r\n\r\n",
    "gzip transfer": H + b"transfer-encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "chunked twice": H + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "headers 1 MiB": H + b"a: " + b"x" * (1 << 20) + b"\r\ncontent-length: 0\r\n\r\n",
    "header without end": H + b"a: " + b"x" * (1 << 20),
    "reason without end": b"HTTP/1.1 200 " + b"x" * (1 << 20),
    "10000 headers": H + b"a: b\r\n" * 10_000 + b"content-length: 0\r\n\r\n",
    "1001 headers": H + b"a: b\r\n" * 1001 + b"\r\n",
    "endless interim": b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 20_000,
    "endless trailers": CHUNKED + b"2\r\nhi\r\n0\r\n" + b"t: x\r\n" * 50_000,
    "trailer without end": CHUNKED + b"2\r\nhi\r\n0\r\nt: " + b"x" * (1 << 20),
    "endless extension": CHUNKED + b"2;" + b"x" * (1 << 20),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_answers(loop: str, name: str) -> None:
    """B20, B21: what is not strict HTTP/1.1, or over a limit, is an invalid reply, and the connection is closed."""

    async def main() -> None:
        heard, left, made = await outcome(INVALID[name])
        assert heard.events[-1] == "lost"
        assert "end" not in heard.events
        assert heard.failure is not None
        assert heard.failure.kind is FailureKind.INVALID_REPLY
        assert (left, made) == (0, 1)

    run(main(), loop)


def test_header_limit_is_of_headers_only(loop: str) -> None:
    """B20: headers just under the limit pass, even when a large body comes in the same packets."""

    async def main() -> None:
        head = H + b"a: " + b"x" * 60_000 + b"\r\ncontent-length: 200000\r\n\r\n"
        heard, _, _ = await outcome(head + bytes(200_000))
        assert (heard.events[-1], len(heard.data)) == ("end", 200_000)

    run(main(), loop)


def coded(coding: bytes, body: bytes) -> bytes:
    """An answer with a content coding."""
    return H + b"content-encoding: %b\r\nx: y\r\ncontent-length: %d\r\n\r\n%b" % (coding, len(body), body)


@pytest.mark.parametrize("coding", [b"gzip", b"GZIP", b"deflate", b"identity"])
def test_codings_that_we_can_remove(loop: str, coding: bytes) -> None:
    """B16: gzip and deflate that nobody asked for are removed, and so are the headers that describe them."""

    async def main() -> None:
        plain = b"standfast" * 50_000
        packers = {b"gzip": gzip.compress, b"deflate": zlib.compress, b"identity": bytes}
        heard, left, _ = await outcome(coded(coding, packers[coding.lower()](plain)))
        assert heard.data == plain
        assert heard.events[-1] == "end"
        assert left == 1
        if coding != b"identity":
            assert heard.headers == [(b"x", b"y")]

    run(main(), loop)


@pytest.mark.parametrize(
    "answer",
    [
        coded(b"br", b"hi"),
        coded(b"gzip, gzip", b"hi"),
        H + b"content-encoding: gzip\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nhi",
        coded(b"gzip", b"hello, this is not gzip"),
        coded(b"gzip", gzip.compress(b"hello" * 100)[:-3]),
        coded(b"gzip", gzip.compress(bytes(32 << 20))),
    ],
    ids=["unknown", "two", "twice", "corrupt", "truncated", "bomb"],
)
def test_codings_that_we_refuse(loop: str, answer: bytes) -> None:
    """B16: unknown, corrupt, truncated or exploding content is an invalid reply; no more than the cap is handed on."""

    async def main() -> None:
        heard, left, _ = await outcome(answer, reply_bytes=1 << 20)
        assert heard.failure is not None
        assert heard.failure.kind is FailureKind.INVALID_REPLY
        assert "end" not in heard.events
        assert len(heard.data) <= 1 << 20
        assert left == 0

    run(main(), loop)


@pytest.mark.parametrize("then", ["stay", "close"])
def test_paused_decoder_waits(loop: str, then: str) -> None:
    """B16: a paused call is not flooded by what a small packet inflates to; all comes later, even after a close."""

    async def main() -> None:
        plain = bytes(4 << 20)
        async with peer(answering(coded(b"gzip", gzip.compress(plain)), then=then)) as upstream, bench() as b:
            heard = Heard(lambda event: call.pause() if event == "body" else None)
            call = b.send(upstream.origin, heard)
            await until(lambda: heard.data)
            await asyncio.sleep(0.02)
            assert heard.events == ["head", "body"]
            assert len(heard.data) <= 1 << 16
            while not heard.over.is_set():
                call.resume()
                await asyncio.sleep(0)
            assert heard.events[-1] == "end"
            assert heard.data == plain

    run(main(), loop)


def test_random_slices_give_the_same_bytes(loop: str) -> None:
    """C6: however an answer is sliced, the listener gets the same head, the same bytes and the same end."""

    async def main() -> None:
        rng = random.Random(42)
        plain = rng.randbytes(3000)
        chunks = b"".join(
            b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (plain[i : i + 77] for i in range(0, len(plain), 77))
        )
        whole = [
            b"HTTP/1.1 100 C\r\n\r\n" + CHUNKED + chunks + b"0\r\n\r\n",
            H + b"x: y\r\ncontent-length: 3000\r\n\r\n" + plain,
            coded(b"gzip", gzip.compress(plain)),
        ]

        async def script(line: Line) -> None:
            while request := await line.request():
                answer = whole[int(request.partition(b"\r\n\r\n")[2])]
                cuts = sorted(rng.sample(range(1, len(answer)), rng.choice([0, 1, 3, 10, 40])))
                for start, end in zip([0, *cuts], [*cuts, len(answer)], strict=True):
                    await line.send(answer[start:end])
                    await asyncio.sleep(0)

        async with peer(script) as upstream, bench() as b:
            for turn in range(240):
                heard = await b.ask(upstream.origin, b"%d" % (turn % 3))
                assert heard.data == plain
                assert (heard.events[0], heard.events[-1], heard.status) == ("head", "end", 200)
            assert len(upstream.lines) == 1

    run(main(), loop)


def test_one_byte_at_a_time(loop: str) -> None:
    """C6: an answer of one byte per packet is read like any other."""

    async def main() -> None:
        answer = CHUNKED + b"3\r\nfoo\r\n3\r\nbar\r\n0\r\n\r\n"
        heard, left, _ = await outcome(*(answer[i : i + 1] for i in range(len(answer))))
        assert (heard.data, heard.events[-1], left) == (b"foobar", "end", 1)

    run(main(), loop)


def test_failures_hold_no_secret(loop: str) -> None:
    """What a failure says is for logs: neither the key nor the prompt is in it."""

    async def main() -> None:
        async with peer(answering(b"junk")) as upstream, bench() as b:
            heard = await b.ask(upstream.origin, b'{"prompt": "private"}')
            assert heard.failure is not None
            assert "sk-secret" not in heard.failure.detail
            assert "private" not in heard.failure.detail
            assert f"127.0.0.1:{upstream.port}" in heard.failure.detail

    run(main(), loop)
