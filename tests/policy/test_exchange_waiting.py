"""Waiting in line in front of busy deployments, and reasons to spare one, in virtual time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.canon.attempt import Outcome
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.policy.exchange import Exchange
from standfast.policy.fleet import Denied, Fleet, KeyPool
from standfast.policy.line import QueueSettings
from standfast.policy.places import Permit
from standfast.policy.retry import RetrySettings
from standfast.policy.steps import Freed, Queue, Refuse, Send, Shed, Step
from support.exchanges import START, sent
from support.hands import Hands, Plan, Scene

K = FailureKind


def later(seconds: float) -> Monotonic:
    """An instant after the start."""
    return Monotonic(START + seconds)


def queued(steps: list[Step]) -> Queue:
    """The one step, which must be a place in the line."""
    (step,) = steps
    assert isinstance(step, Queue), step
    return step


def refused(steps: list[Step]) -> Refuse:
    """The one step, which must be a Refuse."""
    (step,) = steps
    assert isinstance(step, Refuse), step
    return step


def busy(scene: Scene, count: int) -> list[tuple[Exchange, Send]]:
    """So many requests under way."""
    return [(exchange, sent(exchange.open(START))) for exchange in (scene.exchange() for _ in range(count))]


def reloaded(scene: Scene, queue: QueueSettings) -> Fleet:
    """The fleet of a new configuration, in which only the line's settings differ."""
    deployments = {target.deployment: scene.breaker for target in scene.targets}
    pools = [KeyPool(name.partition("/")[0], (f"{name[0]}-0",), None, None, scene.concurrency) for name in scene.names]
    return Fleet(deployments, pools, scene.fleet, queue)


def a_second(_: Send, client: object) -> Plan:
    """Every upstream answers within a second."""
    del client
    return Plan(1.0, 1.0)


def test_a_request_waits_where_a_short_wait_suffices() -> None:
    """A8: every slot is taken, so it lines up for all that could serve it, and goes when a slot is free."""
    scene = Scene(("a/m", "b/m"), concurrency=1)
    (first, send), _ = busy(scene, 2)
    third = scene.exchange()
    ticket = queued(third.open(START)).ticket
    assert [deployment.name for deployment in ticket.wants] == ["a/m", "b/m"]
    first.completed(send.permit, None, later(1.0))
    assert scene.fleet.line.freed(send.permit.deployment, later(1.0)) is ticket
    assert sent(third.woke(later(1.0))).target.name == "a/m"


def test_waiting_ends_with_a_refusal_that_says_when_to_come_again() -> None:
    """A8: nothing waits longer than the line allows; then 503 with a Retry-After, the deployment is not blamed."""
    scene = Scene(("a/m",), concurrency=1, queue=QueueSettings(max_wait=3.0))
    busy(scene, 1)
    exchange = scene.exchange()
    ticket = queued(exchange.open(START)).ticket
    assert ticket.deadline == later(3.0)
    scene.fleet.line.leave(ticket)  # handed out
    refusal = refused(exchange.woke(later(3.0)))
    assert refusal.shed
    assert refusal.failure is None
    assert refusal.retry_after is not None
    assert refusal.retry_after >= 1.0


def test_waiting_never_outlasts_the_requests_own_deadline() -> None:
    """The client's deadline ends the wait, and is what it is told."""
    scene = Scene(("a/m",), concurrency=1)
    busy(scene, 1)
    exchange = scene.exchange(seconds=2.0)
    ticket = queued(exchange.open(START)).ticket
    assert ticket.deadline == later(2.0)
    scene.fleet.line.leave(ticket)  # handed out
    refusal = refused(exchange.woke(later(2.0)))
    assert refusal.failure is not None
    assert refusal.failure.kind is K.DEADLINE_PASSED


def test_a_wait_that_is_known_to_be_too_long_is_not_begun() -> None:
    """One request a minute: the second one is told at once to come again in a minute."""
    scene = Scene(("a/m",), rpm=1)
    busy(scene, 1)
    refusal = refused(scene.exchange().open(START))
    assert refusal.shed
    assert refusal.retry_after is not None
    assert 60.0 <= refusal.retry_after <= 120.0


def test_a_limit_of_so_many_a_minute_says_when_to_look_again() -> None:
    """Sixty a minute: the one too many is ripe when the next second's request may go, and goes then."""
    scene = Scene(("a/m",), rpm=60)
    busy(scene, 10)
    exchange = scene.exchange()
    ticket = queued(exchange.open(START)).ticket
    assert ticket.ripe == pytest.approx(later(1.0))
    assert scene.fleet.line.ripe(later(1.0)) == [ticket]
    sent(exchange.woke(later(1.0)))


@pytest.mark.parametrize(("priority", "overtakes"), [(1, False), (3, False), (4, True)])
def test_a_newcomer_overtakes_only_a_lower_priority(priority: int, *, overtakes: bool) -> None:
    """Whoever waits has a right to the next slot, even if a newcomer sees it first."""
    scene = Scene(("a/m",), concurrency=1)
    ((first, send),) = busy(scene, 1)
    queued(scene.exchange().open(START))
    first.completed(send.permit, None, later(1.0))
    (step,) = scene.exchange(later(1.0), priority=priority).open(later(1.0))
    assert isinstance(step, Send) == overtakes


def test_a_request_in_turn_yields_to_a_higher_priority_only() -> None:
    """It has left the line for its try: others of its own priority wait behind it and do not block it."""
    scene = Scene(("a/m",), concurrency=1)
    ((first, send),) = busy(scene, 1)
    one, other, high = (scene.exchange(priority=priority) for priority in (3, 3, 5))
    tickets = [queued(exchange.open(START)).ticket for exchange in (one, other, high)]
    first.completed(send.permit, None, later(1.0))
    scene.fleet.line.leave(tickets[0])  # handed out
    assert isinstance(one.woke(later(1.0))[0], Queue)
    scene.fleet.line.leave(tickets[2])
    high.cancel(later(1.0))
    scene.fleet.line.leave(tickets[0])
    assert isinstance(one.woke(later(1.0))[0], Send)


def test_who_is_denied_again_keeps_its_place_and_its_time() -> None:
    """A try that comes too early costs neither the turn nor the deadline of the wait."""
    scene = Scene(("a/m",), concurrency=1)
    busy(scene, 1)
    exchange = scene.exchange()
    ticket = queued(exchange.open(START)).ticket
    tag = ticket.tag
    scene.fleet.line.leave(ticket)
    assert queued(exchange.woke(later(4.0))).ticket is ticket
    assert (ticket.since, ticket.deadline, ticket.tag) == (START, later(10.0), tag)


def test_the_lowest_priority_is_put_out_when_the_line_is_full() -> None:
    """The line is bounded; whoever must leave it is told, with 503 and the time after which to come again."""
    scene = Scene(("a/m",), concurrency=1, queue=QueueSettings(max_waiting=1))
    busy(scene, 1)
    low, high, same = (scene.exchange(priority=priority) for priority in (1, 4, 4))
    ticket = queued(low.open(START)).ticket
    queue, shed = high.open(START)
    assert isinstance(queue, Queue)
    assert shed == Shed(ticket)
    refusal = refused(low.shed(START))
    assert refusal.shed
    assert refusal.retry_after is not None
    assert refused(same.open(START)).shed
    assert low.shed(START) == low.woke(START) == []
    assert len(scene.fleet.line) == 1


def test_who_is_shed_does_not_come_again_with_all_the_others() -> None:
    """D6: a hundred requests shed at one instant are told times that spread over a second at least."""
    scene = Scene(("a/m",), concurrency=1, queue=QueueSettings(max_waiting=0))
    busy(scene, 1)
    waits = sorted(refused(scene.exchange().open(START)).retry_after or 0.0 for _ in range(100))
    assert waits[0] >= 1.0
    assert waits[-1] - waits[0] > 0.8
    assert len(set(waits)) == 100


def test_a_cooldown_whose_end_nobody_named_is_not_waited_for() -> None:
    """B11: after a rate limit without a hint there is one attempt for each cooldown, and no line in front of it."""
    scene = Scene(("a/m",))
    scene.fail("a/m", K.RATE_LIMITED, 1)
    refusal = refused(scene.exchange().open(START))
    assert not refusal.shed
    assert refusal.retry_after is not None


def test_a_line_of_no_length_refuses_at_once() -> None:
    """`max_waiting: 0` switches waiting off."""
    scene = Scene(("a/m",), concurrency=1, queue=QueueSettings(max_waiting=0))
    busy(scene, 1)
    assert refused(scene.exchange().open(START)).shed


def test_a_client_that_goes_leaves_the_line() -> None:
    """C10: nothing of it is left; whoever stood behind it may look again."""
    scene = Scene(("a/m",), concurrency=1)
    busy(scene, 1)
    exchange = scene.exchange()
    queued(exchange.open(START))
    queued(scene.exchange().open(START))
    refusal, freed = exchange.cancel(later(1.0))
    assert isinstance(refusal, Refuse)
    assert freed == Freed(scene.targets[0].deployment)
    assert len(scene.fleet.line) == 1
    assert exchange.woke(later(1.0)) == []


def test_who_waits_is_no_work_under_way() -> None:
    """A long line must not make the retry budget larger: it counts a share of the requests that are worked at."""
    scene = Scene(("a/m",), concurrency=2)
    busy(scene, 2)
    waiting = [scene.exchange() for _ in range(50)]
    for exchange in waiting:
        queued(exchange.open(START))
    assert scene.budget.in_flight == 2
    for exchange in waiting:
        exchange.cancel(later(1.0))
    assert scene.budget.in_flight == 2


def test_a_failing_target_and_a_busy_one_then_the_busy_one_is_waited_for() -> None:
    """Nothing untried is left but what is busy, and the failed one must not be asked again: wait for the other."""
    scene = Scene(("a/m", "b/m"), concurrency=1)
    (_, at_a), (_, at_b) = busy(scene, 2)
    assert (at_a.target.name, at_b.target.name) == ("a/m", "b/m")
    scene.fleet.settle(at_a.permit, Outcome.SUCCESS, START, scene.rng)
    exchange = scene.exchange()
    first = sent(exchange.open(START))
    ticket = queued(exchange.failed(first.permit, Failure(K.CONNECT_FAILED, sent=False), later(0.1))).ticket
    assert [deployment.name for deployment in ticket.wants] == ["b/m"]


def test_many_requests_pass_a_busy_deployment_in_their_order() -> None:
    """First come, first served among equals; every slot that becomes free is used at once."""
    scene = Scene(("a/m",), concurrency=2)
    hands = Hands(scene, a_second)
    clients = [hands.arrive(n * 0.01) for n in range(12)]
    hands.run()
    assert all(client.answered for client in clients)
    ends = [client.ended or 0.0 for client in clients]
    assert ends == sorted(ends)
    assert ends[-1] == pytest.approx(START + 6.0, abs=0.1)


def test_a_rate_limit_is_used_up_by_those_who_wait() -> None:
    """D10: ten a second for 20 s of work: the limit is never exceeded, and at least 90 % of it is used."""
    scene = Scene(("a/m",), rpm=600, queue=QueueSettings(max_wait=60.0))
    hands = Hands(scene, a_second)
    clients = [hands.arrive(0.0) for _ in range(300)]
    hands.run()
    assert all(client.answered for client in clients)
    starts = sorted(client.exchange.attempts[0].started for client in clients)
    assert starts[99] < 0.1
    assert all(starts[100 + n] >= n * 0.1 - 0.01 for n in range(200))
    assert starts[-1] < 20.0 / 0.9


def test_a_rate_limit_is_used_up_though_no_request_ends() -> None:
    """D10: answers that take minutes: whoever is sent makes way for the next in line, not only whoever ends."""
    scene = Scene(("a/m",), rpm=600, queue=QueueSettings(max_wait=60.0))
    hands = Hands(scene, lambda _, __: Plan(1.0, 300.0))
    clients = [hands.arrive(0.0) for _ in range(200)]
    hands.run()
    assert all(client.answered for client in clients)
    assert max(client.exchange.attempts[0].started for client in clients) < 10.0 / 0.9


def test_a_large_request_is_not_starved_by_small_ones_behind_it() -> None:
    """Tokens a minute: small requests would always fit; those behind the large one wait for it all the same."""
    scene = Scene(("a/m",), tpm=6_000, queue=QueueSettings(max_wait=30.0))
    hands = Hands(scene, a_second)
    hands.arrive(0.0, prompt_tokens=900)
    large = hands.arrive(0.1, prompt_tokens=900)
    small = [hands.arrive(0.2 + n * 0.1, prompt_tokens=50) for n in range(30)]
    hands.run()
    assert large.answered
    assert all(client.answered for client in small)
    assert large.ended is not None
    assert large.ended < START + 12.0
    assert all(client.ended is not None and client.ended > large.ended - 1.0 for client in small[:10])


def test_when_who_is_first_goes_the_next_need_not_wait_for_nothing() -> None:
    """The first in line hangs up while nothing is under way: the one behind it goes when the limit allows."""
    scene = Scene(("a/m",), rpm=60)
    hands = Hands(scene, lambda _, __: Plan(0.01, 0.01))
    for _ in range(10):
        hands.arrive(0.0)
    first, second = hands.arrive(0.1), hands.arrive(0.1)
    hands.leave(0.5, first)
    hands.run()
    assert second.answered
    assert second.ended is not None
    assert second.ended <= START + 1.2


def test_who_waits_is_woken_by_the_slots_of_a_new_configuration() -> None:
    """A reload keeps the line and what is under way: the old waiter is called when a newer request ends."""
    scene = Scene(("a/m",), concurrency=1)
    ((first, send),) = busy(scene, 1)
    old = scene.exchange()
    ticket = queued(old.open(START)).ticket
    before, scene.fleet = scene.fleet, reloaded(scene, QueueSettings(max_wait=99.0))
    new = queued(scene.exchange(later(0.5)).open(later(0.5))).ticket
    assert new.deadline == later(99.5)
    assert scene.fleet.line is before.line
    first.completed(send.permit, None, later(1.0))
    assert scene.fleet.in_flight(send.permit.deployment) == 0
    assert scene.fleet.line.freed(send.permit.deployment, later(1.0)) is ticket
    second = sent(old.woke(later(1.0))[:1])
    assert scene.fleet.in_flight(send.permit.deployment) == 1
    old.completed(second.permit, None, later(2.0))
    assert scene.fleet.line.freed(send.permit.deployment, later(2.0)) is new


@given(
    st.lists(
        st.tuples(st.floats(0.0, 30.0), st.integers(1, 5), st.sampled_from("xyz"), st.floats(0.5, 60.0)),
        min_size=1,
        max_size=60,
    ),
    st.integers(1, 3),
    st.integers(0, 10),
)
@settings(deadline=None, max_examples=100)
def test_overload_ends_for_everybody_in_time(
    arrivals: list[tuple[float, int, str, float]], concurrency: int, max_waiting: int
) -> None:
    """Whatever comes: one outcome each, nobody waits past its deadline, line and limits hold, all is given back."""
    limits = QueueSettings(max_waiting=max_waiting, max_wait=5.0)
    scene = Scene(("a/m", "b/m"), concurrency=concurrency, queue=limits)
    hands = Hands(scene, lambda _, __: Plan(0.5, hands.rng.uniform(0.5, 4.0)))
    clients = [
        hands.arrive(at, priority=priority, caller=caller, seconds=seconds)
        for at, priority, caller, seconds in arrivals
    ]
    while hands.step():
        assert len(scene.fleet.line) <= max_waiting
        assert max(hands.under_way.values(), default=0) <= concurrency
    for client, (at, _, _, seconds) in zip(clients, arrivals, strict=True):
        assert len(client.ends) == 1
        assert client.ended is not None
        started = client.sends[0].permit if client.sends else None
        assert started is not None or client.ended <= START + at + min(5.0, seconds) + 1e-6
    assert len(scene.fleet.line) == 0
    assert scene.budget.in_flight == scene.budget.retrying == 0
    assert all(scene.fleet.in_flight(target.deployment) == 0 for target in scene.targets)


def test_in_a_burst_high_priority_is_served_and_low_priority_is_told_to_come_again() -> None:
    """Fifty times the load: at least 99 % of priority 5 succeed, the rest is shed with Retry-After, nobody hangs."""
    scene = Scene(("a/m", "b/m", "c/m"), concurrency=10, queue=QueueSettings(max_waiting=100))
    hands = Hands(scene, a_second)
    clients = [hands.arrive(n / 1500.0, priority=5 if n % 100 == 0 else 1 + n % 4) for n in range(15_000)]
    hands.run()
    high = [client for client in clients if client.exchange.ask.priority == 5]
    assert sum(client.answered for client in high) >= 0.99 * len(high)
    for client in clients:
        assert client.ended is not None
        if not client.answered:
            assert client.refusal.shed
            assert client.refusal.retry_after is not None
            assert client.ended - client.exchange.ask.arrived <= 10.0 + 1e-6
    served = sum(client.answered for client in clients)
    assert served >= 0.95 * 30 * 10.0


# soft reasons


class Sparing(Fleet):
    """A fleet in which some deployments should be spared."""

    spared: dict[str, str]

    def admit(self, deployment, tokens, now, prompt=0, tried_keys=(), *, soft=False) -> Permit | Denied:  # type: ignore[no-untyped-def,override]  # noqa: ANN001 - as the fleet's
        """Denied for a soft reason, unless it is asked softly."""
        why = self.spared.get(deployment.name)
        if why is not None and not soft:
            return Denied(why, Monotonic(now + 5.0))
        return super().admit(deployment, tokens, now, prompt, tried_keys, soft=soft)


def sparing(spared: dict[str, str], *names: str) -> Scene:
    """A scene with a fleet of that kind."""
    scene = Scene(names)
    scene.fleet.__class__ = Sparing
    scene.fleet.spared = spared  # type: ignore[attr-defined]
    return scene


@pytest.mark.parametrize("why", ["ramping", "unhealthy"])
def test_what_should_be_spared_is_passed_over_while_there_is_another(why: str) -> None:
    """A soft reason sends the request elsewhere, to another model too if need be."""
    assert sent(sparing({"a/m": why}, "a/m", "b/m").exchange().open(START)).target.name == "b/m"
    assert sent(sparing({"a/m": why}, "a/m", "b/other").exchange().open(START)).target.name == "b/other"


@pytest.mark.parametrize("why", ["ramping", "unhealthy"])
def test_what_should_be_spared_is_used_when_there_is_nobody_else(why: str) -> None:
    """A health check must never make an outage: spared targets serve when the others cannot, best first."""
    scene = sparing({"a/m": why, "b/m": why}, "a/m", "b/m", "c/m")
    exchange = scene.exchange()
    first = sent(exchange.open(START))
    assert first.target.name == "c/m"
    second = sent(exchange.failed(first.permit, Failure(K.AUTH_FAILED), later(0.1)))
    assert second.target.name == "a/m"


def test_an_operators_pause_is_no_soft_reason() -> None:
    """`paused` holds even if nobody else is there."""
    (step,) = sparing({"a/m": "paused"}, "a/m").exchange().open(START)
    assert isinstance(step, Refuse)


def test_other_models_are_not_asked_in_place_of_a_spared_one_where_the_client_wants_none() -> None:
    """`x-standfast-fallback: 0`: the spared target is the only one there is, so it serves."""
    exchange = sparing({"a/m": "ramping"}, "a/m", "b/other").exchange(fallback=False)
    assert sent(exchange.open(START)).target.name == "a/m"


def test_retries_are_not_spent_on_sparing() -> None:
    """Passing over a target is no attempt: the request still has all of its own."""
    scene = sparing({"a/m": "ramping"}, "a/m", "b/m")
    scene.retry = RetrySettings(max_attempts=1)
    exchange = scene.exchange()
    sent(exchange.open(START))
    assert exchange.attempts == []
