"""The gateway's own reply headers, as complete lines."""

import json
import math
from collections.abc import Sequence

from standfast.canon.attempt import ANSWER, Attempt
from standfast.canon.deployment import Deployment
from standfast.engine.considering import Decision
from standfast.errors import StandfastError

STREAM_HEADERS = b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
JSON_HEADERS = b"content-type: application/json\r\n"

TRACE_BYTES = 4096
"""The trace header is cut to whole attempts within this size, so that proxies do not refuse the reply."""

DECISION_BYTES = 2048
"""Of these the explanation of the choice may take so many; it is cut to whole targets, the best ones stay."""


def deployment_headers(deployment: Deployment) -> bytes:
    """Which model and deployment answered."""
    model, name = (_safe(text) for text in (deployment.model, deployment.name))
    return f"x-standfast-model: {model}\r\nx-standfast-deployment: {name}\r\n".encode("latin-1")


def attempt_headers(request_id: str, attempts: int, fallback: bool) -> bytes:
    """Id, number of upstream attempts, and whether another target than the first choice answered."""
    tail = _TAILS.get((attempts, fallback)) or _tail(attempts, fallback=fallback)
    return b"x-standfast-request-id: " + request_id.encode() + tail


def trace_header(
    attempts: Sequence[Attempt],
    answering: str,
    decision: Decision | None = None,
    *,
    outcome: str = "answering",
    purpose: str = ANSWER,
) -> bytes:
    """The attempts as a JSON list: target, outcome, failure kind, milliseconds from arrival to start and end.

    What an attempt was sent for is told unless it was for the answer. `purpose` is that of the one under way.

    Before them, if there is something to explain, stands why they were made where they were.
    """
    rows: list[dict[str, object]] = []
    for attempt in attempts:
        row: dict[str, object] = {"target": _safe(attempt.deployment), "outcome": attempt.outcome.value}
        if attempt.purpose != ANSWER:
            row["purpose"] = attempt.purpose
        if attempt.failure is not None:
            row["kind"] = attempt.failure.kind.value
            if attempt.failure.status:
                row["status"] = attempt.failure.status
        row["start_ms"] = round(attempt.started * 1000, 1)
        row["ms"] = round((attempt.ended - attempt.started) * 1000, 1)
        rows.append(row)
    if answering:
        rows.append({"target": _safe(answering), "outcome": outcome})
        if purpose != ANSWER:
            rows[-1]["purpose"] = purpose
    first = [] if decision is None else [_explained(decision)]
    while len(text := json.dumps(first + rows, separators=(",", ":"))) > TRACE_BYTES:
        rows.pop(0)
    return f"x-standfast-trace: {text}\r\n".encode("latin-1")


def taken_over(name: str, attempts: Sequence[Attempt], purpose: str, *, trace: bool) -> bytes:
    """Comments in a stream that broke and goes on, because its head was written before that.

    Whose the rest is, where it is not the answer of one source; and the trace, for whoever asked for one.
    """
    said = f": standfast: resumed by {_safe(name)}\n\n".encode() if purpose != "replay" else b""
    if trace:
        said += b": " + trace_header(attempts, name, purpose=purpose).rstrip() + b"\n\n"
    return said


def _explained(decision: Decision) -> dict[str, object]:
    """Strategy, kind, and the targets in order: what each was ranked by, why it is passed over, or cannot be asked."""
    told: dict[str, object] = {"strategy": decision.strategy}
    if decision.kind:
        told["kind"] = decision.kind
    ranking: list[dict[str, object]] = []
    told["ranking"] = ranking
    room = DECISION_BYTES
    for row in decision.rows:
        line: dict[str, object] = {"target": _safe(row.target)}
        if row.score is not None:
            line["score"] = float(f"{row.score:.4g}")
        line |= {name: float(f"{value:.3g}") for name, value in row.factors.items()}
        if row.dropped:
            line["dropped"] = row.dropped
        if row.passed_over:
            line["passed_over"] = row.passed_over
        room -= len(json.dumps(line))
        if room < 0:
            told["more"] = len(decision.rows) - len(ranking)
            break
        ranking.append(line)
    return {"decision": told}


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
