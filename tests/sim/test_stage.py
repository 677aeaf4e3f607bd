"""Whole plays: against theory, against themselves, and against the rules that no chance may break."""

import json
import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.canon.instants import Monotonic
from standfast.policy.steps import Finish, Refuse, Send, Step
from standfast.sim.drive import Drive
from standfast.sim.ending import Ending
from standfast.sim.report import report_of
from standfast.sim.settings import Scenario
from standfast.sim.stage import Stage, Way
from standfast.sim.tally import Tally
from standfast.sim.world import START
from support.rehearsal import PATIENT, config, figure, play, report, scenario

CALM = {"defaults": {"breaker": {"consecutive": 1_000_000, "min_calls": 1_000_000}, "timeouts": PATIENT}}
"""No breaker, no deadline: what is left is failover."""

SIGMAS = 4


class Books(Tally):
    """Keeps every ending, for tests that need each of them."""

    endings: list[Ending]

    def ended(self, ending: Ending) -> None:
        """A request has its outcome."""
        self.endings.append(ending)
        super().ended(ending)


def staged(weather: Scenario, house: object = None, *, seed: int = 1, way: Way = Way.GATEWAY) -> tuple[Stage, Books]:
    """A stage that is not played yet, and its books."""
    stage = Stage(house or config(), weather, seed, way)  # type: ignore[arg-type]
    books = Books(START, weather.duration, {name: each.price for name, each in stage.tally.targets.items()})
    books.endings = []
    books.targets = stage.tally.targets  # the stations count there
    stage.tally = books
    return stage, books


# against theory


@pytest.mark.parametrize("load", [0.5, 0.7])
def test_an_mm1_queue_waits_as_long_as_theory_says(load: float) -> None:
    """M/M/1: mean time in the system 1 / (mu - lambda); and Little's law: the mean number there is lambda times it.

    The error of the mean of correlated waits is Blomqvist's (1967), as in Whitt's "Planning queueing simulations".
    """
    seconds = 20_000
    weather = scenario(
        duration=f"{seconds}s",
        workload={"requests": None, "rate": load, "arrivals": "poisson"},
        upstreams={"*": {"whole": {"mean": "1s"}, "capacity": {"concurrency": 1, "queue": 100_000}}},
    )
    stage, books = staged(weather, config(["openai/a"]), seed=5, way=Way.ALONE)
    (station,) = stage.stations.values()
    inside: list[int] = []

    def look(now: Monotonic) -> None:
        inside.append(station._busy + len(station._line))
        if now < START + seconds - 1:
            stage.world.at(now + 1.0, look)

    stage.world.at(START + 0.5, look)
    stage.run()
    found = [ending.ended - ending.arrived for ending in books.endings]
    mean = sum(found) / len(found)
    variance = load * (2 + 5 * load - 4 * load**2 + load**3) / (1 - load) ** 4
    error = math.sqrt((variance + 1) / len(found))
    assert mean == pytest.approx(1 / (1 - load), abs=SIGMAS * error)
    assert sum(inside) / len(inside) == pytest.approx(len(found) / seconds * mean, rel=0.03)


def test_many_servers_lose_as_erlang_says() -> None:
    """M/M/c/c: what finds every place taken is turned away, as often as Erlang's formula B says (1917)."""
    places, load = 5, 4.0
    blocked = 1.0
    for servers in range(1, places + 1):
        blocked = load * blocked / (servers + load * blocked)
    weather = scenario(
        duration="10000s",
        workload={"requests": None, "rate": load, "arrivals": "poisson"},
        upstreams={"*": {"whole": {"mean": "1s"}, "capacity": {"concurrency": places}}},
    )
    found = report(weather, config(["openai/a"]), seed=2, way=Way.ALONE)
    requests = figure(found, "requests")
    refused = 1 - figure(found, "availability") / 100
    error = math.sqrt(blocked * (1 - blocked) / requests)
    assert refused == pytest.approx(blocked, abs=2 * SIGMAS * error)  # losses come in bunches


@pytest.mark.parametrize(("a", "b"), [(0.9, 0.95), (0.5, 0.6)])
def test_independent_availabilities_combine_by_failover(a: float, b: float) -> None:
    """1 - (1 - a)(1 - b), and the primary alone gives a."""
    requests = 20_000
    weather = scenario(
        duration="20000s",
        workload={"requests": requests},
        upstreams={
            "primary": {"whole": "1s", "errors": [{"kind": "connect_failed", "share": 1 - a}]},
            "secondary": {"whole": "1s", "errors": [{"kind": "connect_failed", "share": 1 - b}]},
        },
    )
    house = config(**CALM)
    for way, expected in ((Way.GATEWAY, 1 - (1 - a) * (1 - b)), (Way.ALONE, a)):
        found = figure(report(weather, house, seed=3, way=way), "availability") / 100
        assert found == pytest.approx(expected, abs=SIGMAS * math.sqrt(expected * (1 - expected) / requests))


def test_attempts_are_as_many_as_failover_needs() -> None:
    """One, and one more for each that failed: 1 + (1 - a)."""
    weather = scenario(
        duration="20000s",
        workload={"requests": 20_000},
        upstreams={
            "primary": {"whole": "1s", "errors": [{"kind": "connect_failed", "share": 0.3}]},
            "secondary": {"whole": "1s"},
        },
    )
    found = report(weather, config(**CALM), seed=3)
    assert figure(found, "attempts_per_request") == pytest.approx(1.3, abs=SIGMAS * math.sqrt(0.21 / 20_000))
    assert figure(found, "availability") == 100
    assert figure(found, "failover_share") == pytest.approx(30, abs=100 * SIGMAS * math.sqrt(0.21 / 20_000))


# against themselves


def test_the_same_seed_gives_the_same_bytes() -> None:
    """Everything in a report follows from scenario, configuration and seed; another seed gives another."""
    weather = scenario(
        workload={"requests": 400, "arrivals": "poisson", "streaming": 0.5},
        upstreams={
            "*": {"first_token": {"median": 0.3, "p95": 1}, "per_token": 0.01, "errors": [_some("server_error")]}
        },
    )
    texts = [json.dumps(report(weather, seed=seed).as_json()) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_two_configurations_meet_the_same_requests() -> None:
    """What is compared differs in nothing but the configuration: arrivals, sizes and weather are the same."""
    weather = scenario(workload={"requests": 200, "arrivals": "poisson"}, upstreams={"*": {"whole": {"mean": 1}}})
    seen = []
    for house in (config(["openai/a"]), config(["openai/a", "anthropic/b"], defaults={"retry": {"max_attempts": 1}})):
        stage, books = staged(weather, house)
        stage.run()
        seen.append([(each.arrived, each.ended, each.prompt, each.completion) for each in books.endings])
    assert seen[0] == seen[1]


def test_progress_is_told_and_reaches_all() -> None:
    """Now and then, never falling, at most as many as come."""
    told: list[int] = []
    stage = Stage(config(), scenario(workload={"requests": 30_000}), 1)
    stage.run(told.append)
    assert told == sorted(told)
    assert len(told) >= 2
    assert told[-1] <= 30_000 == stage.expected


def test_only_one_arrival_is_ever_waiting() -> None:
    """Memory does not depend on how many requests will come."""
    stage = Stage(config(), scenario(workload={"requests": 50_000}, duration="50000s"), 1)
    most = 0
    stage._announce()
    while stage.world.run(100):
        most = max(most, len(stage.world._queue))
    assert stage.tally.requests == 50_000
    assert most < 10


# against the rules


def _some(kind: str) -> dict[str, object]:
    return {"kind": kind, "share": 0.1}


KINDS = (
    "connect_failed",
    "first_token_timeout",
    "server_error",
    "rate_limited",
    "overloaded",
    "broken_stream",
    "stalled",
)
ERRORS = st.lists(st.sampled_from(KINDS), max_size=4).map(lambda kinds: [_some(kind) for kind in kinds])
UPSTREAMS = st.fixed_dictionaries(
    {"first_token": st.just({"median": 0.3, "p95": 1.0}), "per_token": st.just(0.01), "errors": ERRORS},
    optional={
        "capacity": st.fixed_dictionaries({"concurrency": st.integers(1, 4), "queue": st.integers(0, 4)}),
        "limits": st.just({"rpm": 300}),
    },
)
TROUBLES = st.lists(
    st.fixed_dictionaries(
        {
            "at": st.integers(0, 50),
            "lasts": st.integers(1, 30),
            "where": st.sampled_from(["*", "primary", "last"]),
            "errors": st.sampled_from(KINDS),
            "cuts": st.sampled_from([0, 1]),
            "slow": st.sampled_from([1, 30]),
        }
    ),
    max_size=2,
)
SCENARIOS = st.builds(
    lambda primary, others, troubles, client, deadline: scenario(
        workload={
            "requests": 150,
            "arrivals": "poisson",
            "streaming": 0.6,
            "client": client,
            "completion_tokens": {"low": 1, "high": 300},
            **({"deadline": deadline} if deadline else {}),
        },
        upstreams={"primary": primary, "*": others},
        troubles=troubles,
    ),
    UPSTREAMS,
    UPSTREAMS,
    TROUBLES,
    st.sampled_from([{}, {"retries": 2, "obeys": False}, {"patience": {"mean": 2}}, {"retries": 1, "patience": 3}]),
    st.sampled_from([None, "5s"]),
)


class Judge:
    """Watches every decision of a play."""

    def __init__(self) -> None:
        self.now = START
        self.ends: Counter[int] = Counter()
        self.drives: dict[int, Drive] = {}
        self.sent: list[Send] = []

    def __call__(self, drive: Drive, steps: list[Step], now: Monotonic) -> None:
        """One decision."""
        assert now >= self.now
        self.now = now
        self.drives[id(drive)] = drive  # kept, so that no id comes twice
        if steps:
            assert not self.ends[id(drive)], "steps after the end"
        for step in steps:
            self.ends[id(drive)] += isinstance(step, Finish | Refuse)
            if isinstance(step, Send):
                self.sent.append(step)


@settings(max_examples=60, deadline=None)
@given(SCENARIOS, st.integers(0, 5))
def test_every_arrival_has_exactly_one_outcome(weather: Scenario, seed: int) -> None:
    """Whatever goes wrong: time never runs backwards, each exchange ends once, nothing is left under way."""
    judge = Judge()
    stage = play(weather, config(["openai/a", "anthropic/b", "gemini/c"]), seed=seed, trace=judge)
    tally = stage.tally
    assert tally.requests == 150 == tally.answered + tally.declined + sum(tally.reasons.values())
    assert set(judge.ends) == set(judge.drives)
    assert set(judge.ends.values()) == {1}
    assert tally.tries >= 150 >= len(judge.drives) - (tally.tries - 150)
    for target in tally.targets.values():
        assert target.attempts == target.successes + target.cancelled + sum(target.failures.values())
    assert sum(target.attempts for target in tally.targets.values()) == len(judge.sent)
    assert len({id(step.permit) for step in judge.sent}) == len(judge.sent)
    assert all(step.permit.settled for step in judge.sent)
    assert stage.budget.in_flight == stage.budget.retrying == 0
    assert all(stage.fleet.in_flight(each) == 0 for each in stage.fleet.deployments())


@settings(max_examples=20, deadline=None)
@given(SCENARIOS, st.sampled_from([Way.ALONE, Way.RETRIES]))
def test_without_a_gateway_too(weather: Scenario, way: Way) -> None:
    """The callers that stand for "no gateway" get one outcome each, and only the first target is asked."""
    tally = play(weather, config(["openai/a", "anthropic/b"]), way=way).tally
    assert tally.requests == 150 == tally.answered + tally.declined + sum(tally.reasons.values())
    assert tally.targets["anthropic/b"].attempts == 0
    first = tally.targets["openai/a"]
    assert first.attempts == first.successes + first.cancelled + sum(first.failures.values())
    assert first.attempts == tally.tries or way is Way.RETRIES


@settings(max_examples=15, deadline=None)
@given(SCENARIOS, st.integers(0, 3))
def test_a_deadline_is_the_last_word(weather: Scenario, seed: int) -> None:
    """Nothing waits past its deadline (but for the watch's tick)."""
    limited = weather.model_copy(
        update={
            "workload": weather.workload.model_copy(update={"deadline": 4.0, "client": type(weather.workload.client)()})
        }
    )
    stage, books = staged(limited, config(["openai/a", "anthropic/b"]), seed=seed)
    stage.run()
    assert all(ending.ended - ending.arrived <= 4.0 + 0.05 + 1e-6 for ending in books.endings)
    assert report_of(books, limited, "x", seed).figures["requests"] == 150
