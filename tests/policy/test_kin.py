"""Shared fate: what several failures together say of a key or a provider."""

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest

from standfast.canon.attempt import Outcome
from standfast.canon.deployment import Deployment
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.canon.record import Change
from standfast.policy.breaker import BreakerSettings, State
from standfast.policy.fleet import Denied, Fleet, KeyPool, Permit

START = Monotonic(1_000.0)
OK, BAD = Outcome.SUCCESS, Outcome.FAILURE
ERROR = Failure(FailureKind.SERVER_ERROR, status=500)


class Group:
    """Deployments of one provider with a number of keys."""

    def __init__(self, models: Sequence[str], keys: int = 1, **breaker: object) -> None:
        self.settings = BreakerSettings.model_validate(breaker)
        self.deployments = [Deployment("p", model, "http://p.test/v1") for model in models]
        self.pool = KeyPool("p", tuple(f"key{n}" for n in range(keys)))
        self.fleet = self.made()
        self.rng = random.Random(1)
        self.now = START
        self.changes: list[Change] = []

    def made(self, previous: Fleet | None = None, models: Sequence[str] = ()) -> Fleet:
        """A fleet of these deployments, and more."""
        self.deployments += [Deployment("p", model, "http://p.test/v1") for model in models]
        return Fleet(dict.fromkeys(self.deployments, self.settings), [self.pool], previous)

    def admit(self, which: int = 0, *, soft: bool = False) -> Permit | Denied:
        """Ask for leave."""
        return self.fleet.admit(self.deployments[which], 1, self.now, soft=soft)

    def permit(self, which: int = 0, *, soft: bool = False) -> Permit:
        """Leave, which must be given."""
        permit = self.admit(which, soft=soft)
        assert isinstance(permit, Permit), permit
        return permit

    def end(self, permit: Permit, failure: Failure | None = None) -> None:
        """An attempt ends."""
        outcome = OK if failure is None else BAD
        self.changes += self.fleet.settle(permit, outcome, self.now, self.rng, failure=failure)

    def trip(self, which: int) -> None:
        """Fails until its breaker opens."""
        while self.fleet.breaker_state(self.deployments[which], self.now) is State.CLOSED:
            self.end(self.permit(which, soft=True), ERROR)

    def why(self, which: int) -> str:
        """Why leave is denied."""
        denied = self.admit(which)
        assert isinstance(denied, Denied)
        return denied.why

    def told(self, subject: str) -> list[tuple[str, str]]:
        """What was told of a subject."""
        return [(change.before, change.after) for change in self.changes if change.subject == subject]


# the provider


def test_a_provider_of_whom_most_is_down_is_asked_last() -> None:
    """Two of three open: the third is spared, and serves those who have no elsewhere; told once."""
    group = Group(["a", "b", "c"])
    group.trip(0)
    assert isinstance(group.admit(2), Permit)
    group.trip(1)
    assert group.why(2) == "spared"
    group.end(group.permit(2, soft=True))
    assert group.told("provider") == [("up", "down")]


def test_one_open_breaker_says_nothing_of_the_provider() -> None:
    """D9: the only one, one of two, or two of four: no majority of at least two."""
    alone = Group(["a"])
    alone.trip(0)
    half = Group(["a", "b", "c", "d"])
    half.trip(0)
    half.trip(1)
    assert isinstance(half.admit(2), Permit)
    assert alone.told("provider") == half.told("provider") == []


def test_a_provider_that_is_down_is_tried_at_one_place_at_a_time() -> None:
    """D4: as long as one of its deployments is being tried, no other is; then the next may be."""
    group = Group(["a", "b"])
    group.trip(0)
    group.trip(1)
    group.now = Monotonic(group.now + 10)
    first = group.permit(0)
    assert group.why(1) == "open"
    group.end(first, ERROR)
    second = group.permit(1)
    group.end(second)
    group.end(group.permit(1))
    assert group.told("provider") == [("up", "down"), ("down", "up")]


def test_a_provider_that_is_down_is_probed_once_a_second_and_not_once_for_each_deployment() -> None:
    """D5: the panic rule asks one of the deployments for all."""
    group = Group(["a", "b", "c"])
    for which in range(3):
        group.trip(which)
    probes = 0
    for n in range(20):
        group.now = Monotonic(START + n / 10)
        permit = group.fleet.admit_probe(group.deployments, group.now)
        if permit is not None:
            probes += 1
            group.end(permit, ERROR)
    assert probes == 2


def test_a_forced_breaker_counts_for_nothing() -> None:
    """An operator who takes two deployments out does not take the provider down."""
    group = Group(["a", "b", "c"])
    for which in (0, 1):
        group.changes += group.fleet.force(group.deployments[which], State.FORCED_OPEN, group.now)
    assert isinstance(group.admit(2), Permit)
    assert group.told("provider") == []


def test_a_reload_keeps_what_is_known_of_the_provider() -> None:
    """The same breakers in a new fleet: still down, and still to be told when it is up again."""
    group = Group(["a", "b", "c"])
    group.trip(0)
    group.trip(1)
    group.fleet.take_news()
    group.fleet = group.made(group.fleet)
    assert group.why(2) == "spared"
    assert group.fleet.take_news() == ()


# what is new


def test_whoever_is_new_among_others_is_tried_first() -> None:
    """D12: a deployment that a reload adds begins with a trial; those who have no elsewhere are served all the same.

    The first call of the trial goes alone until it is heard of, as in any trial.
    """
    group = Group(["a"])
    assert isinstance(group.admit(0), Permit)
    group.fleet = group.made(group.fleet, ["b"])
    permits = [group.permit(1)]
    assert group.why(1) == "ramping"
    group.fleet.place(group.deployments[1]).breaker.heard(permits[0].ticket)
    permits += [group.permit(1) for _ in range(2)]
    assert group.why(1) == "ramping"
    for _ in range(20):
        group.end(group.permit(1, soft=True))
    assert group.fleet.breaker_state(group.deployments[1], group.now) is State.HALF_OPEN
    for permit in permits:
        group.end(permit)
    assert group.fleet.breaker_state(group.deployments[1], group.now) is State.CLOSED
    assert isinstance(group.admit(0), Permit)


def test_whoever_begins_with_the_gateway_is_not_new() -> None:
    """At the start everything is new, so nothing is."""
    group = Group(["a", "b"])
    assert [isinstance(group.admit(0), Permit) for _ in range(10)] == [True] * 10


# the key


@pytest.mark.parametrize(("keys", "needed"), [(2, 5), (5, 4)])
def test_a_key_that_fails_where_others_succeed_rests(keys: int, needed: int) -> None:
    """B7: the key of which every request fails with 500 rests after a few of them, and the deployment is not blamed."""
    group = Group(["a"], keys)
    bad = 0
    for _ in range(100):
        permit = group.permit()
        bad += permit.key == 1
        group.end(permit, ERROR if permit.key == 1 else None)
        group.now = Monotonic(group.now + 0.5)
    assert needed <= bad <= needed + 6  # and one for each rest that has passed since
    assert group.told("cooldown")[0] == ("available", "resting")
    assert group.changes[0].name == "p key 2"
    assert group.fleet.breaker_state(group.deployments[0], group.now) is State.CLOSED


def test_a_bad_key_is_probed_after_each_rest_and_the_rest_doubles() -> None:
    """B7: one request after each rest; the rests grow from a second to a minute; a success ends it."""
    group = Group(["a"], 5)
    bad: list[float] = []
    for _ in range(30_000):
        permit = group.permit()
        if permit.key == 1:
            bad.append(group.now - START)
        group.end(permit, ERROR if permit.key == 1 else None)
        group.now = Monotonic(group.now + 0.01)
    assert len(bad) <= 3 + 12
    pauses = [late - early for early, late in pairwise(bad[2:])]
    assert pauses[-1] > 15.0
    rested = len(bad)
    for _ in range(10_000):
        permit = group.permit()
        rested += permit.key == 1
        group.end(permit)
        group.now = Monotonic(group.now + 0.01)
    assert rested - len(bad) > 200


def test_a_key_that_is_bad_at_two_deployments_rests_everywhere() -> None:
    """B7: it is the account; the third deployment is not asked with it."""
    group = Group(["a", "b", "c"], 4)
    for which in (0, 1):
        for _ in range(60):
            permit = group.permit(which)
            group.end(permit, ERROR if permit.key == 2 else None)
            group.now = Monotonic(group.now + 1.0)
    assert {group.permit(2).key for _ in range(20)} == {0, 1, 3}


def test_where_all_keys_fail_now_and_then_none_is_blamed() -> None:
    """D7: 40 % of everything fails: no key is worse than the others, and hardly ever seems to be (3000 requests)."""
    group = Group(["a"], 5, consecutive=1000, rate=1.0)
    for _ in range(3000):
        group.end(group.permit(), ERROR if group.rng.random() < 0.4 else None)
        group.now = Monotonic(group.now + 0.1)
    assert len(group.told("cooldown")) <= 5


def test_a_dead_deployment_is_no_keys_fault() -> None:
    """D4: nobody succeeds, so the breaker opens and no key rests."""
    group = Group(["a"], 5)
    for _ in range(50):
        group.end(group.permit())
    group.trip(0)
    for _ in range(5):
        group.now = Monotonic(group.now + 400)
        group.end(group.permit(0), ERROR)
    assert group.told("cooldown") == []


def test_a_key_that_fails_at_once_does_not_draw_all_to_itself() -> None:
    """B7: it is always the least busy; after a failure the others come first for a while, then it is tried."""
    group = Group(["a"], 3)
    permits = [group.permit() for _ in range(6)]
    bad = permits[0]
    group.end(bad, ERROR)
    assert bad.key not in {group.permit().key for _ in range(30)}
    group.now = Monotonic(group.now + 1.0)
    assert group.permit().key == bad.key


@pytest.mark.parametrize("kind", [FailureKind.CONNECT_FAILED, FailureKind.REJECTED_REPLY])
def test_a_failure_in_which_the_key_had_no_part_is_not_its_own(kind: FailureKind) -> None:
    """A refused connection was never told the key; a reply that a request's own rules reject says nothing of it."""
    group = Group(["a"], 5, consecutive=1000)
    for _ in range(100):
        permit = group.permit()
        group.end(permit, Failure(kind, sent=False) if permit.key == 1 else None)
    assert group.told("cooldown") == []
