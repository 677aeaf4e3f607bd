"""What is told of one target: by `standfast check`, by the library and by the health routes."""

from dataclasses import dataclass

from standfast.canon.deployment import Deployment
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.engine.assemble import Snapshot
from standfast.policy.breaker import LETTING, State
from standfast.policy.health_check import Check, Evidence, HealthState, verdict
from standfast.policy.places import Standing

UNPRICED = "Its price is unknown: a check is counted at 5 and 25 dollars per million tokens. Write it under `facts`."

TIMED_OUT = {
    FailureKind.CONNECT_TIMEOUT: "Check the network path to the provider.",
    FailureKind.FIRST_TOKEN_TIMEOUT: "Check again; if this is the provider's normal pace, raise health.timeout.",
}
"""What to do about a check that was late: it obeys `health.timeout`, and none of the requests' time-outs."""


@dataclass(frozen=True, slots=True)
class TargetReport:
    """How one target is.

    Attributes:
        target: `provider/model`.
        ok: the newest check succeeded; None if none was made.
        state: state of the breaker.
        latency_ms: of that check, connection included.
        detail: what went wrong in it, or why none was made.
        health: healthy, degraded, unhealthy or unknown; in the report of an ordered check, while it is unknown, what
            that check says by itself.
        reason: why.
        kind: of the newest check, `ping` or `generate`; empty if none was made.
        checked_s: seconds since it ended.
        keys_free, keys: upstream keys that neither rest nor are in quarantine, and all.
        advice: what to do; empty if all is well.
        cost_usd: US dollars that the newest check is counted with; None if it was no generate check.
    """

    target: str
    ok: bool | None
    state: str
    latency_ms: float | None
    detail: str
    health: str = "unknown"
    reason: str = ""
    kind: str = ""
    checked_s: float | None = None
    keys_free: int = 0
    keys: int = 0
    advice: str = ""
    cost_usd: float | None = None


def report_of(
    snapshot: Snapshot, deployment: Deployment, check: Check | None, now: Monotonic, *, ordered: bool
) -> TargetReport:
    """How a deployment is; `check` is its newest, or the one that was ordered."""
    standing = snapshot.fleet.standing(deployment, now)
    state, reason = HealthState.UNKNOWN, ""
    settings, slow = snapshot.config.defaults.health, False
    if standing.health is not None:
        state, reason, settings = standing.health.state(now), standing.health.reason, standing.health.settings
        slow = standing.health.slow
    if ordered and check is not None and state is HealthState.UNKNOWN:
        state, reason, slow = verdict(check, settings), "one check", True
    failure = check.failure if check is not None else None
    if ordered and failure is not None and state is HealthState.UNKNOWN:
        reason = f"{failure.kind.value} says nothing of the deployment"
    detail = "" if failure is None else f"{failure.kind.value}: {failure.detail}".rstrip(": ")
    return TargetReport(
        target=deployment.name,
        ok=None if check is None else failure is None,
        state=standing.breaker.value,
        latency_ms=None if check is None else round(check.seconds * 1000, 1),
        detail=_unchecked(standing) if check is None else detail,
        health=state.value,
        reason=reason,
        kind="" if check is None else check.kind.value,
        checked_s=None if check is None else round(now - check.at, 1),
        keys_free=len(standing.free_keys),
        keys=standing.keys,
        advice=_advice(standing, failure, state, slow=slow)
        or (UNPRICED if check is not None and check.assumed else ""),
        cost_usd=check.cost if check is not None and check.kind is Evidence.GENERATE else None,
    )


def _unchecked(standing: Standing) -> str:
    if not standing.free_keys:
        return "not checked: every key rests"
    if standing.breaker not in LETTING:
        return f"not checked: its breaker is {standing.breaker.value}"
    return "not checked"


def _advice(standing: Standing, failure: Failure | None, state: HealthState, *, slow: bool) -> str:
    if failure is not None:
        return TIMED_OUT.get(failure.kind, failure.meaning.advice)
    if not standing.free_keys:
        return "Wait until a key's rest is over, or add keys."
    if standing.breaker is State.FORCED_OPEN:
        return "Leave it to itself again: in the console, by `Gateway.force_breaker(target, None)` or in its `breaker`."
    if standing.breaker not in LETTING:
        return "Nothing: the breaker tries it again by itself."
    if state in (HealthState.DEGRADED, HealthState.UNHEALTHY):
        return _ailing(standing, slow=slow)
    return ""


def _ailing(standing: Standing, *, slow: bool) -> str:
    if standing.health is not None and standing.health.recovering:
        return "Nothing: a run of good results makes it healthy."
    pace = "; if this is its normal pace, raise degraded_ms" if slow else ""
    return f"See the provider's status page{pace}."
