"""Mending an answer that broke off after its first content, in virtual time."""

from typing import Literal

import pytest

from standfast.canon.attempt import Outcome
from standfast.canon.failure import Blame, Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.policy.breaker import State
from standfast.policy.exchange import Exchange
from standfast.policy.hedge import HedgeSettings
from standfast.policy.mend import OnBreak
from standfast.policy.retry import RetrySettings
from standfast.policy.steps import Abandon, Commit, Finish, Purpose, Refuse, Send, Step
from support.exchanges import START, sent
from support.hands import Scene

K = FailureKind
BROKEN = Failure(K.BROKEN_STREAM, "stream ended without its terminator")


def later(seconds: float) -> Monotonic:
    """An instant after the start."""
    return Monotonic(START + seconds)


def answering(scene: Scene, **ask: object) -> tuple[Exchange, Send]:
    """A stream whose first content has gone to the client after half a second."""
    exchange = scene.exchange(stream=True, **ask)
    send = sent(exchange.open(START))
    assert exchange.first_content(send.permit, later(0.5)) == [Commit(send.permit)]
    return exchange, send


def replayed(scene: Scene, failure: Failure = BROKEN, **ask: object) -> tuple[Exchange, Send]:
    """A stream that broke a second after its start, and its repetition."""
    exchange, send = answering(scene, **ask)
    return exchange, sent(exchange.failed(send.permit, failure, later(1.0), replayable=True))


def broken(steps: list[Step]) -> Refuse:
    """The one step, which must report that the answer broke off."""
    (step,) = steps
    assert isinstance(step, Refuse), step
    assert step.broken
    return step


def test_a_broken_answer_is_replayed_elsewhere_and_taken_over_where_it_goes_on() -> None:
    """G3: the repetition commits only when it is beyond what the client has; the answer is then wholly its own."""
    exchange, send = replayed(Scene(("a/m", "b/m")))
    assert (send.target.name, send.purpose) == ("b/m", Purpose.REPLAY)
    assert exchange.first_content(send.permit, later(2.0)) == []
    assert exchange.caught_up(send.permit, later(2.5)) == [Commit(send.permit)]
    assert exchange.caught_up(send.permit, later(2.6)) == []
    assert exchange.diverged(send.permit, later(2.6)) == []
    assert exchange.completed(send.permit, None, later(3.0)) == [Finish(send.permit)]
    assert [attempt.outcome for attempt in exchange.attempts] == [Outcome.FAILURE, Outcome.SUCCESS]


def test_a_replay_that_ends_where_the_client_stands_gives_the_answer_its_end() -> None:
    """Only the end was missing: the repetition is equal to its last character, so it commits and finishes at once."""
    exchange, send = replayed(Scene(("a/m", "b/m")))
    exchange.first_content(send.permit, later(2.0))
    assert exchange.completed(send.permit, None, later(3.0)) == [Commit(send.permit), Finish(send.permit)]


def test_at_the_first_difference_the_break_is_reported() -> None:
    """G3: two answers are never spliced; the client hears why the first one broke, the second says nothing."""
    scene = Scene(("a/m", "b/m"))
    exchange, send = replayed(scene)
    exchange.first_content(send.permit, later(2.0))
    abandon, refusal = exchange.diverged(send.permit, later(2.5))
    assert abandon == Abandon(send.permit)
    assert broken([refusal]).failure is BROKEN
    assert exchange.attempts[-1].outcome is Outcome.CANCELLED
    assert scene.fleet.sound(send.target.deployment, later(2.5))
    assert scene.budget.retrying == scene.budget.in_flight == 0
    assert exchange.completed(send.permit, None, later(3.0)) == []


@pytest.mark.parametrize("kind", list(K))
def test_only_what_was_the_upstreams_fault_is_mended(kind: FailureKind) -> None:
    """A deadline, the client's leave, a policy's refusal or a wrong request are reported, whatever the settings say."""
    failure = Failure(kind)
    exchange, send = answering(Scene(("a/m", "b/m")))
    (step,) = exchange.failed(send.permit, failure, later(1.0), replayable=True)
    assert isinstance(step, Refuse if failure.meaning.blame is Blame.NOBODY else Send)


@pytest.mark.parametrize(
    ("on_break", "replayable", "resumable", "purpose"),
    [
        ("error", True, True, None),
        ("replay", False, True, None),
        ("replay", True, True, Purpose.REPLAY),
        ("resume", False, False, None),
        ("resume", False, True, Purpose.RESUME),
        ("resume", True, False, Purpose.REPLAY),
        ("resume", True, True, Purpose.RESUME),
    ],
)
def test_the_route_and_the_driver_decide_together(
    on_break: OnBreak, *, replayable: bool, resumable: bool, purpose: Purpose | None
) -> None:
    """Nothing is repeated in a tool call (the driver's word) or where the route says no; resume yields to replay."""
    exchange, send = answering(Scene(("a/m", "b/m"), on_break=on_break, goes_on=True))
    (step,) = exchange.failed(send.permit, BROKEN, later(1.0), replayable=replayable, resumable=resumable)
    if purpose is None:
        broken([step])
    else:
        assert isinstance(step, Send)
        assert step.purpose is purpose


@pytest.mark.parametrize(
    ("retry", "seconds"),
    [
        (RetrySettings(max_attempts=1), 900.0),
        (RetrySettings(max_ambiguous=0), 900.0),
        (RetrySettings(budget=0.0, budget_floor=0), 900.0),
        (RetrySettings(), 1.0),
    ],
    ids=["attempts", "ambiguous", "budget", "deadline"],
)
def test_no_repetition_beyond_a_limit(retry: RetrySettings, seconds: float) -> None:
    """The break may have been billed, a repetition is an attempt and a retry: each limit alone forbids it."""
    exchange, send = answering(Scene(("a/m", "b/m"), retry=retry), seconds=seconds)
    assert broken(exchange.failed(send.permit, BROKEN, later(1.0), replayable=True)).failure is BROKEN


def test_an_ambiguous_failure_before_the_answer_uses_up_the_repetition() -> None:
    """A6: `max_ambiguous: 1` allows one repetition in the whole life of a request, wherever it was needed."""
    exchange = Scene(("a/m", "b/m", "c/m")).exchange(stream=True)
    first = sent(exchange.open(START))
    second = sent(exchange.failed(first.permit, BROKEN, later(0.1)))
    exchange.first_content(second.permit, later(0.5))
    broken(exchange.failed(second.permit, BROKEN, later(1.0), replayable=True))


def test_a_second_break_is_the_end() -> None:
    """An answer that has broken twice is reported with its first break, however many targets are left."""
    scene = Scene(("a/m", "b/m", "c/m"), retry=RetrySettings(max_ambiguous=5, max_attempts=9))
    for caught_up in (False, True):
        exchange, send = replayed(scene)
        exchange.first_content(send.permit, later(1.5))
        if caught_up:
            exchange.caught_up(send.permit, later(1.6))
        refusal = broken(exchange.failed(send.permit, Failure(K.STALLED), later(2.0), replayable=True))
        assert refusal.failure is BROKEN
        assert len(refusal.attempts) == 2


def test_a_repetition_that_never_began_leaves_room_for_another_one() -> None:
    """A refused connection is no second break: nothing was asked there, so the next target is."""
    exchange, send = replayed(Scene(("a/m", "b/m", "c/m")))
    third = sent(exchange.failed(send.permit, Failure(K.CONNECT_FAILED, sent=False), later(1.1)))
    assert (third.target.name, third.purpose) == ("c/m", Purpose.REPLAY)


@pytest.mark.parametrize("kind", [K.INVALID_REQUEST, K.CONTENT_FILTERED, K.CLIENT_CANCELLED])
def test_a_repetition_that_the_request_itself_ends_is_the_last(kind: FailureKind) -> None:
    """What is nobody's fault upstream is not tried once more: the break is reported."""
    exchange, send = replayed(Scene(("a/m", "b/m", "c/m")))
    assert broken(exchange.failed(send.permit, Failure(kind, sent=False), later(1.1))).failure is BROKEN


def test_a_repetition_that_may_have_run_does_not() -> None:
    """A6: a time-out before the first content may have been billed, and it was the second."""
    exchange, send = replayed(Scene(("a/m", "b/m", "c/m")))
    assert broken(exchange.failed(send.permit, Failure(K.FIRST_TOKEN_TIMEOUT), later(9.0))).failure is BROKEN


def test_the_same_model_elsewhere_goes_before_everything_else() -> None:
    """Equal text is likeliest from the same model, wherever it stands in the order."""
    assert replayed(Scene(("a/m", "b/other", "c/m")))[1].target.name == "c/m"


def test_the_same_model_is_that_of_the_broken_answer() -> None:
    """When a fallback answered and broke, its own model is the one to repeat it."""
    exchange = Scene(("a/m", "b/other", "c/m", "d/other")).exchange(stream=True)
    first = sent(exchange.open(START))
    second = sent(exchange.failed(first.permit, Failure(K.AUTH_FAILED), START))
    assert second.target.name == "b/other"
    exchange.first_content(second.permit, later(0.5))
    assert sent(exchange.failed(second.permit, BROKEN, later(1.0), replayable=True)).target.name == "d/other"


def test_another_key_goes_before_another_model() -> None:
    """A key that ran out in mid-answer: the same deployment with a key that was not used."""
    scene = Scene(("a/m", "b/other"), keys=2)
    exchange, first = answering(scene)
    second = sent(exchange.failed(first.permit, Failure(K.QUOTA_EXHAUSTED), later(1.0), replayable=True))
    assert second.target is first.target
    assert second.permit.key != first.permit.key


@pytest.mark.parametrize(("kind", "name"), [(K.BROKEN_STREAM, "a/m"), (K.STALLED, "b/other")])
def test_the_same_deployment_if_the_failure_allows_it_else_another_model(kind: FailureKind, name: str) -> None:
    """A cut connection may be asked again at once, one that hangs may not; another model is the last resort."""
    assert replayed(Scene(("a/m", "b/other")), Failure(kind))[1].target.name == name


def test_no_other_model_where_the_client_wants_none() -> None:
    """`x-standfast-fallback: 0` holds for repetitions too."""
    exchange, send = answering(Scene(("a/m", "b/other")), fallback=False)
    broken(exchange.failed(send.permit, Failure(K.STALLED), later(1.0), replayable=True))


def test_an_overloaded_provider_is_not_asked_for_the_repetition() -> None:
    """B14: what blames the provider rules out its other deployments."""
    scene = Scene(("a/m", "a/m2", "b/m"))
    assert replayed(scene, Failure(K.OVERLOADED))[1].target.name == "b/m"


def test_a_continuation_commits_with_its_first_content() -> None:
    """Resume: what comes is new to the client at once; there is nothing to catch up with."""
    exchange, first = answering(Scene(("a/m", "b/m"), on_break="resume", goes_on=True))
    second = sent(exchange.failed(first.permit, BROKEN, later(1.0), resumable=True))
    assert exchange.caught_up(second.permit, later(1.1)) == []
    assert exchange.diverged(second.permit, later(1.1)) == []
    assert exchange.first_content(second.permit, later(1.2)) == [Commit(second.permit)]
    assert exchange.completed(second.permit, None, later(2.0)) == [Finish(second.permit)]


def test_targets_that_cannot_continue_are_passed_over_then_the_answer_is_replayed() -> None:
    """A continuation that nobody can express costs no attempt; where replay is possible it is tried instead."""
    exchange, first = answering(Scene(("a/m", "b/m", "c/m"), on_break="resume", goes_on=True))
    unable = Failure(K.INVALID_REQUEST, "prefill", sent=False)
    tried = []
    steps = exchange.failed(first.permit, BROKEN, later(1.0), replayable=True, resumable=True)
    while isinstance(steps[0], Send) and steps[0].purpose is Purpose.RESUME:
        tried.append(steps[0].target.name)
        steps = exchange.unsendable(steps[0].permit, unable, later(1.0))
    assert tried == ["b/m", "c/m", "a/m"]
    replay = sent(steps)
    assert (replay.target.name, replay.purpose) == ("b/m", Purpose.REPLAY)
    assert len(exchange.attempts) == 1


@pytest.mark.parametrize("how", ["diverged", "failed", "finished", "cancelled"])
def test_a_repetition_takes_from_the_budget_and_gives_back(
    how: Literal["diverged", "failed", "finished", "cancelled"],
) -> None:
    """Repetitions are retries under way until they end, in whatever way; also towards a target that is sound."""
    scene = Scene(("a/m", "b/m"))
    exchange, send = replayed(scene)
    assert scene.budget.retrying == 1
    if how == "diverged":
        exchange.diverged(send.permit, later(2.0))
    elif how == "failed":
        exchange.failed(send.permit, BROKEN, later(2.0))
    elif how == "finished":
        exchange.completed(send.permit, None, later(2.0))
    else:
        assert exchange.cancel(later(2.0))[0] == Abandon(send.permit)
    assert exchange.over
    assert scene.budget.retrying == scene.budget.in_flight == 0
    assert scene.fleet.in_flight(send.target.deployment) == 0


def test_the_break_itself_counts_against_the_deployment() -> None:
    """Five broken answers in a row open the breaker, mended or not: mending hides nothing from the judgement."""
    scene = Scene(("a/m", "b/m"), retry=RetrySettings(budget_floor=50))
    for _ in range(5):
        replayed(scene)
    assert scene.fleet.breaker_state(scene.targets[0].deployment, later(1.0)) is State.OPEN


def test_a_repetition_is_not_hedged() -> None:
    """After the first content nothing is hedged, not even the silence before the repetition's own."""
    exchange = Scene(("a/m", "b/m", "c/m"), hedge=HedgeSettings(after=0.1)).exchange(stream=True)
    _, first = exchange.open(START)
    assert isinstance(first, Send)
    exchange.first_content(first.permit, later(0.05))
    assert isinstance(sent(exchange.failed(first.permit, BROKEN, later(1.0), replayable=True)), Send)
    assert exchange.reminded(later(5.0)) == []


def test_the_deadline_ends_a_repetition_with_the_break() -> None:
    """The client's time is over while the repetition is under way: it is told that its answer broke, and how."""
    exchange, send = replayed(Scene(("a/m", "b/m", "c/m")), seconds=5.0)
    assert broken(exchange.failed(send.permit, Failure(K.DEADLINE_PASSED), later(5.0))).failure is BROKEN


def test_only_models_that_are_known_to_go_on_are_asked_to() -> None:
    """G3: who cannot give the rest would begin anew; another model that can goes before the same that cannot."""
    scene = Scene(("a/m", "b/m", "c/other"), on_break="resume", goes_on=True)
    for each in scene.targets[:2]:
        object.__setattr__(each, "facts", None)
    exchange, first = answering(scene)
    second = sent(exchange.failed(first.permit, BROKEN, later(1.0), replayable=True, resumable=True))
    assert (second.target.name, second.purpose) == ("c/other", Purpose.RESUME)
    assert [attempt.purpose for attempt in exchange.attempts] == ["answer"]
    exchange.first_content(second.permit, later(1.5))
    exchange.completed(second.permit, None, later(2.0))
    assert [attempt.purpose for attempt in exchange.attempts] == ["answer", "resume"]
