"""The upstreams' chance belongs to the attempt: the order in which attempts come changes nobody's fate."""

import itertools
import math
import random

import pytest

from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import NEVER, Monotonic
from standfast.drill.paired import paired
from standfast.drill.way import Traveller, Way
from standfast.policy.timeouts import Deadlines
from standfast.sim.call import Call
from standfast.sim.crowd import Request
from standfast.sim.settings import Scenario
from standfast.sim.stage import Stage
from standfast.sim.world import START
from support.rehearsal import config, play, scenario

WEATHER = scenario(
    workload={"requests": 60, "streaming": 0.5},
    upstreams={
        "*": {
            "first_token": {"median": "300ms", "p95": "1s"},
            "errors": [{"kind": "server_error", "share": 0.3}, {"kind": "broken_stream", "share": 0.2}],
        }
    },
)
NO_DEADLINES = Deadlines(math.inf, math.inf, NEVER, math.inf, NEVER)


class Told(Call):
    """Keeps what the station decides."""

    __slots__ = ("fate",)

    def fails(self, at: float, failure: Failure) -> None:
        """Without content."""
        self.fate = (at, failure)

    def answers(self, first_at: float, end: float, failure: Failure | None, silent_at: float = math.inf) -> None:
        """With content."""
        self.fate = (first_at, end, failure, silent_at)


def fates(order: list[int], *, pairs: bool) -> dict[int, object]:
    """What befalls five requests that ask one target in this order, at one instant."""
    stage = Stage(config(["openai/a"]), WEATHER, 1)
    stage = paired(stage) if pairs else stage
    (station,) = stage.stations.values()
    route = stage.cast.models[0][0]
    found: dict[int, object] = {}
    for number in order:
        request = Request(Monotonic(START + number), route, prompt=10, completion=20)
        call = Told(station, request, None, NO_DEADLINES, 0)  # type: ignore[arg-type]  # nobody listens
        station.take(call, Monotonic(START + 10))
        found[number] = call.fate
    return found


def test_no_order_changes_a_fate() -> None:
    """Every order of five attempts gives each the same fate; a plain station gives the same fates by place."""
    orders = [list(order) for order in itertools.permutations(range(5))]
    assert all(fates(order, pairs=True) == fates(orders[0], pairs=True) for order in orders)
    assert fates([4, 3, 2, 1, 0], pairs=False) != fates([0, 1, 2, 3, 4], pairs=False)


def test_a_second_attempt_has_a_fate_of_its_own() -> None:
    """Asked twice, a target does not say the same of necessity."""
    stage = paired(Stage(config(["openai/a"]), WEATHER, 1))
    (station,) = stage.stations.values()
    request = Request(Monotonic(START), stage.cast.models[0][0], prompt=10, completion=20)
    seen = set()
    for _ in range(5):
        call = Told(station, request, None, NO_DEADLINES, 0)  # type: ignore[arg-type]  # nobody listens
        station.take(call, Monotonic(START + 10))
        seen.add(str(call.fate))
    assert len(seen) == 5


def test_milliseconds_on_the_way_change_no_fate() -> None:
    """An attempt comes later by the way and fares as it would have; one that was given up on the way is counted."""
    way = Way()
    for leg, seconds in ((way.there, 0.002), (way.back, 0.001), (way.held, 0.004)):
        leg.add(seconds, Monotonic(START))
    stage = paired(Stage(config(["openai/a"]), WEATHER, 1), Traveller(way, random.Random(1)))
    (station,) = stage.stations.values()
    route = stage.cast.models[0][0]
    fare = fates([0, 1, 2], pairs=True)
    calls = [
        Told(station, Request(Monotonic(START + n), route, prompt=10, completion=20), None, NO_DEADLINES, 0)  # type: ignore[arg-type]
        for n in range(3)
    ]
    now = Monotonic(START + 10)
    stage.world.at(now, lambda _now: [station.take(call, now) for call in calls])
    stage.world.at(now, lambda _now: calls[2].stop(now))
    stage.world.run(2)
    assert not any(hasattr(call, "fate") for call in calls)
    while stage.world.run(1):
        pass
    assert stage.world.now == pytest.approx(now + 0.003)
    assert not hasattr(calls[2], "fate")
    assert station.tally.attempts == 3
    for number in (0, 1):
        expected, found = fare[number], calls[number].fate
        assert len(found) == len(expected)  # type: ignore[arg-type]
        late = 0.003 + (0.004 if len(found) == 4 else 0.0)  # type: ignore[arg-type]  # what is refused takes no place
        assert found[0] == pytest.approx(expected[0] + late)  # type: ignore[index]


def test_a_way_that_is_longer_than_the_limit_ends_in_a_time_out() -> None:
    """On a machine that hangs an attempt may be given up before it arrives; that is a time-out, and time goes on."""
    heard: list[tuple[float, Failure]] = []

    class Ears:
        def failed(self, _call: Call, failure: Failure, now: Monotonic) -> None:
            heard.append((now, failure))

    way = Way()
    way.there.add(2.0, Monotonic(START))
    stage = paired(Stage(config(["openai/a"]), scenario(), 1), Traveller(way, random.Random(1)))
    (station,) = stage.stations.values()
    limits = Deadlines(1.0, 1.0, Monotonic(START + 0.45), 1.0, Monotonic(START + 60))
    request = Request(Monotonic(START), stage.cast.models[0][0])
    request.deadline = Monotonic(START + 60)
    call = Call(station, request, Ears(), limits, 0)  # type: ignore[arg-type]
    stage.world.at(START, lambda now: station.take(call, now))
    while stage.world.run(1):
        pass
    ((at, failure),) = heard
    assert failure.kind is FailureKind.FIRST_TOKEN_TIMEOUT
    assert at == pytest.approx(START + 2.0)


def door_weather(kind: str, share: float) -> Scenario:
    """A minute in which this befalls connections, and half of what comes in fails."""
    ill = [{"kind": kind, "share": share}, {"kind": "server_error", "share": (1 - share) / 2}]
    return scenario(workload={"requests": 600}, troubles=[{"at": 0, "lasts": "60s", "where": "*", "errors": ill}])


def at_the_door(kind: str, share: float, play_number: int, count: int = 400) -> list[object]:
    """What befalls so many requests, each asked once."""
    stage = paired(Stage(config(["openai/a"]), door_weather(kind, share), 1), play=play_number)
    (station,) = stage.stations.values()
    route = stage.cast.models[0][0]
    found: list[object] = []
    for number in range(count):
        request = Request(Monotonic(START + number / 100), route, prompt=10, completion=20)
        call = Told(station, request, None, NO_DEADLINES, 0)  # type: ignore[arg-type]  # nobody listens
        station.take(call, Monotonic(START + 10))
        found.append(call.fate[-1].kind if isinstance(call.fate[-1], Failure) else call.fate)
    assert station.tally.attempts == count
    return found


def test_a_door_is_nobodys_fate() -> None:
    """Another play shuts out others, as many; whoever comes in in both fares alike."""
    one, other = at_the_door("connect_failed", 0.3, 1), at_the_door("connect_failed", 0.3, 2)
    refused = [{n for n, fate in enumerate(play) if fate is FailureKind.CONNECT_FAILED} for play in (one, other)]
    assert all(80 < len(each) < 160 for each in refused)
    assert refused[0] != refused[1]
    inside = set(range(400)) - refused[0] - refused[1]
    assert len(inside) > 150
    assert all(one[n] == other[n] for n in inside)
    assert 0.3 < sum(one[n] is FailureKind.SERVER_ERROR for n in inside) / len(inside) < 0.7
    assert at_the_door("connect_failed", 0.3, 1) == one


def test_a_deaf_door_lets_nobody_in() -> None:
    """Nobody gets through, and the free endpoint is behind the same door."""
    assert set(at_the_door("connect_timeout", 1.0, 1)) == {FailureKind.CONNECT_TIMEOUT}
    stage = paired(Stage(config(["openai/a"]), door_weather("connect_timeout", 1.0), 1))
    (station,) = stage.stations.values()
    seconds, failure = station.ping(random.Random(1), 4.0, START)
    assert seconds == 4.0
    assert failure is not None
    assert failure.kind is FailureKind.CONNECT_TIMEOUT


def test_a_ping_finds_a_door_shut_as_often_as_others() -> None:
    """Three pings of ten are refused."""
    stage = paired(Stage(config(["openai/a"]), door_weather("connect_failed", 0.3), 1))
    (station,) = stage.stations.values()
    found = [station.ping(random.Random(n), 4.0, START)[1] for n in range(400)]
    assert 80 < sum(each is not None and each.kind is FailureKind.CONNECT_FAILED for each in found) < 160


def test_the_seed_still_decides() -> None:
    """The same seed gives the same play, another one another."""
    first, again, other = (paired(Stage(config(["openai/a", "anthropic/b"]), WEATHER, seed)) for seed in (1, 1, 2))
    tallies = [stage.run() for stage in (first, again, other)]
    failures = [[sorted(each.failures.items()) for each in tally.targets.values()] for tally in tallies]
    assert failures[0] == failures[1] != failures[2]
    assert play(WEATHER).tally.requests == tallies[0].requests
