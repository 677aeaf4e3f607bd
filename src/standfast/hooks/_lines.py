"""One line for one record: JSON for machines, text for people. Pure; redaction comes after."""

import json
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from standfast.canon.attempt import ANSWER, Attempt
from standfast.canon.failure import Blame
from standfast.canon.record import Change, RequestRecord
from standfast.canon.usage import Usage

_encode = msgspec.json.Encoder().encode


def json_line(event: RequestRecord | Change, seen: float) -> str:
    """One JSON object. `seen` is Unix time, for a change (a request brings its own)."""
    value = _request(event) if isinstance(event, RequestRecord) else _change(event, seen)
    try:
        return _encode(value).decode()
    except (UnicodeEncodeError, ValueError):  # a lone surrogate; the slower encoder escapes it
        return json.dumps(value if isinstance(value, dict) else msgspec.to_builtins(value))


def text_line(event: RequestRecord | Change, seen: float) -> str:
    """One short line for a terminal."""
    if isinstance(event, Change):
        until = "" if event.until is None else f" for {event.until:.3g} s"
        return f"{_time(seen)} {event.subject} {event.name}: {event.before} -> {event.after}{until} ({event.reason})"
    parts = [_time(event.received), str(event.status), event.model, f"-> {event.deployment or '-'}"]
    parts.append(f"{event.total * 1e3:.0f} ms")
    if event.first_token is not None:
        parts.append(f"(first {event.first_token * 1e3:.0f} ms)")
    if event.usage is not None:
        parts.append(f"{event.usage.prompt}+{event.usage.completion} tokens")
    parts += [event.code] if event.code else []
    parts += ["fallback"] if event.fallback else []
    failed = (f"{each.deployment} {each.failure.kind}" for each in event.attempts if each.failure is not None)
    parts += [f"[{each}]" for each in failed]
    parts += [each.purpose for each in event.attempts if each.purpose != ANSWER]
    parts += [event.caller] if event.caller else []
    return " ".join((*parts, event.id))


class _Line(msgspec.Struct):
    event: str
    id: str
    time: str
    caller: str
    model: str
    operation: str
    deployment: str
    status: int
    code: str
    stream: bool
    fallback: bool
    attempts: list[dict[str, object]]
    first_token_ms: float | None
    total_ms: float | None
    overhead_ms: float | None
    usage: Usage | None
    session: str
    tags: tuple[str, ...]
    priority: int
    source: str


def _request(record: RequestRecord) -> _Line:
    overhead = record.total - record.upstream
    return _Line(
        "request",
        record.id,
        _time(record.received),
        record.caller,
        record.model,
        record.operation,
        record.deployment,
        record.status,
        record.code,
        record.stream,
        record.fallback,
        [_attempt(each) for each in record.attempts],
        _milliseconds(record.first_token),
        _milliseconds(record.total),
        _milliseconds(overhead if overhead > 0.0 else 0.0),  # noqa: FURB136 - a call for each line
        record.usage,
        record.session,
        record.tags,
        record.priority,
        record.source,
    )


def _attempt(attempt: Attempt) -> dict[str, object]:
    """One try; what it was for is told unless it was for the answer.

    The detail is left out for the client's own faults: it quotes the upstream, which may quote a prompt.
    """
    failure = attempt.failure
    line: dict[str, object] = {
        "target": attempt.deployment,
        "outcome": attempt.outcome,
        "kind": None if failure is None else failure.kind,
        "ms": _milliseconds(attempt.ended - attempt.started),
    }
    if attempt.purpose != ANSWER:
        line["purpose"] = attempt.purpose
    if failure is not None and failure.meaning.blame is not Blame.NOBODY:
        line["detail"] = failure.detail
    return line


def _change(change: Change, seen: float) -> dict[str, object]:
    line: dict[str, object] = {
        "event": "change",
        "time": _time(seen),
        "subject": change.subject,
        "name": change.name,
        "before": change.before,
        "after": change.after,
        "reason": change.reason,
        "until_s": change.until,
    }
    if change.where:
        line["where"] = change.where
    return line


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 3)


@lru_cache(maxsize=64)
def second_text(wall: int) -> str:
    """A whole second of Unix time, RFC 3339 without its zone."""
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _time(wall: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    thousandths = int(wall * 1000)
    return f"{second_text(thousandths // 1000)}.{thousandths % 1000:03d}Z"
