"""What a request's own limits leave of a route, and parts of routes."""

import pytest

from standfast.canon.ask import Ask
from standfast.canon.deployment import Deployment, Operation
from standfast.canon.facts import Facts, Price
from standfast.policy.explain import explain
from standfast.policy.retry import RetrySettings
from standfast.policy.route import PARTS, Route, Target
from standfast.policy.within import within
from standfast.strategies.priority import STRATEGY as PRIORITY
from standfast.strategies.smart import STRATEGY as SMART
from support.exchanges import START
from support.fleets import Watched, answered, group, opened

CHEAP, DEAR, UNPRICED = Facts(prices=(Price(1.0, 1.0),)), Facts(prices=(Price(50.0, 50.0),)), Facts()


def route(*facts: Facts, strategy: object = PRIORITY) -> tuple[Route, Watched]:
    """A route to targets with these facts, each a tier of its own."""
    targets, fleet = group([1.0] * len(facts), facts)
    tiered = tuple(Target(each.deployment, tier, facts=each.facts) for tier, each in enumerate(targets, start=1))
    return Route("m", tiered, strategy, RetrySettings()), fleet  # type: ignore[arg-type]


def names(part: Route | None) -> list[str]:
    """Who is tried, in order of the tiers."""
    assert part is not None
    return [target.name for tier in part.tiers[Operation.CHAT] for target in tier]


def test_a_limit_on_the_cost_excludes() -> None:
    """Who is dearer or unpriced is not asked at all, whatever the strategy; the explanation says why."""
    whole, fleet = route(DEAR, CHEAP, UNPRICED)
    ask = Ask("m", prompt_tokens=1000, max_tokens=100, max_cost=0.01)
    part, excluded = within(whole, ask, fleet, START)
    assert names(part) == ["p1/m"]
    assert {target.name: why for target, why in excluded} == {
        "p0/m": "expected to cost 0.055000 $, 0.01 $ are allowed",
        "p2/m": "unpriced, 0.01 $ are allowed",
    }
    assert part is not None
    found = {row.target: (row.place, bool(row.dropped)) for row in explain(part, ask, fleet, START, excluded)}
    assert found == {"p1/m": (1, False), "p0/m": (0, True), "p2/m": (0, True)}


def test_nobody_is_cheap_enough() -> None:
    """Then there is no route, rather than one that breaks the limit."""
    whole, fleet = route(DEAR, UNPRICED)
    part, excluded = within(whole, Ask("m", max_cost=0.0), fleet, START)
    assert part is None
    assert len(excluded) == 2


def test_what_costs_nothing_is_within_no_money() -> None:
    """A limit of 0 leaves what is stated to be free."""
    whole, fleet = route(DEAR, Facts(prices=(Price(0.0, 0.0),)))
    assert names(within(whole, Ask("m", max_cost=0.0), fleet, START)[0]) == ["p1/m"]


def test_a_limit_on_the_latency_prefers() -> None:
    """Who is slow comes after all the others and is still there; what was never measured is not slow."""
    whole, fleet = route(CHEAP, DEAR, UNPRICED)
    answered(fleet, whole.targets[0], 9.0)
    answered(fleet, whole.targets[1], 0.5)
    part, excluded = within(whole, Ask("m", stream=True, max_latency=2.0), fleet, START)
    assert names(part) == ["p1/m", "p2/m", "p0/m"]
    assert excluded == ()


def test_all_are_slow() -> None:
    """Nobody can promise a latency, so nobody is refused for it: the order stays."""
    whole, fleet = route(CHEAP, DEAR)
    for target in whole.targets:
        answered(fleet, target, 9.0)
    part, _ = within(whole, Ask("m", stream=True, max_latency=2.0), fleet, START)
    assert part is whole


def test_an_explanation_tells_who_is_slow_and_keeps_the_places() -> None:
    """It comes later for a reason, and is still asked; in the order as written too."""
    whole, fleet = route(CHEAP, DEAR)
    answered(fleet, whole.targets[0], 9.0)
    ask = Ask("m", stream=True, max_latency=2.0)
    part, _ = within(whole, ask, fleet, START)
    assert part is not None
    found = [(row.target, row.place, row.dropped, row.passed_over) for row in explain(part, ask, fleet, START)]
    assert found == [("p1/m", 1, "", ""), ("p0/m", 2, "", "expected to take 9.0 s, 2 s are allowed")]


def test_a_strategy_that_weighs_latency_is_left_to_it() -> None:
    """Smart passes over the slow itself; its tiers stay as they are."""
    whole, fleet = route(CHEAP, DEAR, strategy=SMART)
    answered(fleet, whole.targets[0], 9.0)
    assert within(whole, Ask("m", stream=True, max_latency=2.0), fleet, START)[0] is whole


def test_the_same_selection_is_the_same_route() -> None:
    """What strategies remember of a group of targets outlives the request, and the parts do not pile up."""
    whole, _ = route(*[CHEAP] * 10)
    part = whole.part(whole.targets[:4])
    assert whole.part(whole.targets[:4]) is part
    assert whole.part(whole.targets) is whole
    assert part.tiers[Operation.CHAT][0] is whole.part(whole.targets[:4]).tiers[Operation.CHAT][0]
    kept = {id(whole.part(whole.targets[n // 9 : n % 9 + 1], whole.targets[n % 9 + 1 :])) for n in range(1000)}
    assert kept
    assert len(whole._parts) <= PARTS


def test_a_route_is_curious_if_its_strategy_is() -> None:
    """Only then does anybody look into requests."""
    assert route(CHEAP, strategy=SMART)[0].curious
    assert not route(CHEAP)[0].curious


@pytest.mark.parametrize("operation", list(Operation))
def test_an_explanation_tells_who_does_not_offer_it(operation: Operation) -> None:
    """A target whose provider has no such operation is told, at no place."""
    other = next(each for each in Operation if each is not operation)
    targets, fleet = group([1.0, 1.0])
    first = Target(targets[0].deployment, operations=frozenset({operation}))
    second = Target(targets[1].deployment, operations=frozenset({other}))
    found = explain(Route("m", (first, second), PRIORITY, RetrySettings()), Ask("m", operation=operation), fleet, START)
    assert [(row.target, row.place) for row in found] == [("p0/m", 1), ("p1/m", 0)]
    assert found[1].dropped == f"does not offer {operation.value}"


def test_who_cannot_be_asked_now_takes_no_place() -> None:
    """The one behind it is the first choice."""
    whole, fleet = route(CHEAP, DEAR, UNPRICED)
    opened(fleet, whole.targets[0])
    found = [(row.place, bool(row.dropped), row.passed_over) for row in explain(whole, Ask("m"), fleet, START)]
    assert found == [(0, True, ""), (1, False, ""), (2, False, "")]


def test_places_count_through_the_tiers() -> None:
    """Tier by tier, and the places are those of the whole order."""
    whole, fleet = route(CHEAP, DEAR, UNPRICED)
    rows = explain(whole, Ask("m"), fleet, START)
    assert [(row.tier, row.place) for row in rows] == [(1, 1), (2, 2), (3, 3)]
    assert Deployment("p0", "m", "http://p0.test/v1") == whole.targets[0].deployment
