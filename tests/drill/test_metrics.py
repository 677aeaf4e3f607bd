"""What the gateway says of itself, as the books of a drill take it."""

from standfast.canon.attempt import Attempt, Outcome
from standfast.canon.deployment import Operation
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Wall
from standfast.canon.record import Change, RequestRecord
from standfast.canon.usage import Usage
from standfast.drill import metrics
from standfast.hooks.prometheus import PrometheusHook
from standfast.sim.settings import Price
from standfast.sim.tally import Tally


def served(hook: PrometheusHook) -> None:
    """One request: a failure at the first target, an answer of the second."""
    failed = Attempt("a/x", 0, Outcome.FAILURE, Failure(FailureKind.SERVER_ERROR), 0.0, None, 0.1)
    answered = Attempt("b/y", 0, Outcome.SUCCESS, None, 0.1, 0.2, 0.3, Usage(100, 50))
    hook.request_ended(
        RequestRecord(
            "req_1",
            Wall(0.0),
            "",
            "m",
            Operation.CHAT,
            True,
            200,
            "",
            "b/y",
            True,
            (failed, answered),
            0.2,
            0.3,
            0.3,
            Usage(100, 50),
        )
    )
    hook.changed(Change("breaker", "a/x", "closed", "open", "server_error"))


def test_the_difference_is_entered() -> None:
    """What was counted before the drill is not the drill's; attempts, failures and changes are."""
    hook = PrometheusHook()
    served(hook)
    before = metrics.read(hook.exposition()[0].decode())
    served(hook)
    served(hook)
    after = metrics.read(hook.exposition()[0].decode())
    tally = Tally(1000.0, 60.0, {"a/x": None, "b/y": Price(input=2, output=8)})
    metrics.enter(tally, before, after)
    first, second = tally.targets["a/x"], tally.targets["b/y"]
    assert (first.attempts, first.successes, first.failures) == (2, 0, {FailureKind.SERVER_ERROR: 2})
    assert (second.attempts, second.successes, second.failures) == (2, 2, {})
    assert second.cost == 0.0, "callers know what their answers cost; a stream need not tell the gateway"
    assert tally.changed == {"breaker open": 2}
