"""Every exception that an embedder may catch.

Each error knows the HTTP status that it suggests, a stable `code`, whose fault it is, and what the reader should do.
Formats turn it into their client's own shape; the library raises it as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from standfast.canon.attempt import Attempt
from standfast.canon.failure import Failure


class Fault(StrEnum):
    """Whose fault an error is."""

    CLIENT = "client"
    UPSTREAM = "upstream"
    GATEWAY = "gateway"
    OPERATOR = "operator"


class StandfastError(Exception):
    """Base of all errors of this package.

    Attributes:
        status: the HTTP status that suits it.
        code: stable, machine-readable.
        type: OpenAI's word for the class of error.
        fault: whose fault it is.
        param: the request field at fault, None if there is none.
        retry_after: seconds after which a repetition may succeed; None if unknown or pointless.
        should_retry: what to tell client SDKs (`x-should-retry`); None says nothing.
    """

    status = 500
    code = "internal_error"
    type = "server_error"
    fault = Fault.GATEWAY
    param: str | None = None
    retry_after: float | None = None
    should_retry: bool | None = None

    @property
    def message(self) -> str:
        """The text for the reader."""
        return str(self)


class InvalidRequest(StandfastError):
    """The request cannot be understood; nothing was sent upstream."""

    status = 400
    code = "invalid_request"
    type = "invalid_request_error"
    fault = Fault.CLIENT
    should_retry = False

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        if code is not None:
            self.code = code


class Untranslatable(InvalidRequest):
    """The request uses something that the target's wire format cannot express yet."""

    code = "unsupported_by_target"


class Unauthorized(StandfastError):
    """The client's key is missing or unknown."""

    status = 401
    code = "invalid_api_key"
    type = "authentication_error"
    fault = Fault.CLIENT
    should_retry = False


class UnknownModel(StandfastError):
    """No model of this name is configured."""

    status = 404
    code = "model_not_found"
    type = "invalid_request_error"
    fault = Fault.CLIENT
    param = "model"
    should_retry = False


class UnknownDeployment(StandfastError):
    """No deployment of this name is served."""

    status = 404
    code = "deployment_not_found"
    type = "invalid_request_error"
    fault = Fault.CLIENT
    should_retry = False


class UnknownPath(StandfastError):
    """Nothing is served at this path."""

    status = 404
    code = "unknown_path"
    type = "invalid_request_error"
    fault = Fault.CLIENT
    should_retry = False


class CircuitOpen(StandfastError):
    """A circuit breaker of your own (`standfast.CircuitBreaker`) lets this call not through now.

    Attributes:
        name: the breaker's.
        state: its state: `open`, `forced_open`, `half_open` (all permits of the trial are taken), or `closed` (it has
            just recovered, and takes a growing share of the calls: `ramp`).
        circuit: stands for the breaker itself, of which there may be several of one name.
    """

    status = 503
    code = "circuit_open"
    fault = Fault.UPSTREAM

    def __init__(
        self, name: str, retry_after: float | None, *, state: str = "open", circuit: object | None = None
    ) -> None:
        soon = "" if retry_after is None else f" for another {retry_after:.1f} s"
        why = {
            "forced_open": "is forced open until it is released",
            "half_open": "is on trial (half-open), and as many calls as it may have are under way",
            "closed": "has just recovered, and lets only a growing share of the calls through (`ramp`)",
        }.get(state, f"is open{soon}")
        super().__init__(f"circuit breaker {name!r} {why}; use a fallback, or call later.")
        self.name = name
        self.retry_after = retry_after
        self.state = state
        self.circuit = circuit


class Draining(StandfastError):
    """The gateway is shutting down and takes no new requests."""

    status = 503
    code = "draining"
    retry_after = 1.0
    should_retry = True


class RequestFailed(StandfastError):
    """No target gave an answer. `attempts` tells what was tried, `failure` how the last one ended.

    A refusal of the request itself (400, 413, context too long ...) arrives here too, with the client's fault.
    """

    type = "upstream_error"
    fault = Fault.UPSTREAM

    def __init__(
        self,
        message: str,
        *,
        failure: Failure | None = None,
        attempts: Sequence[Attempt] = (),
        retry_after: float | None = None,
        status: int | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.failure = failure
        self.attempts = tuple(attempts)
        self.retry_after = retry_after
        self.should_retry = False
        if failure is not None:
            self.status = failure.meaning.status
            self.code = failure.kind.value
        if status is not None:
            self.status = status
        if code is not None:
            self.code = code
        if self.status in (400, 404, 413, 422):
            self.type = "invalid_request_error"
            self.fault = Fault.CLIENT


class BrokenStream(RequestFailed):
    """An answer broke after its first content had been delivered. What was delivered stands; it is not complete."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a configuration.

    Attributes:
        path: where, for instance `models.gpt-4.1.targets[1].weight`.
        message: what is wrong, and what would be right.
        suggestion: the nearest right spelling, empty if there is none.
    """

    path: str
    message: str
    suggestion: str = ""

    def __str__(self) -> str:
        hint = f" (did you mean {self.suggestion!r}?)" if self.suggestion else ""
        return f"{self.path}: {self.message}{hint}"


class ConfigError(StandfastError):
    """The configuration cannot be used. Holds every problem, not only the first."""

    code = "invalid_configuration"
    fault = Fault.OPERATOR

    def __init__(self, problems: Sequence[Problem], source: str = "configuration") -> None:
        count = len(problems)
        heading = f"{source}: {count} problem{'s' if count != 1 else ''}"
        super().__init__("\n".join([heading, *(f"  {problem}" for problem in problems)]))
        self.problems = tuple(problems)
        self.source = source
