"""In which order one request prefers its targets, and how little of that order it needs."""

import random
from collections.abc import Sequence

import pytest

from standfast.canon.ask import Ask
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import NEVER, Monotonic
from standfast.policy.fleet import Denied, Fleet
from standfast.policy.preference import Preference
from standfast.policy.ranking import SMALL, ranked
from standfast.policy.retry import RetrySettings
from standfast.policy.route import Route, Target
from standfast.strategies.priority import STRATEGY as PRIORITY
from standfast.strategies.two_choices import STRATEGY as TWO_CHOICES
from support.exchanges import START, sent
from support.hands import Scene

K = FailureKind
FAILED = Failure(K.SERVER_ERROR)


class Counting:
    """Ranks by chance, and counts how many targets it has compared."""

    name, tiered, wants, measure = "counting", False, frozenset[str](), "chance"

    def __init__(self) -> None:
        self.compared = 0

    def rank(
        self, targets: Sequence[Target], ask: Ask, fleet: Fleet, rng: random.Random, now: Monotonic
    ) -> Sequence[Target]:
        """Exactly if there are few; of more the first from a sample, the rest on demand."""
        del ask, fleet, now

        def cost(target: Target) -> float:
            del target
            self.compared += 1
            return rng.random()

        return ranked(targets, cost, rng)

    def explain(self, *_: object) -> list[object]:
        """Nothing to explain."""
        return []


def preference(scene: Scene) -> Preference:
    """Of a request that has just come."""
    tiers = scene.route.tiers[Ask("m").operation]
    wishes = Preference(Ask("m"), scene.route, scene.fleet, scene.rng, tiers[0])
    wishes.look(START)
    return wishes


def test_a_failover_among_many_looks_at_few() -> None:
    """With a thousand targets the next one after a failure is chosen from samples, as the first one was."""
    compared = {}
    for count in (SMALL, 1000):
        strategy = Counting()
        exchange = Scene(tuple(f"p{n}/m" for n in range(count)), strategy=strategy).exchange()  # type: ignore[arg-type]
        first = sent(exchange.open(START))
        second = sent(exchange.failed(first.permit, Failure(K.EMPTY_REPLY), START))
        assert second.target is not first.target
        compared[count] = strategy.compared
    assert compared[1000] <= 5 * compared[SMALL]


def test_nobody_is_forgotten_among_many() -> None:
    """However the order is made, each of a thousand targets comes up as long as it has not been tried."""
    scene = Scene(tuple(f"p{n}/m" for n in range(1000)), strategy=TWO_CHOICES)
    wishes = preference(scene)
    for target in scene.targets[::2]:
        wishes.note(target, 0, FAILED)
    assert set(wishes.untried()) == set(scene.targets[1::2])


def test_later_tiers_are_ranked_only_when_they_are_come_to() -> None:
    """A failover within the first tier must not pay for the order of the others."""
    strategy = Counting()
    scene = Scene(("a/m", "b/m", "c/m", "d/m"))
    targets = tuple(Target(each.deployment, tier=1 + n // 2) for n, each in enumerate(scene.targets))
    scene.route = Route("m", targets, strategy, RetrySettings())  # type: ignore[arg-type]
    wishes = preference(scene)
    order = wishes.untried()
    assert next(order) is targets[0]
    assert next(order) is targets[1]
    assert strategy.compared == 0
    assert set(order) == set(targets[2:])
    assert strategy.compared == 2


def test_several_may_go_through_the_order_at_once() -> None:
    """Looking ahead (for a rest that ends soon, say) while the next target is chosen makes nobody miss a tier."""
    scene = Scene(("a/m", "b/other", "c/third", "d/fourth"))
    wishes = preference(scene)
    order, seen = wishes.untried(), []
    for target in order:
        seen.append(target)
        wishes.rested(START)
    assert seen == list(scene.targets)


def test_within_a_tier_the_model_that_was_asked_first_comes_first_once_one_has_failed() -> None:
    """A change of model costs fidelity, so other deployments of the same model go before it; tiers stay in order."""
    scene = Scene(("a/m", "b/other", "c/m", "d/m"))
    first, other, same, later = (Target(each.deployment, tier=1 + (each.name == "d/m")) for each in scene.targets)
    scene.route = Route("m", (first, other, same, later), PRIORITY, RetrySettings())
    wishes = preference(scene)
    assert list(wishes.untried()) == [first, other, same, later]
    wishes.note(first, 0, FAILED)
    assert list(wishes.untried()) == [same, other, later]


@pytest.mark.parametrize(
    ("denied", "at"),
    [(None, 0.0), (Denied("keys", Monotonic(START + 7.0)), 7.0), (Denied("full", NEVER), 0.0)],
    ids=["free", "limited", "unknown"],
)
def test_the_time_to_come_again_knows_the_limits(denied: Denied | None, at: float) -> None:
    """Retry-After is never earlier than true: a key's limit counts like a rest; what nobody knows does not."""
    wishes = preference(scene := Scene(("a/m",)))
    if denied is not None:
        wishes.denied[scene.targets[0]] = denied
    assert wishes.available_at(START) == START + at


def test_busy_is_only_what_nothing_but_a_limit_keeps_from_serving() -> None:
    """Who rests, is open, or must not be asked again by this request is not waited for in line."""
    scene = Scene(("a/m", "b/m", "c/m", "d/m"))
    wishes = preference(scene)
    for target in scene.targets:
        wishes.denied[target] = Denied("keys", Monotonic(START + 1.0))
    scene.fail("b/m", K.SERVER_ERROR, 5)
    scene.fail("c/m", K.RATE_LIMITED, 1)
    wishes.note(scene.targets[3], 0, Failure(K.CONNECT_FAILED))
    assert wishes.busy(START) == [(START + 1.0, scene.targets[0])]
