"""What a breaker's opening said about the health is taken back when that breaker is overruled or replaced."""

import random

import pytest

from standfast.canon.attempt import Outcome
from standfast.canon.deployment import Deployment
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.policy.breaker import BreakerSettings, State
from standfast.policy.fleet import Fleet, KeyPool, Permit
from standfast.policy.health import Health
from standfast.policy.health_check import Check, Evidence, HealthSettings, HealthState

START = Monotonic(1_000.0)
BROKEN = Failure(FailureKind.SERVER_ERROR, status=500)
TARGET = Deployment("p", "m", "http://p.test/v1")
UNKNOWN, HEALTHY, DEGRADED, UNHEALTHY = HealthState


def made(
    previous: Fleet | None = None, breaker: BreakerSettings | None = None, keys: tuple[str, ...] = ("k",)
) -> tuple[Fleet, Health]:
    """A fleet of one deployment whose traffic is judged, and that deployment's health."""
    fleet = Fleet({TARGET: breaker or BreakerSettings()}, [KeyPool("p", keys)], previous)
    fleet.watch({TARGET: HealthSettings(kind="passive")})
    health = fleet.standing(TARGET, START).health
    assert health is not None
    return fleet, health


def tripped() -> tuple[Fleet, Health]:
    """Its breaker has opened on failures."""
    fleet, health = made()
    for _ in range(5):
        permit = fleet.admit(TARGET, 1, START)
        assert isinstance(permit, Permit)
        fleet.settle(permit, Outcome.FAILURE, START, random.Random(1), failure=BROKEN)
    assert health.state(START) is UNHEALTHY
    return fleet, health


def after_a_minute(fleet: Fleet, health: Health) -> HealthState:
    """A success a second, looked at every 30 s."""
    now = START
    for second in range(1, 62):
        now = Monotonic(START + second)
        permit = fleet.admit(TARGET, 1, now)
        assert isinstance(permit, Permit)
        fleet.settle(permit, Outcome.SUCCESS, now, random.Random(1))
        if second % 30 == 0:
            health.look(0.1, now)
    return health.state(now)


@pytest.mark.parametrize(
    "words", [(State.FORCED_CLOSED,), (State.FORCED_OPEN, None), (State.FORCED_CLOSED, None)], ids=str
)
def test_an_operators_word_lifts_what_the_opening_said(words: tuple[State | None, ...]) -> None:
    """The verdict is overruled with the breaker that gave it, and told so once; then real traffic decides."""
    fleet, health = tripped()
    told = [change for word in words for change in fleet.force(TARGET, word, START)]
    assert [(change.before, change.after, change.reason) for change in told if change.subject == "health"] == [
        ("unhealthy", "unknown", f"breaker is {words[0]} (an operator's word)")
    ]
    assert health.state(START) is UNKNOWN
    assert after_a_minute(fleet, health) is HEALTHY


def test_an_operators_word_after_the_open_time_lifts_it_too() -> None:
    """Half-open, and nobody has tried it: the word counts as much."""
    fleet, health = tripped()
    later = Monotonic(START + 100.0)
    assert fleet.breaker_state(TARGET, later) is State.HALF_OPEN
    fleet.force(TARGET, State.FORCED_CLOSED, later)
    assert health.state(later) is UNKNOWN


def test_a_reload_with_another_breaker_lifts_what_the_old_one_said() -> None:
    """The new one is closed, so nobody says that the deployment is unhealthy; what the old one still hears is late."""
    fleet, health = tripped()
    permit = fleet.admit_probe([TARGET], START)
    assert permit is not None
    after, kept = made(fleet, BreakerSettings(consecutive=7))
    assert kept is health
    assert [(change.subject, change.before, change.after) for change in after.take_news()] == [
        ("breaker", "open", "closed"),
        ("health", "unhealthy", "unknown"),
    ]
    fleet.settle(permit, Outcome.FAILURE, START, random.Random(1), failure=BROKEN)
    assert (health.state(START), health.failed) == (UNKNOWN, 5)
    assert after_a_minute(after, health) is HEALTHY


def test_a_reload_that_keeps_the_breaker_keeps_its_verdict() -> None:
    """Another key contradicts nothing that the breaker said."""
    fleet, health = tripped()
    assert made(fleet, keys=("k", "l"))[1] is health
    assert health.state(START) is UNHEALTHY


def test_an_operators_word_leaves_what_checks_say() -> None:
    """Only the breaker's own verdict is lifted."""
    fleet, health = made()
    for n in range(3):
        health.checked(Check(Evidence.PING, Monotonic(START + n), 0.1, Failure(FailureKind.CONNECT_FAILED)))
    now = Monotonic(START + 3.0)
    assert [change.subject for change in fleet.force(TARGET, State.FORCED_CLOSED, now)] == ["breaker"]
    assert health.state(now) is UNHEALTHY


def test_it_knows_whether_it_is_its_pace() -> None:
    """What is advised depends on it."""
    _, health = made()
    for n in range(3):
        health.checked(Check(Evidence.PING, Monotonic(START + n), 4.0))
    assert (health.state(START), health.slow) == (DEGRADED, True)
    health.tripped("server_error", Monotonic(START + 8.0), Monotonic(START + 3.0))
    assert (health.slow, health.recovering) == (False, False)
    health.proven(Monotonic(START + 9.0))
    assert (health.slow, health.recovering) == (False, True)
