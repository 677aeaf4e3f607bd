"""The words of OpenAI-shaped errors, for OpenAI itself and the many who speak its dialect.

Evidence marks: [D] the provider's documentation, [S] source, [R] recorded traffic, [C] clients agree, [U] unverified.
"""

from collections.abc import Mapping
from types import MappingProxyType

from standfast.canon.failure import FailureKind
from standfast.providers._rules import Phrase

_K = FailureKind

CODES: Mapping[str, FailureKind] = MappingProxyType(
    {
        # Money and limits that do not come back by waiting a little [D][C].
        "insufficient_quota": _K.QUOTA_EXHAUSTED,
        "credit_balance_exhausted": _K.QUOTA_EXHAUSTED,
        "organization_spend_limit_exceeded": _K.QUOTA_EXHAUSTED,
        "project_spend_limit_exceeded": _K.QUOTA_EXHAUSTED,
        "organization_usage_limit_exceeded": _K.QUOTA_EXHAUSTED,
        "billing_error": _K.QUOTA_EXHAUSTED,
        # Rates [D].
        "rate_limit_exceeded": _K.RATE_LIMITED,
        "slow_down": _K.RATE_LIMITED,
        # Capacity [D][C].
        "server_is_overloaded": _K.OVERLOADED,
        "overloaded_error": _K.OVERLOADED,
        # Keys [D].
        "invalid_api_key": _K.AUTH_FAILED,
        # Models: OpenAI [R], Azure [D].
        "model_not_found": _K.MODEL_NOT_FOUND,
        "DeploymentNotFound": _K.MODEL_NOT_FOUND,
        # Size [C].
        "context_length_exceeded": _K.CONTEXT_TOO_LONG,
        # Policy: OpenAI, Azure [C], Responses [S].
        "content_policy_violation": _K.CONTENT_FILTERED,
        "content_filter": _K.CONTENT_FILTERED,
        "invalid_prompt": _K.CONTENT_FILTERED,
        "bio_policy": _K.CONTENT_FILTERED,
    }
)

IN_BAND: Mapping[str, int] = MappingProxyType(
    {
        "invalid_request_error": 400,
        "BadRequestError": 400,
        "authentication_error": 401,
        "billing_error": 402,
        "permission_error": 403,
        "not_found_error": 404,
        "NotFoundError": 404,
        "request_too_large": 413,
        "rate_limit_error": 429,
        "requests": 429,
        "tokens": 429,
        "api_error": 500,
        "server_error": 500,
        "InternalServerError": 500,
        "service_unavailable_error": 503,
        "timeout_error": 504,
        "overloaded_error": 529,
    }
)
"""Words of OpenAI, Anthropic-shaped relays and vLLM, by the status that they have outside of a stream."""

OVERFLOW = Phrase(400, ("maximum context length is",), _K.CONTEXT_TOO_LONG)
"""`maximum context length is N tokens`: OpenAI [C] has a code too, vLLM [S] has only this."""
