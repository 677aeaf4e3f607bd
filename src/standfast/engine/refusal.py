"""From the judgement's refusal to the error that the client sees."""

from collections.abc import Sequence

from standfast.canon.attempt import Attempt
from standfast.canon.failure import Blame, Failure, FailureKind, SameTarget
from standfast.errors import BrokenStream, RequestFailed, StandfastError
from standfast.policy.steps import Refuse

_TIMEOUTS = frozenset(
    {
        FailureKind.CONNECT_TIMEOUT,
        FailureKind.FIRST_TOKEN_TIMEOUT,
        FailureKind.STALLED,
        FailureKind.DEADLINE_PASSED,
    }
)
_USUAL_CODES = {
    FailureKind.CONTEXT_TOO_LONG: "context_length_exceeded",
    FailureKind.CONTENT_FILTERED: "content_filter",
}
"""Codes by the words that client SDKs look for."""

_OWN_STATUS = frozenset({FailureKind.RATE_LIMITED, FailureKind.MODEL_NOT_FOUND, FailureKind.CLIENT_CANCELLED})


def refusal_error(refuse: Refuse, model: str) -> StandfastError:
    """The error for a request that got no complete answer.

    The client's own fault keeps its status (400, 413 ...). Time-outs are 504. A rate limit or a missing model is shown
    as such only if every attempt ended with it. Everything else is 503: the gateway is well, its upstreams are not; an
    upstream's 401 is never the client's 401.
    """
    failure, attempts = refuse.failure, refuse.attempts
    if refuse.shed:
        return RequestFailed(
            f"Every target of {model!r} is busy, and the line in front of them has no room or no time for this request."
            " Retry after the time given, raise its priority, or add targets (defaults.queue sets the line).",
            failure=failure,
            attempts=attempts,
            retry_after=max(refuse.retry_after or 0.0, 1.0),
            status=503,
            code="no_target_available",
        )
    if failure is None:
        return RequestFailed(
            f"No target of {model!r} can be asked now: all rest after failures or are at their limits."
            " Retry after the time given, or add targets.",
            attempts=attempts,
            retry_after=refuse.retry_after,
            status=503,
            code="no_target_available",
        )
    meaning = failure.meaning
    said = failure.detail or failure.kind.value.replace("_", " ")
    if refuse.broken:
        return BrokenStream(
            f"The answer broke off and is not complete ({_where(failure, attempts)}{said}). {meaning.advice}",
            failure=failure,
            attempts=attempts,
        )
    if meaning.blame is Blame.NOBODY:
        status = meaning.status
        if failure.kind is FailureKind.INVALID_REQUEST and failure.status // 100 == 4:  # noqa: PLR2004 - 4xx
            status = failure.status
        return RequestFailed(
            f"{said} {meaning.advice}".strip(),
            failure=failure,
            attempts=attempts,
            status=status,
            code=_USUAL_CODES.get(failure.kind),
        )
    same = all(attempt.failure is not None and attempt.failure.kind is failure.kind for attempt in attempts)
    status = 503
    if failure.kind in _TIMEOUTS:
        status = 504
    elif failure.kind in _OWN_STATUS and same:
        status = meaning.status
    retry_after = refuse.retry_after
    if retry_after is not None and meaning.same_target is not SameTarget.NEVER:
        retry_after = max(retry_after, 1.0)
    count, where = len(attempts), _where(failure, attempts)
    return RequestFailed(
        f"{count} attempt{'s' if count != 1 else ''} for {model!r} failed; the last one: {where}{said}."
        f" {meaning.advice}",
        failure=failure,
        attempts=attempts,
        retry_after=retry_after,
        status=status,
    )


def _where(failure: Failure, attempts: Sequence[Attempt]) -> str:
    """Who failed like that; not whoever was asked last, for instance to mend it."""
    failed = [attempt.deployment for attempt in attempts if attempt.failure is failure]
    named = failed or [attempt.deployment for attempt in attempts]
    return f"{named[-1]}: " if named else ""
