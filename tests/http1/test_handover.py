"""The hand-over to uvicorn and back, with a real uvicorn server and a tiny ASGI application."""

# ruff: noqa: D102 - doubles of documented contracts

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

OURS = b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
THEIRS = b"GET /console%2F?q=1 HTTP/1.1\r\nHost: a\r\n\r\n"


class TinyApp:
    """Answers `METHOD raw-path body`; `/slow` waits, `/early` answers before it reads."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.seen: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            message = await receive()
            await send({"type": "websocket.send", "text": message["text"].upper()})
            await receive()
            return
        self.seen.append(scope["path"])
        body = b""
        more = scope["path"] != "/early"
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if scope["path"] == "/slow":
            await self.gate.wait()
        content = b" ".join((scope["method"].encode(), scope["raw_path"], body)) + b"$"
        headers = [(b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_keep_alive_across_the_hand_over_and_back(wire: SimpleNamespace, run: Any) -> None:
    """One connection serves both planes in turn, in any slicing, with one protocol registered all the time."""

    async def main() -> None:
        async with wire.uvicorn_server(TinyApp()) as (net, server):
            client = await net.connect()
            for _ in range(3):
                assert await net.ask(client, THEIRS, b"GET /console%2F $")
                assert len(server.server_state.connections) == 1
                assert (await net.ask(client, OURS, b"|hi")).startswith(b"HTTP/1.1 200 ")
            for index in range(len(THEIRS) - 1):
                await asyncio.get_running_loop().sock_sendall(client, THEIRS[index : index + 1])
                await asyncio.sleep(0)
            assert await net.ask(client, THEIRS[-1:], b"$")
            assert await net.ask(client, OURS[:3], b"") == b""
            assert await net.ask(client, OURS[3:], b"|hi")
            assert len(server.server_state.connections) == 1
            assert server.server_state.total_requests == 8

    run(main())


def test_the_order_holds_when_planes_are_pipelined(wire: SimpleNamespace) -> None:
    """E7: theirs behind ours in one segment is handed over at the exact boundary; answers come in order."""

    async def main() -> None:
        app = TinyApp()
        async with wire.uvicorn_server(app) as (net, _):
            client = await net.connect()
            chunked = b"POST /v1/c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            last = b"GET /last HTTP/1.1\r\nHost: a\r\n\r\n"
            data = await net.ask(client, OURS + chunked + THEIRS + last, b"GET /last $")
            places = [data.index(part) for part in (b"/v1/x||hi", b"/v1/c||abc", b"GET /console%2F $", b"GET /last $")]
            assert places == sorted(places)
            assert app.seen == ["/console/", "/last"]
            assert (await net.ask(client, OURS, b"|hi")).startswith(b"HTTP/1.1 200 ")

    asyncio.run(main())


def test_bodies_reach_the_app_whole(wire: SimpleNamespace) -> None:
    """HEAD and requests with bodies are handed over with every byte, also when they come in pieces."""

    async def main() -> None:
        async with wire.uvicorn_server(TinyApp()) as (net, _):
            client = await net.connect()
            head = await net.ask(client, b"HEAD /v1/x HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n\r\n")
            assert b"content-length: 12\r\n" in head
            await net.ask(client, b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc", b"")
            assert (await net.ask(client, b"def", b"$")).endswith(b"POST /b abcdef$")
            assert await net.ask(client, OURS, b"|hi")

    asyncio.run(main())


def test_an_early_answer_does_not_lose_the_place(wire: SimpleNamespace) -> None:
    """An app that answers before it has read the body keeps the connection until the body has passed."""

    async def main() -> None:
        async with wire.uvicorn_server(TinyApp()) as (net, server):
            client = await net.connect()
            early = b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc"
            assert (await net.ask(client, early, b"$")).endswith(b"POST /early $")
            (guest,) = server.server_state.connections
            assert isinstance(guest, HttpToolsProtocol)
            await net.ask(client, b"def", b"")
            await wire.until(lambda: guest not in server.server_state.connections)
            assert await net.ask(client, OURS, b"|hi")

    asyncio.run(main())


def test_ours_behind_theirs_in_one_segment_reaches_the_app(wire: SimpleNamespace) -> None:
    """A data-plane request that uvicorn's parser has already swallowed is the ASGI app's, and nothing is lost."""

    async def main() -> None:
        app = TinyApp()
        async with wire.uvicorn_server(app) as (net, _):
            client = await net.connect()
            data = await net.ask(client, THEIRS + OURS, b"POST /v1/x hi$")
            assert b"GET /console%2F $" in data
            assert app.seen == ["/console/", "/v1/x"]
            assert await net.ask(client, OURS, b"|hi")
            assert len(net.application.works) == 1

    asyncio.run(main())


def test_ambiguous_heads_are_refused_on_either_plane(wire: SimpleNamespace) -> None:
    """E6: line ends, folding and versions are checked before the hand-over; framing by uvicorn's llhttp."""

    async def main() -> None:
        app = TinyApp()
        async with wire.uvicorn_server(app) as (net, _):
            for bad in (
                b"GET /c HTTP/1.1\nHost: a\n\n",
                b"GET /c HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
                b"POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            ):
                client = await net.connect()
                assert (await net.ask(client, bad, b"never")).startswith(b"HTTP/1.1 400 ")
            assert app.seen == []
            assert net.application.works == []

    asyncio.run(main())


def test_a_websocket_stays_with_its_protocol(wire: SimpleNamespace) -> None:
    """An upgrade goes through the hand-over untouched, and our side lets go of the connection."""

    async def main() -> None:
        async with wire.uvicorn_server(TinyApp(), connections_per_address=1) as (net, server):
            client = await net.connect()
            assert await net.ask(client, OURS, b"|hi")
            upgrade = (
                b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            answer = await net.ask(client, upgrade, b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 101 ")
            assert len(server.server_state.connections) == 1
            masked = bytes([0x81, 0x85, 0, 0, 0, 0]) + b"hello"
            assert (await net.ask(client, masked, b"HELLO")).endswith(b"HELLO")
            assert len(net.bench.wheel) == 0

    asyncio.run(main())


def test_the_keep_alive_timer_of_the_guest_is_gone(wire: SimpleNamespace) -> None:
    """After the hand-back only our idle deadline counts."""

    async def main() -> None:
        async with wire.uvicorn_server(TinyApp()) as (net, server):
            client = await net.connect()
            await net.ask(client, THEIRS, b"$")
            (connection,) = server.server_state.connections
            assert connection._guest.timeout_keep_alive_task is None
            assert len(net.bench.wheel) == 1

    asyncio.run(main())


def test_a_lost_connection_leaves_nothing_behind(wire: SimpleNamespace) -> None:
    """Whoever holds the connection when it is lost: no registration, no deadline, no place of the address remains."""

    async def main() -> None:
        app = TinyApp()
        async with wire.uvicorn_server(app) as (net, server):
            for data, ending in ((THEIRS, b"$"), (b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n", b"")):
                client = await net.connect()
                await net.ask(client, data, ending)
                await wire.until(lambda data=data: data is THEIRS or "/slow" in app.seen)
                client.close()
                await wire.until(lambda: not server.server_state.connections)
                assert len(net.bench.wheel) == 0
                assert net.bench.protocol.serving._addresses == {}
            app.gate.set()

    asyncio.run(main())


def test_draining_finishes_both_planes(wire: SimpleNamespace) -> None:
    """F1: at exit idle connections close, the request at uvicorn and the one at ours finish, then the server ends."""

    async def main() -> None:
        app = TinyApp()
        async with wire.uvicorn_server(app) as (net, server):
            idle, theirs, ours = [await net.connect() for _ in range(3)]
            await net.ask(idle, THEIRS, b"$")
            await net.ask(theirs, b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n", b"")
            await net.ask(ours, OURS.replace(b"/v1/x", b"/v1/later"), b"")
            await wire.until(lambda: net.application.works and "/slow" in app.seen)
            server.should_exit = True
            assert await wire.read_all(idle) == b""
            app.gate.set()
            assert (await wire.read_all(theirs)).endswith(b"GET /slow $")
            net.application.works[0].out.reply(200, b"", b"done")
            data = await wire.read_all(ours)
            assert data.endswith(b"done")
            assert b"connection: close\r\n" in data
            await wire.until(lambda: not server.server_state.connections)

    asyncio.run(main())


def test_an_unsupported_upgrade_stays_with_uvicorn(wire: SimpleNamespace) -> None:
    """A connection that offered another upgrade is not taken back: nobody knows where its message ends."""

    async def main() -> None:
        async with wire.uvicorn_server(TinyApp()) as (net, server):
            client = await net.connect()
            offer = b"GET /c HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
            assert await net.ask(client, offer, b"$")
            (guest,) = server.server_state.connections
            assert isinstance(guest, HttpToolsProtocol)
            assert await net.ask(client, THEIRS, b"$")

    asyncio.run(main())
