"""Anthropic: https://api.anthropic.com, `x-api-key`, the Messages API.

Three answers look like bad requests or rates and are about money: only the wording, or a code deep in `details`, tells
them apart. `overloaded_error` (529) is provider-wide: other keys do not help.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType

from standfast.canon.deployment import Operation
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Wall
from standfast.canon.prefill import PLAIN, Prefill
from standfast.canon.rates import Rate
from standfast.providers._openai_shape import NO_KEY
from standfast.providers._rates import ANTHROPIC, read_rates
from standfast.providers._report import Report, read_report, word
from standfast.providers._rules import Phrase, Rules, classify, failure
from standfast.providers.base import Answer

_K = FailureKind

VERSION = "2023-06-01"
"""The only version of the Messages API; required on every request [S]."""

SPEND_LIMIT = "enforced_spend_limit_reached"

RULES = Rules(
    codes={"billing_error": _K.QUOTA_EXHAUSTED, "overloaded_error": _K.OVERLOADED},
    in_band={
        "invalid_request_error": 400,
        "authentication_error": 401,
        "billing_error": 402,
        "permission_error": 403,
        "not_found_error": 404,
        "request_too_large": 413,
        "rate_limit_error": 429,
        "api_error": 500,
        "timeout_error": 504,
        "overloaded_error": 529,
    },
    phrases=(
        # "prompt is too long: X tokens > Y maximum" [C]
        Phrase(400, ("prompt is too long",), _K.CONTEXT_TOO_LONG),
        # "Your credit balance is too low to access the Anthropic API..." [C]
        Phrase(400, ("credit balance is too low",), _K.QUOTA_EXHAUSTED),
        # "You have reached your specified (workspace) API usage limits..." [C]
        Phrase(400, ("you have reached your specified", "usage limits"), _K.QUOTA_EXHAUSTED),
    ),
)


class Anthropic:
    """See `providers.base.Provider`."""

    name = "anthropic"
    base_url = "https://api.anthropic.com"
    key_variable = "ANTHROPIC_API_KEY"
    formats: Mapping[Operation, str] = MappingProxyType({Operation.CHAT: "anthropic_messages"})
    limit_headers = frozenset(ANTHROPIC)
    prefill: Prefill | None = PLAIN

    def path(self, operation: Operation, model: str, *, stream: bool) -> str:  # noqa: ARG002 - the body names both
        """Path below the base URL, which has no version.

        Raises:
            KeyError: the operation is not offered.
        """
        return {Operation.CHAT: "/v1/messages"}[operation]

    def headers(self, key: str) -> tuple[tuple[str, str], ...]:
        """Version and key; `Authorization` never beside `x-api-key`, the API refuses both together [D]."""
        key = key.strip()
        version = (("anthropic-version", VERSION),)
        return version if key in ("", NO_KEY) else (("x-api-key", key), *version)

    def ping(self) -> str:
        """The list of models."""
        return "/v1/models"

    def classify(self, answer: Answer) -> Failure:
        """Which failure an answer is. Never raises."""
        report = read_report(answer)
        if _detail_code(report) == SPEND_LIMIT:  # 429 without retry-after: not before the month turns [C]
            return failure(answer, report, _K.QUOTA_EXHAUSTED, code=SPEND_LIMIT)
        return classify(answer, report, RULES)

    def rates(self, headers: Collection[tuple[bytes, bytes]], received: Wall) -> tuple[Rate, ...]:
        """The rate limits that an answer tells."""
        return read_rates(headers, ANTHROPIC, received)


def _detail_code(report: Report) -> str:
    """`error.details.error_code`."""
    return next((word(item.get("error_code")) for item in report.details), "")


PROVIDER = Anthropic()
