"""Refused connections are the port's business: the shares of what is left, and real sockets."""

import asyncio
import random
from collections import Counter

import pytest

from standfast.canon.instants import Monotonic
from standfast.drill.doors import Doorkeeper, LiveWeather
from standfast.lab.performing import Door
from standfast.lab.server import Lab
from standfast.sim.settings import Trouble, Upstream
from standfast.sim.weather import Weather
from standfast.sim.world import START

ORDINARY = Upstream.model_validate(
    {"errors": [{"kind": "server_error", "share": 0.1}, {"kind": "connect_failed", "share": 0.2}]}
)


def weather(kind: str = "connect_failed", share: float = 0.5, *, ordinary: bool = True) -> LiveWeather:
    """An ordinary day (or one without errors), and a trouble from the tenth second to the twentieth."""
    errors = [{"kind": kind, "share": share}, {"kind": "overloaded", "share": 1 - share}]
    trouble = Trouble.model_validate({"at": 10, "lasts": 10, "where": "*", "errors": errors})
    return LiveWeather(ORDINARY.errors or () if ordinary else (), [trouble], START)


def test_who_has_come_in_fares_as_the_rest_of_all() -> None:
    """Refusals taken off, what befalls those who came in and the refused together is what the scenario says."""
    live = weather()
    plain = Weather(ORDINARY.errors or (), [], START)
    live.look(START)
    plain.look(START)
    assert (live.refused, live.deaf) == (pytest.approx(0.2), 0.0)
    rng = random.Random(1)
    told: Counter[str] = Counter()
    meant: Counter[str] = Counter()
    for _ in range(20_000):
        error = live.error(rng.random()) if rng.random() >= live.refused else None
        told[error.kind.value if error else "-"] += 1
        error = plain.error(rng.random())
        meant[error.kind.value if error and error.kind.value != "connect_failed" else "-"] += 1
    assert told["server_error"] == pytest.approx(meant["server_error"], rel=0.1)
    live.look(START + 10)
    assert live.refused == pytest.approx(0.5)
    assert {live.error(at / 100).kind.value for at in range(100)} == {"overloaded"}  # type: ignore[union-attr]


def test_when_all_are_refused_nobody_is_told_anything_else() -> None:
    """With a share of one nothing is left to be told inside."""
    live = weather(share=1.0)
    live.look(START + 10)
    assert live.refused == pytest.approx(1.0)
    deaf = weather("connect_timeout", 1.0)
    deaf.look(START + 10)
    assert (deaf.refused, deaf.deaf) == (0.0, pytest.approx(1.0))


async def _connects(port: int, limit: float) -> str:
    """What becomes of a connect."""
    try:
        async with asyncio.timeout(limit):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
    except TimeoutError:
        return "waits"
    except ConnectionRefusedError:
        return "refused"
    writer.close()
    return "open"


@pytest.mark.parametrize(("door", "fate"), [(Door.CLOSED, "refused"), (Door.AJAR, "refused"), (Door.DEAF, "waits")])
def test_a_port_refuses_or_is_deaf_and_opens_again(door: Door, fate: str) -> None:
    """The door moves the listening socket; the port keeps its number, whatever comes after what."""

    async def scene() -> None:
        async with Lab() as lab:
            provider, port = lab.openai, lab.openai.port
            for _ in range(2):
                provider.move_door(door)
                assert await _connects(port, 0.2) == fate
                provider.move_door(Door.OPEN)
                assert await _connects(port, 5.0) == "open"
            provider.move_door(Door.DEAF)
            provider.move_door(Door.CLOSED)
            assert await _connects(port, 5.0) == "refused"
            provider.move_door(Door.OPEN)
            assert await _connects(port, 5.0) == "open"

    asyncio.run(scene())


def test_a_share_of_the_connections_is_refused() -> None:
    """The port is shut for that share of the time, and open for good when the trouble is over."""

    async def scene() -> None:
        async with Lab() as lab:
            loop = asyncio.get_running_loop()
            live, began, later = weather(share=0.5, ordinary=False), loop.time(), [10.0]

            def now() -> Monotonic:
                return Monotonic(START + later[0] + loop.time() - began)

            keeper = Doorkeeper(lab.openai, [live], now, random.Random(1))
            moves: list[Door] = []
            lab.openai.on_change = lambda: moves.append(lab.openai.door)
            keeper.start()
            assert keeper.ajar
            while len(moves) < 6:  # noqa: ASYNC110 - the keeper's own timers
                await asyncio.sleep(0.001)
            assert moves[0] is Door.CLOSED  # idle connections go
            assert {Door.AJAR, Door.OPEN} == set(moves[1:])
            later[0] = 30.0
            while keeper.ajar or lab.openai.door is not Door.OPEN:  # noqa: ASYNC110 - the same
                await asyncio.sleep(0.001)
            keeper.stop()

    asyncio.run(scene())
