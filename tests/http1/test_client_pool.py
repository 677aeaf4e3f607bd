"""The pool, the stale retry, cancelling, pausing and listeners that misbehave."""

import asyncio
from typing import Any

import pytest

from http1.client_peer import CHUNKED, LOOPS, OK, Heard, Line, answering, bench, peer, run, until
from standfast.canon.failure import FailureKind
from standfast.clock import ManualClock
from standfast.http1.base import Origin
from standfast.http1.client import STALE_WINDOW

pytestmark = pytest.mark.parametrize("loop", LOOPS)


def test_keep_alive_and_end_inside_pool(loop: str) -> None:
    """After `end` the connection is in the pool already, so a request sent from inside it uses the same one."""

    async def main() -> None:
        async with peer(answering(OK)) as upstream, bench() as b:
            second = Heard()

            def follow(event: str) -> None:
                if event == "end":
                    assert b.client.idle(upstream.origin) == 1
                    b.send(upstream.origin, second)
                    assert b.client.idle(upstream.origin) == 0
                    assert b.client.dialling == 0

            first = Heard(follow)
            b.send(upstream.origin, first)
            await second.over.wait()
            assert first.events == second.events == ["head", "body", "end"]
            assert (second.status, second.data) == (200, b"hi")
            assert len(upstream.lines) == 1

    run(main(), loop)


def test_last_in_first_out_and_limit(loop: str) -> None:
    """The pool gives the freshest connection first and keeps no more than its limit."""

    async def main() -> None:
        async with peer(answering(OK)) as upstream, bench(idle_connections=2) as b:
            heard = [Heard() for _ in range(4)]
            for one in heard:
                b.send(upstream.origin, one)
            for one in heard:
                await one.over.wait()
            await until(lambda: b.client.open_connections == 2)
            assert b.client.idle(upstream.origin) == 2
            top = b.client._idle[upstream.origin][-1]
            call = b.send(upstream.origin, Heard())
            assert call.connection is top
            call.cancel()

    run(main(), loop)


def test_idle_timeout(loop: str) -> None:
    """A connection that was idle for too long is closed instead of used."""

    async def main() -> None:
        clock = ManualClock()
        async with peer(answering(OK)) as upstream, bench(clock=clock, idle_timeout=30) as b:
            await b.ask(upstream.origin)
            clock.advance(30)
            await b.ask(upstream.origin)
            assert len(upstream.lines) == 1
            clock.advance(30.1)
            await b.ask(upstream.origin)
            assert len(upstream.lines) == 2
            await until(lambda: b.client.open_connections == 1)

    run(main(), loop)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi",
        OK + OK,
        OK + b"garbage",
    ],
)
def test_not_parked(loop: str, answer: bytes) -> None:
    """An answer that ends the connection, or has surplus bytes behind it, stands, but its connection goes."""

    async def main() -> None:
        async with peer(answering(answer)) as upstream, bench() as b:
            for _ in range(2):
                heard = await b.ask(upstream.origin)
                assert (heard.events, heard.data) == (["head", "body", "end"], b"hi")
                assert b.client.idle(upstream.origin) == 0
            assert len(upstream.lines) == 2

    run(main(), loop)


def test_http10_keep_alive(loop: str) -> None:
    """HTTP/1.0 keeps a connection only when it says so."""

    async def main() -> None:
        answer = b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nhi"
        async with peer(answering(answer)) as upstream, bench() as b:
            await b.ask(upstream.origin)
            assert b.client.idle(upstream.origin) == 1

    run(main(), loop)


def test_late_surplus_closes_idle(loop: str) -> None:
    """Bytes on an idle connection are nobody's answer; it is closed before it can be used."""

    async def main() -> None:
        async with peer(answering(OK)) as upstream, bench() as b:
            await b.ask(upstream.origin)
            await upstream.lines[0].send(OK)
            await until(lambda: b.client.open_connections == 0)
            assert b.client.idle(upstream.origin) == 0
            assert (await b.ask(upstream.origin)).data == b"hi"

    run(main(), loop)


def test_early_answer_not_parked(loop: str) -> None:
    """An answer before the request was written whole stands, but the connection goes."""

    async def main() -> None:
        async def early(line: Line) -> None:
            await line.more()
            await line.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")

        async with peer(early) as upstream, bench() as b:
            heard = await b.ask(upstream.origin, bytes(32 << 20))
            assert (heard.status, heard.events) == (413, ["head", "end"])
            assert b.client.idle(upstream.origin) == 0

    run(main(), loop)


@pytest.mark.parametrize("then", ["close", "reset"])
def test_stale_keep_alive(loop: str, then: str) -> None:
    """A7: a server that closes a reused connection on our request is never seen by the listener."""

    async def main() -> None:
        async def stale(line: Line) -> None:
            await line.request()
            await line.send(OK)
            await line.request()
            line.close() if then == "close" else line.reset()

        async with peer(stale) as upstream, bench() as b:
            retried = 0
            for _ in range(150):
                heard = Heard()
                call = b.send(upstream.origin, heard)
                await heard.over.wait()
                assert (heard.events, heard.data) == (["head", "body", "end"], b"hi")
                retried += call.retried_stale
            assert retried == 149
            assert len(upstream.lines) == 150

    run(main(), loop)


def test_stale_race(loop: str) -> None:
    """A7: a server that closes right after its answer, without notice, costs no error in 10,000 requests."""

    async def main() -> None:
        async with peer(answering(OK, then="close")) as upstream, bench() as b:
            for _ in range(10_000 if loop == "uvloop" else 300):
                assert (await b.ask(upstream.origin)).events == ["head", "body", "end"]

    run(main(), loop)


def test_stale_retry_is_fresh_and_once(loop: str) -> None:
    """A7: the repeat goes over a fresh connection, not another pooled one, and its failure is told."""

    async def main() -> None:
        broken = False
        seen: list[int] = []

        async def script(line: Line) -> None:
            while await line.request():
                seen.append(line.number)
                if broken:
                    return line.close()
                await asyncio.sleep(0.005)
                await line.send(OK)
            return None

        async with peer(script) as upstream, bench() as b:
            both = [Heard(), Heard()]
            for one in both:
                b.send(upstream.origin, one)
            for one in both:
                await one.over.wait()
            assert b.client.idle(upstream.origin) == 2
            broken = True
            seen.clear()
            heard = Heard()
            call = b.send(upstream.origin, heard)
            await heard.over.wait()
            assert heard.events == ["lost"]
            assert heard.failure is not None
            assert (heard.failure.kind, heard.failure.sent) == (FailureKind.BROKEN_STREAM, True)
            assert call.retried_stale
            assert len(seen) == 2
            assert seen[1] == 2  # a connection that did not exist before
            assert b.client.idle(upstream.origin) == 1

    run(main(), loop)


@pytest.mark.parametrize("case", ["a byte came", "worked long"])
def test_no_stale_retry(loop: str, case: str) -> None:
    """A7: never repeated when a byte has come, or when the server had the request for longer than a race takes."""

    async def main() -> None:
        clock = ManualClock()

        async def script(line: Line) -> None:
            await line.request()
            await line.send(OK)
            await line.request()
            if case == "a byte came":
                await line.send(b"H")
            else:
                clock.advance(STALE_WINDOW + 0.1)
            line.close()

        async with peer(script) as upstream, bench(clock=clock) as b:
            await b.ask(upstream.origin)
            heard = await b.ask(upstream.origin)
            assert heard.events == ["lost"]
            assert heard.failure is not None
            assert heard.failure.ambiguous
            assert len(upstream.lines) == 1

    run(main(), loop)


def test_many_stalled_streams_are_cancelled(loop: str) -> None:
    """A8: 500 stalled streams, cancelled at once, leave no connection and no dial behind."""

    async def main() -> None:
        started = 0

        async def stall(line: Line) -> None:
            nonlocal started
            await line.request()
            started += 1
            await line.send(CHUNKED + b"2\r\nhi\r\n")
            await line.gone()

        async with peer(stall) as upstream, bench() as b:
            heard = [Heard() for _ in range(500)]
            calls = [b.send(upstream.origin, one, connect=10) for one in heard]
            await until(lambda: all(one.data for one in heard))
            assert b.client.open_connections == 500
            for call in calls:
                call.cancel()
            await until(lambda: b.client.open_connections == 0)
            assert b.client.idle(upstream.origin) == 0
            assert all(one.events == ["head", "body"] for one in heard)
            assert started == 500

    run(main(), loop)


def test_cancel_at_any_moment(loop: str) -> None:
    """A8: cancelled after any number of the loop's turns, a call says nothing more and leaves nothing open."""

    async def main() -> None:
        async with peer(answering(CHUNKED, b"2\r\nhi\r\n", b"0\r\n\r\n")) as upstream, bench() as b:
            for turns in range(40):
                heard = Heard()
                call = b.send(upstream.origin, heard)
                for _ in range(turns):
                    await asyncio.sleep(0)
                before = list(heard.events)
                call.cancel()
                call.cancel()
                call.pause()
                call.resume()
                await asyncio.sleep(0.002)
                assert heard.events == before
            await until(lambda: b.client.dialling == 0)
            assert b.client.open_connections == b.client.idle(upstream.origin)

    run(main(), loop)


@pytest.mark.parametrize("event", ["head", "body", "end", "lost"])
def test_cancel_from_inside(loop: str, event: str) -> None:
    """A listener may cancel from inside any callback, and hears nothing after it."""

    async def main() -> None:
        pieces = (OK,) if event != "lost" else (b"junk",)
        async with peer(answering(*pieces)) as upstream, bench() as b:
            heard = Heard(lambda now: call.cancel() if now == event else None)
            call = b.send(upstream.origin, heard)
            await until(lambda: event in heard.events)
            await asyncio.sleep(0.01)
            assert heard.events[-1] == event
            if event in ("head", "body"):
                assert b.client.open_connections == 0

    run(main(), loop)


@pytest.mark.parametrize("event", ["head", "body", "end", "lost"])
def test_listener_that_raises(loop: str, event: str) -> None:
    """A listener's exception closes the connection and reaches the loop's handler; the listener has lost."""

    async def main() -> None:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

        def fail(now: str) -> None:
            if now == event:
                raise LookupError(event)

        pieces = (OK,) if event != "lost" else (b"junk",)
        async with peer(answering(*pieces)) as upstream, bench() as b:
            heard = Heard(fail)
            b.send(upstream.origin, heard)
            await until(lambda: told)
            await until(lambda: b.client.open_connections == 0)
            assert heard.events[-2 if event != "lost" else -1 :] == ([event, "lost"] if event != "lost" else ["lost"])
            assert heard.events.count("lost") == 1
            assert [type(context["exception"]) for context in told] == [LookupError]
            assert b.client.idle(upstream.origin) == 0

    run(main(), loop)


def test_pause_bounds_what_is_read(loop: str) -> None:
    """While a call is paused the upstream is not read; all bytes come after `resume`."""

    async def main() -> None:
        size = 16 << 20
        sent = 0

        async def flood(line: Line) -> None:
            nonlocal sent
            await line.request()
            await line.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
            while sent < size:
                await line.send(bytes(1 << 16))
                sent += 1 << 16
            await line.gone()

        async with peer(flood) as upstream, bench() as b:
            heard = Heard(lambda event: call.pause() if event == "body" and len(heard.data) < 1 << 20 else None)
            call = b.send(upstream.origin, heard)
            call.pause()  # before the connection exists
            call.pause()
            await until(lambda: upstream.lines and sent)
            await asyncio.sleep(0.03)
            assert heard.events == []
            call.resume()
            await until(lambda: heard.data)
            read = len(heard.data)
            await asyncio.sleep(0.05)
            assert len(heard.data) - read <= 1 << 19
            while not heard.over.is_set():
                call.resume()
                call.resume()
                await asyncio.sleep(0)
            assert len(heard.data) == size
            call.pause()  # after the end: nothing, and the pooled connection still reads
            assert b.client.idle(upstream.origin) == 1

    run(main(), loop)


def test_paused_end_leaves_a_reading_connection(loop: str) -> None:
    """A call that ended while paused gives back a connection that reads."""

    async def main() -> None:
        async with peer(answering(OK)) as upstream, bench() as b:
            heard = Heard(lambda event: call.pause() if event == "head" else None)
            call = b.send(upstream.origin, heard)
            await heard.over.wait()
            assert (await b.ask(upstream.origin)).events == ["head", "body", "end"]
            assert len(upstream.lines) == 1

    run(main(), loop)


def test_close_tells_running_calls(loop: str) -> None:
    """Closing the client loses what runs and refuses what comes later; a cancelled call hears nothing."""

    async def main() -> None:
        async def stall(line: Line) -> None:
            await line.request()
            await line.gone()

        async with peer(stall) as upstream, bench() as b:
            running, dialling, cancelled = Heard(), Heard(), Heard()
            b.send(upstream.origin, running)
            await until(lambda: b.client.open_connections)
            b.send(upstream.origin, dialling)
            b.send(upstream.origin, cancelled).cancel()
            await b.client.close()
            assert running.failure is not None
            assert running.failure.kind is FailureKind.BROKEN_STREAM
            assert dialling.failure is not None
            assert (dialling.failure.kind, dialling.failure.sent) == (FailureKind.CONNECT_FAILED, False)
            assert cancelled.events == []
            late = await b.ask(upstream.origin)
            assert late.events == ["lost"]

    run(main(), loop)


def test_redirect_is_an_answer(loop: str) -> None:
    """A11: a redirect is handed on; nothing, least of all a key, goes to where it points."""

    async def main() -> None:
        async with peer(answering(OK)) as elsewhere:
            location = f"http://127.0.0.1:{elsewhere.port}/".encode()
            redirect = b"HTTP/1.1 307 Temporary Redirect\r\nlocation: %s\r\ncontent-length: 0\r\n\r\n" % location
            async with peer(answering(redirect)) as upstream, bench() as b:
                heard = await b.ask(upstream.origin)
                assert (heard.status, heard.events) == (307, ["head", "end"])
                assert (b"location", location) in heard.headers
                assert elsewhere.lines == []

    run(main(), loop)


def test_environment_proxies_are_not_used(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A12: a proxy in the environment gets no connection."""

    async def main() -> None:
        async with peer(answering(OK)) as proxy:
            for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.delenv("NO_PROXY", raising=False)
            async with peer(answering(OK)) as upstream, bench() as b:
                assert (await b.ask(Origin("http", "127.0.0.1", upstream.port))).data == b"hi"
                assert proxy.lines == []

    run(main(), loop)


def test_unknown_bug_of_a_resolver_is_told(loop: str) -> None:
    """An injected resolver's bug loses the call and reaches the loop's handler; nobody waits for ever."""

    class Buggy:
        async def resolve(self, host: str, port: int) -> Any:
            raise LookupError(f"{host}{port}")

    async def main() -> None:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        async with bench(resolver=Buggy()) as b:
            heard = await b.ask(Origin("http", "name.test", 1))
            assert heard.failure is not None
            assert heard.failure.kind is FailureKind.CONNECT_FAILED
            assert [type(context["exception"]) for context in told] == [LookupError]

    run(main(), loop)
