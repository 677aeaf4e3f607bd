"""Many calls against a peer that does everything wrong, with cancels and pauses at random moments, from a seed."""

import asyncio
import random

import pytest
import uvloop

from standfast.http1.client import Call
from support.upstreams import Ear, Peer, send, until, upstream, upstream_client

CALLS = 250


def mark(number: int) -> bytes:
    """What the answer to one call must say; long enough to be cut."""
    return b"<%03d>" % number * 40


LENGTH = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n" % len(mark(100))
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
WAYS = (
    # good answers: name of the Peer's method that follows, pieces
    ("", LENGTH + b"\r\n", "content"),
    ("", LENGTH + b"\r\n", "content"),
    ("", b"HTTP/1.1 103 Early\r\n\r\n", LENGTH, b"\r\n", "first", "rest"),
    ("", CHUNKED, b"1\r\n<\r\n", "as chunk", b"0\r\n", b"\r\n"),
    ("close", LENGTH + b"connection: close\r\n\r\n", "content"),
    ("close", b"HTTP/1.1 200 OK\r\n\r\n", "content"),
    ("close", LENGTH + b"\r\n", "content"),  # and then it goes, without a word before
    ("reset", LENGTH + b"\r\n", "content"),
    # with something behind it, in the same packet: what comes later, when the next request may have been written, is
    # that request's answer for all that HTTP/1.1 lets a client know
    ("", LENGTH + b"\r\n", "surplus"),
    # broken ones
    ("close", LENGTH + b"\r\n", "first"),
    ("reset", LENGTH + b"\r\n", "first"),
    ("close", CHUNKED, b"1\r\n<\r\n", "as chunk"),
    ("close",),
    ("reset",),
    ("", b"\x00garbage"),
    ("", LENGTH + b"transfer-encoding: chunked\r\n\r\n"),
)


async def misbehave(peer: Peer, rng: random.Random) -> None:
    """Answer each request with its own mark, in one of many ways."""
    while True:
        content = mark(int((await peer.request()).rpartition(b"\r\n\r\n")[2]))
        cut = rng.randrange(1, len(content))
        said = {
            "content": content,
            "first": content[:cut],
            "rest": content[cut:],
            "surplus": content + LENGTH + b"\r\n" + mark(999),
            "as chunk": b"%x\r\n%b\r\n" % (len(content) - 1, content[1:]),
        }
        then, *pieces = rng.choice(WAYS)
        if rng.random() < 0.5:
            await peer.send(*(said.get(piece, piece) for piece in pieces))
        else:
            await peer.send(b"".join(said.get(piece, piece) for piece in pieces))
        if then:
            getattr(peer, then)()
            return


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("seed", range(3))
def test_chaos(loop: str, seed: int) -> None:
    """A6, A7, A8, C2: every call ends exactly once and with its own answer or a failure; nothing stays open."""
    rng = random.Random(seed)
    strays: list[dict[str, object]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: strays.append(context))
        ears: list[Ear] = []
        heard_at_cancel: dict[int, int] = {}

        async def one(number: int) -> None:
            ear = Ear()
            ears.append(ear)
            call: Call = send(client, server.origin, ear, b"%d" % number)
            number = len(ears) - 1
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(rng.choice((0, 0, 0.001, 0.004)))
                match rng.randrange(8):
                    case 0:
                        call.cancel()
                        heard_at_cancel[number] = len(ear.events)
                        return
                    case 1 | 2:
                        call.pause()
                    case _:
                        call.resume()
            call.resume()
            await ear.wait()

        async with upstream(lambda peer: misbehave(peer, rng)) as server, upstream_client() as client:
            for start in range(0, CALLS, 25):
                await asyncio.gather(*(one(number) for number in range(start, start + 25)))
            await until(lambda: client.dialling == 0)
            assert client.open_connections == client.idle(server.origin)
        ended = 0
        for number, ear in enumerate(ears):
            assert ear.events.count("end") + ear.events.count("lost") == 1 or number in heard_at_cancel
            if number in heard_at_cancel:
                assert len(ear.events) == heard_at_cancel[number]
            if "end" in ear.events:
                assert ear.data == mark(number)
                ended += 1
            else:
                assert mark(number).startswith(ear.data)
        assert ended > CALLS // 4
        assert {"end", "lost"} <= {ear.events[-1] for ear in ears if ear.events}

    with asyncio.Runner(loop_factory=uvloop.new_event_loop if loop == "uvloop" else None) as runner:
        runner.run(main())
    assert strays == []
