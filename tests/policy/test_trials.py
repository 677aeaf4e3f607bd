"""Trials of a half-open breaker: who goes, and who goes beside, in virtual time."""

from collections.abc import Iterable

import pytest

from standfast.canon.attempt import Outcome
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.policy.breaker import BreakerSettings, State
from standfast.policy.exchange import Exchange
from standfast.policy.fleet import Denied, Permit
from standfast.policy.hedge import HedgeSettings
from standfast.policy.retry import RetrySettings
from standfast.policy.steps import Abandon, Commit, Purpose, Remind, Send, Step
from support.exchanges import START, sent
from support.hands import Scene

K = FailureKind
USUAL = 1.5
"""Seconds that first tokens take here, and nearly the 95th percentile."""

TRIAL = Monotonic(START + 20.0)
"""When the open time of who failed at the start is over."""


def later(seconds: float) -> Monotonic:
    """An instant after the trial began."""
    return Monotonic(TRIAL + seconds)


def half_open(*names: str, kind: FailureKind = K.FIRST_TOKEN_TIMEOUT, history: bool = True, **scene: object) -> Scene:
    """Targets of which the first has failed and is half-open at `TRIAL`."""
    made = Scene(names or ("a/m", "b/m"), **scene)  # type: ignore[arg-type]
    if history:
        for _ in range(40):
            for stream in (True, False):
                made.fleet.place(made.targets[0].deployment).usual.observe(USUAL, 0, START, stream)
    made.fail("a/m", kind, 5)
    assert state(made, TRIAL) is State.HALF_OPEN
    return made


def state(scene: Scene, now: Monotonic) -> State:
    """Of the first target's breaker."""
    return scene.fleet.breaker_state(scene.targets[0].deployment, now)


def on_trial(scene: Scene, **ask: object) -> tuple[Exchange, Remind, Send]:
    """A request that is the trial, and would be accompanied."""
    exchange = scene.exchange(TRIAL, **{"stream": True, **ask})
    remind, send = exchange.open(TRIAL)
    assert isinstance(remind, Remind)
    assert isinstance(send, Send)
    return exchange, remind, send


def opened(exchanges: Iterable[Exchange]) -> list[str]:
    """Why breakers opened."""
    return [
        change.reason
        for exchange in exchanges
        for change in exchange.changes
        if (change.subject, change.after) == ("breaker", "open")
    ]


# who goes


def test_the_first_one_goes_alone_until_it_is_heard_of() -> None:
    """Nobody else pays for what one finds out; with its first content two more may go."""
    scene = half_open()
    first, _, send = on_trial(scene)
    assert sent(scene.exchange(TRIAL, stream=True).open(TRIAL)).target.name == "b/m"
    first.first_content(send.permit, later(0.5))
    for _ in range(2):
        on_trial(scene)
    assert sent(scene.exchange(TRIAL, stream=True).open(later(0.5))).target.name == "b/m"


def test_the_next_one_goes_when_the_first_says_nothing() -> None:
    """A client that leaves gives the place free."""
    scene = half_open()
    first, _, _ = on_trial(scene)
    first.cancel(later(0.1))
    on_trial(scene)


def test_who_has_no_elsewhere_goes_beside_it() -> None:
    """A single target: as many as may be on trial, as ever; the rest is refused."""
    scene = half_open("a/m")
    steps = [scene.exchange(TRIAL, stream=True).open(TRIAL) for _ in range(5)]
    assert [type(each[-1]).__name__ for each in steps] == ["Send", "Send", "Send", "Refuse", "Refuse"]


def test_who_is_asked_softly_is_part_of_the_trial() -> None:
    """Whoever goes beside it is counted as it is: two successes close the breaker."""
    scene = half_open()
    deployment = scene.targets[0].deployment
    one = scene.fleet.admit(deployment, 1, TRIAL)
    assert isinstance(one, Permit)
    denied = scene.fleet.admit(deployment, 1, TRIAL)
    assert isinstance(denied, Denied)
    assert denied.why == "trying"
    two = scene.fleet.admit(deployment, 1, TRIAL, soft=True)
    assert isinstance(two, Permit)
    for permit in (one, two):
        scene.fleet.settle(permit, Outcome.SUCCESS, TRIAL, scene.rng)
    assert state(scene, TRIAL) is State.CLOSED


# who goes beside


def test_a_trial_that_is_late_does_not_keep_its_caller_waiting() -> None:
    """After the target's usual 95th percentile the next target is asked too, and answers; hedging is not set."""
    scene = half_open()
    exchange, remind, first = on_trial(scene)
    assert remind.at == pytest.approx(later(USUAL), abs=0.1)
    second = sent(exchange.reminded(remind.at))
    assert (second.target.name, second.purpose) == ("b/m", Purpose.HEDGE)
    assert scene.budget.retrying == 1
    steps = exchange.first_content(second.permit, later(2.0))
    assert steps == [Commit(second.permit), Abandon(first.permit)]
    exchange.completed(second.permit, None, later(3.0))
    assert {(each.deployment, each.purpose) for each in exchange.attempts} == {("a/m", "answer"), ("b/m", "hedge")}
    assert scene.budget.retrying == 0


def test_a_trial_that_lost_late_has_failed() -> None:
    """Else it would be repeated with the next request, for ever: the open time doubles, and who is dead stays dead."""
    scene = half_open()
    exchange, remind, _ = on_trial(scene)
    second = sent(exchange.reminded(remind.at))
    exchange.first_content(second.permit, later(2.0))
    assert state(scene, later(2.0)) is State.OPEN
    assert opened([exchange]) == ["outrun"]
    place = scene.fleet.place(scene.targets[0].deployment)
    assert place.breaker.barred(later(2.0))
    assert 5.0 <= place.breaker.retry_at(later(2.0)) - later(2.0) <= 10.0


def test_a_trial_that_is_late_and_still_first_is_a_success() -> None:
    """Late is not lost: it answers, and the other one is stopped."""
    scene = half_open()
    exchange, remind, first = on_trial(scene)
    second = sent(exchange.reminded(remind.at))
    assert exchange.first_content(first.permit, later(1.9)) == [Commit(first.permit), Abandon(second.permit)]
    exchange.completed(first.permit, None, later(3.0))
    assert state(scene, later(3.0)) is State.HALF_OPEN  # one of two successes
    assert not opened([exchange])


def test_a_trial_that_lost_in_time_says_nothing() -> None:
    """Hedged earlier than it is late: that the other one was faster is no fault, and the next request tries again."""
    scene = half_open(hedge=HedgeSettings(after=0.5))
    exchange, remind, _ = on_trial(scene)
    assert remind.at == later(0.5)
    second = sent(exchange.reminded(remind.at))
    exchange.first_content(second.permit, later(1.0))
    assert state(scene, later(1.0)) is State.HALF_OPEN
    on_trial(scene)


def test_with_hedging_a_trial_is_accompanied_when_it_is_late_at_the_latest() -> None:
    """The earlier of both instants."""
    _, remind, _ = on_trial(half_open(hedge=HedgeSettings(after=9.0)))
    assert remind.at == pytest.approx(later(USUAL), abs=0.1)


@pytest.mark.parametrize(
    ("scene", "ask"),
    [
        ({"hedge": HedgeSettings(max=0)}, {}),
        ({"history": False}, {}),
        ({}, {"reasoning": True}),
    ],
    ids=["none by setting", "no history", "reasoning"],
)
def test_nobody_goes_beside(scene: dict[str, object], ask: dict[str, object]) -> None:
    """`max: 0` is respected; where nobody knows what is late, or thinking takes minutes, a trial waits as it did."""
    made = half_open(**scene)  # type: ignore[arg-type]
    assert sent(made.exchange(TRIAL, stream=True, **ask).open(TRIAL)).target.name == "a/m"


@pytest.mark.parametrize(
    "retry",
    [RetrySettings(max_attempts=1), RetrySettings(max_ambiguous=0), RetrySettings(budget=0.0, budget_floor=0)],
    ids=["attempts", "ambiguous", "budget"],
)
def test_no_second_attempt_beyond_a_limit(retry: RetrySettings) -> None:
    """It is an attempt, may be billed twice and is charged, as any hedge."""
    exchange, remind, first = on_trial(half_open(retry=retry))
    assert exchange.reminded(remind.at) == []
    assert exchange.first_content(first.permit, later(2.0)) == [Commit(first.permit)]


def test_a_trial_with_no_elsewhere_waits_to_its_end() -> None:
    """The others are down: nothing is asked beside it, and that it is late does not count against it."""
    scene = half_open()
    scene.fail("b/m", K.SERVER_ERROR, 5, now=Monotonic(TRIAL - 1.0))
    exchange, remind, first = on_trial(scene)
    assert exchange.reminded(remind.at) == []
    exchange.first_content(first.permit, later(4.0))
    exchange.completed(first.permit, None, later(5.0))
    assert state(scene, later(5.0)) is State.HALF_OPEN
    assert not opened([exchange])


def test_no_other_attempt_is_accompanied() -> None:
    """Neither one at a closed breaker, nor one that is let through beside a verdict, nor one of the ramp."""
    scene = half_open()
    for _ in range(2):
        exchange, _, send = on_trial(scene)
        exchange.first_content(send.permit, TRIAL)
        exchange.completed(send.permit, None, TRIAL)
    assert state(scene, TRIAL) is State.CLOSED
    now = later(29.0)
    steps: list[Step] = [step for _ in range(5) for step in scene.exchange(now, stream=True).open(now)]
    assert all(isinstance(step, Send) for step in steps)
    assert "a/m" in {step.target.name for step in steps if isinstance(step, Send)}


@pytest.mark.parametrize(
    ("kind", "successes", "verdict"),
    [(K.FIRST_TOKEN_TIMEOUT, 0, "open"), (K.FIRST_TOKEN_TIMEOUT, 1, "slow")],
)
def test_the_verdict_of_a_trial_that_lost(kind: FailureKind, successes: int, verdict: str) -> None:
    """Who is dead stays dead; who has answered in the trial is slow."""
    scene = half_open(kind=kind, breaker=BreakerSettings(half_open_successes=3))
    for _ in range(successes):
        exchange, _, send = on_trial(scene)
        exchange.completed(send.permit, None, TRIAL)
    exchange, remind, _ = on_trial(scene)
    second = sent(exchange.reminded(remind.at))
    exchange.first_content(second.permit, later(2.0))
    assert scene.fleet.place(scene.targets[0].deployment).breaker.refusal(later(2.0)) == verdict
    assert opened([exchange]) == ["outrun" if verdict == "open" else "slow"]


def test_where_slow_calls_open_nothing_late_losers_do_not_either() -> None:
    """`slow_rate: null` is an operator's word: only trials are judged by it."""
    scene = Scene(("a/m", "b/m"), hedge=HedgeSettings(), breaker=BreakerSettings(slow_rate=None))
    place = scene.fleet.place(scene.targets[0].deployment)
    for _ in range(40):
        place.usual.observe(USUAL, 0, START, True)
        place.stream.observe(USUAL)
    for _ in range(10):
        exchange = scene.exchange(stream=True)
        remind, _ = exchange.open(START)
        assert isinstance(remind, Remind)
        second = sent(exchange.reminded(remind.at))
        exchange.first_content(second.permit, Monotonic(remind.at + 0.2))
        exchange.completed(second.permit, None, Monotonic(remind.at + 0.3))
    assert state(scene, later(0.0)) is State.CLOSED


def test_a_reminder_of_a_trial_is_void_after_it() -> None:
    """It fails before it is late: the next attempt is no trial, and nobody is asked beside it."""
    scene = half_open("a/m", "b/m", "c/m")
    exchange, remind, first = on_trial(scene)
    second = sent(exchange.failed(first.permit, Failure(K.SERVER_ERROR), later(0.5)))
    assert second.target.name == "b/m"
    assert exchange.reminded(remind.at) == []


def test_failures_of_a_trial_leave_it_to_the_one_beside_it() -> None:
    """As with any pair: nothing else is sent, and its breaker opens."""
    scene = half_open("a/m", "b/m", "c/m")
    exchange, remind, first = on_trial(scene)
    second = sent(exchange.reminded(remind.at))
    assert exchange.failed(first.permit, Failure(K.SERVER_ERROR), later(1.6)) == []
    assert state(scene, later(1.6)) is State.OPEN
    assert exchange.first_content(second.permit, later(2.0)) == [Commit(second.permit)]
