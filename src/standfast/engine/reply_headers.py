"""The gateway's own reply headers, as complete lines."""

import json
import math
from collections.abc import Sequence

from standfast.canon.attempt import Attempt
from standfast.canon.deployment import Deployment
from standfast.errors import StandfastError

STREAM_HEADERS = b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
JSON_HEADERS = b"content-type: application/json\r\n"

TRACE_BYTES = 4096
"""The trace header is cut to whole attempts within this size, so that proxies do not refuse the reply."""


def deployment_headers(deployment: Deployment) -> bytes:
    """Which model and deployment answered."""
    model, name = (_safe(text) for text in (deployment.model, deployment.name))
    return f"x-standfast-model: {model}\r\nx-standfast-deployment: {name}\r\n".encode("latin-1")


def attempt_headers(request_id: str, attempts: int, *, fallback: bool) -> bytes:
    """Id, number of upstream attempts, and whether another target than the first choice answered."""
    tail = _TAILS.get((attempts, fallback)) or _tail(attempts, fallback=fallback)
    return b"x-standfast-request-id: " + request_id.encode() + tail


def trace_header(attempts: Sequence[Attempt], answering: str) -> bytes:
    """The attempts as a JSON list: target, outcome, failure kind, milliseconds from arrival to start and end."""
    rows: list[dict[str, object]] = []
    for attempt in attempts:
        row: dict[str, object] = {"target": _safe(attempt.deployment), "outcome": attempt.outcome.value}
        if attempt.failure is not None:
            row["kind"] = attempt.failure.kind.value
            if attempt.failure.status:
                row["status"] = attempt.failure.status
        row["start_ms"] = round(attempt.started * 1000, 1)
        row["ms"] = round((attempt.ended - attempt.started) * 1000, 1)
        rows.append(row)
    if answering:
        rows.append({"target": _safe(answering), "outcome": "answering"})
    while len(text := json.dumps(rows, separators=(",", ":"))) > TRACE_BYTES:
        rows.pop(0)
    return f"x-standfast-trace: {text}\r\n".encode("latin-1")


def error_headers(error: StandfastError) -> bytes:
    """Retry-After (whole seconds, never earlier than true) and what client SDKs should do."""
    lines = ""
    if error.retry_after is not None:
        lines += f"retry-after: {max(1, math.ceil(error.retry_after))}\r\n"
    if error.should_retry is not None:
        lines += f"x-should-retry: {str(error.should_retry).lower()}\r\n"
    return lines.encode()


def _tail(attempts: int, *, fallback: bool) -> bytes:
    word = "true" if fallback else "false"
    return f"\r\nx-standfast-attempts: {attempts}\r\nx-standfast-fallback: {word}\r\n".encode()


def _safe(text: str) -> str:
    """Header-safe: anything but visible ASCII becomes `?`."""
    return "".join(char if " " < char < "\x7f" else "?" for char in text)


_TAILS = {(count, fallback): _tail(count, fallback=fallback) for count in range(11) for fallback in (False, True)}
