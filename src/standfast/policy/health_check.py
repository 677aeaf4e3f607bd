"""What a check of a deployment is: how it is set, and what it says."""

from enum import IntEnum, StrEnum
from typing import Annotated, Literal

import msgspec
from pydantic import Field

from standfast.canon.failure import Failure
from standfast.canon.instants import Monotonic
from standfast.canon.settings import Seconds, Settings

Positive = Annotated[Seconds, Field(gt=0)]
Milliseconds = Annotated[float, Field(gt=0)]
Run = Annotated[int, Field(ge=1, le=100)]


class HealthState(StrEnum):
    """What is believed of a deployment."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


class Evidence(StrEnum):
    """Where a result comes from."""

    PING = "ping"
    GENERATE = "generate"
    TRAFFIC = "traffic"


class Grade(IntEnum):
    """How good one result is."""

    GOOD = 0
    WEAK = 1
    BAD = 2


class HealthSettings(Settings):
    """How deployments are watched, and from when on they count as ill.

    Attributes:
        kind: `off`, `passive` (real traffic alone), `ping` (the provider's free endpoint) or `generate` (a tiny real
            completion, which costs money).
        interval: between two results of one deployment, seconds; spread by a tenth (30 s, as AWS' application
            load balancer).
        timeout: of one check, seconds.
        healthy_after: good results in a row that make it healthy (3: as hard to become as to lose).
        unhealthy_after: bad results in a row that make it unhealthy (3, as HAProxy's `fall` and
            Kubernetes' `failureThreshold`).
        degraded_ms: average latency from which a result is weak, milliseconds.
        unhealthy_ms: average latency of checks from which a result is bad, milliseconds.
        error_rate: share of failures among recent calls above which a result is weak.
        budget_usd: US dollars a day for generate checks, of all deployments together; beyond it a check is a ping. A
            model for 2.5 and 10 dollars per million tokens, asked every 30 s, costs 0.2 a day. A model whose price is
            unknown is counted at 5 and 25 dollars; write the price under `facts`, 0 for a server of your own.
        budget: generate checks an hour, of all deployments together, besides; absent for as many as the money allows.
        prompt: what a generate check asks.
        expect: the word that its answer must hold, in capitals or not; empty accepts any answer.
    """

    kind: Literal["off", "passive", "ping", "generate"] = "ping"
    interval: Annotated[Seconds, Field(ge=1)] = 30.0
    timeout: Positive = 10.0
    healthy_after: Run = 3
    unhealthy_after: Run = 3
    degraded_ms: Milliseconds = 3000.0
    unhealthy_ms: Milliseconds = 5000.0
    error_rate: Annotated[float, Field(ge=0, le=1)] = 0.1
    budget_usd: Annotated[float, Field(gt=0)] = 0.5
    budget: Annotated[int, Field(ge=1)] | None = None
    prompt: Annotated[str, Field(min_length=1)] = "Reply with the single word OK."
    expect: str = "OK"

    @property
    def memory(self) -> float:
        """Seconds after which evidence is old."""
        return (max(self.healthy_after, self.unhealthy_after) + 1) * self.interval


class Check(msgspec.Struct, frozen=True):
    """One check and what came of it.

    Attributes:
        kind: ping or generate.
        at: when it ended.
        seconds: how long it took, connection included.
        failure: what went wrong, None for success.
        cost: US dollars that it is counted with.
        assumed: its price is unknown, and the one it is counted with is a guess.
    """

    kind: Evidence
    at: Monotonic
    seconds: float
    failure: Failure | None = None
    cost: float = 0.0
    assumed: bool = False


_VERDICTS = {
    Grade.GOOD: HealthState.HEALTHY,
    Grade.WEAK: HealthState.DEGRADED,
    Grade.BAD: HealthState.UNHEALTHY,
}
"""What one result alone says."""


def grade_of(check: Check, seconds: float, settings: HealthSettings) -> tuple[Grade | None, str]:
    """How good a check is if its kind takes `seconds` on average, and why; None if it says nothing."""
    if check.failure is not None:
        if not check.failure.meaning.trips_breaker:
            return None, ""
        return Grade.BAD, f"{check.kind} failed ({check.failure.kind})"
    taken = seconds * 1000
    if taken > settings.degraded_ms:
        return Grade.BAD if taken > settings.unhealthy_ms else Grade.WEAK, f"{check.kind} takes {taken:.0f} ms"
    return Grade.GOOD, f"{check.kind} succeeds"


def verdict(check: Check, settings: HealthSettings) -> HealthState:
    """What one check says by itself, for a report while the state is unknown."""
    grade, _ = grade_of(check, check.seconds, settings)
    return HealthState.UNKNOWN if grade is None else _VERDICTS[grade]
