"""Random walks: whatever happens to many requests on a random fleet, in whatever order, the house rules hold.

The hands (`support.hands`) are strict: limits of effort, one end, one source for an answer are checked at every step.
"""

import math

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from standfast.canon.attempt import Outcome
from standfast.canon.deployment import Operation
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.usage import Usage
from standfast.policy.hedge import HedgeSettings
from standfast.policy.line import QueueSettings
from standfast.policy.places import Permit
from standfast.policy.retry import RetrySettings
from standfast.policy.route import Route
from standfast.policy.steps import Finish, Purpose, Send
from standfast.strategies.priority import STRATEGY as PRIORITY
from standfast.strategies.weighted import STRATEGY as WEIGHTED
from support.exchanges import START
from support.hands import Client, Hands, Plan, Scene

K = FailureKind
# What shows most comes first: random choice favours it.
NAMES = (
    ("a/m", "b/m", "c/m"),
    ("a/m", "b/other", "c/m", "d/other", "e/m"),
    ("a/m", "b/m"),
    ("a/m", "b/other"),
    ("a/m", "a/other", "b/m"),
    ("a/m",),
)
FLEETS = st.fixed_dictionaries(
    {
        "names": st.sampled_from(NAMES),
        "strategy": st.sampled_from([PRIORITY, WEIGHTED]),
        "hedge": st.builds(HedgeSettings, after=st.sampled_from([0.2, "p95", 2.0]), max=st.sampled_from([1, 2, 0]))
        | st.none(),
        "on_break": st.sampled_from(["replay", "resume", "error"]),
        "goes_on": st.booleans(),
        "retry": st.builds(
            RetrySettings,
            max_attempts=st.sampled_from([4, 6, 2, 1]),
            max_ambiguous=st.sampled_from([1, 3, 0]),
            budget=st.sampled_from([1.0, 0.2, 0.0]),
            budget_floor=st.sampled_from([5, 1, 0]),
        ),
        "keys": st.integers(1, 3),
        "concurrency": st.sampled_from([None, None, 1, 2]),
        "rpm": st.sampled_from([None, None, 6, 60]),
        "queue": st.builds(QueueSettings, max_waiting=st.sampled_from([3, 1, 0]), max_wait=st.just(4.0)),
        "seed": st.integers(0, 2**16),
    }
)
FAILURES = st.builds(Failure, st.sampled_from(K), retry_after=st.none() | st.floats(0.0, 90.0), sent=st.booleans())
PAUSES = (0.0, 0.05, 0.3, 1.0, 4.0, 30.0)


class Walk(RuleBasedStateMachine):
    """Requests come, attempts go on and end in all ways, time passes, reports come late and twice."""

    hands: Hands

    @initialize(fleet=FLEETS)
    def begin(self, fleet: dict[str, object]) -> None:
        """A fleet, of which one deployment has a history."""
        scene = Scene(**fleet)  # type: ignore[arg-type]
        scene.history(scene.names[0], 0.7)
        self.hands = Hands(scene)

    @rule(
        stream=st.booleans(),
        fallback=st.sampled_from([True, False]),
        operation=st.sampled_from(Operation),
        priority=st.integers(1, 5),
        caller=st.sampled_from("xy"),
        seconds=st.sampled_from([900.0, 60.0, 5.0, 0.5]),
    )
    def arrive(self, seconds: float, **ask: object) -> None:
        """A request comes."""
        self.hands.arrive(self.hands.now - START, seconds=seconds, **ask)
        self.pass_time(0.0)

    @rule(data=st.data())
    def content(self, data: st.DataObject) -> None:
        """First content, perhaps told twice."""
        for client, permit in self.one(data):
            self.hands.content(client, permit)

    @rule(data=st.data(), differs=st.booleans())
    def compare(self, data: st.DataObject, *, differs: bool) -> None:
        """A replay comes beyond what the client has, or differs from it."""
        for client, permit in self.one(data, Purpose.REPLAY):
            self.hands.compared(client, permit, differs=differs)

    @rule(data=st.data(), usage=st.none() | st.builds(Usage, st.integers(0, 500), st.integers(0, 500)))
    def complete(self, data: st.DataObject, usage: Usage | None) -> None:
        """An answer is whole."""
        for client, permit in self.one(data):
            self.hands.end(client, permit, usage)

    @rule(data=st.data(), failure=FAILURES, replayable=st.booleans(), resumable=st.booleans())
    def fail(self, data: st.DataObject, failure: Failure, *, replayable: bool, resumable: bool) -> None:
        """An attempt fails."""
        self.hands.replayable, self.hands.resumable = replayable, resumable
        for client, permit in self.one(data):
            self.hands.fail(client, permit, failure)

    @rule(data=st.data(), kind=st.sampled_from([K.BROKEN_STREAM, K.STALLED, K.SERVER_ERROR]), resumable=st.booleans())
    def break_off(self, data: st.DataObject, kind: FailureKind, *, resumable: bool) -> None:
        """An answer breaks after its first content, perhaps its repetition too."""
        self.hands.replayable, self.hands.resumable = True, resumable
        for client, permit in self.one(data):
            self.hands.content(client, permit)
            self.hands.fail(client, permit, Failure(kind))

    @rule(seconds=st.sampled_from([0.75, 2.1]))
    def nothing_comes(self, seconds: float) -> None:
        """A request comes, and for a while no content does, so that a hedge becomes due."""
        self.hands.arrive(self.hands.now - START, stream=True)
        self.pass_time(seconds)

    @rule(data=st.data())
    def cannot(self, data: st.DataObject) -> None:
        """A target cannot be told the request; nothing was sent."""
        for client, permit in self.one(data):
            if permit not in client.heard:
                self.hands.cannot(client, permit)

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """A client goes away."""
        alive = [client for client in self.hands.clients if not client.ends]
        if alive and data.draw(st.integers(0, 2)) == 2:
            client = alive[data.draw(st.integers(0, len(alive) - 1))]
            self.hands.cancel(client)
            assert client.ends

    @rule(data=st.data(), failure=FAILURES)
    def report_late(self, data: st.DataObject, failure: Failure) -> None:
        """A report about an attempt that is settled changes nothing."""
        settled = [(client, send) for client in self.hands.clients for send in client.sends if send.permit.settled]
        if settled:
            client, send = settled[data.draw(st.integers(0, len(settled) - 1))]
            exchange, permit, now = client.exchange, send.permit, self.hands.now
            before = list(exchange.attempts)
            assert exchange.first_content(permit, now) == exchange.completed(permit, None, now) == []
            assert exchange.failed(permit, failure, now, replayable=True, resumable=True) == []
            assert exchange.caught_up(permit, now) == exchange.diverged(permit, now) == []
            assert exchange.unsendable(permit, failure, now) == []
            assert exchange.attempts == before

    @rule(seconds=st.sampled_from(PAUSES))
    def wait(self, seconds: float) -> None:
        """Time passes; whatever becomes due happens, deadlines too."""
        self.pass_time(seconds)

    @invariant()
    def every_request_is_in_one_state(self) -> None:
        """It has an attempt under way, sleeps, waits in line, or has its one end."""
        for client in self.clients:
            states = [bool(client.calls), client.sleeping, client.ticket is not None, bool(client.ends)]
            assert sum(states) == 1, states
            assert len(client.ends) <= 1

    @invariant()
    def all_is_counted(self) -> None:
        """Fleet, budget and line believe what is true: permits out, requests worked at, retries, tickets."""
        if not self.clients:
            return
        scene = self.hands.scene
        fleet, budget, retry = scene.fleet, scene.budget, scene.retry
        under_way = [send for client in self.clients for send in client.calls.values()]
        waiting = sum(client.ticket is not None for client in self.clients)
        assert sum(fleet.in_flight(target.deployment) for target in scene.targets) == len(under_way)
        assert not any(send.permit.settled for send in under_way)
        assert len(fleet.line) == waiting <= fleet.line.settings.max_waiting
        assert budget.in_flight == sum(not client.ends for client in self.clients) - waiting
        extra = sum(send.purpose is not Purpose.ANSWER for send in under_way)
        assert extra <= budget.retrying <= len(under_way)
        assert budget.retrying <= max(retry.budget_floor, math.ceil(retry.budget * len(self.clients)))

    @invariant()
    def the_trace_is_true(self) -> None:
        """Attempts that are over stand in the trace once; a success only with its Finish."""
        for client in self.clients:
            attempts = client.exchange.attempts
            assert len(attempts) <= len(client.sends) - len(client.calls)
            successes = [attempt for attempt in attempts if attempt.outcome is Outcome.SUCCESS]
            assert len(successes) == any(isinstance(end, Finish) for end in client.ends)

    def teardown(self) -> None:
        """Everybody goes, and all is given back; an hour later everybody can be served by every target."""
        if not hasattr(self, "hands"):
            return
        for client in self.clients:
            if not client.ends:
                self.hands.cancel(client)
        scene = self.hands.scene
        assert scene.budget.in_flight == scene.budget.retrying == len(scene.fleet.line) == 0
        self.pass_time(3700.0)
        self.hands.behave = lambda _, __: Plan(0.1, 0.2)
        for target in scene.targets:
            scene.route = Route("x", (target,), PRIORITY, scene.retry)
            client = self.hands.arrive(self.hands.now - START)
            self.pass_time(61.0)
            assert client.answered, "a target starves"

    @property
    def clients(self) -> list[Client]:
        """All requests so far."""
        return self.hands.clients if hasattr(self, "hands") else []

    def one(self, data: st.DataObject, purpose: Purpose | None = None) -> list[tuple[Client, Permit]]:
        """One of the attempts under way, of any purpose or of this; none if there is none."""
        found = [
            (client, permit)
            for client in self.clients
            for permit, send in client.calls.items()
            if purpose is None or (send.purpose is purpose and permit in client.behind)
        ]
        return [found[data.draw(st.integers(0, len(found) - 1))]] if found else []

    def pass_time(self, seconds: float) -> None:
        """So many seconds."""
        self.hands.run(self.hands.now - START + seconds)


TestWalk = Walk.TestCase
TestWalk.settings = settings(
    max_examples=300, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def played(seed: int) -> Hands:
    """A thousand requests on a small fleet whose upstreams do everything that they can do."""
    scene = Scene(
        ("a/m", "b/m", "c/other"),
        seed=seed,
        strategy=WEIGHTED,
        hedge=HedgeSettings(after=0.8),
        concurrency=4,
        queue=QueueSettings(max_waiting=5),
    )

    def behave(_: Send, client: Client) -> Plan:
        del client
        dice = hands.rng
        content = dice.choice([None, 0.2, 0.5, 2.0])
        ends = dice.random() < 0.7 and content is not None
        failure = Failure(dice.choice(list(K)), retry_after=dice.choice([None, 1.0]))
        fail = None if ends else (dice.uniform(0.1, 3.0), failure)
        return Plan(content, 3.0 if ends else None, fail, differs=dice.random() < 0.5)

    hands = Hands(scene, behave, seed=seed)
    for n in range(1000):
        hands.arrive(n * 0.2, stream=n % 2 == 0, priority=1 + n % 5)
    hands.run()
    return hands


@pytest.mark.parametrize("seed", range(5))
def test_chance_comes_from_the_given_source_alone(seed: int) -> None:
    """Same seed, same decisions: with hedging, mending and waiting a thousand requests give the same trace twice."""
    first, second = (
        [
            (client.ended, [(send.target.name, send.purpose, send.deadlines) for send in client.sends])
            for client in hands.clients
        ]
        for hands in (played(seed), played(seed))
    )
    assert first == second


def test_the_play_shows_everything() -> None:
    """What is compared for equal seeds has hedges, replays and waits in it, or the comparison would mean little."""
    hands = played(0)
    assert {send.purpose for client in hands.clients for send in client.sends} == set(Purpose) - {Purpose.RESUME}
    assert any(client.waited for client in hands.clients)
    assert any(client.breaks > 1 for client in hands.clients)
