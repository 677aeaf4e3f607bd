"""Google Gemini (Developer API): https://generativelanguage.googleapis.com/v1beta, `x-goog-api-key`.

The model stands in the path. A bad key is a 400, a 429 may mean "in a minute" or "tomorrow", and only `details` tells:
objects with an `@type` such as `type.googleapis.com/google.rpc.RetryInfo`. The rules for 429 are those of Google's own
command-line client [C].
"""

import re
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from urllib.parse import quote

from standfast.canon.deployment import Operation
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Wall
from standfast.canon.prefill import PLAIN, Prefill
from standfast.canon.rates import Rate
from standfast.providers._hints import go_duration
from standfast.providers._openai_shape import NO_KEY
from standfast.providers._report import Report, read_report, word
from standfast.providers._rules import TERMINAL_WAIT, Phrase, Rules, classify, failure, would_be_status
from standfast.providers.base import Answer

_K = FailureKind

IN_BAND: Mapping[str, int] = MappingProxyType(
    {
        "INVALID_ARGUMENT": 400,
        "FAILED_PRECONDITION": 400,
        "UNAUTHENTICATED": 401,
        "PERMISSION_DENIED": 403,
        "NOT_FOUND": 404,
        "RESOURCE_EXHAUSTED": 429,
        "CANCELLED": 499,
        "INTERNAL": 500,
        "UNAVAILABLE": 503,
        "DEADLINE_EXCEEDED": 504,
    }
)
"""The words of `error.status`, which are gRPC's, and the HTTP statuses that they come with [R][D]."""

REASONS: Mapping[str, FailureKind] = MappingProxyType(
    {
        "API_KEY_INVALID": _K.AUTH_FAILED,  # 400 [D]
        "MODEL_CAPACITY_EXHAUSTED": _K.OVERLOADED,  # 429 [C]
    }
)
"""`ErrorInfo.reason` that says more than the status."""

RULES = Rules(
    codes={"FAILED_PRECONDITION": _K.FORBIDDEN},  # billing is off, or the region is not served [D]
    in_band=IN_BAND,
    phrases=(
        # "The input token count (N) exceeds the maximum number of tokens allowed (M)" [C]
        Phrase(400, ("input token count", "exceeds the maximum number of tokens"), _K.CONTEXT_TOO_LONG),
        # The compatible endpoint may leave out the details that hold API_KEY_INVALID [U].
        Phrase(400, ("api key not valid",), _K.AUTH_FAILED),
    ),
)

PER_MINUTE_WAIT = 60.0
"""Seconds to wait for a per-minute quota that names no delay [C]."""

# "limit: 0" means that this key has no quota for the model at all [C]; "limit: 0.5" or "limit: 05" would not.
_NO_QUOTA = re.compile(r"\blimit:\s*0(?![0-9]|\.[0-9])")
# "Please retry in 12.3s", also "in 900ms" [C]; the only hint when the details are missing.
_PLEASE_RETRY = re.compile(r"retry in ([0-9a-z.]{2,32}?)(?=[\s,;]|\.?$|\.\s)", re.IGNORECASE)


class Gemini:
    """See `providers.base.Provider`."""

    name = "gemini"
    base_url = "https://generativelanguage.googleapis.com/v1beta"
    key_variable = "GEMINI_API_KEY"
    formats: Mapping[Operation, str] = MappingProxyType({Operation.CHAT: "gemini"})
    limit_headers: frozenset[bytes] = frozenset()  # it tells its limits in the bodies of errors only
    prefill: Prefill | None = PLAIN

    def path(self, operation: Operation, model: str, *, stream: bool) -> str:
        """Path and query below the base URL; the model is one quoted segment, whatever it contains.

        Raises:
            KeyError: the operation is not offered.
        """
        verbs = {Operation.CHAT: ":streamGenerateContent?alt=sse" if stream else ":generateContent"}
        return f"/models/{quote(model.removeprefix('models/'), safe='')}{verbs[operation]}"

    def headers(self, key: str) -> tuple[tuple[str, str], ...]:
        """The key as a header; as a query parameter it would land in logs."""
        key = key.strip()
        return () if key in ("", NO_KEY) else (("x-goog-api-key", key),)

    def ping(self) -> str:
        """One entry of the list of models."""
        return "/models?pageSize=1"

    def classify(self, answer: Answer) -> Failure:
        """Which failure an answer is. Never raises."""
        report = read_report(answer)
        reason = next((word(item.get("reason")) for item in _of_type(report, "ErrorInfo")), "")
        if reason in REASONS:
            return failure(answer, report, REASONS[reason], hint=_delay(report), code=reason)
        if would_be_status(answer, report, RULES) == 429 and not report.html:  # noqa: PLR2004 - HTTP: too many requests
            return _exhausted(answer, report)
        return classify(answer, report, RULES)

    def rates(self, headers: Collection[tuple[bytes, bytes]], received: Wall) -> tuple[Rate, ...]:  # noqa: ARG002 - none
        """None: Gemini's answers do not tell them."""
        return ()


def is_google(report: Report) -> bool:
    """An error of Google's: its `status` is one of gRPC's words."""
    return report.type in IN_BAND


def _exhausted(answer: Answer, report: Report) -> Failure:
    """Tell a rate (wait a little) from a quota (wait until tomorrow, or for ever)."""
    delay = _delay(report)
    quotas = " ".join(_quota_ids(report)).lower()
    daily = "perday" in quotas or "daily" in quotas
    if daily or (delay or 0.0) > TERMINAL_WAIT or _NO_QUOTA.search(report.message):
        return failure(answer, report, _K.QUOTA_EXHAUSTED, hint=delay)
    if delay is None and "perminute" in quotas:
        delay = PER_MINUTE_WAIT
    return failure(answer, report, _K.RATE_LIMITED, hint=delay)


def _delay(report: Report) -> float | None:
    """Seconds of `RetryInfo.retryDelay`, else of the phrase `Please retry in 12.3s`."""
    for item in _of_type(report, "RetryInfo"):
        text = item.get("retryDelay")
        if isinstance(text, str) and (seconds := go_duration(text.strip())) is not None:
            return seconds
    found = _PLEASE_RETRY.search(report.message)
    return go_duration(found[1].rstrip(".")) if found else None


def _quota_ids(report: Report) -> Iterator[str]:
    """Names of the quotas that were violated."""
    for item in _of_type(report, "QuotaFailure"):
        violations = item.get("violations")
        for violation in violations if isinstance(violations, list) else ():
            if isinstance(violation, dict):
                yield str(violation.get("quotaId") or "")
    for item in _of_type(report, "ErrorInfo"):
        metadata = item.get("metadata")
        if isinstance(metadata, dict):
            yield str(metadata.get("quota_limit") or "")


def _of_type(report: Report, suffix: str) -> Iterator[Mapping[str, object]]:
    """The details of one `@type`."""
    return (item for item in report.details if str(item.get("@type") or "").endswith("." + suffix))


PROVIDER = Gemini()
