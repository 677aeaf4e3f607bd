"""The health of a deployment: an example for each rule."""

import random

import pytest

from standfast.canon.attempt import Outcome
from standfast.canon.deployment import Deployment
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.canon.record import Change
from standfast.policy.breaker import BreakerSettings
from standfast.policy.fleet import Denied, Fleet, KeyPool, Permit
from standfast.policy.health import FACTOR, TRANSITIONS, Event, Health
from standfast.policy.health_check import Check, Evidence, HealthSettings, HealthState, verdict

START = Monotonic(1_000.0)
PLAIN = HealthSettings()
REFUSED = Failure(FailureKind.CONNECT_FAILED)
BROKEN = Failure(FailureKind.SERVER_ERROR, status=500)
LIMITED = Failure(FailureKind.RATE_LIMITED, status=429)
UNKNOWN, HEALTHY, DEGRADED, UNHEALTHY = HealthState


class Ward:
    """One deployment's health and its clock: every event comes an interval after the one before."""

    def __init__(self, settings: HealthSettings = PLAIN, *, thinks: bool = False) -> None:
        self.health = Health("p/m", settings, thinks=thinks)
        self.now = START
        self.told: list[Change] = []

    def ping(self, failure: Failure | None = None, ms: float = 50.0, *, times: int = 1) -> HealthState:
        """So many pings in a row; the state afterwards."""
        return self._check(Evidence.PING, failure, ms, times)

    def generate(self, failure: Failure | None = None, ms: float = 500.0, *, times: int = 1) -> HealthState:
        """So many generate checks in a row; the state afterwards."""
        return self._check(Evidence.GENERATE, failure, ms, times)

    def traffic(self, served: int, failed: int = 0, *, first: float | None = None, times: int = 1) -> HealthState:
        """So many intervals of real traffic; the state afterwards."""
        for _ in range(times):
            self.wait()
            self.health.served += served
            self.health.failed += failed
            self.told += self.health.look(first, self.now)[2]
        return self.state

    def trip(self, seconds: float = 5.0) -> HealthState:
        """The breaker opens for so long."""
        self.told += self.health.tripped("server_error", Monotonic(self.now + seconds), self.now)
        return self.state

    def prove(self) -> HealthState:
        """The breaker closes."""
        self.told += self.health.proven(self.now)
        return self.state

    def wait(self, intervals: float = 1.0) -> None:
        """Time passes."""
        self.now = Monotonic(self.now + intervals * self.health.settings.interval)

    @property
    def state(self) -> HealthState:
        """The state now."""
        return self.health.state(self.now)

    @property
    def shunned(self) -> bool:
        """Do requests go elsewhere if they can?"""
        return self.health.shunned > self.now

    def _check(self, kind: Evidence, failure: Failure | None, ms: float, times: int) -> HealthState:
        for _ in range(times):
            self.wait()
            self.told += self.health.checked(Check(kind, self.now, ms / 1000, failure))
        return self.state


def well(settings: HealthSettings = PLAIN, *, thinks: bool = False) -> Ward:
    """A deployment that is healthy."""
    ward = Ward(settings, thinks=thinks)
    assert ward.ping() is HEALTHY
    return ward


def ill() -> Ward:
    """A deployment that is unhealthy by pings."""
    ward = well()
    assert ward.ping(REFUSED, times=3) is UNHEALTHY
    return ward


def test_the_table_is_the_whole_machine() -> None:
    """Every pair of state and event that has no row changes nothing; no row leads to its own state."""
    assert len(TRANSITIONS) == 17
    assert all(before is not after for (before, _), after in TRANSITIONS.items())
    assert {after for (_, event), after in TRANSITIONS.items() if event is Event.FORGOTTEN} == {UNKNOWN}
    assert [state for state in HealthState if (state, Event.TRIPPED) not in TRANSITIONS] == [UNHEALTHY]


def test_nobody_knows_at_first_and_one_good_check_is_enough() -> None:
    """The first good result ends `unknown`, as in Envoy; bad ones need their full number."""
    ward = Ward()
    assert ward.state is UNKNOWN
    assert ward.ping(REFUSED, times=2) is UNKNOWN
    assert ward.ping() is HEALTHY
    assert Ward().ping(REFUSED, times=3) is UNHEALTHY


def test_it_takes_a_run_to_fall_ill_and_a_run_to_recover() -> None:
    """Two bad results change nothing, the third does; the same for good ones."""
    ward = well()
    assert [ward.ping(REFUSED) for _ in range(3)] == [HEALTHY, HEALTHY, UNHEALTHY]
    assert [ward.ping() for _ in range(3)] == [UNHEALTHY, UNHEALTHY, HEALTHY]


def test_the_thresholds_are_the_settings() -> None:
    """`unhealthy_after` and `healthy_after` count results, each for its direction."""
    ward = well(HealthSettings(healthy_after=4, unhealthy_after=2))
    assert [ward.ping(REFUSED) for _ in range(2)] == [HEALTHY, UNHEALTHY]
    assert [ward.ping() for _ in range(4)] == [UNHEALTHY] * 3 + [HEALTHY]


def test_every_change_has_its_reason() -> None:
    """A change names its subject, its deployment, both states and why, in words without secrets."""
    ward = ill()
    ward.ping(times=3)
    assert [(c.subject, c.name, c.before, c.after, c.reason) for c in ward.told] == [
        ("health", "p/m", "unknown", "healthy", "ping succeeds"),
        ("health", "p/m", "healthy", "unhealthy", "ping failed (connect_failed), 3 in a row"),
        ("health", "p/m", "unhealthy", "healthy", "ping succeeds, 3 in a row"),
    ]
    assert ward.health.reason == "ping succeeds, 3 in a row"


@pytest.mark.parametrize(("ms", "expected"), [(2900, HEALTHY), (3100, DEGRADED), (5100, UNHEALTHY)])
def test_slow_checks_are_weak_and_very_slow_ones_bad(ms: float, expected: HealthState) -> None:
    """`degraded_ms` and `unhealthy_ms` judge the average latency of checks."""
    ward = well()
    assert ward.ping(ms=ms, times=12) is expected


def test_one_slow_check_moves_no_average_over_the_limit() -> None:
    """The thresholds are about a moving average, and the run is on top of it."""
    ward = well()
    assert ward.ping(ms=4900) is HEALTHY
    assert ward.ping(times=3) is HEALTHY
    assert len(ward.told) == 1


def test_weak_results_lead_out_of_unhealthy_to_degraded() -> None:
    """What is no longer bad is better, and good results make it healthy from there."""
    ward = ill()
    assert ward.generate(ms=4000, times=3) is DEGRADED
    assert ward.generate(ms=100, times=5) is HEALTHY


def test_alternating_results_are_degraded_and_stay_so() -> None:
    """`error_rate`: half of the checks fail, never three in a row; the state does not flap."""
    ward = well()
    for _ in range(40):
        ward.ping(REFUSED)
        ward.ping()
    assert ward.state is DEGRADED
    assert [change.after for change in ward.told] == ["healthy", "degraded"]


def test_a_rare_failure_is_no_news() -> None:
    """One failure in ten is within `error_rate`."""
    ward = well()
    for _ in range(10):
        ward.ping(REFUSED)
        ward.ping(times=9)
    assert [change.after for change in ward.told] == ["healthy"]


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if not Failure(kind).meaning.trips_breaker])
def test_what_says_nothing_is_no_evidence(kind: FailureKind) -> None:
    """429 is not ill health, and a bad key says nothing about the deployment."""
    ward = Ward()
    assert ward.ping(Failure(kind, status=429), times=5) is UNKNOWN
    assert not ward.told
    assert verdict(Check(Evidence.PING, START, 0.1, Failure(kind)), PLAIN) is UNKNOWN


def test_evidence_grows_old() -> None:
    """What three results established does not outlive four missing ones; then nobody knows, and nobody is shunned."""
    ward = ill()
    assert ward.shunned
    ward.wait(3.9)
    assert ward.state is UNHEALTHY
    ward.wait(0.1)
    assert ward.state is UNKNOWN
    assert not ward.shunned
    ward.health.look(None, ward.now)
    assert ward.ping() is HEALTHY


def test_growing_old_is_told() -> None:
    """The change to unknown is an event like every other, once."""
    ward = well()
    ward.wait(4)
    assert [change.after for _ in range(2) for change in ward.health.look(None, ward.now)[2]] == ["unknown"]


def test_the_breaker_s_verdict_counts_at_once() -> None:
    """D14: when real requests have opened the breaker, the deployment is unhealthy, whatever pings say."""
    ward = well()
    assert ward.trip() is UNHEALTHY
    assert ward.ping(times=4) is UNHEALTHY
    assert ward.told[-1].reason == "breaker opened (server_error)"


def test_pings_count_again_when_the_failures_are_old() -> None:
    """Without traffic a lying ping must not keep a deployment out for ever; real requests then decide."""
    ward = well()
    ward.trip()
    assert ward.ping(times=4) is UNHEALTHY
    assert ward.ping(times=3) is HEALTHY


def test_an_open_breaker_is_evidence_for_as_long_as_it_is_open() -> None:
    """A long open time outlives the memory of pings: neither old age nor good pings end it before the trial."""
    ward = well()
    ward.trip(seconds=300)
    assert ward.ping(times=12) is UNHEALTHY
    ward = well()
    ward.trip(seconds=300)
    ward.wait(13)
    assert ward.state is UNHEALTHY


def test_the_breaker_alone_decides_while_it_is_open_or_on_trial() -> None:
    """An unhealthy deployment is not shunned then: its trial needs real requests."""
    ward = ill()
    assert ward.shunned
    ward.trip()
    assert not ward.shunned
    ward.ping(REFUSED)
    assert not ward.shunned


def test_a_passed_trial_makes_it_degraded_until_a_run_of_good_results() -> None:
    """Real successes end `unhealthy` at once, but it takes a run to be healthy."""
    ward = well()
    ward.trip()
    assert ward.prove() is DEGRADED
    assert ward.health.factor(ward.now) == 1.0, "how fast its load returns is the breaker's ramp"
    assert [ward.traffic(5) for _ in range(3)] == [DEGRADED, DEGRADED, HEALTHY]


def test_a_recovering_deployment_that_is_slow_is_ranked_lower() -> None:
    """The forbearance is for the past alone: as soon as results say weak again, the score pays for it."""
    ward = well()
    ward.trip()
    ward.prove()
    assert ward.traffic(50, first=20.0, times=3) is DEGRADED
    assert ward.health.factor(ward.now) == FACTOR[DEGRADED]


def test_late_results_do_not_soften_the_verdict() -> None:
    """What was sent before the breaker opened and succeeds after it speaks of a time before."""
    ward = well()
    ward.trip()
    assert ward.traffic(20) is UNHEALTHY
    assert ward.ping(times=2) is UNHEALTHY


def test_what_the_breaker_has_judged_is_not_judged_again() -> None:
    """The failures that opened it are no evidence against the deployment that has passed its trial since."""
    ward = well()
    ward.health.failed += 50
    ward.trip()
    ward.health.failed += 3
    ward.prove()
    assert ward.traffic(1) is DEGRADED
    assert ward.traffic(1, times=2) is HEALTHY


def test_traffic_since_the_last_look_is_one_result() -> None:
    """However much there was: three intervals in which most requests fail make it unhealthy, two do not."""
    ward = well()
    assert [ward.traffic(400, 600) for _ in range(3)] == [HEALTHY, HEALTHY, UNHEALTHY]
    assert ward.shunned
    assert [ward.traffic(900, 100) for _ in range(3)] == [UNHEALTHY, UNHEALTHY, HEALTHY]


def test_a_failing_share_of_the_traffic_makes_it_degraded() -> None:
    """More than `error_rate`, less than half."""
    ward = well()
    assert ward.traffic(80, 20, times=3) is DEGRADED
    assert not ward.shunned
    assert ward.told[-1].reason == "more than 10% of recent calls failed, 3 in a row"


def test_real_successes_outweigh_few_failures() -> None:
    """A failed request among a hundred is no result of its own."""
    assert well().traffic(99, 1, times=20) is HEALTHY


def test_a_ping_never_outweighs_recent_real_failures() -> None:
    """D14: after an interval in which real requests failed a ping that succeeds counts for nothing."""
    ward = well()
    ward.traffic(0, 1)
    ward.ping(times=2)
    ward.traffic(0, 1)
    ward.ping()
    assert ward.state is HEALTHY
    assert ward.traffic(0, 1) is UNHEALTHY


def test_a_real_success_ends_the_doubt() -> None:
    """After it pings count again at once."""
    ward = well()
    ward.traffic(0, 1, times=3)
    assert ward.state is UNHEALTHY
    ward.traffic(1)
    assert ward.ping(times=2) is HEALTHY


def test_a_generate_check_weighs_like_real_traffic() -> None:
    """It ends the doubt that pings cannot end, and begins it."""
    ward = well()
    ward.traffic(0, 1, times=3)
    assert ward.generate(times=3) is HEALTHY
    ward.generate(BROKEN, times=2)
    ward.ping()
    assert ward.generate(BROKEN) is UNHEALTHY


def test_a_ping_endpoint_that_never_worked_is_not_believed() -> None:
    """Some servers have none and answer 500; a refused connection is another matter, and so is one that worked."""
    ward = Ward()
    assert ward.ping(BROKEN, times=9) is UNKNOWN
    assert Ward().ping(REFUSED, times=3) is UNHEALTHY
    assert well().ping(BROKEN, times=3) is UNHEALTHY


@pytest.mark.parametrize(("thinks", "expected"), [(False, DEGRADED), (True, HEALTHY)])
def test_d1_slow_first_tokens_degrade(thinks: bool, expected: HealthState) -> None:
    """D1: a brownout of real traffic ranks it lower but shuts nobody out; models that think are not judged by it."""
    ward = well(thinks=thinks)
    assert ward.traffic(50, first=20.0, times=9) is expected
    assert not ward.shunned
    assert ward.traffic(50, first=0.3, times=3) is HEALTHY


def test_old_first_tokens_are_not_judged() -> None:
    """An average that no request has renewed says nothing about now."""
    ward = well()
    for _ in range(9):
        ward.traffic(0, first=20.0)
        ward.ping()
    assert ward.state is HEALTHY


def test_a_score_is_multiplied_by_health() -> None:
    """Degraded ranks lower, unhealthy lowest; nobody is punished for what nobody knows."""
    assert FACTOR[UNKNOWN] == FACTOR[HEALTHY] == 1.0 > FACTOR[DEGRADED] > FACTOR[UNHEALTHY] > 0.0
    ward = ill()
    assert ward.health.factor(ward.now) == FACTOR[UNHEALTHY]
    ward.wait(9)
    assert ward.health.factor(ward.now) == 1.0


@pytest.mark.parametrize(
    ("failure", "ms", "expected"),
    [(None, 10, HEALTHY), (None, 4000, DEGRADED), (None, 9000, UNHEALTHY), (BROKEN, 10, UNHEALTHY)],
)
def test_one_check_alone_has_a_verdict(failure: Failure | None, ms: float, expected: HealthState) -> None:
    """A report of one check says what that check says, whatever the history."""
    assert verdict(Check(Evidence.PING, START, ms / 1000, failure), PLAIN) is expected


class House:
    """A fleet with one watched deployment."""

    def __init__(self, settings: HealthSettings = PLAIN, keys: int = 2) -> None:
        self.deployment = Deployment("p", "m", "http://p.test/v1")
        pool = KeyPool("p", tuple(f"key-{n}" for n in range(keys)))
        self.fleet = Fleet({self.deployment: BreakerSettings(consecutive=5)}, [pool])
        self.fleet.watch({self.deployment: settings})
        self.rng = random.Random(1)

    @property
    def health(self) -> Health:
        """Of the deployment, which is watched."""
        health = self.fleet.standing(self.deployment, START).health
        assert health is not None
        return health

    def attempt(self, failure: Failure | None, now: Monotonic = START) -> tuple[Change, ...]:
        """One real attempt; what it changed."""
        permit = self.fleet.admit(self.deployment, 10, now)
        assert isinstance(permit, Permit)
        outcome = Outcome.SUCCESS if failure is None else Outcome.FAILURE
        return self.fleet.settle(permit, outcome, now, self.rng, failure=failure)


def test_the_fleet_counts_what_speaks_of_the_deployment() -> None:
    """Successes and failures, but neither rate limits nor what the client did wrong nor what was cancelled."""
    house = House()
    for failure in (None, None, BROKEN, LIMITED, Failure(FailureKind.INVALID_REQUEST)):
        house.attempt(failure)
    permit = house.fleet.admit(house.deployment, 10, START)
    assert isinstance(permit, Permit)
    house.fleet.settle(permit, Outcome.CANCELLED, START, house.rng)
    assert (house.health.served, house.health.failed) == (2, 1)


def test_the_fleet_tells_health_what_the_breaker_found() -> None:
    """D14: five failures in a row open the breaker and make the deployment unhealthy in the same instant."""
    house = House()
    changes = [house.attempt(BROKEN) for _ in range(5)]
    assert changes[:4] == [()] * 4
    assert [(change.subject, change.after) for change in changes[4]] == [("breaker", "open"), ("health", "unhealthy")]
    later = Monotonic(START + 10)
    house.attempt(None, later)
    assert [(change.subject, change.after) for change in house.attempt(None, later)] == [
        ("breaker", "closed"),
        ("health", "degraded"),
    ]


def test_an_unhealthy_deployment_is_a_soft_denial() -> None:
    """Others first; with `soft` it is used all the same, and without evidence it is not denied any more."""
    house = House()
    for n in range(3):
        house.health.checked(Check(Evidence.PING, Monotonic(START + n), 0.1, REFUSED))
    now = Monotonic(START + 3)
    denied = house.fleet.admit(house.deployment, 10, now)
    assert denied == Denied("unhealthy", Monotonic(START + 2 + PLAIN.memory))
    assert isinstance(house.fleet.admit(house.deployment, 10, now, soft=True), Permit)
    assert isinstance(house.fleet.admit(house.deployment, 10, Monotonic(START + 2 + PLAIN.memory)), Permit)


def test_degraded_is_no_denial() -> None:
    """A slow deployment is only ranked lower."""
    house = House()
    for n in range(3):
        house.health.checked(Check(Evidence.PING, Monotonic(START + n), 4.0))
    now = Monotonic(START + 3)
    assert house.health.state(now) is DEGRADED
    assert isinstance(house.fleet.admit(house.deployment, 10, now), Permit)


def test_an_unwatched_deployment_has_no_health() -> None:
    """With `kind: off` nothing is judged, counted or denied."""
    house = House(HealthSettings(kind="off"))
    assert house.fleet.standing(house.deployment, START).health is None
    assert all(change.subject != "health" for _ in range(5) for change in house.attempt(BROKEN))


def test_a_new_configuration_keeps_what_is_known_by_the_same_settings() -> None:
    """A reload keeps state and counts; other thresholds judge anew."""
    house = House()
    house.attempt(None)
    pool = KeyPool("p", ("key-0", "key-1"))
    for settings, kept in ((PLAIN, True), (HealthSettings(degraded_ms=10), False)):
        before = house.health
        fleet = Fleet({house.deployment: BreakerSettings(consecutive=5)}, [pool], house.fleet)
        fleet.watch({house.deployment: settings})
        assert (fleet.standing(house.deployment, START).health is before) is kept


def test_keys_at_rest_are_not_free() -> None:
    """A key in cooldown or quarantine is not used for checks."""
    house = House()
    assert house.fleet.standing(house.deployment, START).free_keys == (0, 1)
    house.attempt(LIMITED)
    assert house.fleet.standing(house.deployment, START).free_keys == (1,)
    house.attempt(Failure(FailureKind.AUTH_FAILED, status=401))
    standing = house.fleet.standing(house.deployment, START)
    assert (standing.free_keys, standing.keys) == ((), 2)
