"""Hedging: a second attempt beside a slow one, in virtual time."""

import pytest
from pydantic import ValidationError

from standfast.canon.attempt import Outcome
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.policy.exchange import Exchange
from standfast.policy.hedge import HedgeSettings
from standfast.policy.retry import RetrySettings
from standfast.policy.steps import Abandon, Commit, Finish, Purpose, Refuse, Remind, Send, Step
from support.exchanges import START, sent
from support.hands import Client, Hands, Plan, Scene

K = FailureKind
AFTER = HedgeSettings(after=0.8)


def later(seconds: float) -> Monotonic:
    """An instant after the start."""
    return Monotonic(START + seconds)


def begun(steps: list[Step]) -> tuple[Remind, Send]:
    """A reminder and a Send, in this order."""
    remind, send = steps
    assert isinstance(remind, Remind), remind
    assert isinstance(send, Send), send
    return remind, send


def hedged(scene: Scene, **ask: object) -> tuple[Exchange, Send, Send]:
    """A request whose first attempt is slow, and both its attempts."""
    exchange = scene.exchange(stream=True, **ask)
    remind, first = begun(exchange.open(START))
    second = sent(exchange.reminded(remind.at))
    return exchange, first, second


def test_a_slow_first_attempt_is_hedged_elsewhere() -> None:
    """After the configured time without content the same request also goes to another deployment."""
    exchange, first, second = hedged(Scene(("a/m", "b/m"), hedge=AFTER))
    assert (first.target.name, first.purpose) == ("a/m", Purpose.ANSWER)
    assert (second.target.name, second.purpose) == ("b/m", Purpose.HEDGE)
    assert second.deadlines.first_content == later(0.8 + 12.0)
    assert not exchange.over


@pytest.mark.parametrize("winner", [0, 1])
def test_the_first_content_wins_and_the_loser_is_stopped_before_it_is_passed_on(winner: int) -> None:
    """C17: one Commit, the other attempt abandoned in the same breath, both in the trace, no bytes of two answers."""
    scene = Scene(("a/m", "b/m"), hedge=AFTER)
    exchange, *sends = hedged(scene)
    won, lost = sends[winner].permit, sends[1 - winner].permit
    assert exchange.first_content(won, later(1.0)) == [Commit(won), Abandon(lost)]
    assert exchange.first_content(lost, later(1.0)) == []
    assert exchange.failed(lost, Failure(K.STALLED), later(1.1)) == []
    assert exchange.completed(lost, None, later(1.1)) == []
    assert exchange.completed(won, None, later(2.0)) == [Finish(won)]
    assert sorted(attempt.outcome for attempt in exchange.attempts) == [Outcome.CANCELLED, Outcome.SUCCESS]
    assert all(scene.fleet.in_flight(target.deployment) == 0 for target in scene.targets)
    assert scene.budget.retrying == 0


def test_a_whole_reply_that_ends_first_stops_the_other_one() -> None:
    """C17: a driver that hears of content and end at once need not say so twice: the loser is stopped all the same."""
    exchange, first, second = hedged(Scene(("a/m", "b/m"), hedge=AFTER))
    assert exchange.completed(second.permit, None, later(1.0)) == [Abandon(first.permit), Finish(second.permit)]


def test_nothing_is_hedged_once_content_has_come() -> None:
    """A reminder that comes after the first content, or after the end, changes nothing."""
    exchange = Scene(("a/m", "b/m"), hedge=AFTER).exchange(stream=True)
    remind, first = begun(exchange.open(START))
    exchange.first_content(first.permit, later(0.5))
    assert exchange.reminded(remind.at) == []
    exchange.completed(first.permit, None, later(0.6))
    assert exchange.reminded(remind.at) == []


def test_without_the_setting_nobody_is_reminded() -> None:
    """Hedging is opt-in: the plain way is one Send and nothing else."""
    exchange = Scene(("a/m", "b/m")).exchange(stream=True)
    sent(exchange.open(START))
    assert exchange.reminded(later(100.0)) == []


@pytest.mark.parametrize("stream", [True, False])
def test_the_95th_percentile_is_that_of_the_target_and_of_the_kind_of_reply(*, stream: bool) -> None:
    """`after: p95` is the target's own history, of streams or of whole replies; without history there is no hedge."""
    scene = Scene(("a/m", "b/m"), hedge=HedgeSettings())
    sent(scene.exchange(stream=stream).open(START))
    scene.history("a/m", 1.5, stream=stream)
    scene.history("a/m", 7.0, stream=not stream)
    remind, _ = begun(scene.exchange(stream=stream).open(START))
    assert remind.at == later(1.5)


def test_a_failed_attempt_leaves_it_to_the_other_one() -> None:
    """While one attempt is under way the failure of the other is noted and nothing else happens."""
    exchange, first, second = hedged(Scene(("a/m", "b/m", "c/m"), hedge=AFTER))
    assert exchange.failed(first.permit, Failure(K.SERVER_ERROR), later(1.0)) == []
    assert exchange.first_content(second.permit, later(1.1)) == [Commit(second.permit)]


def test_only_after_the_last_failure_does_the_course_go_on() -> None:
    """Both have failed: the next target is asked, neither of the two again."""
    exchange, first, second = hedged(Scene(("a/m", "b/m", "c/m"), hedge=AFTER))
    assert exchange.failed(second.permit, Failure(K.SERVER_ERROR), later(1.0)) == []
    third = sent(exchange.failed(first.permit, Failure(K.CONNECT_FAILED, sent=False), later(1.1)))
    assert third.target.name == "c/m"
    assert third.purpose is Purpose.ANSWER


def test_what_the_request_itself_did_wrong_ends_it_when_the_other_has_failed_too() -> None:
    """B3: one target says that the request is wrong, the other fails too: no third is asked, the client is told why."""
    exchange, first, second = hedged(Scene(("a/m", "b/m", "c/m"), hedge=AFTER))
    assert exchange.failed(first.permit, Failure(K.INVALID_REQUEST, status=400), later(1.0)) == []
    (refusal,) = exchange.failed(second.permit, Failure(K.SERVER_ERROR), later(1.1))
    assert isinstance(refusal, Refuse)
    assert refusal.failure is not None
    assert refusal.failure.kind is K.INVALID_REQUEST


def test_the_same_model_is_hedged_to_before_another_one() -> None:
    """A hedge that wins answers the request, so fidelity counts: the same model in a later tier goes first."""
    _, _, second = hedged(Scene(("a/m", "b/other", "c/m"), hedge=AFTER))
    assert second.target.name == "c/m"


def test_a_hedge_goes_only_where_it_is_expected_to_succeed() -> None:
    """A target with recent failures is passed over; if there is no other, there is no hedge."""
    scene = Scene(("a/m", "b/m", "c/m"), hedge=AFTER)
    scene.fail("b/m", K.SERVER_ERROR, 2)
    assert hedged(scene)[2].target.name == "c/m"
    scene.fail("c/m", K.SERVER_ERROR, 2)
    exchange = scene.exchange(stream=True)
    remind, _ = begun(exchange.open(START))
    assert exchange.reminded(remind.at) == []


@pytest.mark.parametrize(
    ("retry", "seconds"),
    [
        (RetrySettings(max_attempts=1), 900.0),
        (RetrySettings(max_ambiguous=0), 900.0),
        (RetrySettings(budget=0.0, budget_floor=0), 900.0),
        (RetrySettings(), 1.5),
    ],
    ids=["attempts", "ambiguous", "budget", "deadline"],
)
def test_no_hedge_beyond_a_limit(retry: RetrySettings, seconds: float) -> None:
    """An attempt under way may have been billed, costs effort and needs time: each limit alone forbids the hedge."""
    exchange = Scene(("a/m", "b/m"), retry=retry, hedge=AFTER).exchange(stream=True, seconds=seconds)
    remind, first = begun(exchange.open(START))
    assert exchange.reminded(remind.at) == []
    assert exchange.first_content(first.permit, later(1.0)) == [Commit(first.permit)]


def test_more_hedges_than_one_come_one_after_the_other() -> None:
    """`max: 2`: the second hedge has its own time to wait, and no third comes."""
    retry = RetrySettings(max_ambiguous=3)
    exchange = Scene(("a/m", "b/m", "c/m", "d/m"), retry=retry, hedge=HedgeSettings(after=0.8, max=2)).exchange()
    remind, first = begun(exchange.open(START))
    again, second = begun(exchange.reminded(remind.at))
    assert again.at == pytest.approx(later(1.6))
    third = sent(exchange.reminded(again.at))
    assert exchange.reminded(later(5.0)) == []
    losers = [Abandon(first.permit), Abandon(third.permit)]
    assert exchange.first_content(second.permit, later(6.0)) == [Commit(second.permit), *losers]


def test_a_reminder_belongs_to_the_attempt_that_is_under_way() -> None:
    """After a failover the old reminder is void: the new attempt is slow only after its own time."""
    exchange = Scene(("a/m", "b/m", "c/m"), hedge=AFTER).exchange()
    old, first = begun(exchange.open(START))
    new, _ = begun(exchange.failed(first.permit, Failure(K.SERVER_ERROR), later(0.5)))
    assert exchange.reminded(old.at) == []
    assert new.at == later(1.3)
    assert sent(exchange.reminded(new.at)).target.name == "c/m"


def test_a_hedge_that_cannot_be_expressed_goes_to_the_next_target() -> None:
    """A wire format that cannot say the request is passed over; it is no attempt and does not use up the hedge."""
    exchange, _, second = hedged(Scene(("a/m", "b/m", "c/m"), hedge=AFTER))
    third = sent(exchange.unsendable(second.permit, Failure(K.INVALID_REQUEST, sent=False), later(0.8)))
    assert (third.target.name, third.purpose) == ("c/m", Purpose.HEDGE)
    assert exchange.unsendable(third.permit, Failure(K.INVALID_REQUEST, sent=False), later(0.8)) == []
    assert exchange.attempts == []


def test_a_hedge_that_could_not_be_sent_is_not_counted() -> None:
    """`max: 2`: one target cannot be told the request, two others can: both hedges go out."""
    scene = Scene(
        tuple(f"{name}/m" for name in "abcd"),
        retry=RetrySettings(max_ambiguous=3),
        hedge=HedgeSettings(after=0.8, max=2),
    )
    exchange = scene.exchange()
    remind, _ = begun(exchange.open(START))
    _, second = begun(exchange.reminded(remind.at))
    again, third = begun(exchange.unsendable(second.permit, Failure(K.INVALID_REQUEST, sent=False), remind.at))
    fourth = sent(exchange.reminded(again.at))
    assert [send.target.name for send in (second, third, fourth)] == ["b/m", "c/m", "d/m"]


def test_a_client_that_goes_stops_both() -> None:
    """C10: every attempt under way is abandoned and settled."""
    scene = Scene(("a/m", "b/m"), hedge=AFTER)
    exchange, first, second = hedged(scene)
    *abandoned, refusal = exchange.cancel(later(1.0))
    assert abandoned == [Abandon(first.permit), Abandon(second.permit)]
    assert isinstance(refusal, Refuse)
    assert scene.budget.retrying == scene.budget.in_flight == 0


def test_the_waits_of_losers_stay_in_the_history() -> None:
    """Without them the slowest five percent would vanish with every hedge, and hedges would come ever earlier."""
    scene = Scene(("a/m", "b/m"), hedge=HedgeSettings())
    scene.history("a/m", 1.0)
    hands = Hands(scene, lambda send, _: Plan(9.0 if send.target.name == "a/m" else 0.5, 10.0))
    for at in range(30):
        hands.arrive(at * 20.0, stream=True)
    hands.run()
    assert hands.sent == {"a/m": 30, "b/m": 30}
    assert scene.fleet.place(scene.targets[0].deployment).stream.p95() == pytest.approx(1.5)


def test_hedging_cuts_the_tail_at_the_price_of_one_request_in_twenty() -> None:
    """The p95 in "The Tail at Scale": 3 % of first tokens are late, hedges cut the p99, for less than 10 % more."""

    def slow_at_times(_: Send, client: Client) -> Plan:
        del client
        content = 4.0 if hands.rng.random() < 0.03 else hands.rng.uniform(0.5, 1.0)
        return Plan(content, content + 1.0)

    p99 = {}
    for hedge in (None, HedgeSettings()):
        scene = Scene(("a/m", "b/m"), hedge=hedge)
        for name in scene.names:
            scene.history(name, 1.0)
        hands = Hands(scene, slow_at_times)
        clients = [hands.arrive(n * 0.5, stream=True) for n in range(3000)]
        hands.run()
        assert all(client.answered for client in clients)
        waits = sorted(client.exchange.attempts[-1].first_content or 0.0 for client in clients)
        p99[hedge is not None] = waits[int(0.99 * len(waits))]
        assert sum(hands.sent.values()) < 1.1 * len(clients)
    assert p99[False] == 4.0
    assert p99[True] < 2.5


@pytest.mark.parametrize("wrong", [{"after": 0}, {"after": "p99"}, {"after": "-1s"}, {"max": 4}, {"max": -1}])
def test_hedging_has_bounds(wrong: dict[str, object]) -> None:
    """A time that is none and a number of hedges without measure are errors, not defaults."""
    with pytest.raises(ValidationError):
        HedgeSettings.model_validate(wrong)
