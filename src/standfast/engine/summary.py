"""Health as clients and probes see it, computed from what the fleet knows.

Two things are told of a target: may it be asked now (`status`: its breaker, its rests), and is it believed to be well
(`health`: checks and real traffic). A model's status follows from both: what matters is who would answer.
"""

import math
from collections.abc import Iterable

from standfast.engine.gateway import Gateway
from standfast.engine.target_report import TargetReport

HEALTHY, DEGRADED, UNHEALTHY = "healthy", "degraded", "unhealthy"


def health_summary(gateway: Gateway) -> dict[str, object]:
    """Status of the gateway and of every model and target.

    A target is `available`, `resting` (seconds until it may be asked, None if unknown) or `open` (its breaker). It
    serves as long as it is available and its health is not `unhealthy`; an unknown health counts as well.

    A model is `healthy` when its first target serves and is not degraded, `unhealthy` when none serves, `degraded`
    otherwise. The gateway is `healthy` when all models are, `unhealthy` when all are unhealthy, `degraded` otherwise.
    """
    reports = {report.target: report for report in gateway.health()}
    models: dict[str, dict[str, object]] = {}
    for name, waits in gateway.availability().items():
        rows = {target: _target(reports[target], wait) for target, wait in waits.items()}
        models[name] = {"status": _model(rows.values()), "targets": rows}
    statuses = {model["status"] for model in models.values()}
    overall = DEGRADED if len(statuses) > 1 else next(iter(statuses), HEALTHY)
    return {"status": overall, "in_flight": gateway.in_flight, "models": models}


def _target(report: TargetReport, wait: float | None) -> dict[str, object]:
    """`wait` is the seconds until it may be asked: 0 for now, None if unknown."""
    free = wait is not None and wait <= 0
    return {
        "status": "open" if report.state in ("open", "forced_open") else "available" if free else "resting",
        "breaker": report.state,
        "retry_after_s": None if wait is None or free else math.ceil(wait),
        "health": report.health,
        "reason": report.reason,
        "latency_ms": report.latency_ms,
        "checked_s": report.checked_s,
    }


def _model(targets: Iterable[dict[str, object]]) -> str:
    found = [(row["status"] == "available" and row["health"] != UNHEALTHY, row["health"]) for row in targets]
    if not any(serves for serves, _ in found):
        return UNHEALTHY
    serves, health = found[0]
    return HEALTHY if serves and health != DEGRADED else DEGRADED
