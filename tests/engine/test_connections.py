"""Failure catalogue, part A: what can go wrong with connections, from the client's socket to the stand-ins'."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest

from standfast.lab import Fault
from support.chat import (
    SOON,
    Talk,
    answer_of,
    ask,
    at_rest,
    attempts,
    chat,
    entries,
    error_of,
    errors_in,
    finished,
    kinds,
    run,
    targets,
    until,
)
from support.stack import stack

BREAKER = {"consecutive": 5, "open": "60s"}


@contextlib.contextmanager
def blackhole() -> Iterator[int]:
    """A port whose backlog is full: a further SYN is lost."""
    with contextlib.ExitStack() as held:
        server = held.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port: int = server.getsockname()[1]
        for _ in range(4):
            filler = held.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(("127.0.0.1", port))
        yield port


def test_a_dead_first_target_costs_nothing_but_its_first_attempts() -> None:
    """A1: connection refused fails over at once; after the breaker opened the dead target is not asked at all."""

    async def scenario() -> None:
        async with stack({"m": ["dead/gpt-4.1", "openai/gpt-4.1"]}, defaults={"breaker": BREAKER}) as s:
            answers = [await ask(s, stream=n % 2 == 0) for n in range(40)]
            assert all(finished(answer) and answer.text == answer_of("gpt-4.1") for answer in answers)
            assert [attempts(answer) for answer in answers] == [2] * 5 + [1] * 35
            assert {answer.headers["x-standfast-fallback"] for answer in answers} == {"true"}
            assert [kinds(record) for record in s.recorder.records[:5]] == [["connect_failed", "success"]] * 5
            assert all(targets(record) == ["openai/gpt-4.1"] for record in s.recorder.records[5:])
            told = [(change.subject, change.name, change.after) for change in s.recorder.changes]
            assert told == [("breaker", "dead/gpt-4.1", "open"), ("health", "dead/gpt-4.1", "unhealthy")]
            assert len(entries(s)) == 40

    run(scenario)


def test_a_dead_target_under_concurrency_fails_nobody() -> None:
    """A1: many requests at once with one of two targets down: all succeed, each with at most one wasted attempt."""

    async def scenario() -> None:
        async with stack({"m": ["dead/gpt-4.1", "openai/gpt-4.1"]}, defaults={"breaker": BREAKER}) as s:
            answers = await asyncio.gather(*(ask(s, stream=n % 2 == 0) for n in range(60)))
            assert all(finished(answer) for answer in answers)
            assert max(attempts(answer) for answer in answers) <= 2
            assert all(attempts(answer) == 1 for answer in [await ask(s) for _ in range(5)])
            await until(lambda: at_rest(s))

    run(scenario)


def test_a_blackhole_is_left_after_the_connect_timeout() -> None:
    """A2: a lost SYN ends with the connect timeout, the next target answers, and the breaker learns of it."""

    async def scenario() -> None:
        with blackhole() as port:
            hole = {"type": "openai_like", "base_url": f"http://127.0.0.1:{port}/v1", "keys": ["none"]}
            defaults = {"timeouts": {"connect": "100ms"}, "breaker": {"consecutive": 2, "open": "60s"}}
            models = {"m": ["hole/gpt-4.1", "openai/gpt-4.1"]}
            async with stack(models, providers={"hole": hole}, defaults=defaults) as s:
                answers = [await ask(s) for _ in range(4)]
                assert [attempts(answer) for answer in answers] == [2, 2, 1, 1]
                assert all(finished(answer) for answer in answers)
                assert [kinds(record) for record in s.recorder.records[:2]] == [["connect_timeout", "success"]] * 2
                await until(lambda: at_rest(s))

    run(scenario)


@pytest.mark.parametrize("stream", [False, True])
def test_a_reset_after_the_request_is_repeated_once_only(stream: bool) -> None:
    """A6: an attempt that may have been billed is repeated once; a second such failure ends the request."""

    async def scenario() -> None:
        models = {"one": ["openai/gpt-4.1"], "two": ["openai/gpt-4.1", "twin/gpt-4.1", "anthropic/claude-haiku-4-5"]}
        async with stack(models, defaults={"retry": SOON}) as s:
            s.lab.openai.fail(Fault(reset=True))
            for model, tried in (("one", ["openai/gpt-4.1"] * 2), ("two", ["openai/gpt-4.1", "twin/gpt-4.1"])):
                answer = await ask(s, model, stream=stream)
                record = s.recorder.records[-1]
                assert answer.status == 503
                assert attempts(answer) == 2
                assert targets(record) == tried
                assert kinds(record) == ["broken_stream"] * 2
                assert all(each.failure is not None and each.failure.ambiguous for each in record.attempts)
                assert answer.headers["x-should-retry"] == "false"
            assert len(entries(s, "openai")) == 4
            assert not entries(s, "anthropic")

    run(scenario)


@pytest.mark.parametrize("stream", [False, True])
def test_a_single_reset_is_invisible(stream: bool) -> None:
    """A6: one reset, then a good target: the client sees a whole answer and two attempts."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1", "twin/gpt-4.1"]}) as s:
            s.lab.openai.fail(Fault(reset=True, key="openai"))
            answer = await ask(s, stream=stream)
            assert finished(answer)
            assert (attempts(answer), answer.headers["x-standfast-deployment"]) == (2, "twin/gpt-4.1")
            assert kinds(s.recorder.records[-1]) == ["broken_stream", "success"]

    run(scenario)


def test_stale_connections_are_not_the_clients_problem() -> None:
    """A7: the provider closes idle connections under us; requests go through, as one attempt each."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}) as s:
            for n in range(20):
                answers = await asyncio.gather(*(ask(s, stream=n % 2 == 0) for _ in range(4)))
                assert all(finished(answer) and attempts(answer) == 1 for answer in answers)
                for connection in tuple(s.lab._live["openai"]):
                    connection.drop()  # the next request races with the FIN
            assert len(entries(s)) == 80

    run(scenario)


def test_a_keys_concurrency_is_never_exceeded() -> None:
    """A8: no more attempts at the same time than the key may have; what waits is answered or refused, nothing hangs."""

    async def scenario() -> None:
        peak = 0

        def limited(lab: object) -> dict[str, object]:
            url = f"{lab.openai.url}/v1"  # type: ignore[attr-defined]  # a Lab
            return {"openai": {"base_url": url, "keys": ["sk-lab-openai"], "limits": {"concurrency": 3}}}

        async with stack({"m": ["openai/gpt-4.1", "twin/gpt-4.1"]}, providers=limited) as s:
            s.lab.openai.fail(Fault(delay=0.1, key="openai"))

            async def watch() -> None:
                nonlocal peak
                fleet, target = s.gateway.snapshot.fleet, s.gateway.snapshot.routes["m"].targets[0]
                while True:
                    peak = max(peak, fleet.in_flight(target.deployment))
                    await asyncio.sleep(0.001)

            watching = asyncio.create_task(watch())
            answers = await asyncio.gather(*(ask(s) for _ in range(20)))
            watching.cancel()
            assert all(finished(answer) and attempts(answer) == 1 for answer in answers)
            served = [answer.headers["x-standfast-deployment"] for answer in answers]
            assert served.count("openai/gpt-4.1") == 3
            assert peak == 3

    run(scenario)


def test_stalled_streams_leave_nothing_behind() -> None:
    """A8: 200 stalled streams whose clients go away: no request, permit or upstream connection is left."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}) as s:
            s.lab.openai.fail(Fault(stall_after_chunks=2))
            talks = await asyncio.gather(*(Talk.begin(s, chat(stream=True)) for _ in range(200)))
            assert set(await asyncio.gather(*(talk.head() for talk in talks))) == {200}
            assert s.gateway.in_flight == 200
            for talk in talks:
                talk.reset()
            await until(lambda: not s.gateway.in_flight)
            await until(lambda: at_rest(s))
            assert s.gateway.services.client.open_connections == 0
            assert {record.status for record in s.recorder.records} == {499}
            await until(lambda: all(entry.peer_closed for entry in entries(s)))

    run(scenario)


def test_a_vanished_upstream_ends_with_the_gap() -> None:
    """A9: an upstream that says nothing more in mid-stream is left after the gap; TCP alone would never tell."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}, defaults={"timeouts": {"gap": "150ms"}}) as s:
            s.lab.openai.fail(Fault(stall_after_chunks=3))
            answer = await ask(s, stream=True)
            assert not finished(answer)
            assert errors_in(answer)[0]["code"] == "stalled"
            assert kinds(s.recorder.records[-1]) == ["stalled"]
            assert s.recorder.records[-1].attempts[0].first_content is not None
            await until(lambda: entries(s)[-1].peer_closed)
            await until(lambda: at_rest(s))

    run(scenario)


@pytest.mark.parametrize("stream", [False, True])
def test_redirects_are_not_followed(stream: bool) -> None:
    """A11: credentials follow no redirect; it is the target's failure, and another target answers."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1", "gemini/gemini-2.5-flash"]}, defaults={"retry": SOON}) as s:
            s.lab.openai.fail(Fault(redirect=f"{s.lab.anthropic.url}/v1/chat/completions"))
            answer = await ask(s, stream=stream)
            assert finished(answer)
            assert answer.headers["x-standfast-model"] == "gemini-2.5-flash"
            assert not entries(s, "anthropic")
            assert s.lab.anthropic.counters.connections == 0
            assert set(kinds(s.recorder.records[-1])[:-1]) == {"server_error"}

    run(scenario)


def test_with_nothing_but_a_closed_port_the_error_says_so() -> None:
    """A1: a single dead target is one attempt (a refused connection is not repeated) and an explicit 503."""

    async def scenario() -> None:
        async with stack({"m": ["dead/gpt-4.1"]}) as s:
            answer = await ask(s)
            error = error_of(answer)
            assert (answer.status, error["code"], attempts(answer)) == (503, "connect_failed", 1)
            assert "dead/gpt-4.1" in error["message"]

    run(scenario)
