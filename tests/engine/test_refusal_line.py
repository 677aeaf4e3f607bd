"""What the client is told when the line in front of busy targets has no room for its request."""

from standfast.canon.failure import Failure, FailureKind
from standfast.engine.refusal import refusal_error
from standfast.policy.steps import Refuse


def test_shed_is_a_503_with_a_true_retry_after() -> None:
    """D8: whatever happened before, a request that was shed may come again, and is told when."""
    for failure in (None, Failure(FailureKind.RATE_LIMITED, "slow down")):
        for wait, told in ((None, 1.0), (0.2, 1.0), (7.5, 7.5)):
            error = refusal_error(Refuse(failure, wait, False, (), shed=True), "m")
            assert (error.status, error.code, error.retry_after) == (503, "no_target_available", told)
            assert "defaults.queue" in error.message
