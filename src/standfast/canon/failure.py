"""Every way in which an attempt can fail, and what each one means. The one place.

Providers say *which* kind a failure is (they know their own wire); what a kind *means* - who is blamed, what may be
tried next, whether the breaker counts it, what the client is told - is the table `MEANING` at the bottom.

Rules behind the table:

* 429 is not ill health: it makes a cooldown with a known end and never trips a breaker.
* Overload (503, 529) is ill health only where nothing else succeeds: a server that refuses one more while it serves as
  many as it can is well (`policy.adaptive` tells the two apart, and only then the row's `trips` counts).
* 401 and 403 say something about one key, nothing about the deployment.
* What the client did wrong (a bad request, a policy refusal) is nobody's ill health and is never repeated elsewhere.
* *Ambiguous* means: the request was written, and no complete answer came, so it may have been executed and billed.
  A full answer that we refuse (empty, invalid) is known to have run; it is bounded by the attempt limit instead.
* A refused connection or a failed handshake cannot have been billed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class FailureKind(StrEnum):
    """Why an attempt did not give an answer."""

    __hash__ = str.__hash__  # the inherited one is a Python call, and these are keys on the hot path

    CONNECT_FAILED = "connect_failed"
    CONNECT_TIMEOUT = "connect_timeout"
    FIRST_TOKEN_TIMEOUT = "first_token_timeout"
    STALLED = "stalled"
    BROKEN_STREAM = "broken_stream"
    SERVER_ERROR = "server_error"
    OVERLOADED = "overloaded"
    RATE_LIMITED = "rate_limited"
    QUOTA_EXHAUSTED = "quota_exhausted"
    AUTH_FAILED = "auth_failed"
    FORBIDDEN = "forbidden"
    MODEL_NOT_FOUND = "model_not_found"
    CONTEXT_TOO_LONG = "context_too_long"
    CONTENT_FILTERED = "content_filtered"
    INVALID_REQUEST = "invalid_request"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    EMPTY_REPLY = "empty_reply"
    INVALID_REPLY = "invalid_reply"
    REJECTED_REPLY = "rejected_reply"
    CLIENT_CANCELLED = "client_cancelled"
    DEADLINE_PASSED = "deadline_passed"


class Blame(StrEnum):
    """Whose health a failure speaks of. Exactly one."""

    KEY = "key"
    DEPLOYMENT = "deployment"
    PROVIDER = "provider"
    NOBODY = "nobody"


class SameTarget(StrEnum):
    """May the same deployment be asked again within this request?"""

    NEVER = "never"
    QUICK = "quick"  # after a short backoff: transient
    HINT = "hint"  # only after the wait that the provider named


class Cooldown(StrEnum):
    """Where the time during which the blamed one is left alone comes from."""

    NONE = "none"
    HINT = "hint"  # the provider's hint, else a default that doubles
    LONG = "long"  # a human must act: minutes, doubling


@dataclass(frozen=True, slots=True)
class Meaning:
    """One row of the failure table.

    Attributes:
        blame: whose health suffers.
        same_target: may the same deployment be asked again.
        other_key, other_deployment, other_model: what else may be tried.
        trips_breaker: counts as a failure for the deployment's breaker.
        cooldown: how long the blamed one rests.
        ambiguous: may have been executed and billed.
        status: HTTP status for the client if the request ends with this failure.
        advice: what the reader of the error should do.
    """

    blame: Blame
    same_target: SameTarget
    other_key: bool
    other_deployment: bool
    other_model: bool
    trips_breaker: bool
    cooldown: Cooldown
    ambiguous: bool
    status: int
    advice: str


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with one attempt.

    Attributes:
        kind: row of the table.
        detail: one line for logs and the trace, free of secrets and of prompt text.
        status: the upstream's HTTP status, 0 if none came.
        retry_after: seconds that the provider asks to wait; None if it said nothing usable.
        code: the provider's own error code, if it has one.
        sent: the request had been written completely when it failed.
    """

    kind: FailureKind
    detail: str = ""
    status: int = 0
    retry_after: float | None = None
    code: str = ""
    sent: bool = True

    @property
    def meaning(self) -> Meaning:
        """The row of this kind."""
        return MEANING[self.kind]

    @property
    def ambiguous(self) -> bool:
        """May this attempt have been executed and billed? Never if the request was not written completely."""
        return self.sent and self.meaning.ambiguous


def _row(
    blame: Blame,
    same: SameTarget,
    others: str,
    status: int,
    advice: str,
    *,
    trips: bool = False,
    cooldown: Cooldown = Cooldown.NONE,
    ambiguous: bool = False,
) -> Meaning:
    """`others` holds k (another key), d (another deployment), m (another model)."""
    return Meaning(blame, same, "k" in others, "d" in others, "m" in others, trips, cooldown, ambiguous, status, advice)


_K, _B, _S, _C = FailureKind, Blame, SameTarget, Cooldown

MEANING: Mapping[FailureKind, Meaning] = MappingProxyType(
    {
        _K.CONNECT_FAILED: _row(
            _B.DEPLOYMENT, _S.NEVER, "dm", 503, "Check that the provider's base_url is reachable.", trips=True
        ),
        _K.CONNECT_TIMEOUT: _row(
            _B.DEPLOYMENT,
            _S.NEVER,
            "dm",
            504,
            "Check the network path to the provider, or raise timeouts.connect.",
            trips=True,
        ),
        _K.FIRST_TOKEN_TIMEOUT: _row(
            _B.DEPLOYMENT,
            _S.NEVER,
            "dm",
            504,
            "Retry later, or raise timeouts.first_token.",
            trips=True,
            ambiguous=True,
        ),
        _K.STALLED: _row(
            _B.DEPLOYMENT,
            _S.NEVER,
            "dm",
            504,
            "Retry the request; the provider stopped sending.",
            trips=True,
            ambiguous=True,
        ),
        _K.BROKEN_STREAM: _row(
            _B.DEPLOYMENT,
            _S.QUICK,
            "dm",
            502,
            "Retry the request; the provider cut its answer.",
            trips=True,
            ambiguous=True,
        ),
        _K.SERVER_ERROR: _row(
            _B.DEPLOYMENT, _S.QUICK, "dm", 502, "Retry later; the provider reported an internal error.", trips=True
        ),
        _K.OVERLOADED: _row(
            _B.PROVIDER,
            _S.HINT,
            "dm",
            503,
            "Retry later; the provider is overloaded.",
            trips=True,
            cooldown=_C.HINT,
        ),
        _K.RATE_LIMITED: _row(_B.KEY, _S.HINT, "kdm", 429, "Slow down, or add keys or deployments.", cooldown=_C.HINT),
        _K.QUOTA_EXHAUSTED: _row(
            _B.KEY, _S.NEVER, "kdm", 503, "Raise the account's quota or credit with the provider.", cooldown=_C.LONG
        ),
        _K.AUTH_FAILED: _row(
            _B.KEY, _S.NEVER, "kdm", 502, "Replace the upstream key that the provider refused.", cooldown=_C.LONG
        ),
        _K.FORBIDDEN: _row(
            _B.KEY, _S.NEVER, "kdm", 502, "Give the upstream key the missing permission.", cooldown=_C.LONG
        ),
        _K.MODEL_NOT_FOUND: _row(
            _B.DEPLOYMENT,
            _S.NEVER,
            "dm",
            404,
            "Check the upstream model name and base_url of the target.",
            cooldown=_C.LONG,
        ),
        _K.CONTEXT_TOO_LONG: _row(
            _B.NOBODY, _S.NEVER, "", 400, "Shorten the prompt or use a model with a larger context window."
        ),
        _K.CONTENT_FILTERED: _row(_B.NOBODY, _S.NEVER, "", 400, "The provider's policy refused this content."),
        _K.INVALID_REQUEST: _row(_B.NOBODY, _S.NEVER, "", 400, "Correct the request."),
        _K.PAYLOAD_TOO_LARGE: _row(_B.NOBODY, _S.NEVER, "", 413, "Send a smaller request."),
        _K.EMPTY_REPLY: _row(
            _B.DEPLOYMENT, _S.QUICK, "dm", 502, "Retry the request; the provider answered with nothing.", trips=True
        ),
        _K.INVALID_REPLY: _row(
            _B.DEPLOYMENT,
            _S.QUICK,
            "dm",
            502,
            "Retry the request; the provider's answer could not be used.",
            trips=True,
        ),
        _K.REJECTED_REPLY: _row(
            _B.DEPLOYMENT,
            _S.QUICK,
            "dm",
            502,
            "Loosen the request's own `validate`, or name a model whose answers keep it.",
        ),
        _K.CLIENT_CANCELLED: _row(_B.NOBODY, _S.NEVER, "", 499, "The client closed the connection."),
        _K.DEADLINE_PASSED: _row(
            _B.NOBODY, _S.NEVER, "", 504, "Allow more time (x-standfast-deadline-ms, timeouts.total)."
        ),
    }
)
