"""A rest is told when it begins and when it is over, each once; whatever else comes meanwhile is the same occasion."""

import random

import pytest

from standfast.canon.attempt import Outcome
from standfast.canon.deployment import Deployment
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.canon.record import Change
from standfast.policy.breaker import BreakerSettings
from standfast.policy.fleet import Denied, Fleet, KeyPool, Permit

START = Monotonic(1_000.0)
LIMITED = Failure(FailureKind.RATE_LIMITED, status=429, retry_after=10.0)
REFUSED = Failure(FailureKind.AUTH_FAILED, status=401)
FORBIDDEN = Failure(FailureKind.FORBIDDEN, status=403)
MISSING = Failure(FailureKind.MODEL_NOT_FOUND, status=404)


class House:
    """A fleet of one provider's models, and what it told."""

    def __init__(self, models: tuple[str, ...] = ("m",), keys: int = 1) -> None:
        self.deployments = [Deployment("p", model, "http://p.test/v1") for model in models]
        self.pool = KeyPool("p", tuple(f"key{n}" for n in range(keys)))
        self.rng = random.Random(1)
        self.told: list[Change] = []
        self.fleet = self.made()

    def made(self, previous: Fleet | None = None, breaker: BreakerSettings | None = None) -> Fleet:
        """The fleet of a configuration."""
        return Fleet(dict.fromkeys(self.deployments, breaker or BreakerSettings()), [self.pool], previous)

    def permit(self, after: float = 0.0, which: int = 0) -> Permit:
        """Leave, which must be given."""
        permit = self.admit(after, which)
        assert isinstance(permit, Permit), permit
        return permit

    def admit(self, after: float = 0.0, which: int = 0) -> Permit | Denied:
        """Ask for leave so many seconds after the start."""
        found = self.fleet.admit(self.deployments[which], 1, Monotonic(START + after))
        self.told += self.fleet.take_news()
        return found

    def end(self, permit: Permit, failure: Failure | None = None, after: float = 0.0) -> None:
        """An attempt ends."""
        outcome = Outcome.SUCCESS if failure is None else Outcome.FAILURE
        now = Monotonic(START + after)
        self.told += self.fleet.settle(permit, outcome, now, self.rng, failure=failure)

    @property
    def rests(self) -> list[tuple[str, str, str, str]]:
        """What was told of rests."""
        kinds = ("cooldown", "quarantine")
        return [(each.subject, each.name, each.before, each.after) for each in self.told if each.subject in kinds]


BEGIN = ("cooldown", "p key 1", "available", "resting")
END = ("cooldown", "p key 1", "resting", "available")


def test_refusals_that_arrive_together_are_told_once() -> None:
    """Five attempts under way meet the same limit: one change, with the seconds and where it holds."""
    house = House()
    permits = [house.permit() for _ in range(5)]
    for n, permit in enumerate(permits):
        house.end(permit, LIMITED, n / 10)
    assert house.told == [Change("cooldown", "p key 1", "available", "resting", "rate_limited", 10.0, "p/m")]


def test_the_end_is_told_once_when_it_is_first_seen() -> None:
    """The next request after it sees it; and then the deployment looks for nothing any more."""
    house = House()
    permits = [house.permit(), house.permit()]
    house.end(permits[0], LIMITED)
    house.end(permits[1], LIMITED, 5.0)
    assert isinstance(house.admit(14.9), Denied)
    assert house.rests == [BEGIN]
    for n in range(3):
        house.end(house.permit(15.0 + n), None, 15.0 + n)
    assert house.rests == [BEGIN, END]
    assert house.told[-1].reason == "its time is over"
    assert (house.told[-1].until, house.told[-1].where) == (None, "p/m")
    place = house.fleet.place(house.deployments[0])
    assert (place.resting, place.choosy) == (False, False)


def test_a_look_sees_the_end_too() -> None:
    """Nobody asks any more: whoever looks how it stands tells it."""
    house = House()
    house.end(house.permit(), LIMITED)
    house.fleet.standing(house.deployments[0], Monotonic(START + 9.9))
    assert not house.fleet.take_news()
    house.fleet.standing(house.deployments[0], Monotonic(START + 10.0))
    assert [change.after for change in house.fleet.take_news()] == ["available"]


def test_a_rest_that_begins_before_the_last_one_was_seen_over() -> None:
    """The states are a chain: the end comes first."""
    house = House()
    first, late = house.permit(), house.permit()
    house.end(first, LIMITED)
    house.end(late, LIMITED, 11.0)
    assert house.rests == [BEGIN, END, BEGIN]


@pytest.mark.parametrize(("failure", "name"), [(REFUSED, "p key 1"), (MISSING, "p/m"), (FORBIDDEN, "p key 1")])
def test_quarantines_likewise(failure: Failure, name: str) -> None:
    """Of keys and of deployments: begun once, over once."""
    house = House()
    for permit in [house.permit() for _ in range(3)]:
        house.end(permit, failure)
    house.permit(4000.0)
    assert house.rests == [("quarantine", name, "available", "resting"), ("quarantine", name, "resting", "available")]


def test_a_quarantine_is_above_a_cooldown() -> None:
    """It takes the place of a cooldown under way; a cooldown during a quarantine changes nothing."""
    house = House()
    permits = [house.permit() for _ in range(3)]
    house.end(permits[0], LIMITED)
    house.end(permits[1], FORBIDDEN)
    house.end(permits[2], LIMITED)
    house.permit(4000.0)
    assert house.rests == [
        BEGIN,
        ("quarantine", "p key 1", "available", "resting"),
        END,
        ("quarantine", "p key 1", "resting", "available"),
    ]


def test_a_key_is_told_by_any_deployment_that_met_its_rest() -> None:
    """Not only by the one where it began; and by one of them only."""
    house = House(("a", "b"))
    house.end(house.permit(), REFUSED)
    assert isinstance(house.admit(1.0, 1), Denied)
    house.permit(4000.0, 1)
    house.permit(4000.0, 0)
    assert [after for *_, after in house.rests] == ["resting", "available"]
    assert not any(house.fleet.place(each).resting for each in house.deployments)


@pytest.mark.parametrize("breaker", [None, BreakerSettings(consecutive=7)])
def test_a_reload_keeps_what_is_not_told_yet(breaker: BreakerSettings | None) -> None:
    """The rest goes on under the new configuration, and its end is told there."""
    house = House()
    house.end(house.permit(), LIMITED)
    house.fleet = house.made(house.fleet, breaker)
    assert isinstance(house.admit(1.0), Denied)
    house.permit(11.0)
    assert house.rests == [BEGIN, END]


def test_of_several_keys_each_is_told() -> None:
    """One rests and the other serves; both ends are seen by the same request."""
    house = House(keys=2)
    one, two = house.permit(), house.permit()
    house.end(one, LIMITED)
    house.end(two, LIMITED, 1.0)
    house.permit(20.0)
    names = {name for _, name, _, _ in house.rests}
    assert names == {"p key 1", "p key 2"}
    assert [after for *_, after in house.rests] == ["resting", "resting", "available", "available"]
