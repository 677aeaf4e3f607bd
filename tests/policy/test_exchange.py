"""The exchange: what comes next after what, in virtual time."""

import pytest

from standfast.canon.attempt import Outcome
from standfast.canon.deployment import Operation
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.canon.usage import Usage
from standfast.policy.breaker import State
from standfast.policy.retry import RetrySettings
from standfast.policy.steps import Abandon, Commit, Finish, Refuse, Send
from support.exchanges import START, World, sent, slept

K = FailureKind


def later(seconds: float) -> Monotonic:
    """An instant after the start."""
    return Monotonic(START + seconds)


def refused(steps: list[object]) -> Refuse:
    """The one step, which must be a Refuse."""
    (step,) = steps
    assert isinstance(step, Refuse), step
    return step


def name_of(send: Send) -> str:
    """Which deployment a Send goes to."""
    return send.target.deployment.name


def test_a_healthy_request_is_sent_committed_and_finished() -> None:
    """The plain way: Send, Commit at the first content, Finish at the end; one attempt in the trace."""
    exchange = World(("a/m", "b/m")).exchange()
    send = sent(exchange.open(START))
    assert name_of(send) == "a/m"
    assert exchange.first_content(send.permit, later(0.5)) == [Commit(send.permit)]
    assert exchange.completed(send.permit, Usage(3, 4), later(2.0)) == [Finish(send.permit)]
    (attempt,) = exchange.attempts
    assert attempt.outcome is Outcome.SUCCESS
    assert (attempt.started, attempt.first_content, attempt.ended) == (0.0, 0.5, 2.0)


@pytest.mark.parametrize("before", ["", "a success elsewhere", "a failure"])
def test_a_whole_reply_is_both_events_in_one(before: str) -> None:
    """First content and end at one instant leave the same trace, books and breaker as the two told one by one."""
    seen = []
    for at_once in (True, False):
        world = World(("a/m", "b/m"))
        exchange = world.exchange()
        send = sent(exchange.open(START))
        if before == "a failure":
            send = sent(exchange.failed(send.permit, Failure(K.SERVER_ERROR), later(0.1)))
        elif before:
            other = world.exchange()
            other.whole(sent(other.open(START)).permit, None, later(0.2))
        usage = Usage(3, 4)
        if at_once:
            steps = exchange.whole(send.permit, usage, later(0.5))
        else:
            first = exchange.first_content(send.permit, later(0.5))
            assert first == [Commit(send.permit)]
            steps = exchange.completed(send.permit, usage, later(0.5))
        assert steps == [Finish(send.permit)]
        assert exchange.over
        assert exchange.whole(send.permit, usage, later(0.6)) == []  # late, and changes nothing
        place = world.fleet.place(send.target.deployment)
        books = (
            place.in_flight,
            (place.stream.ewma, place.whole.ewma),
            place.breaker.state(later(1.0)),
            place.breaker.recent(later(1.0)),
        )
        seen.append((exchange.attempts, exchange.changes, books, world.budget.in_flight))
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    "kind",
    [
        K.CONNECT_FAILED,
        K.CONNECT_TIMEOUT,
        K.FIRST_TOKEN_TIMEOUT,
        K.STALLED,
        K.BROKEN_STREAM,
        K.SERVER_ERROR,
        K.OVERLOADED,
        K.RATE_LIMITED,
        K.QUOTA_EXHAUSTED,
        K.AUTH_FAILED,
        K.FORBIDDEN,
        K.MODEL_NOT_FOUND,
        K.EMPTY_REPLY,
        K.INVALID_REPLY,
    ],
)
def test_the_same_model_elsewhere_is_used_at_once(kind: FailureKind) -> None:
    """B14: whatever was the upstream's fault, another deployment of the same model is asked without waiting."""
    exchange = World(("a/m", "b/m")).exchange()
    first = sent(exchange.open(START))
    second = sent(exchange.failed(first.permit, Failure(kind), later(0.1)))
    assert name_of(second) == "b/m"


@pytest.mark.parametrize("kind", [K.INVALID_REQUEST, K.PAYLOAD_TOO_LARGE, K.CONTENT_FILTERED, K.CONTEXT_TOO_LONG])
def test_the_clients_own_fault_is_answered_with_one_attempt(kind: FailureKind) -> None:
    """B3, B4: a request that is wrong itself is repeated nowhere and rests on nobody's health."""
    world = World(("a/m", "b/m"))
    exchange = world.exchange()
    send = sent(exchange.open(START))
    refusal = refused(exchange.failed(send.permit, Failure(kind, status=400), later(0.1)))
    assert refusal.failure is not None
    assert refusal.failure.kind is kind
    assert len(refusal.attempts) == 1
    assert world.fleet.sound(world.targets[0].deployment, later(0.1))


def test_a_transient_error_gets_one_quick_retry_before_another_model() -> None:
    """A change of model costs fidelity: one retry within 250 ms first, then the other model at once."""
    exchange = World(("a/m", "b/other")).exchange()
    first = sent(exchange.open(START))
    sleep = slept(exchange.failed(first.permit, Failure(K.SERVER_ERROR), later(1.0)))
    assert later(1.0) <= sleep.until <= later(1.25)
    again = sent(exchange.woke(sleep.until))
    assert name_of(again) == "a/m"
    other = sent(exchange.failed(again.permit, Failure(K.SERVER_ERROR), later(2.0)))
    assert name_of(other) == "b/other"


@pytest.mark.parametrize("kind", [K.CONNECT_FAILED, K.CONNECT_TIMEOUT, K.FIRST_TOKEN_TIMEOUT, K.AUTH_FAILED])
def test_no_patience_after_what_repeating_cannot_mend(kind: FailureKind) -> None:
    """A refused connection, a time-out or a bad key changes the model at once."""
    exchange = World(("a/m", "b/other")).exchange()
    first = sent(exchange.open(START))
    assert name_of(sent(exchange.failed(first.permit, Failure(kind), later(0.1)))) == "b/other"


def test_a_short_retry_after_is_waited_for_before_another_model() -> None:
    """B10: a Retry-After that fits into retry.wait keeps the model; nothing is sent there before it is over."""
    exchange = World(("a/m", "b/other")).exchange()
    first = sent(exchange.open(START))
    sleep = slept(exchange.failed(first.permit, Failure(K.RATE_LIMITED, retry_after=2.0), START))
    assert later(2.0) <= sleep.until <= later(2.25)
    assert name_of(sent(exchange.woke(sleep.until))) == "a/m"


def test_a_long_retry_after_changes_the_model_at_once_and_is_kept_by_the_next_request() -> None:
    """B10: the cooldown holds for everybody; no attempt is made there before the hint is over."""
    world = World(("a/m", "b/other"))
    exchange = world.exchange()
    first = sent(exchange.open(START))
    assert name_of(sent(exchange.failed(first.permit, Failure(K.RATE_LIMITED, retry_after=30.0), START))) == "b/other"
    assert name_of(sent(world.exchange(later(20.0)).open(later(20.0)))) == "b/other"
    assert name_of(sent(world.exchange(later(30.1)).open(later(30.1)))) == "a/m"


def test_a_rate_limit_without_hint_is_never_waited_for_by_others() -> None:
    """B11: at most one attempt for each cooldown; the others go elsewhere instead of queueing for the retry."""
    world = World(("a/m", "b/other"))
    exchange = world.exchange()
    first = sent(exchange.open(START))
    assert name_of(sent(exchange.failed(first.permit, Failure(K.RATE_LIMITED), START))) == "b/other"
    assert name_of(sent(world.exchange(later(0.1)).open(later(0.1)))) == "b/other"


def test_a_bad_key_costs_one_attempt_per_key_not_per_request() -> None:
    """B6, B7: the refused key is quarantined, the next key serves at once, later requests never meet the bad one."""
    world = World(("a/m",), keys=3)
    exchange = world.exchange()
    first = sent(exchange.open(START))
    second = sent(exchange.failed(first.permit, Failure(K.AUTH_FAILED, status=401), START))
    assert name_of(second) == "a/m"
    assert second.permit.key != first.permit.key
    exchange.completed(second.permit, None, START)
    used = set()
    for _ in range(10):
        other = world.exchange()
        send = sent(other.open(START))
        used.add(send.permit.key)
        other.completed(send.permit, None, START)
    assert first.permit.key not in used


def test_overload_skips_other_deployments_of_the_same_provider() -> None:
    """B14: 529 speaks of the provider; its other models are not asked by this request."""
    exchange = World(("a/m", "a/m2", "b/m")).exchange()
    first = sent(exchange.open(START))
    assert name_of(sent(exchange.failed(first.permit, Failure(K.OVERLOADED, status=529), START))) == "b/m"


def test_a_second_ambiguous_failure_ends_the_request() -> None:
    """A6, D9: what may have been billed is repeated once, never more, and not through the whole fleet."""
    exchange = World(("a/m", "b/m", "c/m")).exchange()
    first = sent(exchange.open(START))
    second = sent(exchange.failed(first.permit, Failure(K.BROKEN_STREAM), START))
    refusal = refused(exchange.failed(second.permit, Failure(K.BROKEN_STREAM), START))
    assert len(refusal.attempts) == 2


def test_a_failure_before_the_request_was_written_is_not_ambiguous() -> None:
    """A1: connections that die before the request is out may be repeated freely."""
    exchange = World(("a/m", "b/m", "c/m")).exchange()
    first = sent(exchange.open(START))
    second = sent(exchange.failed(first.permit, Failure(K.BROKEN_STREAM, sent=False), START))
    third = sent(exchange.failed(second.permit, Failure(K.BROKEN_STREAM, sent=False), START))
    assert name_of(third) == "c/m"


def test_attempts_are_bounded() -> None:
    """At most four attempts for one request, whatever the fleet's size."""
    exchange = World(tuple(f"p{n}/m" for n in range(8))).exchange()
    steps, count = exchange.open(START), 0
    while isinstance(steps[0], Send):
        count += 1
        steps = exchange.failed(steps[0].permit, Failure(K.CONNECT_FAILED, sent=False), START)
    assert count == 4
    assert refused(steps).failure.kind is K.CONNECT_FAILED


def test_nothing_is_sent_after_the_commitment() -> None:
    """G4: a break after the first content is reported, unless the driver says that the answer can be repeated."""
    exchange = World(("a/m", "b/m")).exchange(stream=True)
    send = sent(exchange.open(START))
    exchange.first_content(send.permit, START)
    refusal = refused(exchange.failed(send.permit, Failure(K.BROKEN_STREAM), later(1)))
    assert refusal.broken


def test_a_deadline_ends_everything() -> None:
    """One deadline for all attempts: once it has passed nothing more is sent."""
    exchange = World(("a/m", "b/m")).exchange(seconds=2.0)
    send = sent(exchange.open(START))
    assert send.deadlines.end == later(2.0)
    assert send.deadlines.first_content == later(2.0)
    refusal = refused(exchange.failed(send.permit, Failure(K.SERVER_ERROR), later(2.0)))
    assert refusal.failure.kind is K.DEADLINE_PASSED


def test_the_clients_deadline_says_nothing_about_the_upstream() -> None:
    """An attempt cut by a short deadline does not count for the breaker."""
    world = World(("a/m",))
    for _ in range(20):
        exchange = world.exchange(seconds=0.1)
        send = sent(exchange.open(START))
        refused(exchange.failed(send.permit, Failure(K.DEADLINE_PASSED), later(0.1)))
    assert world.fleet.breaker_state(world.targets[0].deployment, later(0.2)) is State.CLOSED


def test_an_open_breaker_wastes_no_attempt() -> None:
    """A1: after five failures in a row the first target is not asked until its trial is due."""
    world = World(("a/m", "b/m"))
    world.fail("a/m", K.CONNECT_FAILED, 5)
    for _ in range(50):
        exchange = world.exchange(later(1.0))
        send = sent(exchange.open(later(1.0)))
        assert name_of(send) == "b/m"
        exchange.completed(send.permit, None, later(1.0))


def test_every_tier_is_come_to_however_many_are_open() -> None:
    """A1: the first models' breakers are open; the last one serves, at once and every time."""
    world = World(("a/m", "b/other", "c/third", "d/fourth"))
    for name in world.names[:3]:
        world.fail(name, K.CONNECT_FAILED, 5)
    for _ in range(3):
        assert name_of(sent(world.exchange(later(1.0)).open(later(1.0)))) == "d/fourth"


def test_everything_open_gives_one_probe_and_a_true_retry_after_to_the_rest() -> None:
    """D5: with all breakers open one bounded probe goes out; everybody else is refused with the time to wait."""
    world = World(("a/m", "b/m"))
    world.fail("a/m", K.SERVER_ERROR, 5)
    world.fail("b/m", K.SERVER_ERROR, 5)
    now = later(1.0)
    sends = 0
    for _ in range(100):
        steps = world.exchange(now).open(now)
        if isinstance(steps[0], Send):
            sends += 1
        else:
            refusal = refused(steps)
            assert refusal.failure is None
            assert refusal.retry_after is not None
            assert 0 < refusal.retry_after <= 5.0 + 10.0  # the longest first open time, and the spread
    assert sends <= 2


def test_cancelling_abandons_and_settles_once() -> None:
    """C10, C11: a client that goes stops the attempt; late reports change nothing."""
    world = World(("a/m", "b/m"))
    exchange = world.exchange()
    send = sent(exchange.open(START))
    steps = exchange.cancel(later(1))
    assert steps[0] == Abandon(send.permit)
    assert isinstance(steps[1], Refuse)
    assert exchange.failed(send.permit, Failure(K.SERVER_ERROR), later(2)) == []
    assert exchange.completed(send.permit, None, later(2)) == []
    assert exchange.cancel(later(2)) == []
    assert world.fleet.in_flight(send.target.deployment) == 0


def test_fallback_off_keeps_to_the_model_that_was_asked() -> None:
    """`x-standfast-fallback: 0`: other deployments of the same model yes, other models no."""
    exchange = World(("a/m", "b/other", "c/m")).exchange(fallback=False)
    first = sent(exchange.open(START))
    second = sent(exchange.failed(first.permit, Failure(K.CONNECT_FAILED, sent=False), START))
    assert name_of(second) == "c/m"
    refused(exchange.failed(second.permit, Failure(K.CONNECT_FAILED, sent=False), START))


def test_embeddings_never_change_the_model() -> None:
    """Vectors of two models do not mix: embeddings fail over to the same model only."""
    exchange = World(("a/m", "b/other")).exchange(operation=Operation.EMBEDDINGS)
    first = sent(exchange.open(START))
    refused(exchange.failed(first.permit, Failure(K.CONNECT_FAILED, sent=False), START))


def test_a_target_that_cannot_express_the_request_is_passed_over_without_an_attempt() -> None:
    """What a wire format cannot say is no attempt and nobody's failure."""
    exchange = World(("a/m", "b/m")).exchange()
    first = sent(exchange.open(START))
    failure = Failure(K.INVALID_REQUEST, "tools", code="unsupported_by_target", sent=False)
    second = sent(exchange.unsendable(first.permit, failure, START))
    assert name_of(second) == "b/m"
    refusal = refused(exchange.unsendable(second.permit, failure, START))
    assert refusal.failure == failure
    assert refusal.attempts == ()


def test_the_retry_budget_holds_back_what_would_hit_failing_targets() -> None:
    """D7: with every deployment failing, retries under way never exceed max(3, 20 % of the requests in flight)."""
    world = World(("a/m", "b/m"), retry=RetrySettings(budget=0.2, budget_floor=3))
    for name in ("a/m", "b/m"):
        world.fail(name, K.SERVER_ERROR, 2)
    waiting = [world.exchange() for _ in range(50)]
    opened = [(exchange, sent(exchange.open(START))) for exchange in waiting]
    retried = 0
    for exchange, send in opened[:40]:
        steps = exchange.failed(send.permit, Failure(K.INVALID_REPLY), START)
        retried += isinstance(steps[0], Send)
    assert retried <= 10


def test_the_first_token_limit_follows_the_targets_own_history() -> None:
    """`first_token: auto` is 12 s until 20 samples are known, then max(5 s, 3 x p95)."""
    world = World(("a/m",))
    assert sent(world.exchange(stream=True).open(START)).deadlines.first_content == later(12.0)
    for _ in range(40):
        exchange = world.exchange(stream=True)
        send = sent(exchange.open(START))
        exchange.first_content(send.permit, later(3.0))
        exchange.completed(send.permit, None, later(4.0))
    send = sent(world.exchange(stream=True).open(START))
    assert send.deadlines.first_content == later(9.0)


def test_a_long_whole_reply_is_not_lost_among_short_ones() -> None:
    """B1: where replies take a second, one of half a minute is late at the first target, and in time at the next."""
    world = World(("a/m", "b/m"))
    for name in ("a/m", "b/m"):
        place = world.fleet.place(next(each.deployment for each in world.targets if each.deployment.name == name))
        for _ in range(40):
            place.whole.observe(1.0)
    exchange = world.exchange()
    first = sent(exchange.open(START))
    assert first.deadlines.first_content == later(20.0)
    late = Failure(K.FIRST_TOKEN_TIMEOUT, "no content in time")
    second = next(step for step in exchange.failed(first.permit, late, later(20.0)) if isinstance(step, Send))
    assert second.target is not first.target
    assert second.deadlines.first_content == later(20.0 + 60.0)
    exchange.first_content(second.permit, later(51.0))
    assert any(isinstance(step, Finish) for step in exchange.completed(second.permit, None, later(51.0)))
    assert sent(world.exchange().open(later(60.0))).deadlines.first_content <= later(60.0 + 3 * 31.0)


def test_a_late_stream_has_no_more_time_elsewhere() -> None:
    """A stream's first token is health, not length: the next target's own limit holds."""
    world = World(("a/m", "b/m"))
    exchange = world.exchange(stream=True)
    first = sent(exchange.open(START))
    late = Failure(K.FIRST_TOKEN_TIMEOUT, "no content in time")
    second = next(step for step in exchange.failed(first.permit, late, later(12.0)) if isinstance(step, Send))
    assert second.deadlines.first_content == later(24.0)


def test_a_key_at_its_concurrency_limit_is_not_overrun() -> None:
    """A8: our own limits hold; a request that finds no free slot is refused or waits, never sent."""
    world = World(("a/m",), concurrency=2)
    first, second, third = (world.exchange() for _ in range(3))
    sent(first.open(START))
    sent(second.open(START))
    (step,) = third.open(START)
    assert not isinstance(step, Send)
    assert world.fleet.in_flight(world.targets[0].deployment) == 2
