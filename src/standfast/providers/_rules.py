"""From an error answer to a `Failure`: the order of evidence that all providers share.

1. A redirect is refused: credentials never follow one.
2. A web page speaks only through its status: nobody's API sent it.
3. Code words that decide whatever the status is (`Rules.codes`): a spent quota may come as 400, 402 or 429.
4. Phrases, only where a provider gives no other sign (`Rules.phrases`), bound to their status.
5. The status (`STATUS`). An in-band error arrives with status 200: its number or its word (`Rules.in_band`) gives the
   status that it would have had as an answer of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from standfast.canon.failure import Failure, FailureKind
from standfast.providers._hints import retry_after, should_retry, usable
from standfast.providers._report import Report, public_text, shorten, word
from standfast.providers.base import Answer

_K = FailureKind

CLIENT_FAULTS = frozenset({_K.INVALID_REQUEST, _K.CONTEXT_TOO_LONG, _K.CONTENT_FILTERED, _K.PAYLOAD_TOO_LARGE})
"""Kinds whose upstream message helps the client who caused them; of all others only code words are passed on."""

TERMINAL_WAIT = 300.0
"""A wait longer than this, seconds, means a spent quota, not a rate (rule of Google's own command-line client)."""

_IN_BAND_DEFAULT = 500
_BAD_REQUEST, _NOT_FOUND, _TOO_MANY = 400, 404, 429


class Phrase(NamedTuple):
    """A failure that only its wording tells.

    Attributes:
        status: the (would-be) HTTP status it comes with.
        words: lower-case texts that must all occur in the message.
        kind: what it is.
    """

    status: int
    words: tuple[str, ...]
    kind: FailureKind


@dataclass(frozen=True, slots=True)
class Rules:
    """One provider's tables.

    Attributes:
        codes: code words (`error.code`, `error.type`) that decide whatever the status is.
        in_band: the HTTP status for which a word stands when it comes inside a status 200.
        phrases: the last resort.
    """

    codes: Mapping[str, FailureKind] = field(default_factory=dict)
    in_band: Mapping[str, int] = field(default_factory=dict)
    phrases: Sequence[Phrase] = ()


def classify(answer: Answer, report: Report, rules: Rules) -> Failure:
    """Which failure an answer is. Never raises."""
    if 300 <= answer.status < _BAD_REQUEST:  # noqa: PLR2004 - HTTP: redirects
        return Failure(_K.SERVER_ERROR, f"redirect refused (HTTP {answer.status}): check base_url", answer.status)
    if report.html:
        return _web_page(answer)
    status = would_be_status(answer, report, rules)
    kind = _by_words(status, report, rules)
    if kind is None and answer.status == _NOT_FOUND and not _names_something(report):
        return Failure(_K.SERVER_ERROR, "HTTP 404 without an error object: check base_url", answer.status)
    return failure(answer, report, kind or by_status(status, answer))


def would_be_status(answer: Answer, report: Report, rules: Rules) -> int:
    """The HTTP status to judge by: the answer's, or that for which an in-band error stands."""
    if answer.status >= 300:  # noqa: PLR2004 - HTTP: no success
        return answer.status
    if report.number:
        return report.number
    return next((rules.in_band[name] for name in report.words if name in rules.in_band), _IN_BAND_DEFAULT)


def by_status(status: int, answer: Answer) -> FailureKind:
    """What a status alone says. `x-should-retry: true` counts only where no table knows the status."""
    kind = STATUS.get(status)
    if kind is not None:
        return kind
    if status >= 500 or should_retry(answer):  # noqa: PLR2004 - HTTP: the server's own failures
        return _K.SERVER_ERROR
    return _K.INVALID_REQUEST


def failure(answer: Answer, report: Report, kind: FailureKind, *, hint: float | None = None, code: str = "") -> Failure:
    """The value for `kind`, with a detail that may be seen by whoever reads logs.

    Args:
        answer: what came.
        report: its body.
        kind: what it is.
        hint: seconds that the body asks to wait.
        code: a more precise code than the body's own.
    """
    named = code or report.code or report.type
    words = " ".join(dict.fromkeys(name for name in (report.type, report.code, word(code)) if name))
    detail = f"HTTP {answer.status}" + (f" {words}" if words else "")
    if kind in CLIENT_FAULTS and (text := public_text(report.message)):
        detail = f"{detail}: {text}"
    return Failure(kind, shorten(detail), answer.status, _wait(answer, kind, hint), named)


def _wait(answer: Answer, kind: FailureKind, hint: float | None) -> float | None:
    """The hint, for kinds that have one. A spent quota does not come back within seconds, whatever a header says."""
    if kind in (_K.RATE_LIMITED, _K.OVERLOADED, _K.SERVER_ERROR):
        return retry_after(answer, hint)
    if kind is _K.QUOTA_EXHAUSTED:
        longest = max((value for value in (usable(hint), retry_after(answer)) if value is not None), default=0.0)
        return longest if longest > TERMINAL_WAIT else None
    return None


def _by_words(status: int, report: Report, rules: Rules) -> FailureKind | None:
    for name in report.words:
        if name in rules.codes:
            return rules.codes[name]
    text = report.message.lower()
    for phrase in rules.phrases:
        if phrase.status == status and all(part in text for part in phrase.words):
            return phrase.kind
    return None


def _names_something(report: Report) -> bool:
    """A missing model has an error object with a type, or at least speaks of a model; a wrong path has neither.

    Seen for wrong paths: `404 page not found` (Go servers), `{"detail":"Not Found"}` (FastAPI), an empty body.
    """
    return report.structured and bool(report.type or report.code or "model" in report.message.lower())


def _web_page(answer: Answer) -> Failure:
    if answer.status < _BAD_REQUEST:
        return Failure(_K.SERVER_ERROR, f"HTML with status {answer.status}: check base_url", answer.status)
    if answer.status == _NOT_FOUND:
        return Failure(_K.SERVER_ERROR, "HTML 404: check base_url", answer.status)
    kind = by_status(answer.status, answer)
    return Failure(kind, f"HTML {answer.status}", answer.status, _wait(answer, kind, None))


STATUS: Mapping[int, FailureKind] = MappingProxyType(
    {
        400: _K.INVALID_REQUEST,
        401: _K.AUTH_FAILED,
        402: _K.QUOTA_EXHAUSTED,
        403: _K.FORBIDDEN,
        404: _K.MODEL_NOT_FOUND,
        408: _K.SERVER_ERROR,  # request timeout: transient
        409: _K.SERVER_ERROR,  # lock conflict: transient
        413: _K.PAYLOAD_TOO_LARGE,
        422: _K.INVALID_REQUEST,
        425: _K.SERVER_ERROR,  # too early: transient
        429: _K.RATE_LIMITED,
        499: _K.SERVER_ERROR,  # cancelled on the provider's side
        503: _K.OVERLOADED,
        529: _K.OVERLOADED,
    }
)
"""What a status says when nothing more precise does. 5xx that are missing here are server errors, other 4xx invalid."""
