"""Several windows that tell each other, in one loop: who is told, what is left out, and what it costs."""

import asyncio
import contextlib
import itertools
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from console.looking import Looker, api, record, window_of
from standfast.canon.instants import Monotonic, Wall
from standfast.clock import SystemClock
from standfast.console import peers
from standfast.console.feed import BACKLOG
from standfast.console.peers import Lines as Called
from standfast.console.peers import Peers
from standfast.console.surroundings import Surroundings
from standfast.console.window import Window
from standfast.engine.gateway import Gateway
from standfast.hooks.prometheus import PrometheusHook
from standfast.server.lines import Lines
from support.chat import run, until
from support.stack import Stack, stack

MODELS = {"m": ["openai/gpt-4.1", "anthropic/claude-haiku-4-5"]}


class Family:
    """Several windows at a gateway each, as several processes have them; they tick when the test says so."""

    def __init__(self, count: int) -> None:
        self.lines = Lines(count)
        self.windows: list[Window] = []
        self.metrics: list[PrometheusHook] = []
        self.counted = itertools.count()
        self.s: Stack

    def around(self, metrics: PrometheusHook) -> Surroundings:
        """One process more."""
        self.metrics.append(metrics)
        return Surroundings(metrics, worker=len(self.metrics), workers=len(self.lines), lines=self.lines)

    def answer(self, number: int, count: int) -> None:
        """Requests that one process has answered."""
        window = self.windows[number]
        for _ in range(count):
            told = record(id=f"{number}-{next(self.counted)}", received=window._clock.wall() - 0.2)
            self.metrics[number].request_ended(told)
            window.meter.request_ended(told)

    def tick(self) -> None:
        """A second is over for all."""
        for window in self.windows:
            window.tick()


@contextlib.asynccontextmanager
async def family(count: int) -> AsyncIterator[Family]:
    """Of so many processes; the first one's port is the one that the test knows."""
    found = Family(count)
    async with stack(MODELS, window=found.around) as s, contextlib.AsyncExitStack() as exits:
        exits.callback(found.lines.close)
        found.s = s
        found.windows.append(window_of(s))
        for _ in range(1, count):
            gateway = await exits.enter_async_context(Gateway(s.gateway.snapshot.config))
            found.windows.append(Window(gateway, found.around(PrometheusHook())))
        clock = Hasty()
        for window in found.windows:
            window._clock = window.meter._clock = clock
            peers_of(window).start()  # without its seconds, which the test ends
            exits.push_async_callback(window.stop)
        yield found


def peers_of(window: Window) -> Peers:
    """Those whom it tells and hears."""
    assert window._peers is not None
    return window._peers


class Hasty:
    """A clock that is twenty times as fast as it should be, so that seconds are soon over."""

    def __init__(self) -> None:
        self._real = SystemClock()
        self._begin = self._real.now()

    def now(self) -> Monotonic:
        """Since the beginning, twenty times."""
        return Monotonic(20.0 * (self._real.now() - self._begin))

    def wall(self) -> Wall:
        """The same, in an afternoon of 2025."""
        return Wall(1_760_000_000.0 + self.now())


@contextlib.asynccontextmanager
async def ticking(windows: Family) -> AsyncIterator[None]:
    """Their seconds end, one by one, as long as this lasts."""

    async def tick() -> None:
        while True:
            for window in windows.windows:
                await asyncio.sleep(0.005)
                window.tick()

    task = asyncio.create_task(tick())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def told(looker: Looker, wanted: int) -> list[dict[str, Any]]:
    """The ticks until they have told of so many answers."""
    found: list[dict[str, Any]] = []
    while sum(tick["sample"]["answered"] for tick in found) < wanted:
        found.append(await looker.until("tick"))
    return found


def test_one_reader_is_told_of_all() -> None:
    """Who looks at one process is told of the requests, rows, events and seconds of all, as of one."""

    async def scenario() -> None:
        async with family(3) as f, ticking(f):
            f.answer(1, 2)
            await until(
                lambda: (
                    f.windows[1].history.seconds and sum(each.answered for each in f.windows[1].history.seconds) == 2
                )
            )
            async with Looker(f.s) as looker:
                first = await looker.next()
                assert (first["seen"], first["session"]["worker"], first["session"]["workers"]) == (3, 1, 3)
                assert first["targets"][0]["answered"] == 2
                assert len(first["requests"]) == 2
                for number, count in enumerate((1, 10, 100)):
                    f.answer(number, count)
                wanted = 113 - sum(sample["answered"] for sample in first["seconds"])
                ticks = await told(looker, wanted)
                assert sum(tick["sample"]["answered"] for tick in ticks) == wanted
                assert sum(len(tick["requests"]) + tick["skipped"] for tick in ticks) == 111
                f.windows[2].meter.note("operator", "openai/gpt-4.1", "", "looks", "why")
                f.windows[0].meter.note("operator", "openai/gpt-4.1", "", "acts", "why")
                events = [(await looker.until("events"))["events"][0] for _ in range(2)]
                assert sorted((each["worker"], each["after"]) for each in events) == [(1, "acts"), (3, "looks")]
                assert events[0]["seq"] < events[1]["seq"]
                f.windows[1].gateway.force_breaker("openai/gpt-4.1", "open", by="ann")
                rows: list[dict[str, Any]] = []
                while not [row for row in rows if row["state"] == "open"]:
                    rows = (await looker.until("tick"))["targets"]
                assert rows[0]["reason"] == "open in 1 of 3 processes"
                async with Looker(f.s) as another:
                    later = await another.next()
                    assert later["targets"][0]["state"] == "open"
                    assert [row["seq"] for row in later["events"]] == list(range(1, len(later["events"]) + 1))
            await until(lambda: not f.windows[0].feed)
            await until(lambda: not any(peers_of(each).listening for each in f.windows))

    run(scenario)


def test_one_that_is_gone_is_left_out_and_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends is missing at once, and is there again when another takes its place: two fresh snapshots."""
    monkeypatch.setattr(peers, "AGAIN", 0.01)

    async def scenario() -> None:
        async with family(3) as f, ticking(f), Looker(f.s) as looker:
            assert (await looker.next())["seen"] == 3
            f.answer(2, 5)
            await told(looker, 5)
            await f.windows[2].stop()
            left = await looker.until("snapshot")
            assert left["seen"] == 2
            assert sum(sample["answered"] for sample in left["seconds"]) == 5  # it has happened
            assert sum(row["answered"] for row in left["targets"]) == 0
            peers_of(f.windows[2]).start()
            assert (back := await looker.until("snapshot"))["seen"] == 3
            assert sum(sample["answered"] for sample in back["seconds"]) == 5

    run(scenario)


def test_one_that_hangs_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that says nothing any more, though its line is open, is taken for gone."""
    monkeypatch.setattr(peers, "SILENCE", 0.05)
    monkeypatch.setattr(peers, "AGAIN", 5.0)

    async def scenario() -> None:
        async with family(2) as f, Looker(f.s) as looker:
            first = await looker.next()
            if first["seen"] == 2:
                first = await looker.until("snapshot")
            assert first["seen"] == 1

    run(scenario)


def test_nonsense_ends_the_line_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read is said so in the log; the process is left out, and called again."""
    monkeypatch.setattr(peers, "AGAIN", 0.01)
    monkeypatch.setattr(peers, "PATIENCE", 0.01)
    calls: list[str] = []

    def nonsense(wish: str, line: socket.socket) -> None:
        calls.append(wish)
        line.sendall(b"{}\n" if len(calls) % 2 else b'{"type": "tick"')
        line.close()

    async def scenario() -> None:
        async with family(2) as f:
            await f.windows[1].stop()
            f.lines.listen(1, nonsense)
            async with Looker(f.s) as looker:
                assert (await looker.next())["seen"] == 1
                await until(lambda: calls.count("feed") > 2)
            assert (await api(f.s, "GET", "/snapshot")).json()["seen"] == 1
            assert (await api(f.s, "GET", "/history")).json() == {"minutes": []}

    run(scenario)


def test_no_text_silences_a_process() -> None:
    """Half a surrogate pair in what a client sends is told on as it came, to those who look and to programs."""

    async def scenario() -> None:
        async with family(2) as f, ticking(f), Looker(f.s) as looker:
            assert (await looker.next())["seen"] == 2
            f.windows[1].meter.request_ended(
                record(id="odd", caller="half \ud800", received=f.windows[1]._clock.wall())
            )
            while not (rows := (await looker.until("tick"))["requests"]):
                pass
            assert rows[0]["caller"] == "half \ud800"
            found: Any = (await api(f.s, "GET", "/snapshot")).json()
            assert (found["seen"], found["requests"][0]["caller"]) == (2, "half \ud800")

    run(scenario)


def test_programs_are_told_of_all() -> None:
    """`GET` asks all processes; nobody keeps listening afterwards, and one that does not answer is left out."""

    async def scenario() -> None:
        async with family(3) as f:
            for number, count in enumerate((1, 10, 100)):
                f.answer(number, count)
            f.tick()
            found = (await api(f.s, "GET", "/snapshot")).json()
            assert found["seen"] == 3  # type: ignore[comparison-overlap]
            assert sum(sample["answered"] for sample in found["seconds"]) == 111  # type: ignore[attr-defined]
            for window in f.windows:
                window.history.minutes.append(window.history.seconds[-1])
            minutes: Any = (await api(f.s, "GET", "/history")).json()["minutes"]
            assert sum(minute["answered"] for minute in minutes) == 111
            await f.windows[1].stop()
            found = (await api(f.s, "GET", "/snapshot")).json()
            assert (found["seen"], found["targets"][0]["answered"]) == (2, 101)  # type: ignore[index]
            assert not any(peers_of(each).listening for each in f.windows)

    run(scenario)


def test_one_that_does_not_read_costs_bounded_memory() -> None:
    """A process that called and does not read holds up nobody; when it reads it is told everything anew."""

    async def scenario() -> None:
        async with family(2) as f:
            window = f.windows[1]
            line = f.lines.call(1, "feed")
            reader, writer = await asyncio.open_unix_connection(sock=line, limit=2**24)
            first = json.loads(await reader.readline())
            assert first["type"] == "snapshot"
            writer.transport.pause_reading()
            for _ in range(60 * BACKLOG):
                window.tick()
                await asyncio.sleep(0)
            (listener,) = peers_of(window)._listeners._readers
            assert len(listener._texts) <= BACKLOG
            writer.transport.resume_reading()
            kinds = []
            while "snapshot" not in kinds:
                kinds.append(json.loads(await reader.readline())["type"])
            writer.close()
            await until(lambda: not peers_of(window).listening)

    run(scenario)


def test_a_reload_is_told_of_by_each() -> None:
    """Each process reads the file for itself; whoever looks is told everything anew each time, and the rows of all."""

    async def scenario() -> None:
        async with family(2) as f, ticking(f), Looker(f.s) as looker:
            await looker.next()
            for window in reversed(f.windows):
                config = window.gateway.snapshot.config
                shorter = config.model_copy(
                    update={
                        "models": {
                            "m": config.models["m"].model_copy(update={"targets": config.models["m"].targets[:1]})
                        }
                    }
                )
                window.gateway.reload(shorter)
            fresh = await looker.until("snapshot")
            while len(fresh["targets"]) != 1:
                fresh = await looker.until("snapshot")
            assert [row["target"] for row in fresh["targets"]] == ["openai/gpt-4.1"]
            assert sorted(event["worker"] for event in fresh["events"] if event["after"] == "reloaded") == [1, 2]

    run(scenario)


def test_alone_there_is_nobody_to_call() -> None:
    """With one process nothing is opened, and what is told names no process."""

    async def scenario() -> None:
        async with stack(MODELS, window=True) as s, Looker(s) as looker:
            assert s.window is not None
            assert s.window._peers is None
            assert (await looker.next())["seen"] == 1
            s.window.meter.note("operator", "x", "", "y", "z")
            assert (await looker.until("events"))["events"][0]["worker"] == 0

    run(scenario)


def test_the_servers_lines_are_the_consoles() -> None:
    """What the server hands over is what the console expects."""
    lines = Lines(2)
    expected: Called = lines
    assert len(expected) == 2
    lines.close()
