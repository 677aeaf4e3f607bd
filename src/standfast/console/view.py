"""From what the gateway tells to the rows that the page shows. Looks, and changes nothing."""

import math
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias, cast

from standfast.canon.attempt import Attempt
from standfast.canon.failure import Blame
from standfast.canon.record import RequestRecord
from standfast.console.messages import (
    AttemptRow,
    CheckRow,
    Gauge,
    KeyRow,
    ModelRow,
    Placed,
    RequestRow,
    TargetRow,
)
from standfast.console.sampler import Reading
from standfast.engine.gateway import Gateway
from standfast.engine.portrait import Gauge as Level
from standfast.engine.portrait import KeyPortrait, Portrait
from standfast.engine.summary import health_summary
from standfast.engine.target_report import TargetReport

State: TypeAlias = Literal["serving", "degraded", "trying", "resting", "unhealthy", "open", "unknown"]
Later: TypeAlias = Callable[[float], float]
"""From seconds from now (negative: ago) to Unix seconds, in tenths: the same instant is the same figure."""


def target_rows(gateway: Gateway, totals: Reading, later: Later) -> list[TargetRow]:
    """Every configured target, in configuration order."""
    portraits = gateway.portraits()
    return [_target(report, portraits[report.target], totals, later) for report in gateway.health()]


def model_rows(gateway: Gateway) -> list[ModelRow]:
    """Every configured model, in configuration order."""
    config = gateway.snapshot.config
    statuses = cast("Mapping[str, Mapping[str, object]]", health_summary(gateway)["models"])
    return [
        ModelRow(
            model=name,
            strategy=config.models[name].strategy or config.defaults.strategy,
            status=cast("Literal['healthy', 'degraded', 'unhealthy']", statuses[name]["status"]),
            targets=tuple(Placed(target=each.name, tier=each.tier, weight=each.weight) for each in route.targets),
        )
        for name, route in gateway.snapshot.routes.items()
    ]


def request_row(record: RequestRecord) -> RequestRow:
    """One request."""
    usage = record.usage
    return RequestRow(
        id=record.id,
        at=round(record.received, 3),
        caller=record.caller,
        model=record.model,
        operation=record.operation,
        status=record.status,
        code=record.code,
        target=record.deployment,
        stream=record.stream,
        fallback=record.fallback,
        source=record.source,
        priority=record.priority,
        session=record.session,
        tags=record.tags,
        first_token_ms=_milliseconds(record.first_token),
        total_ms=round(record.total * 1e3, 2),
        prompt_tokens=None if usage is None else usage.prompt,
        completion_tokens=None if usage is None else usage.completion,
        attempts=tuple(_attempt(attempt) for attempt in record.attempts),
    )


def _attempt(attempt: Attempt) -> AttemptRow:
    """One try. The detail is left out for the client's own faults: it quotes the upstream, which may quote a prompt."""
    failure = attempt.failure
    told = failure is not None and failure.meaning.blame is not Blame.NOBODY
    return AttemptRow(
        target=attempt.deployment,
        outcome=attempt.outcome,
        started_ms=round(attempt.started * 1e3, 2),
        ended_ms=round(attempt.ended * 1e3, 2),
        first_content_ms=_milliseconds(attempt.first_content),
        kind="" if failure is None else failure.kind,
        detail=failure.detail if failure is not None and told else "",
        purpose=attempt.purpose,
    )


def _target(report: TargetReport, portrait: Portrait, totals: Reading, later: Later) -> TargetRow:
    name = report.target
    return TargetRow(
        target=name,
        state=_state(report, portrait, seen=name in totals.answers or name in totals.failures),
        breaker=report.state,
        health=report.health,
        reason=report.reason,
        advice=report.advice,
        until=later(portrait.wait) if 0.0 < portrait.wait < math.inf else None,
        in_flight=portrait.in_flight,
        ceiling=portrait.ceiling,
        first_token_ms=_milliseconds(portrait.first_token),
        answered=totals.answers.get(name, 0),
        failed=totals.failures.get(name, 0),
        prompt_tokens=totals.prompts.get(name, 0),
        completion_tokens=totals.completions.get(name, 0),
        keys=tuple(_key(key, later) for key in portrait.keys),
        limits=tuple(_gauge(level) for level in portrait.gauges),
        check=_check(report, later),
    )


def _state(report: TargetReport, portrait: Portrait, *, seen: bool) -> State:
    """All that is known of it in a word; what keeps it from serving comes first."""
    if report.state in ("open", "forced_open"):
        return "open"
    if portrait.wait > 0.0:
        return "resting"
    if report.state == "half_open" or portrait.ramping:
        return "trying"
    if report.health == "unhealthy":
        return "unhealthy"
    if report.health == "degraded":
        return "degraded"
    return "unknown" if report.health == "unknown" and not seen else "serving"


def _key(key: KeyPortrait, later: Later) -> KeyRow:
    rest = max(key.resting, key.quarantined)
    return KeyRow(
        index=key.index,
        state="quarantined" if key.quarantined > 0.0 else "resting" if rest > 0.0 else "free",
        until=later(rest) if rest > 0.0 else None,
        in_flight=key.in_flight,
        limits=tuple(_gauge(level) for level in key.gauges),
    )


def _gauge(level: Level) -> Gauge:
    return Gauge(name=level.name, left=round(level.left, 1), size=round(level.size, 1), learned=level.learned)


def _check(report: TargetReport, later: Later) -> CheckRow | None:
    if report.ok is None or report.checked_s is None:
        return None
    return CheckRow(
        kind=report.kind,
        ok=report.ok,
        at=later(-report.checked_s),
        latency_ms=report.latency_ms,
        detail=report.detail,
        cost_usd=report.cost_usd,
    )


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 2)
