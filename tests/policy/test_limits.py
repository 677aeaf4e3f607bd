"""Limits of one upstream key, in virtual time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.canon.attempt import Outcome
from standfast.canon.deployment import Deployment
from standfast.canon.failure import FailureKind
from standfast.canon.instants import Monotonic
from standfast.policy.adaptive import AdaptiveSettings
from standfast.policy.fleet import Denied, Permit
from standfast.policy.limits import BUSY_WAIT, KeySlots, TargetLimits
from support.hands import Scene

START = Monotonic(1_000.0)

ARRIVALS = st.lists(st.tuples(st.floats(0, 30), st.integers(0, 4000)), min_size=1, max_size=80)


def later(seconds: float) -> Monotonic:
    """An instant after the start."""
    return Monotonic(START + seconds)


def crowd(slots: KeySlots, count: int, now: Monotonic, tokens: int = 1) -> int:
    """How many of so many requests that come at once are admitted."""
    return sum(slots.admit(tokens, now) == 0.0 for _ in range(count))


def test_unlimited_is_unlimited() -> None:
    """Without limits nothing waits."""
    assert crowd(KeySlots(None, None, None), 1000, START, 10**9) == 1000


@pytest.mark.parametrize(("rpm", "burst"), [(60, 10), (600, 100), (6, 1), (1, 1)])
def test_a_burst_is_what_ten_seconds_allow(rpm: int, burst: int) -> None:
    """A full bucket passes a sixth of the minute's worth at once, at least one request."""
    assert crowd(KeySlots(rpm, None, None), 1000, START) == burst


def test_requests_return_at_their_rate() -> None:
    """60 a minute: one a second after the burst, and the wait that is told is the true one."""
    slots = KeySlots(60, None, None)
    crowd(slots, 10, START)
    assert slots.admit(1, START) == pytest.approx(1.0)
    assert slots.admit(1, later(0.25)) == pytest.approx(0.75)
    assert slots.admit(1, later(1.0)) == 0.0
    assert slots.admit(1, later(1.0)) == pytest.approx(1.0)


def test_idling_saves_no_more_than_a_burst() -> None:
    """An hour of silence fills the bucket and no more."""
    slots = KeySlots(60, None, None)
    crowd(slots, 10, START)
    assert crowd(slots, 1000, later(3600.0)) == 10


def test_a_refusal_takes_nothing() -> None:
    """Asking while one limit is exhausted uses up none of the others."""
    slots = KeySlots(60, 600, 11)
    assert slots.admit(100, START) == 0.0
    for _ in range(100):
        assert slots.admit(100, START) > 0.0
    assert crowd(slots, 100, later(10.0)) == 10


def test_concurrency_is_kept() -> None:
    """A8: at most so many at a time; when one is over there is room for one."""
    slots = KeySlots(None, None, 2)
    assert [slots.admit(1, START) for _ in range(3)] == [0.0, 0.0, BUSY_WAIT]
    slots.release(1, 1, START)
    assert [slots.admit(1, START) for _ in range(2)] == [0.0, BUSY_WAIT]


def test_too_many_releases_make_no_room() -> None:
    """The count of requests under way never falls below zero."""
    slots = KeySlots(None, None, 1)
    for _ in range(5):
        slots.release(1, 1, START)
    assert crowd(slots, 5, START) == 1


def test_a_larger_request_than_the_bucket_goes_when_it_is_full() -> None:
    """6000 a minute hold 1000; a prompt of 3000 goes at once when nothing else did, and the next waits for its debt."""
    slots = KeySlots(None, 6000, None)
    assert slots.admit(3000, START) == 0.0
    assert slots.admit(1, START) == pytest.approx(20.01)
    assert slots.admit(1000, START) == pytest.approx(30.0)
    assert slots.admit(3000, later(29.9)) == pytest.approx(0.1)
    assert slots.admit(3000, later(30.0)) == 0.0


def test_an_estimate_is_corrected() -> None:
    """The bucket learns what the request really used, in both directions; unknown usage keeps the estimate."""
    slots = KeySlots(None, 6000, None)
    slots.admit(1000, START)
    slots.release(1000, 400, START)
    assert slots.admit(600, START) == 0.0
    slots.release(600, None, START)
    assert slots.admit(1, START) == pytest.approx(0.01)
    slots = KeySlots(None, 6000, None)
    slots.admit(100, START)
    slots.release(100, 5000, START)
    assert slots.admit(1, START) == pytest.approx(40.01)


def test_a_correction_never_overfills() -> None:
    """Tokens that come back late, when the bucket is full again, are gone."""
    slots = KeySlots(None, 6000, None)
    slots.admit(1000, START)
    slots.release(1000, 0, later(60.0))
    assert slots.admit(1000, later(60.0)) == 0.0
    assert slots.admit(1000, later(60.0)) == pytest.approx(10.0)


def test_a_late_correction_still_counts() -> None:
    """Tokens that were used beyond the estimate are charged to the bucket as it is now, not as it was."""
    slots = KeySlots(None, 6000, None)
    slots.admit(1000, START)
    slots.release(1000, 1500, later(60.0))
    assert slots.admit(1000, later(60.0)) == pytest.approx(5.0)


def test_a_withdrawn_admission_never_was() -> None:
    """An admission of which no use was made gives back its request, its tokens and its slot."""
    slots = KeySlots(60, 6000, 3)
    for _ in range(100):
        assert slots.admit(500, START) == 0.0
        slots.withdraw(500, START)
    assert [slots.admit(500, START) for _ in range(2)] == [0.0, 0.0]
    assert slots.admit(0, START) == 0.0
    assert slots.admit(0, START) == BUSY_WAIT


def test_an_older_reading_refills_nothing() -> None:
    """Two readings of the clock may arrive in the wrong order; the time between them is not counted twice."""
    slots = KeySlots(60, None, None)
    crowd(slots, 10, later(10.0))
    assert slots.admit(1, START) == pytest.approx(1.0)
    assert slots.admit(1, later(10.5)) == pytest.approx(0.5)


@given(ARRIVALS, st.integers(1, 2000), st.integers(1, 200_000), st.floats(0, 1e6))
@settings(deadline=None)
def test_no_stretch_of_time_passes_more_than_burst_and_rate(
    arrivals: list[tuple[float, int]], rpm: int, tpm: int, start: float
) -> None:
    """In any minute, and in any other stretch, no more passes than one burst plus the rate times its length.

    A request larger than the bucket adds its excess once, as the last of its stretch; the next ones wait for it.
    """
    slots, now = KeySlots(rpm, tpm, None), start
    passed: list[tuple[float, int]] = []
    for gap, tokens in arrivals:
        now += gap / 10
        if slots.admit(tokens, Monotonic(now)) == 0.0:
            passed.append((now, tokens))
    rounding = 1 + 1e-6
    requests, size = max(1.0, rpm / 6), max(1.0, tpm / 6)
    for first, (begin, _) in enumerate(passed):
        total = 0
        for count, (end, tokens) in enumerate(passed[first:], start=1):
            total += tokens
            excess = max(0.0, tokens - size)
            assert count <= (requests + (end - begin) * rpm / 60) * rounding + 1e-3
            assert total <= (size + (end - begin) * tpm / 60 + excess) * rounding + 1e-2 * len(passed)


@given(ARRIVALS, st.integers(1, 100_000), st.integers(1, 10**9), st.floats(0, 1e6))
@settings(deadline=None)
def test_the_wait_that_is_told_is_enough(arrivals: list[tuple[float, int]], rpm: int, tpm: int, start: float) -> None:
    """Who comes back at the instant that was named is admitted: no driver goes round in circles."""
    slots, now = KeySlots(rpm, tpm, None), Monotonic(start)
    for gap, tokens in arrivals:
        now = Monotonic(now + gap / 100)
        wait = slots.admit(tokens, now)
        if wait > 0.0:
            now = Monotonic(now + wait)
            assert slots.admit(tokens, now) == 0.0


@given(st.lists(st.sampled_from(["admit", "release"]), max_size=100), st.integers(1, 5))
@settings(deadline=None)
def test_slots_taken_never_exceed_the_concurrency(events: list[str], concurrency: int) -> None:
    """Whatever comes in whatever order, admitted minus released stays within the limit."""
    slots, taken = KeySlots(None, None, concurrency), 0
    for event in events:
        if event == "admit":
            admitted = slots.admit(1, START) == 0.0
            assert admitted == (taken < concurrency)
            taken += admitted
        else:
            slots.release(1, 1, START)
            taken = max(0, taken - 1)


# of a deployment


def limited(keys: int = 3, **limits: int) -> tuple[Scene, Deployment]:
    """A fleet with one deployment of several keys, and limits for all of them together."""
    scene = Scene(("a/m",), keys=keys)
    deployment = scene.targets[0].deployment
    scene.fleet.bound({deployment: TargetLimits(**limits)}, AdaptiveSettings())
    return scene, deployment


def test_a_deployments_limit_holds_for_all_its_keys_together() -> None:
    """Three keys, four at the same time: the fifth is denied, and goes when one ends."""
    scene, deployment = limited(concurrency=4)
    permits = [scene.fleet.admit(deployment, 1, START) for _ in range(5)]
    *good, denied = permits
    assert isinstance(denied, Denied)
    assert (denied.why, denied.until) == ("keys", later(BUSY_WAIT))
    first = good[0]
    assert isinstance(first, Permit)
    scene.fleet.settle(first, Outcome.SUCCESS, START, scene.rng)
    assert isinstance(scene.fleet.admit(deployment, 1, START), Permit)


def test_what_a_deployments_limit_let_pass_in_vain_is_given_back() -> None:
    """No key may serve, or the breaker is open: nothing was sent, so nothing counts."""
    scene, deployment = limited(keys=1, rpm=6)
    tried = scene.fleet.admit(deployment, 1, START, tried_keys={0})
    assert isinstance(tried, Denied)
    assert tried.why == "tried"
    assert isinstance(scene.fleet.admit(deployment, 1, START), Permit)
    scene, deployment = limited(keys=1, concurrency=1)
    scene.fail("a/m", FailureKind.SERVER_ERROR, 5)
    for _ in range(3):
        refused = scene.fleet.admit(deployment, 1, START)
        assert isinstance(refused, Denied)
        assert refused.why == "open"


def test_tokens_of_a_deployment_are_corrected_by_the_usage() -> None:
    """Estimated at a thousand, used a hundred: nine hundred are there again."""
    scene, deployment = limited(tpm=6_000)
    permit = scene.fleet.admit(deployment, 1_000, START)
    assert isinstance(permit, Permit)
    assert isinstance(scene.fleet.admit(deployment, 900, START), Denied)
    scene.fleet.settle(permit, Outcome.SUCCESS, START, scene.rng, tokens=100)
    assert isinstance(scene.fleet.admit(deployment, 900, START), Permit)


@given(ARRIVALS, st.sampled_from([6, 60, 600]), st.integers(1, 3))
@settings(deadline=None)
def test_a_deployment_never_passes_more_than_its_bucket_and_its_rate(
    arrivals: list[tuple[float, int]], rpm: int, keys: int
) -> None:
    """Whatever comes and however many keys there are: at most the burst plus the rate times the time."""
    scene, deployment = limited(keys=keys, rpm=rpm)
    passed = 0
    for at, tokens in sorted(arrivals):
        permit = scene.fleet.admit(deployment, tokens, later(at))
        if isinstance(permit, Permit):
            passed += 1
            scene.fleet.settle(permit, Outcome.SUCCESS, later(at), scene.rng, tokens=tokens)
        assert passed <= max(1.0, rpm / 6) + rpm / 60 * at + 1e-6
    assert scene.fleet.in_flight(deployment) == 0
