"""Many requests against failing fleets, in virtual time: what the limits of effort amount to."""

from collections.abc import Callable

import pytest

from standfast.canon.attempt import Outcome
from standfast.canon.failure import MEANING, Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.policy.breaker import BreakerSettings, State
from standfast.policy.hedge import HedgeSettings
from standfast.policy.line import QueueSettings
from standfast.policy.retry import RetrySettings
from standfast.policy.steps import Refuse, Send
from support.exchanges import START, sent
from support.hands import Client, Hands, Plan, Scene

K = FailureKind
SERVER_ERROR = Failure(K.SERVER_ERROR, status=500)
SDK_TRIES = 3
"""Attempts of the usual client SDKs."""


def later(seconds: float) -> Monotonic:
    """An instant after the start."""
    return Monotonic(START + seconds)


def flaky(hands: Callable[[], Hands], shares: dict[str, float], seconds: float = 0.5) -> Callable[..., Plan]:
    """Upstreams of which a share of the attempts fails at once, the others answer."""

    def behave(send: Send, client: Client) -> Plan:
        del client
        if hands().rng.random() < shares.get(send.target.name, 0.0):
            return Plan(fail=(0.05, SERVER_ERROR))
        return Plan(seconds, seconds * 2)

    return behave


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.8])
def test_one_good_peer_makes_up_for_a_failing_one(share: float) -> None:
    """D2: 5 to 80 % of errors at the first choice, one sound peer: at least 99.9 % succeed, few attempts are wasted."""
    scene = Scene(("a/m", "b/m"))
    hands = Hands(scene, flaky(lambda: hands, {"a/m": share}))
    clients = [hands.arrive(n * 0.05) for n in range(5000)]
    hands.run()
    assert sum(client.answered for client in clients) >= 0.999 * len(clients)
    assert sum(hands.sent.values()) <= (1.02 + min(share, 0.3)) * len(clients)


@pytest.mark.parametrize("hedge", [None, HedgeSettings(after=0.6)], ids=["plain", "hedged"])
@pytest.mark.parametrize("rate", [20.0, 100.0])
@pytest.mark.parametrize("fails_after", [0.05, 1.0])
def test_a_retry_storm_stays_bounded(fails_after: float, rate: float, hedge: HedgeSettings | None) -> None:
    """D7: 30 % of 5xx everywhere and clients that try three times: at most 1.3 upstream attempts per request.

    A client tries again unless it is told `x-should-retry: false`, which it is when the gateway has tried in vain.
    """
    scene = Scene(("a/m", "b/m", "c/m"), hedge=hedge)

    def behave(_: Send, client: Client) -> Plan:
        del client
        return Plan(fail=(fails_after, SERVER_ERROR)) if hands.rng.random() < 0.3 else Plan(0.5, 1.0)

    hands = Hands(scene, behave)
    asked = [hands.arrive(n / rate, stream=True) for n in range(3000)]
    tries = dict.fromkeys(asked, 1)

    def look() -> None:
        for client in [client for client in tries if client.ends]:
            count = tries.pop(client)
            if not client.answered and not client.refusal.attempts and count < SDK_TRIES:
                again = hands.arrive(hands.now - START + hands.rng.uniform(0.5, 1.0), stream=True)
                tries[again] = count + 1
        if tries:
            hands.at(hands.now + 0.1, look)

    hands.at(START, look)
    hands.run()
    assert sum(hands.sent.values()) <= 1.3 * len(asked)
    if fails_after == 1.0:  # as long as a success takes: nothing but the budget holds back
        assert sum(client.answered for client in hands.clients) >= 0.75 * len(asked)


def test_the_budget_says_when_it_is_spent_and_when_there_is_some_again() -> None:
    """One event for each change, not for each request that meets it."""
    scene = Scene(("a/m", "b/m"), breaker=BreakerSettings(consecutive=10_000, min_calls=10_000))
    share = dict.fromkeys(scene.names, 0.9)
    hands = Hands(scene, flaky(lambda: hands, share))
    for n in range(1000):
        hands.arrive(n * 0.01)
    hands.at(START + 10.0, share.clear)
    for n in range(200):
        hands.arrive(20.0 + n * 0.1)
    hands.run()
    told = [(change.before, change.after) for change in hands.changes if change.subject == "retry_budget"]
    assert told
    assert told == [("available", "spent"), ("spent", "available")] * (len(told) // 2)
    assert len(told) <= 200
    assert all(change.name and change.reason for change in hands.changes)


def test_all_down_is_refused_at_once_with_few_probes() -> None:
    """D5: a thousand requests in ten seconds, all upstreams down: nobody waits, upstreams see probes only."""
    scene = Scene(("a/m", "b/m", "c/m"))
    for name in scene.names:
        scene.fail(name, K.SERVER_ERROR, 5)
    hands = Hands(scene, lambda _, __: Plan(fail=(0.002, SERVER_ERROR)))
    clients = [hands.arrive(0.001 + n * 0.01) for n in range(1000)]
    hands.run()
    for client in clients:
        assert client.ended is not None
        assert client.ended - client.exchange.ask.arrived < 0.02
        assert not client.waited
        assert client.refusal.retry_after is not None
    assert sum(hands.sent.values()) <= 3 * (10 + 3)  # one probe a second at most, and the trials that come due


def test_a_poison_request_hits_two_deployments_and_no_more() -> None:
    """D9: what resets every connection may have run, so it is repeated once, hedged or not, before or after content."""
    reset = Failure(K.BROKEN_STREAM, "connection reset")
    for hedge, content in ((None, None), (HedgeSettings(after=0.1), None), (None, 0.1)):
        scene = Scene(tuple(f"p{n}/m" for n in range(6)), hedge=hedge)
        hands = Hands(scene, lambda _, __, content=content: Plan(content, fail=(0.3, reset)))
        client = hands.arrive(0.0, stream=True)
        hands.run()
        assert len({send.target.name for send in client.sends}) == 2
        assert client.refusal.failure is reset


def test_a_callers_poison_costs_the_other_callers_nothing() -> None:
    """D9: one request in ten is poison; nobody else fails, and the breaker of those who serve them stays closed."""
    scene = Scene(tuple(f"p{n}/m" for n in range(4)))

    def behave(send: Send, client: Client) -> Plan:
        del send
        return Plan(fail=(0.05, Failure(K.BROKEN_STREAM))) if client.poison else Plan(0.3, 0.6)

    hands = Hands(scene, behave)
    clients = [hands.arrive(n * 0.05, poison=n % 10 == 0) for n in range(2000)]
    hands.run()
    assert all(client.answered for client in clients if not client.poison)
    assert all(len({send.target.name for send in client.sends}) <= 2 for client in clients)
    assert not [change for change in hands.changes if change.subject == "breaker" and change.name == "p0/m"]


def test_a_policys_refusal_is_nobodys_ill_health() -> None:
    """B5: a thousand refusals by a content filter: one attempt each, no retry, breaker and soundness unmoved."""
    scene = Scene(("a/m", "b/m"), keys=2)
    deployment = scene.targets[0].deployment
    for _ in range(1000):
        exchange = scene.exchange()
        send = sent(exchange.open(START))
        (refusal,) = exchange.failed(send.permit, Failure(K.CONTENT_FILTERED, status=400), later(0.1))
        assert isinstance(refusal, Refuse)
        assert (len(refusal.attempts), refusal.retry_after) == (1, None)
        assert exchange.changes == []
    assert scene.fleet.breaker_state(deployment, later(0.1)) is State.CLOSED
    assert scene.fleet.sound(deployment, later(0.1))
    assert scene.fleet.available_at(deployment, later(0.1)) == later(0.1)


def test_a_policys_refusal_goes_elsewhere_only_where_it_is_configured() -> None:
    """B5: `elsewhere_on: [content_filtered]` asks the others, each once; it is still nobody's ill health."""
    scene = Scene(("a/m", "b/m", "c/other"), retry=RetrySettings(elsewhere_on=("content_filtered",)))
    exchange = scene.exchange()
    steps, asked = exchange.open(START), []
    while isinstance(steps[0], Send):
        asked.append(steps[0].target.name)
        steps = exchange.failed(steps[0].permit, Failure(K.CONTENT_FILTERED, status=400), later(0.1))
    assert asked == ["a/m", "b/m", "c/other"]
    (refusal,) = steps
    assert isinstance(refusal, Refuse)
    assert refusal.failure is not None
    assert refusal.failure.kind is K.CONTENT_FILTERED
    assert all(scene.fleet.sound(target.deployment, later(0.1)) for target in scene.targets)


def test_a_prompt_that_is_too_long_goes_to_another_model_only_where_it_is_configured() -> None:
    """B4: the same model has the same window wherever it is, so only another model is asked, and only if configured."""
    for configured in (False, True):
        retry = RetrySettings(elsewhere_on=("context_too_long",) if configured else ())
        exchange = Scene(("a/m", "b/m", "c/large"), retry=retry).exchange()
        first = sent(exchange.open(START))
        (step,) = exchange.failed(first.permit, Failure(K.CONTEXT_TOO_LONG, status=400), later(0.1))
        assert isinstance(step, Send if configured else Refuse)
        if isinstance(step, Send):
            assert step.target.name == "c/large"


@pytest.mark.parametrize("kind", [kind for kind in K if MEANING[kind].ambiguous])
def test_what_may_have_been_billed_is_repeated_once_in_all(kind: FailureKind) -> None:
    """A6, D9: each ambiguous kind ends the request at its second occurrence, whatever came in between."""
    exchange = Scene(tuple(f"p{n}/m" for n in range(6))).exchange()
    first = sent(exchange.open(START))
    second = sent(exchange.failed(first.permit, Failure(kind), START))
    third = sent(exchange.failed(second.permit, Failure(K.CONNECT_FAILED, sent=False), START))
    (refusal,) = exchange.failed(third.permit, Failure(kind), START)
    assert isinstance(refusal, Refuse)
    assert [attempt.outcome for attempt in refusal.attempts] == [Outcome.FAILURE] * 3


def test_a_line_does_not_grow_where_nobody_can_serve() -> None:
    """D5: waiting is for what is busy, not for what is broken: half of the fleet down, the other half full."""
    scene = Scene(("a/m", "b/m"), concurrency=1, queue=QueueSettings(max_waiting=5))
    scene.fail("b/m", K.SERVER_ERROR, 5)
    hands = Hands(scene, lambda _, __: Plan(1.0, 1.0))
    clients = [hands.arrive(0.5 + n * 0.01) for n in range(20)]
    hands.run(0.9)
    tickets = len(scene.fleet.line)
    hands.run()
    assert tickets == 5
    assert sum(client.answered for client in clients) >= 6
    assert all(client.ends for client in clients)
