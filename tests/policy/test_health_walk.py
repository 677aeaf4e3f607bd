"""Health on random walks: hysteresis, determinism, and a naive model that keeps every result."""

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.canon.record import Change
from standfast.policy.health import Health
from standfast.policy.health_check import Check, Evidence, HealthSettings, HealthState

START = Monotonic(1_000.0)
REFUSED = Failure(FailureKind.CONNECT_FAILED)
UNKNOWN, HEALTHY, DEGRADED, UNHEALTHY = HealthState
RANK = {HEALTHY: 0, DEGRADED: 1, UNHEALTHY: 2}

RUNS = st.integers(2, 5)
RESULTS = st.sampled_from(("good", "slow", "bad", "nothing"))


def result(kind: Evidence, word: str, now: float) -> Check:
    """A check that went so; `slow` is weak whatever the average was before."""
    failure = {"bad": REFUSED, "nothing": Failure(FailureKind.RATE_LIMITED)}.get(word)
    return Check(kind, Monotonic(now), 4.0 if word == "slow" else 0.0, failure)


@given(up=RUNS, down=RUNS, block=st.integers(1, 4), rounds=st.integers(1, 30), rate=st.floats(0, 1))
def test_results_that_alternate_never_make_it_flap(up: int, down: int, block: int, rounds: int, rate: float) -> None:
    """Blocks of good and bad results shorter than the runs: the state gets worse once at most, and never better."""
    block = min(block, up - 1, down - 1)
    health = Health("p/m", HealthSettings(healthy_after=up, unhealthy_after=down, error_rate=rate))
    now, states = float(START), []
    for _ in range(rounds):
        for word in ["good"] * block + ["bad"] * block:
            now += 30
            states += [HealthState(change.after) for change in health.checked(result(Evidence.PING, word, now))]
    assert states in ([HEALTHY], [HEALTHY, DEGRADED])


@given(words=st.lists(RESULTS, max_size=80), up=RUNS, down=RUNS)
def test_every_change_is_carried_by_a_run(words: list[str], up: int, down: int) -> None:
    """It gets worse only after a run none of which was good, and better only after a run none of which was bad."""
    health = Health("p/m", HealthSettings(healthy_after=up, unhealthy_after=down, degraded_ms=1, unhealthy_ms=9e9))
    now, heard = float(START), []
    for word in words:
        now += 30
        if word != "nothing":
            heard.append(word)
        for change in health.checked(result(Evidence.GENERATE, word, now)):
            before, after = HealthState(change.before), HealthState(change.after)
            if UNKNOWN in (before, after):
                continue
            if RANK[after] > RANK[before]:
                assert len(heard) >= down
            else:
                assert "bad" not in heard[-up:]
                assert len(heard) >= up


EVENTS = st.one_of(
    st.tuples(st.just("ping"), RESULTS),
    st.tuples(st.just("generate"), RESULTS),
    st.tuples(st.just("traffic"), st.tuples(st.integers(0, 20), st.integers(0, 20))),
    st.tuples(st.just("trip"), st.floats(0, 400)),
    st.tuples(st.sampled_from(["prove", "lift"]), st.none()),
)


def play(health: Health, events: list[tuple[str, object]], gaps: list[float]) -> tuple[list[Change], list[object]]:
    """What a health tells while it lives through these events, and what it is after each."""
    now, told, states = float(START), list[Change](), list[object]()
    for (kind, what), gap in zip(events, gaps, strict=False):
        now += gap
        at = Monotonic(now)
        if kind in ("ping", "generate"):
            told += health.checked(result(Evidence(kind), str(what), now))
        elif kind == "traffic":
            served, failed = what if isinstance(what, tuple) else (0, 0)
            health.served += served
            health.failed += failed
            told += health.look(None, at)[2]
        elif kind == "trip":
            told += health.tripped("stalled", Monotonic(now + float(str(what))), at)
        elif kind == "lift":
            told += health.lifted("an operator's word")
        else:
            told += health.proven(at)
        states.append((health.state(at), health.shunned, health.reason))
    return told, states


@given(events=st.lists(EVENTS, max_size=60), gaps=st.lists(st.floats(0, 200), min_size=60, max_size=60))
def test_the_same_evidence_gives_the_same_state(events: list[tuple[str, object]], gaps: list[float]) -> None:
    """Nothing but evidence and time decides."""
    one, two = (Health("p/m", HealthSettings()) for _ in range(2))
    assert play(one, events, gaps) == play(two, events, gaps)


@given(events=st.lists(EVENTS, max_size=60), gaps=st.lists(st.floats(0, 200), min_size=60, max_size=60))
def test_changes_are_a_chain(events: list[tuple[str, object]], gaps: list[float]) -> None:
    """Each change begins where the one before ended, moves somewhere, and has a reason."""
    state = "unknown"
    for change in play(Health("p/m", HealthSettings()), events, gaps)[0]:
        assert (change.subject, change.name, change.before) == ("health", "p/m", state)
        assert change.after != state
        assert change.reason
        state = change.after


@given(
    seconds=st.floats(0, 600), pings=st.lists(st.floats(0.1, 40), min_size=1, max_size=60), served=st.integers(0, 50)
)
def test_pings_alone_never_overrule_real_failures(seconds: float, pings: list[float], served: int) -> None:
    """D14: however many pings succeed, for as long as the breaker is open and a memory longer it is unhealthy."""
    health = Health("p/m", HealthSettings())
    health.checked(result(Evidence.PING, "good", START))
    health.served += served
    health.failed += 5
    health.tripped("server_error", Monotonic(START + seconds), START)
    health.served += served  # answers to what was sent before
    end, now = START + seconds + health.settings.memory, float(START)
    for gap in pings:
        now += gap
        if now >= end:
            return
        health.look(None, Monotonic(now))
        health.checked(result(Evidence.PING, "good", now))
        assert health.state(Monotonic(now)) is UNHEALTHY


class Walk(RuleBasedStateMachine):
    """Generate checks, trips, trials and silence, beside a model that keeps every result."""

    RULES = HealthSettings(healthy_after=2, unhealthy_after=3, interval=10, timeout=5, error_rate=1.0)

    def __init__(self) -> None:
        super().__init__()
        self.health = Health("p/m", self.RULES)
        self.now = float(START)
        self.state = UNKNOWN
        self.row: list[bool] = []
        self.known = -1e9

    def age(self) -> None:
        """The model forgets."""
        if self.now >= self.known + self.RULES.memory:
            self.state, self.row = UNKNOWN, []

    @rule(seconds=st.sampled_from([0.0, 1.0, 9.0, 39.0, 41.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @rule(ok=st.booleans())
    def check(self, ok: bool) -> None:
        """One result."""
        self.age()
        self.health.checked(result(Evidence.GENERATE, "good" if ok else "bad", self.now))
        self.row.append(ok)
        self.known = max(self.known, self.now)
        if len(self.row) >= 3 and not any(self.row[-3:]):
            self.state = UNHEALTHY
        elif ok and (self.state is UNKNOWN or self.row[-2:] == [True, True]):
            self.state = HEALTHY

    @rule(seconds=st.sampled_from([0.0, 5.0, 60.0]))
    def trip(self, seconds: float) -> None:
        """The breaker opens."""
        self.health.tripped("stalled", Monotonic(self.now + seconds), Monotonic(self.now))
        self.state, self.row, self.known = UNHEALTHY, [], self.now + seconds

    @rule()
    def prove(self) -> None:
        """The breaker closes."""
        self.age()
        self.health.proven(Monotonic(self.now))
        self.row, self.known = [], self.now
        if self.state is UNHEALTHY:
            self.state = DEGRADED

    @invariant()
    def agree(self) -> None:
        """The state is the model's, and only an unhealthy deployment is ever shunned."""
        expected = UNKNOWN if self.now >= self.known + self.RULES.memory else self.state
        assert self.health.state(Monotonic(self.now)) is expected
        assert expected is UNHEALTHY or self.health.shunned <= self.now


TestWalk = Walk.TestCase
TestWalk.settings = hypothesis_settings(max_examples=150, stateful_step_count=50, deadline=None)
