"""What the bus promises its hooks: one order for all, and that none of them breaks anything."""

import asyncio
import logging
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from standfast.canon.attempt import Attempt, Outcome
from standfast.canon.deployment import Operation
from standfast.canon.instants import Wall
from standfast.canon.record import Change, RequestRecord
from standfast.engine.bus import Bus
from standfast.lab import Fault
from support.chat import run
from support.watching import watched

FIRST = "openai/gpt-4.1"


class Ear:
    """A hook that writes down what it hears, and may react."""

    def __init__(self, react: Callable[[str], None] = lambda _: None) -> None:
        self.heard: list[str] = []
        self.react = react
        self.closed = 0

    def request_ended(self, record: RequestRecord) -> None:
        """A request ended."""
        self.heard.append(record.id)
        self.react(record.id)

    def changed(self, change: Change) -> None:
        """A state changed."""
        self.heard.append(change.after)
        self.react(change.after)

    def close(self) -> None:
        """The end."""
        self.closed += 1
        self.react("close")


def change(after: str) -> Change:
    """A change to this state."""
    return Change("breaker", "p/m", "", after, "")


def record(name: str) -> RequestRecord:
    """A request of this name."""
    return RequestRecord(name, Wall(0.0), "", "m", Operation.CHAT, False, 200, "", "", False, (), None, 0.1, 0.0, None)


def test_all_hear_the_same_in_the_true_order() -> None:
    """What a hook does about an event is heard after it by all, and after what had happened together with it."""

    def react(heard: str) -> None:
        if heard == "open":
            bus.changed([change("forced_open")])
            bus.request_ended(record("cut off"))
        elif heard == "forced_open":
            bus.changed([change("closed")])

    ears = [Ear(), Ear(react), Ear()]
    bus = Bus(ears)
    bus.changed([change("open"), change("unhealthy")])
    assert [ear.heard for ear in ears] == [["open", "unhealthy", "forced_open", "cut off", "closed"]] * 3


def test_a_reaction_to_a_request_waits_too() -> None:
    """The same for the end of a request."""
    ears = [Ear(lambda heard: bus.changed([change("open")]) if heard == "r" else None), Ear()]
    bus = Bus(ears)
    for _ in range(2):
        bus.request_ended(record("r"))
    assert [ear.heard for ear in ears] == [["r", "open"] * 2] * 2


def test_a_hook_that_goes_round_in_circles_is_unplugged(caplog: pytest.LogCaptureFixture) -> None:
    """It answers its own answers for ever; the others hear what happened, and the gateway goes on."""
    circling, other = Ear(lambda _: bus.changed([change("again")])), Ear()
    bus = Bus([circling, other])
    bus.changed([change("open")])
    assert "is unplugged" in caplog.text
    heard = len(circling.heard)
    bus.changed([change("closed")])
    assert len(circling.heard) == heard
    assert (other.heard[0], other.heard[-1]) == ("open", "closed")


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError])
def test_a_hook_that_raises_is_unplugged_and_harms_nobody(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it raises, a cancellation too; once, and the others hear all."""

    def fails(_: str) -> None:
        raise error

    broken, other = Ear(fails), Ear()
    bus = Bus([broken, other])
    bus.changed([change("a"), change("b")])
    bus.plug(late := Ear(fails))
    bus.request_ended(record("r"))
    bus.request_ended(record("s"))
    assert (broken.heard, late.heard, other.heard) == (["a"], ["r"], ["a", "b", "r", "s"])
    bus.plug(broken)
    bus.close()
    assert (broken.closed, other.closed) == (1, 1)
    assert [entry.levelno for entry in caplog.records] == [logging.ERROR] * 3


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_order_to_stop_is_not_swallowed(error: type[BaseException]) -> None:
    """Whose order it is does not matter; and the bus would still work."""

    def stops(heard: str) -> None:
        if heard == "stop":
            raise error

    ear = Ear(stops)
    bus = Bus([ear])
    for told in (lambda: bus.changed([change("stop"), change("after")]), lambda: bus.request_ended(record("stop"))):
        with pytest.raises(error):
            told()
    bus.changed([change("more")])
    assert ear.heard == ["stop", "stop", "after", "more"]


class KeenEar(Ear):
    """A hook that cares for what is unusual."""

    def request_unusual(self, record: RequestRecord) -> None:
        """A request went another way than most."""
        self.heard.append(f"unusual {record.id}")
        self.react(f"unusual {record.id}")


def test_who_cares_for_the_unusual_is_told_of_it_once_more() -> None:
    """After everybody has heard of the request, also of one that a hook's reaction ended; of no other request."""
    tried = Attempt("p/m", 0, Outcome.SUCCESS, None, 0.0, 0.1, 0.2)
    odd = {"code": "no_target", "fallback": True, "source": "cache", "attempts": (tried, tried)}
    for name, value in odd.items():
        other, keen = Ear(), KeenEar()
        bus = Bus([other, keen])
        bus.request_ended(replace(record("usual"), attempts=(tried,)))
        bus.request_ended(replace(record("r"), **{name: value}))
        assert (other.heard, keen.heard) == (["usual", "r"], ["usual", "r", "unusual r"]), name

    def react(heard: str) -> None:
        if heard == "open":
            bus.request_ended(replace(record("cut off"), code="server_error"))

    ears = [Ear(react), KeenEar()]
    bus = Bus(ears)
    bus.changed([change("open"), change("unhealthy")])
    assert ears[1].heard == ["open", "unhealthy", "cut off", "unusual cut off"]


def test_a_hook_that_stumbles_over_the_unusual_is_unplugged() -> None:
    """As one that stumbles over anything else, and the others hear all."""

    def fails(heard: str) -> None:
        if heard.startswith("unusual"):
            raise RuntimeError

    broken, keen = KeenEar(fails), KeenEar()
    bus = Bus([broken, keen])
    for name in ("r", "s"):
        bus.request_ended(replace(record(name), code="server_error"))
    assert (broken.heard, keen.heard) == (["r", "unusual r"], ["r", "unusual r", "s", "unusual s"])


def test_a_hook_may_force_a_breaker() -> None:
    """It answers the opening; whoever listens after it sees the opening first."""

    async def scenario() -> None:
        async with watched({"m": [FIRST, "spare/gpt-4.1"]}) as w:

            def react(heard: str) -> None:
                if heard == "open":
                    w.gateway.force_breaker(FIRST, "open")

            last = Ear()
            w.gateway.services.bus.plug(Ear(react))
            w.gateway.services.bus.plug(last)
            w.lab.openai.fail(Fault(status=500))
            await w.chat(times=5)
            told = [each.after for each in w.recorder.changes]
            assert told == ["open", "unhealthy", "forced_open", "unknown"]
            assert [heard for heard in last.heard if not heard.startswith("req_")] == told

    run(scenario)
