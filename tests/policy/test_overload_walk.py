"""Everything that limits a fleet at once, under whatever comes: no permit, slot or request is lost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.canon.failure import Failure, FailureKind
from standfast.canon.rates import Counts, Rate
from standfast.policy.adaptive import AdaptiveSettings
from standfast.policy.limits import TargetLimits
from standfast.policy.line import QueueSettings
from standfast.policy.places import Permit
from standfast.policy.steps import Send
from standfast.strategies.weighted import STRATEGY as WEIGHTED
from support.exchanges import START
from support.hands import Client, Hands, Plan, Scene
from support.servers import Servers

MAX_WAIT = 5.0

ARRIVAL = st.tuples(
    st.floats(0.0, 30.0),  # when
    st.integers(1, 5),  # priority
    st.sampled_from("xyz"),  # caller
    st.floats(0.5, 60.0),  # patience
    st.integers(0, 2_000),  # tokens of the prompt
    st.booleans(),  # hangs up
)


class Weather:
    """Servers of small capacity that also fail, refuse keys, tell their limits, or hang."""

    def __init__(self, servers: Servers, trouble: float) -> None:
        self.servers = servers
        self.trouble = trouble
        self.permits: list[Permit] = []

    def behave(self, send: Send, client: Client) -> Plan:
        """Mostly what the server does."""
        hands = self.servers.hands
        rng, fleet = hands.rng, hands.scene.fleet
        self.permits.append(send.permit)
        if rng.random() < 0.5:
            left = rng.choice([0.0, 1.0, 5.0, 50.0])
            rates = [Rate("requests", Counts.REQUESTS, left, 60.0, rng.choice([None, 1.0, 60.0 - left]))]
            fleet.learn(send.permit, rates if rng.random() < 0.8 else [], hands.now)
        if rng.random() < self.trouble:
            kind = rng.choice(
                [FailureKind.OVERLOADED, FailureKind.RATE_LIMITED, FailureKind.SERVER_ERROR, FailureKind.CONNECT_FAILED]
            )
            hint = rng.choice([None, 0.5, 3.0])
            return Plan(fail=(rng.uniform(0.0, 0.5), Failure(kind, retry_after=hint, sent=rng.random() < 0.5)))
        return self.servers.behave(send, client)


@given(
    arrivals=st.lists(ARRIVAL, min_size=1, max_size=60),
    capacity=st.integers(1, 3),
    trouble=st.sampled_from([0.0, 0.1, 0.5]),
    limits=st.sampled_from([{}, {"rpm": 120}, {"tpm": 30_000}, {"concurrency": 2}]),
    keys=st.integers(1, 3),
    seed=st.integers(0, 1_000),
)
@settings(deadline=None, max_examples=150)
def test_nothing_is_lost_and_nothing_waits_too_long(
    *,
    arrivals: list[tuple[float, int, str, float, int, bool]],
    capacity: int,
    trouble: float,
    limits: dict[str, int],
    keys: int,
    seed: int,
) -> None:
    """D8: one outcome each, each permit settled once, all slots given back, no wait past the line's or own deadline."""
    queue = QueueSettings(max_waiting=20, max_wait=MAX_WAIT)
    scene = Scene(("a/m", "b/m"), keys=keys, rpm=240, concurrency=4, strategy=WEIGHTED, queue=queue)
    bounds = {target.deployment: TargetLimits(**limits) for target in scene.targets}
    scene.fleet.bound(bounds, AdaptiveSettings())
    servers = Servers(capacity=capacity, queue=1)
    weather = Weather(servers, trouble)
    hands = servers.hands = Hands(scene, weather.behave, seed=seed)
    for at, priority, caller, seconds, prompt, hangs_up in arrivals:
        client = hands.arrive(
            at, priority=priority, caller=caller, seconds=seconds, prompt_tokens=prompt, stream=prompt % 2 == 0
        )
        if hangs_up:
            hands.leave(at + seconds / 2, client)
    while hands.step():
        assert len(scene.fleet.line) <= 20
        for target in scene.targets:
            place = scene.fleet.place(target.deployment)
            assert place.in_flight == hands.under_way[target.name] >= 0
            assert limits.get("concurrency", 4 * keys) >= place.in_flight
            assert place.adaptive.ceiling >= 1
    for client in hands.clients:
        assert len(client.ends) == 1
        assert client.ended is not None
        assert client.ended <= client.exchange.ask.deadline + 1e-6
        if not client.sends and client.waited:
            assert client.ended - client.exchange.ask.arrived <= MAX_WAIT + 1e-6
    assert all(permit.settled for permit in weather.permits)
    assert len(scene.fleet.line) == 0
    assert scene.budget.in_flight == scene.budget.retrying == 0
    for target in scene.targets:
        place = scene.fleet.place(target.deployment)
        assert place.in_flight == 0
        assert all(seat.key.in_flight == 0 for seat in place.seats)
    assert not scene.fleet.line.shedding.hopeless(hands.clients[0].exchange.ask, 0.0, hands.now)


@pytest.mark.parametrize("seed", range(3))
def test_no_target_starves(seed: int) -> None:
    """A target whose limit was cut to the least is asked again, and carries its share when it is well."""
    scene = Scene(("a/m", "b/m"), strategy=WEIGHTED)
    servers = Servers(capacity=50)
    overloaded = Failure(FailureKind.OVERLOADED, status=503)

    def behave(send: Send, client: Client) -> Plan:
        if send.target.name == "a/m" and hands.now < START + 10.0:
            return Plan(fail=(0.05, overloaded))
        return servers.behave(send, client)

    hands = servers.hands = Hands(scene, behave, seed=seed)
    for n in range(1_200):
        hands.arrive(n * 0.1, stream=True)
    hands.run(80.0)
    before = hands.sent["a/m"]
    hands.run()
    assert hands.sent["a/m"] - before >= 0.3 * 400
