"""What every strategy promises. A new file under `strategies/` is found and held to it by itself."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast import plugins
from standfast.canon.ask import Ask
from standfast.canon.facts import Facts, Price
from standfast.canon.instants import Monotonic
from standfast.policy.breaker import State
from standfast.policy.route import Target
from standfast.policy.strategy import FACTS, NATURE, PACE, Strategy
from support.exchanges import START
from support.fleets import Watched, answered, begin, failed, group, opened
from support.traffic import GOOD, KNOWN, Manner, Traffic

NAMES = plugins.names("strategies")
BALANCING = [name for name in NAMES if not plugins.load("strategies", name).STRATEGY.tiered]
WEIGHTS = st.lists(st.sampled_from([-1.0, 0.0, 1e-9, 0.5, 1.0, 3.0, 1e9]) | st.floats(0, 100), min_size=1, max_size=8)
FACTS_OF_SOME = (
    KNOWN,
    None,
    Facts(),
    Facts(300, 10, (Price(0.0, 0.0),), {"code": 1.0, "": 0.0}, frozenset()),
    Facts(prices=(Price(3.0, 15.0), Price(6.0, 30.0, above=1000))),
)
STATES = st.lists(st.sampled_from(["", "open", "failing", "busy", "slow", "trial"]), max_size=30)
ASKS = st.builds(
    Ask,
    model=st.just("m"),
    stream=st.booleans(),
    prompt_tokens=st.integers(0, 200_000),
    max_tokens=st.sampled_from([0, 1, 500, 100_000]),
    priority=st.integers(1, 5),
    session=st.sampled_from(["", "s", "another", "\ud800"]),
    kind=st.sampled_from(["", "chat", "code", "unheard-of"]),
    max_latency=st.sampled_from([None, 0.001, 5.0]),
    needs=st.sampled_from([frozenset[str](), frozenset({"tools"}), frozenset({"tools", "images"})]),
    prefer=st.sampled_from(["", "cost", "speed", "quality"]),
)

every_strategy = pytest.mark.parametrize("name", NAMES)
every_balancer = pytest.mark.parametrize("name", BALANCING)


def strategy(name: str) -> Strategy:
    """The strategy of this file."""
    found: Strategy = plugins.load("strategies", name).STRATEGY
    return found


def world(states: list[str], weights: list[float] | None = None) -> tuple[tuple[Target, ...], Watched]:
    """Targets in these states."""
    targets, fleet = group(weights or [1.0 + n % 3 for n, _ in enumerate(states)], FACTS_OF_SOME)
    for target, state in zip(targets, states, strict=False):
        if state == "open":
            opened(fleet, target)
        elif state == "trial":
            opened(fleet, target, Monotonic(START - 100))
        elif state == "failing":
            failed(fleet, target, 3)
        elif state == "busy":
            begin(fleet, target)
        elif state == "slow":
            answered(fleet, target, 9.0)
    return targets, fleet


def names_of(targets: object) -> list[str]:
    """Their names, in order."""
    return [target.name for target in targets]  # type: ignore[attr-defined]


def test_there_are_strategies() -> None:
    """Those that the configuration documents are there."""
    documented = "priority weighted round_robin least_busy two_choices fastest cheapest sticky smart"
    assert set(documented.split()) <= set(NAMES)


@every_strategy
def test_it_is_named_as_its_file(name: str) -> None:
    """The file name is the configuration word and the metric label; it wants only what exists."""
    found = strategy(name)
    assert found.name == name
    assert isinstance(found.tiered, bool)
    assert found.wants <= {FACTS, PACE, NATURE}
    assert found.measure


@every_strategy
@given(weights=WEIGHTS, seed=st.integers(0, 2**32))
@settings(deadline=None)
def test_it_ranks_and_does_not_pick(name: str, weights: list[float], seed: int) -> None:
    """The order is a permutation of what came in, so that it serves failover too; the input stays as it was."""
    targets, fleet = group(weights)
    given_targets = list(targets)
    order = strategy(name).rank(given_targets, Ask("m"), fleet, random.Random(seed), START)
    assert len(order) == len(targets)
    assert {id(each) for each in order} == {id(each) for each in targets}
    assert [id(each) for each in given_targets] == [id(each) for each in targets]


@every_strategy
@given(states=STATES.filter(bool), ask=ASKS, seed=st.integers(0, 2**32))
@settings(deadline=None)
def test_a_ranking_is_a_permutation_in_every_state(name: str, states: list[str], ask: Ask, seed: int) -> None:
    """Whatever failed, is busy or unknown, however many there are: each target once, in one order."""
    targets, fleet = world(states)
    order = strategy(name).rank(targets, ask, fleet, random.Random(seed), START)
    first = order[0]
    whole = list(order)
    assert whole[0] is first
    assert sorted(map(id, whole)) == sorted(map(id, targets))
    assert [order[n] for n in range(len(order))] == whole
    assert list(order[-2:]) == whole[-2:]


@every_strategy
@given(states=STATES.filter(bool), ask=ASKS)
@settings(deadline=None)
def test_an_explanation_names_each_target_once(name: str, states: list[str], ask: Ask) -> None:
    """Nobody is missing, and who can be asked has a place, each given once; what is said of a state is true."""
    targets, fleet = world(states)
    rows = strategy(name).explain(targets, ask, fleet, START)
    assert Counter(row.target for row in rows) == Counter(names_of(targets))
    assert [row.place for row in rows if not row.dropped] == list(range(1, 1 + sum(not row.dropped for row in rows)))
    for row in rows:
        assert row.score is None or row.score == row.score
        place = fleet.place(next(t.deployment for t in targets if t.name == row.target))
        assert (row.place == 0) == bool(row.dropped)
        assert not (row.dropped and row.passed_over)
        is_open = place.breaker.state(START) is State.OPEN
        assert ("breaker is open" in row.dropped + row.passed_over) == is_open
        assert bool(row.dropped) == (is_open and place.breaker.barred(START))


@every_strategy
@given(states=STATES.filter(bool), ask=ASKS, seed=st.integers(0, 2**32))
@settings(deadline=None)
def test_the_seed_decides(name: str, states: list[str], ask: Ask, seed: int) -> None:
    """Same state, same seed, same order: what happened can be played again."""
    orders = []
    for _ in range(2):
        targets, fleet = world(states)
        rng = random.Random(seed)
        orders.append([names_of(strategy(name).rank(targets, ask, fleet, rng, START)) for _ in range(3)])
    assert orders[0] == orders[1]


@every_strategy
def test_explaining_takes_no_chance_and_no_turn(name: str) -> None:
    """An explanation changes nothing: the next request goes where it would have gone without."""
    firsts = []
    for explained in (False, True):
        targets, fleet = world(["", "busy", "", "slow"])
        rng = random.Random(5)
        ask = Ask("m", session="s")
        found = []
        for _ in range(8):
            if explained:
                strategy(name).explain(targets, ask, fleet, START)
            found.append(names_of(strategy(name).rank(targets, ask, fleet, rng, START)))
        firsts.append(found)
    assert firsts[0] == firsts[1]


@every_strategy
def test_one_target_is_returned_as_it_came(name: str) -> None:
    """The common case costs nothing: no draw, no copy."""
    targets, fleet = group([2.0])
    rng = random.Random(1)
    before = rng.getstate()
    assert strategy(name).rank(targets, Ask("m"), fleet, rng, START) is targets
    assert rng.getstate() == before


@every_strategy
def test_ranking_asks_for_no_permit(name: str) -> None:
    """Ranking looks and does not take: nothing is in flight afterwards."""
    targets, fleet = group([1.0, 2.0, 3.0])
    strategy(name).rank(targets, Ask("m"), fleet, random.Random(1), Monotonic(START + 1))
    assert [fleet.in_flight(each.deployment) for each in targets] == [0, 0, 0]


@every_strategy
def test_many_targets_cost_as_much_as_a_few(name: str) -> None:
    """A decision among 1,000 targets for 10,000 sessions looks at no more than 3 x as many as one among 10."""
    looks = {}
    for count in (10, 1000):
        targets, fleet = group([1.0] * count, [KNOWN])
        rng = random.Random(1)
        fleet.looks = 0
        for session in range(10_000):
            assert strategy(name).rank(targets, Ask("m", session=str(session)), fleet, rng, START)[0] in targets
        looks[count] = fleet.looks
    assert looks[1000] <= 3 * max(looks[10], 10_000)


@every_balancer
@given(
    states=st.lists(st.sampled_from(["", "open", "open", "failing", "busy", "slow"]), min_size=2, max_size=30),
    seed=st.integers(0, 2**32),
)
@settings(deadline=None)
def test_an_open_breaker_is_passed_over(name: str, states: list[str], seed: int) -> None:
    """While somebody can be used, whoever cannot is no first choice: failing over takes time."""
    targets, fleet = world(states)
    weighted = name == "weighted"  # draws in proportion, and leaves passing over to failover
    if "open" in states and len(set(states)) > 1 and not weighted:
        ask = Ask("m", session=str(seed))
        first = strategy(name).rank(targets, ask, fleet, random.Random(seed), START)[0]
        assert fleet.place(first.deployment).breaker.state(START).value != "open"


@every_balancer
@pytest.mark.parametrize(
    "ill", [Manner(first=10.0), Manner(fails=1.0), Manner(fails=0.4)], ids=["slow", "dead", "half"]
)
def test_nobody_starves_for_ever(name: str, ill: Manner) -> None:
    """D1, D4: a target that was slow or failing for a minute has a fair share again within five minutes of recovery."""
    traffic = Traffic(
        name, {"a": lambda _: GOOD, "b": lambda t: ill if 60 <= t < 120 else GOOD, "c": lambda _: GOOD}, rate=4.0
    ).run(420)
    if name == "sticky":  # requests without a session
        assert traffic.share("b", 360, 420) > 0.1
    assert traffic.share("b", 300, 420) > 0.1


@every_strategy
def test_the_same_traffic_twice(name: str) -> None:
    """Same seed, same decisions, through failures, breakers and recovery."""

    def play() -> list[tuple[float, str, bool]]:
        bad = Manner(fails=0.5)
        manners = {"a": lambda t: bad if 10 <= t < 30 else GOOD, "b": lambda _: GOOD, "c": lambda _: Manner(first=1.0)}
        return Traffic(name, manners, rate=6.0).run(60).sent

    assert play() == play()
