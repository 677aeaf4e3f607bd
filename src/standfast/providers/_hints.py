"""When to come back: what an answer says about that, in seconds.

Order of precedence (the first usable one wins):

1. `retry-after-ms`, float milliseconds (OpenAI, Azure; both big SDKs read it before `retry-after`).
2. `retry-after`, float seconds or an HTTP-date. A date is read against the answer's own `Date` header, so that
   the local clock's error does not matter; without one against the instant of reception.
3. the hint of the body; only the provider knows where that stands, so the caller gives it.
4. reset headers of limits that are used up (`remaining` is 0): the latest reset counts, for all must be over.

Unusable is: nothing to read, negative, zero, NaN, infinite, or further away than the longest honest wait, which is
a monthly limit's. A usable hint is cut at 24 hours. Zero is unusable because a cooldown of no length is none: the
caller's own doubling default is safer than a storm.
"""

import math
import re
from collections.abc import Collection
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

from standfast.canon.instants import Wall
from standfast.providers.base import Answer

CEILING = 24 * 3600.0
"""The longest hint that is passed on, seconds."""

ABSURD = 32 * 86400.0
"""Beyond this, seconds, a hint is taken for nonsense: a monthly limit is the longest that providers have."""

_NUMBER = re.compile(r"[0-9]{1,32}(?:\.[0-9]{0,32})?")
_PART = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)(h|ms|m|s|us|\u00b5s|\u03bcs|ns)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "\u00b5s": 1e-6, "\u03bcs": 1e-6, "ns": 1e-9}
_LONGEST_VALUE = 128

_OPENAI_REMAINING = "x-ratelimit-remaining-"
_OPENAI_RESET = "x-ratelimit-reset-"
_ANTHROPIC = ("anthropic-ratelimit-", "anthropic-priority-")


def retry_after(answer: Answer, body_hint: float | None = None) -> float | None:
    """Seconds that the answer asks to wait; None if it says nothing usable. Never raises.

    Args:
        answer: what came, with an error status: on a success (200, and so an in-band error) the headers are not
            read, because some providers send `retry-after` with good answers.
        body_hint: seconds that the body names.
    """
    if answer.status < 400:  # noqa: PLR2004 - HTTP: below are successes and redirects
        return usable(body_hint)
    milliseconds = number(answer.header(b"retry-after-ms"))
    for hint in (
        None if milliseconds is None else milliseconds / 1000.0,
        _seconds_or_date(answer.header(b"retry-after"), answer),
        body_hint,
    ):
        if (seconds := usable(hint)) is not None:
            return seconds
    return usable(_reset(answer)) if answer.status == 429 else None  # noqa: PLR2004 - HTTP: limits are told with 429


def should_retry(answer: Answer) -> bool | None:
    """`x-should-retry`, None if absent or unknown.

    The OpenAI and Anthropic SDKs obey it before the status. Here it is only a hint for a status that no table knows:
    what a known failure means is decided in `canon.failure`.
    """
    return {"true": True, "false": False}.get((answer.header(b"x-should-retry") or "").strip().lower())


def usable(seconds: float | None) -> float | None:
    """`seconds` cut at 24 hours; None if it is no sensible wait."""
    if seconds is None or not math.isfinite(seconds) or seconds <= 0 or seconds > ABSURD:
        return None
    return min(seconds, CEILING)


def go_duration(text: str) -> float | None:
    """Seconds of `1h23m31s`, `33.023s`, `370ms`; None if anything is left over (Go's `time.ParseDuration`)."""
    if len(text) > _LONGEST_VALUE:
        return None
    parts = list(_PART.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text:
        return None
    return sum(float(part[1]) * _UNITS[part[2]] for part in parts)


def number(text: str | None) -> float | None:
    """A plain decimal number. `float` alone would also take `nan`, `inf`, `1_0` and `1e9`."""
    if text is None or len(text) > _LONGEST_VALUE or not _NUMBER.fullmatch(text.strip(" \t")):
        return None
    return float(text)


def _seconds_or_date(text: str | None, answer: Answer) -> float | None:
    if text is None:
        return None
    seconds = number(text)
    if seconds is not None:
        return seconds
    instant = _http_date(text)
    return None if instant is None else instant - _told_at(answer.headers, answer.received)


def _told_at(headers: Collection[tuple[bytes, bytes]], received: Wall) -> float:
    """Unix time at which an answer was made, by its own clock if it shows one."""
    raw = next((value for name, value in headers if name == b"date"), None)
    shown = None if raw is None else _http_date(raw.decode("latin-1"))
    return received if shown is None else shown


@lru_cache(maxsize=64)  # one answer's resets, and the answers of one second, are read against the same date
def _http_date(text: str | None) -> float | None:
    if text is None or len(text) > _LONGEST_VALUE:
        return None
    try:
        return _unix(parsedate_to_datetime(text))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _rfc3339(text: str) -> float | None:
    if len(text) > _LONGEST_VALUE:
        return None
    try:
        return _unix(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def _unix(when: datetime) -> float:
    """Unix time; a date without a zone is UTC, as both grammars mean it."""
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _reset(answer: Answer) -> float | None:
    """The latest reset among the limits that are used up."""
    latest: float | None = None
    for raw, value in answer.headers:
        reset = _reset_header(raw.decode("latin-1")) if value.strip() in (b"0", b"0.0") else ""
        text = answer.header(reset.encode("latin-1")) if reset else None
        seconds = None if text is None else usable(reset_seconds(text.strip(), answer.headers, answer.received))
        if seconds is not None:
            latest = seconds if latest is None else max(latest, seconds)
    return latest


def _reset_header(name: str) -> str:
    """The reset header that belongs to a `remaining` header; empty if `name` is none."""
    if name.startswith(_OPENAI_REMAINING):
        return _OPENAI_RESET + name[len(_OPENAI_REMAINING) :]
    if name.startswith(_ANTHROPIC) and name.endswith("-remaining"):
        return name.removesuffix("remaining") + "reset"
    return ""


def reset_seconds(text: str, headers: Collection[tuple[bytes, bytes]], received: Wall) -> float | None:
    """Seconds of a reset header's value; negative if it names an instant that is past.

    Plain seconds (Azure, Groq), a Go duration (OpenAI) or a wall-clock instant (Anthropic): all three occur.
    """
    for seconds in (number(text), go_duration(text)):
        if seconds is not None:
            return seconds
    instant = _rfc3339(text)
    return None if instant is None else instant - _told_at(headers, received)
