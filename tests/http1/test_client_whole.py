"""An answer that comes in one piece is told at once to who can hear it so, and says what it says in parts."""

import asyncio
import gzip
import random

import pytest

from http1.client_peer import CHUNKED, LOOPS, Bench, Heard, Line, Script, answering, bench, peer, run
from standfast.http1.base import Headers, Origin
from standfast.http1.client import Call, RequestHead

PLAIN = b"HTTP/1.1 200 OK\r\nX-Request-ID: 7\r\ncontent-length: 6\r\n\r\n"
pytestmark = pytest.mark.parametrize("loop", LOOPS)


class HeardWhole(Heard):
    """One that can hear it at once."""

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Called by the client."""
        self.status, self.headers, self.data = status, list(headers), body
        self._note("whole")
        self.over.set()


def send(b: Bench, origin: Origin, heard: HeardWhole, body: bytes = b"{}") -> Call:
    """A POST."""
    request = RequestHead("POST", origin, "/v1/x").request(body)
    return b.client.send(origin, request, heard, 2.0, 2.0, heard.whole)


async def ask(b: Bench, origin: Origin, body: bytes = b"{}") -> HeardWhole:
    """A POST, until it is over."""
    heard = HeardWhole()
    send(b, origin, heard, body)
    await asyncio.wait_for(heard.over.wait(), 5)
    return heard


def apart(*pieces: bytes, then: str) -> Script:
    """Answer with pieces that come one after the other."""

    async def script(line: Line) -> None:
        while await line.request():
            for number, piece in enumerate(pieces):
                await asyncio.sleep(0.02 if number else 0)
                await line.send(piece)
            if then == "close":
                return line.close()
        return None

    return script


@pytest.mark.parametrize(
    "answer",
    [
        PLAIN + b"foobar",
        PLAIN.replace(b"200 OK", b"500 No") + b"foobar",
        b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN + b"foobar",
        CHUNKED + b"6\r\nfoobar\r\n0\r\n\r\n",
    ],
)
def test_one_piece_is_told_at_once(loop: str, answer: bytes) -> None:
    """Status, headers and body as the listener hears them of the same answer, and the connection serves on."""

    async def main() -> None:
        async with peer(answering(answer)) as upstream, bench() as b:
            for _ in range(2):
                heard, plain = await ask(b, upstream.origin), await b.ask(upstream.origin)
                assert heard.events == ["whole"]
                assert (heard.status, heard.headers, heard.data) == (plain.status, plain.headers, b"foobar")
            assert len(upstream.lines) == 1

    run(main(), loop)


@pytest.mark.parametrize(
    ("pieces", "then", "events"),
    [
        ((PLAIN, b"foobar"), "stay", ["head", "body", "end"]),
        ((PLAIN + b"foo", b"bar"), "stay", ["head", "body", "body", "end"]),
        ((CHUNKED + b"3\r\nfoo\r\n", b"3\r\nbar\r\n0\r\n\r\n"), "stay", ["head", "body", "body", "end"]),
        ((PLAIN.replace(b"6", b"0"),), "stay", ["head", "end"]),
        ((b"HTTP/1.1 200 OK\r\n\r\nfoobar",), "close", ["head", "body", "end"]),
        ((PLAIN + b"foo",), "close", ["head", "body", "lost"]),
        ((b"junk",), "close", ["lost"]),
    ],
)
def test_what_comes_otherwise_is_told_in_parts(
    loop: str, pieces: tuple[bytes, ...], then: str, events: list[str]
) -> None:
    """In several pieces, without a body, without an announced end, broken or invalid."""

    async def main() -> None:
        async with peer(apart(*pieces, then=then)) as upstream, bench() as b:
            assert (await ask(b, upstream.origin)).events == events

    run(main(), loop)


@pytest.mark.parametrize("tail", [b"junk", PLAIN + b"foobar", b"\r\n\r\nx"])
def test_surplus_costs_the_connection_and_not_the_answer(loop: str, tail: bytes) -> None:
    """As it does in parts."""

    async def main() -> None:
        async with peer(answering(PLAIN + b"foobar" + tail)) as upstream, bench() as b:
            for _ in range(2):
                heard = await ask(b, upstream.origin)
                assert (heard.events, heard.data) == (["whole"], b"foobar")
            assert len(upstream.lines) == 2

    run(main(), loop)


def test_a_coded_body_is_told_in_parts(loop: str) -> None:
    """It is decoded first."""

    async def main() -> None:
        packed = gzip.compress(b"foobar")
        answer = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed) + packed
        async with peer(answering(answer)) as upstream, bench() as b:
            heard = await ask(b, upstream.origin)
            assert (heard.events, heard.data) == (["head", "body", "end"], b"foobar")

    run(main(), loop)


def test_a_request_from_inside_uses_the_same_connection(loop: str) -> None:
    """It is parked before the answer is told."""

    async def main() -> None:
        async with peer(answering(PLAIN + b"foobar")) as upstream, bench() as b:
            second = HeardWhole()
            first = HeardWhole(lambda _: send(b, upstream.origin, second) and None)
            send(b, upstream.origin, first)
            await asyncio.wait_for(second.over.wait(), 5)
            assert (first.events, second.events, len(upstream.lines)) == (["whole"], ["whole"], 1)

    run(main(), loop)


def test_who_raises_has_lost(loop: str) -> None:
    """The loop's handler is told, the connection ends, and the next request is served."""

    async def main() -> None:
        told: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))

        def stumbles(event: str) -> None:
            if event == "whole":
                raise RuntimeError("no")

        async with peer(answering(PLAIN + b"foobar")) as upstream, bench() as b:
            heard = HeardWhole(stumbles)
            send(b, upstream.origin, heard)
            await asyncio.wait_for(heard.over.wait(), 5)
            assert (heard.events, [type(error) for error in told]) == (["whole", "lost"], [RuntimeError])
            assert (await ask(b, upstream.origin)).data == b"foobar"
            assert len(upstream.lines) == 2

    run(main(), loop)


def test_a_request_that_was_given_up_hears_nothing(loop: str) -> None:
    """Cancelled before the answer came."""

    async def main() -> None:
        async with peer(answering(PLAIN + b"foobar")) as upstream, bench() as b:
            heard = HeardWhole()
            send(b, upstream.origin, heard).cancel()
            assert (await ask(b, upstream.origin)).events == ["whole"]
            assert heard.events == []

    run(main(), loop)


def test_however_sliced_it_says_the_same(loop: str) -> None:
    """C6: at once or in parts; the same head, the same bytes, and the connection serves on."""

    async def main() -> None:
        rng = random.Random(7)

        async def script(line: Line) -> None:
            while await line.request():
                answer = PLAIN + b"foobar"
                cuts = sorted(rng.sample(range(1, len(answer)), rng.choice([0, 1, 3])))
                for start, end in zip([0, *cuts], [*cuts, len(answer)], strict=True):
                    await asyncio.sleep(0.005 if start else 0)
                    await line.send(answer[start:end])

        async with peer(script) as upstream, bench() as b:
            ways: set[str] = set()
            for _ in range(100):
                heard = await ask(b, upstream.origin)
                ways.add(heard.events[0])
                assert (heard.events[-1] in {"whole", "end"}, heard.status, heard.data) == (True, 200, b"foobar")
                assert heard.headers == [(b"x-request-id", b"7"), (b"content-length", b"6")]
            assert (ways, len(upstream.lines)) == ({"whole", "head"}, 1)

    run(main(), loop)
