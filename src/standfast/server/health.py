"""Health as clients and probes see it, computed from what the fleet knows."""

import math

from standfast.engine.gateway import Gateway


def health_summary(gateway: Gateway) -> dict[str, object]:
    """Status of the gateway and of every model and target.

    A target is `available`, `resting` (seconds until it may be asked, None if unknown) or `open` (its breaker). A model
    is `ok` when its first target is available, `degraded` when another one is, `down` when none is. The gateway is `ok`
    when all models are, `down` when all are down, `degraded` otherwise.
    """
    breakers = gateway.breaker_states()
    models: dict[str, object] = {}
    statuses: list[str] = []
    for name, targets in gateway.availability().items():
        rows: dict[str, object] = {}
        available = []
        for target, wait in targets.items():
            free = wait is not None and wait <= 0
            available.append(free)
            state = "open" if breakers[target] == "open" else "available" if free else "resting"
            rows[target] = {
                "status": state,
                "breaker": breakers[target],
                "retry_after_s": None if wait is None or free else math.ceil(wait),
            }
        status = "ok" if available[0] else "degraded" if any(available) else "down"
        statuses.append(status)
        models[name] = {"status": status, "targets": rows}
    overall = "ok"
    if any(status != "ok" for status in statuses):
        overall = "down" if all(status == "down" for status in statuses) else "degraded"
    return {"status": overall, "in_flight": gateway.in_flight, "models": models}
