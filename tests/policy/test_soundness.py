"""How likely a deployment is to answer."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.canon.attempt import Outcome
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.policy.health_check import HealthSettings
from standfast.policy.soundness import SEVERITY, SICK, hindrance, soundness
from support.exchanges import START
from support.fleets import begin, failed, group, opened, served


def test_nothing_speaks_against_it() -> None:
    """A deployment without a history is sound."""
    (target,), fleet = group([1.0])
    place = fleet.place(target.deployment)
    assert soundness(place, START) == 1.0
    assert hindrance(place, START) == ""


@pytest.mark.parametrize(("good", "bad"), [(0, 1), (8, 1), (9, 4), (98, 5)])
def test_the_share_of_successes_to_the_eighth(good: int, bad: int) -> None:
    """(1 - failures / (calls + 2)) ^ 8: one failure of one call is a third, not all."""
    (target,), fleet = group([1.0])
    served(fleet, target, good)
    for _ in range(bad):
        failed(fleet, target)
        served(fleet, target)
    calls = good + 2 * bad
    assert soundness(fleet.place(target.deployment), START) == pytest.approx((1 - bad / (calls + 2)) ** SEVERITY)


def test_one_in_five_is_sick() -> None:
    """The line is where the documentation says."""
    assert (1 - 0.17) ** SEVERITY > SICK > (1 - 0.2) ** SEVERITY


@given(st.lists(st.booleans(), max_size=60))
@settings(deadline=None)
def test_more_failures_never_help(outcomes: list[bool]) -> None:
    """Between 0 and 1, and lower after each failure."""
    (target,), fleet = group([1.0])
    place = fleet.place(target.deployment)
    for ok in outcomes:
        before = soundness(place, START)
        if before == 0.0:
            break
        (served if ok else failed)(fleet, target)
        after = soundness(place, START)
        assert 0.0 <= after <= 1.0
        assert after >= before if ok else after < before


def test_an_open_breaker_and_its_trial() -> None:
    """Open is not to be used; on trial it is sound, because a target that nobody asks is never tried."""
    (target,), fleet = group([1.0])
    place = fleet.place(target.deployment)
    opened(fleet, target)
    assert soundness(place, START) == 0.0
    assert hindrance(place, START).startswith("its breaker is open for ")
    later = Monotonic(START + 60)
    assert soundness(place, later) == 1.0
    assert hindrance(place, later) == ""


@pytest.mark.parametrize(
    ("kind", "words"), [(FailureKind.RATE_LIMITED, "all its keys rest"), (FailureKind.OVERLOADED, "it rests")]
)
def test_a_rest_is_not_to_be_disturbed(kind: FailureKind, words: str) -> None:
    """A rate limit of its only key or an overload with a hint: not to be used until the rest ends."""
    (target,), fleet = group([1.0])
    place = fleet.place(target.deployment)
    permit = begin(fleet, target)
    fleet.settle(permit, Outcome.FAILURE, START, _rng(), failure=Failure(kind, status=429, retry_after=5.0))
    assert soundness(place, START) == 0.0
    assert hindrance(place, START).startswith(f"{words} for 5.0 s")
    assert soundness(place, Monotonic(START + 5.1)) > 0.0


def test_health_is_a_factor() -> None:
    """What the checks say multiplies; whom they shun is not to be used."""
    (target,), fleet = group([1.0])
    fleet.watch({target.deployment: HealthSettings(kind="passive", interval=1.0, unhealthy_after=1, healthy_after=1)})
    place = fleet.place(target.deployment)
    assert place.health is not None
    served(fleet, target, 9)
    failed(fleet, target, 2)
    served(fleet, target, 1)
    place.health.look(None, START)
    assert place.health.factor(START) == 0.5
    assert soundness(place, START) == pytest.approx(0.5 * (1 - 2 / 14) ** SEVERITY)
    failed(fleet, target, 4)
    place.health.look(None, START)
    assert soundness(place, START) == 0.0
    assert hindrance(place, START).startswith("it is unhealthy: 4 of 4 requests failed")


def _rng() -> random.Random:
    return random.Random(1)
