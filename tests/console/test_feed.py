"""The live feed: what a reader is told, in which order, what a slow one costs, and who may read."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import websockets

from console.looking import KEYS, OPERATOR, VIEWER, Looker, bearer, record, window_of
from standfast.canon.record import Change
from standfast.config.load import from_mapping
from standfast.console.access import COOKIE
from standfast.console.feed import BACKLOG, Feed, Reader
from standfast.console.messages import Message
from standfast.console.window import SHOWN
from standfast.lab import Fault
from support.chat import ask, run, until
from support.stack import Stack, stack

MODELS = {"m": ["openai/gpt-4.1", "anthropic/claude-haiku-4-5"]}


def targets(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Rows by name."""
    return {row["target"]: row for row in told["targets"]}


def test_everything_first_then_what_changes() -> None:
    """A reader is told everything once; a tick tells the second and the rows that have changed in it, no others."""

    async def scenario() -> None:
        async with stack(MODELS, window=True) as s:
            window = window_of(s)
            await ask(s)
            await until(lambda: s.recorder.records)
            window.tick()
            async with Looker(s) as looker:
                first = await looker.next()
                assert (first["type"], first["session"]["role"]) == ("snapshot", "operator")
                assert [row["model"] for row in first["models"]] == ["m"]
                assert list(targets(first)) == MODELS["m"]
                assert [sample["answered"] for sample in first["seconds"]] == [1]
                assert [row["target"] for row in first["requests"]] == ["openai/gpt-4.1"]
                assert first["troubled"] == []
                window.tick()
                assert len((await looker.next())["targets"]) == 2  # it compares with what it was told in a tick
                window.tick()
                idle = await looker.next()
                assert (idle["type"], idle["targets"], idle["models"], idle["requests"]) == ("tick", [], [], [])
                await ask(s)
                await until(lambda: len(s.recorder.records) == 2)
                window.tick()
                busy = await looker.next()
                assert list(targets(busy)) == ["openai/gpt-4.1"]
                assert targets(busy)["openai/gpt-4.1"]["answered"] == 2
                assert (busy["sample"]["answered"], busy["sample"]["answers"]) == (1, {"openai/gpt-4.1": 1})
                assert busy["requests"][0]["attempts"][0]["outcome"] == "success"

    run(scenario)


def test_the_bus_reaches_the_window_at_once() -> None:
    """A breaker that opens is told before the second is over, with its reason; the next tick shows the row open."""

    async def scenario() -> None:
        defaults = {"breaker": {"consecutive": 1, "open": "60s"}}
        async with stack(MODELS, window=True, defaults=defaults) as s, Looker(s) as looker:
            await looker.next()
            s.lab.openai.fail(Fault(status=500, key="openai"))
            await ask(s)
            while (event := (await looker.until("events"))["events"][0])["subject"] != "breaker":
                pass
            assert (event["name"], event["before"], event["after"]) == ("openai/gpt-4.1", "closed", "open")
            assert event["reason"] == "server_error"
            assert event["until"] > event["at"]
            window_of(s).tick()
            tick = await looker.until("tick")
            row = targets(tick)["openai/gpt-4.1"]
            assert (row["state"], row["breaker"], row["failed"]) == ("open", "open", 1)
            assert row["until"] == pytest.approx(event["until"], abs=0.2)
            assert [each["fallback"] for each in tick["troubled"]] == [True]
            assert tick["models"][0]["status"] == "degraded"

    run(scenario)


def test_of_many_requests_few_are_told() -> None:
    """A tick tells as many requests as anybody can read, and how many there were besides; trouble is told whatever."""

    async def scenario() -> None:
        async with stack(MODELS, window=True) as s, Looker(s) as looker:
            await looker.next()
            bus = s.gateway.services.bus
            bus.request_ended(record(id="bad", status=502, code="server_error"))
            for number in range(1_000):
                bus.request_ended(record(id=str(number)))
            window_of(s).tick()
            tick = await looker.next()
            assert [row["id"] for row in tick["requests"]] == [str(n) for n in range(1_000 - SHOWN, 1_000)]
            assert tick["skipped"] == 1_001 - SHOWN
            assert [row["id"] for row in tick["troubled"]] == ["bad"]

    run(scenario)


def test_a_reload_tells_everything_anew() -> None:
    """Rows may be others now: who looks gets a snapshot, and an event says why."""

    async def scenario() -> None:
        async with stack(MODELS, window=True) as s, Looker(s) as looker:
            await looker.next()
            window_of(s).tick()
            s.gateway.reload(_without(s, "anthropic/claude-haiku-4-5"))
            window_of(s).tick()
            fresh = await looker.until("snapshot")
            assert list(targets(fresh)) == ["openai/gpt-4.1"]
            assert (fresh["events"][-1]["subject"], fresh["events"][-1]["after"]) == ("configuration", "reloaded")

    run(scenario)


def _without(s: Stack, target: str) -> Any:
    config = s.gateway.snapshot.config
    data: dict[str, Any] = config.model_dump(mode="json", exclude_unset=True)
    for name, entry in data["providers"].items():
        entry["keys"] = [key.get_secret_value() for key in config.providers[name].keys]
    data["models"] = {"m": [each for each in MODELS["m"] if each != target]}
    return from_mapping(data, {})


def test_a_slow_reader_loses_ticks_and_nothing_else() -> None:
    """Who does not read is told everything anew when it does: its backlog is bounded, and nobody waits for it."""
    feed = Feed()
    slow, quick = feed.join(), feed.join()
    for reader in (slow, quick):
        assert reader.lost
        reader.told()
    read: list[str | None] = []

    async def scenario() -> None:
        for number in range(10 * BACKLOG):
            feed.tell(str(number))
            read.append(await quick.next())
        assert read == [str(number) for number in range(10 * BACKLOG)]
        assert await slow.next() is None
        slow.told()
        feed.tell("after")
        assert await slow.next() == "after"

    run(scenario)


def test_a_reader_that_waits_is_woken() -> None:
    """A message, or the word that everything must be told, wakes who waits; a lost reader takes no more messages."""

    async def scenario() -> None:
        for wake, wanted in _WAKES:
            reader = Reader()
            reader.told()
            waiting = asyncio.create_task(reader.next())
            await asyncio.sleep(0)
            assert not waiting.done()
            wake(reader)
            assert await waiting == wanted
        reader.lose()
        reader.put("of no use")
        assert await reader.next() is None

    run(scenario)


def _put(reader: Reader) -> None:
    reader.put("x")


_WAKES: tuple[tuple[Callable[[Reader], None], str | None], ...] = ((_put, "x"), (Reader.lose, None))


def test_who_leaves_is_forgotten() -> None:
    """A connection that ends costs nothing afterwards, whether it said goodbye or not."""

    async def scenario() -> None:
        async with stack(MODELS, window=True) as s:
            feed = window_of(s).feed
            async with Looker(s) as looker:
                await looker.next()
                assert len(feed) == 1
            await until(lambda: not feed)
            rude = Looker(s)
            async with rude:
                await rude.next()
                rude.socket.transport.abort()
                await until(lambda: not feed)

    run(scenario)


def test_what_a_reader_says_is_not_listened_to() -> None:
    """The feed goes one way: words of a reader change nothing and end nothing."""

    async def scenario() -> None:
        async with stack(MODELS, window=True) as s, Looker(s) as looker:
            await looker.next()
            for said in ("{}", "x" * 1_000, b"\x00"):
                await looker.socket.send(said)
            window_of(s).tick()
            assert (await looker.next())["type"] == "tick"

    run(scenario)


def test_only_who_may_look_is_told() -> None:
    """Without a key the feed closes with 4401 and has told nothing; a page from elsewhere is not even accepted."""

    async def scenario() -> None:
        async with stack(MODELS, console=KEYS, window=True) as s:
            for headers in ({}, bearer("wrong-0123456789abcd"), {"cookie": f"{COOKIE}=aa.9999999999.bb"}):
                async with Looker(s, headers) as looker:
                    with pytest.raises(websockets.ConnectionClosed) as closed:
                        await looker.socket.recv()
                    assert closed.value.rcvd is not None
                    assert closed.value.rcvd.code == 4401
            with pytest.raises(websockets.InvalidStatus) as refused:
                await Looker(s, {**bearer(OPERATOR), "origin": "http://evil.example"}).__aenter__()
            assert refused.value.response.status_code == 403
            async with Looker(s, bearer(VIEWER)) as looker:
                assert (await looker.next())["session"]["name"] == "wall"
            assert not window_of(s).feed

    run(scenario)


def test_a_key_that_is_taken_away_ends_the_look() -> None:
    """The right to look is asked again with every message: a reload that removes the key closes the feed."""

    async def scenario() -> None:
        async with stack(MODELS, console=KEYS, window=True) as s, Looker(s, bearer(VIEWER)) as looker:
            await looker.next()
            config = s.gateway.snapshot.config
            left = config.console.model_copy(update={"keys": config.console.keys[:1]})
            s.gateway.reload(config.model_copy(update={"console": left}))
            window_of(s).tick()
            assert await looker.closed() == 4401

    run(scenario)


def test_switching_it_off_ends_every_look() -> None:
    """A reload that switches the console off closes the feed by the next second, though nothing is told any more."""

    async def scenario() -> None:
        async with stack(MODELS, window=True) as s, Looker(s) as looker:
            await looker.next()
            config = s.gateway.snapshot.config
            s.gateway.reload(
                config.model_copy(update={"console": config.console.model_copy(update={"enabled": False})})
            )
            window_of(s).beat()
            assert await looker.closed() == 4401

    run(scenario)


def test_what_was_told_between_two_ticks_is_put_right() -> None:
    """Who joined while a row was another for a moment is told that it is not, though no tick has seen a change."""

    async def scenario() -> None:
        async with stack(MODELS, window=True) as s, Looker(s) as early:
            await early.next()
            window_of(s).tick()
            s.gateway.force_breaker("openai/gpt-4.1", "open")
            async with Looker(s) as late:
                first = await late.next()
                assert targets(first)["openai/gpt-4.1"]["state"] == "open"
                s.gateway.force_breaker("openai/gpt-4.1", None)
                window_of(s).tick()
                tick = await late.until("tick")
                assert targets(tick)["openai/gpt-4.1"]["state"] != "open"
                assert tick["models"][0]["status"] == "healthy"

    run(scenario)


def test_who_joins_in_the_same_second_is_told_the_same() -> None:
    """Everything is put together once for all who join between two ticks, and anew after an event."""

    async def scenario() -> None:
        async with stack(MODELS, window=True) as s, Looker(s) as one, Looker(s) as another:
            first = await one.next()
            s.recorder.records.clear()
            window_of(s).meter.request_ended(record(id="since"))
            assert await another.next() == first
            s.gateway.force_breaker("openai/gpt-4.1", "open")
            async with Looker(s) as late:
                told = await late.next()
                assert told["events"][-1]["after"] == "forced_open"
                assert told["requests"] == []  # it is told once, when its second is over
            window_of(s).tick()
            assert [row["id"] for row in (await one.until("tick"))["requests"]] == ["since"]

    run(scenario)


def test_a_key_that_is_a_word_of_ours_spoils_nothing() -> None:
    """Keys are any words: one that names a field, a state or a target is hidden where others write, and only there."""

    async def scenario() -> None:
        words = ["openai", "snapshot", "serving", "targets"]
        models = {"m": ["openai/gpt-4.1"]}
        async with stack(
            models, providers=lambda lab: {"openai": {"base_url": f"{lab.openai.url}/v1", "keys": words}}, window=True
        ) as s:
            await ask(s)
            await until(lambda: s.recorder.records)
            window_of(s).meter.request_ended(record(session="my openai session"))
            window_of(s).tick()
            async with Looker(s) as looker:
                told = await looker.next()
            assert told["type"] == "snapshot"
            assert [(row["target"], row["state"]) for row in told["targets"]] == [("openai/gpt-4.1", "serving")]
            assert told["seconds"][-1]["answers"] == {"openai/gpt-4.1": 1}
            assert [row["session"] for row in told["requests"]] == ["", "my [redacted] session"]

    run(scenario)


def test_no_text_silences_the_feed() -> None:
    """Whatever a name or a session is made of: it is told, and what follows it, and the hook stays plugged in."""

    async def scenario() -> None:
        hostile = '\ud800\x00\u202e\u2028<script>"\\' + "x" * 200_000
        async with stack(MODELS, window=True) as s, Looker(s) as looker:
            await looker.next()
            s.gateway.services.bus.changed([Change("breaker", hostile, "a", "b", "why")])
            assert (await looker.until("events"))["events"][0]["name"] == hostile
            window_of(s).meter.request_ended(record(session=hostile, tags=(hostile,)))
            window_of(s).tick()
            assert (await looker.until("tick"))["requests"][0]["session"] == hostile
            s.gateway.force_breaker("openai/gpt-4.1", "open")
            assert (await looker.until("events"))["events"][0]["after"] == "forced_open"

    run(scenario)


def test_messages_are_what_their_types_say() -> None:
    """Everything on the wire can be read back as the declared message, field by field."""

    async def scenario() -> None:
        async with stack(MODELS, window=True) as s:
            s.lab.openai.fail(Fault(status=429, headers={"retry-after": "30"}, key="openai"))
            window = window_of(s)
            await ask(s)
            await until(lambda: s.recorder.records)
            window.tick()
            async with Looker(s) as looker:
                told = [await looker.next()]
                await ask(s, stream=True)
                window.tick()
                told.append(await looker.until("tick"))
                for each in told:
                    read = msgspec.json.decode(json.dumps(each), type=Message, strict=True)
                    assert json.loads(msgspec.json.encode(read)) == each
                key = targets(told[0])["openai/gpt-4.1"]["keys"][0]
                assert key["state"] == "resting"
                assert targets(told[0])["openai/gpt-4.1"]["state"] == "resting"
                assert key["until"] > told[0]["at"] + 20

    run(scenario)
