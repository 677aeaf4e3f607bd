"""Deployments that are spared while there is an elsewhere, in the life of a request."""

from standfast.canon.attempt import Outcome
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.policy.breaker import State
from standfast.policy.fleet import Permit
from standfast.policy.steps import Commit, Purpose, Sleep
from support.exchanges import START, sent, slept
from support.hands import Scene

K = FailureKind
SERVER_ERROR = Failure(K.SERVER_ERROR, status=500)


def ramping(scene: Scene, name: str) -> Monotonic:
    """A deployment that has just recovered; the instant."""
    scene.fail(name, K.SERVER_ERROR, 5)
    deployment = next(each.deployment for each in scene.targets if each.name == name)
    now = Monotonic(START + 100.0)
    breaker = scene.fleet.place(deployment).breaker
    while scene.fleet.breaker_state(deployment, now) is not State.CLOSED:
        permit = scene.fleet.admit(deployment, 1, now)
        assert isinstance(permit, Permit)
        scene.fleet.settle(permit, Outcome.SUCCESS, now, scene.rng)
    assert breaker.share(now) < 1.0
    return now


def test_a_retry_of_who_has_no_elsewhere_is_not_refused_for_the_ramp() -> None:
    """D4: the only target ramps up and fails once: it is asked again after the backoff."""
    scene = Scene(("a/m",))
    now = ramping(scene, "a/m")
    for _ in range(4):
        exchange = scene.exchange(now)
        send = sent(exchange.open(now))
        sleep = slept(exchange.failed(send.permit, SERVER_ERROR, now))
        assert isinstance(sleep, Sleep)
        again = sent(exchange.woke(sleep.until))
        assert again.target.name == "a/m"
        exchange.completed(again.permit, None, sleep.until)


def test_a_broken_answer_is_mended_by_who_ramps_up_if_there_is_nobody_else() -> None:
    """D4: the only other target has just recovered; nine times in ten its ramp would refuse, and must not."""
    scene = Scene(("a/m", "b/m"))
    now = ramping(scene, "b/m")
    for _ in range(4):
        exchange = scene.exchange(now, stream=True)
        send = sent(exchange.open(now))
        assert exchange.first_content(send.permit, now) == [Commit(send.permit)]
        again = sent(exchange.failed(send.permit, Failure(K.STALLED), now, replayable=True))
        assert (again.target.name, again.purpose) == ("b/m", Purpose.REPLAY)
        exchange.cancel(now)
        exchange = scene.exchange(now)
        exchange.completed(sent(exchange.open(now)).permit, None, now)


def test_a_request_asks_a_ramp_once() -> None:
    """D4: nine of ten that meet a fresh ramp go elsewhere, though several questions are asked for each of them."""
    scene = Scene(("a/m", "b/m"))
    now = ramping(scene, "a/m")
    names = []
    for _ in range(100):
        exchange = scene.exchange(now)
        send = sent(exchange.open(now))
        names.append(send.target.name)
        exchange.completed(send.permit, None, now)
    assert names.count("a/m") == 10
