"""What a check of a deployment is: how it is set, what it says, and how many may cost money."""

from enum import IntEnum, StrEnum
from typing import Annotated, Literal

import msgspec
from pydantic import Field

from standfast.canon.failure import Failure
from standfast.canon.instants import NEVER, Monotonic
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
        budget: generate checks an hour, of all deployments together; beyond it a check is a ping. 120 is what one
            deployment needs at the default interval; at about 30 tokens each that is less than 4,000 tokens an hour.
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
    budget: Annotated[int, Field(ge=1)] = 120
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
    """

    kind: Evidence
    at: Monotonic
    seconds: float
    failure: Failure | None = None


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


class Allowance:
    """So many generate checks in any hour, evenly spread.

    Theory: the generic cell rate algorithm (ITU-T I.371). A check is due every `spacing` and may come half of that too
    early, so that looks which do not keep step are not refused; with spacing = 3600 / (hourly - 1/2) no hour sees more
    than `hourly`.

    Args:
        hourly: at least 1.
    """

    __slots__ = ("_due", "_spacing", "hourly")

    def __init__(self, hourly: int) -> None:
        self.hourly = hourly
        self._spacing = 3600.0 / (hourly - 0.5)
        self._due = Monotonic(-NEVER)

    def ready(self, now: Monotonic) -> bool:
        """May one be made now?"""
        return now >= self._due - self._spacing / 2

    def spend(self, now: Monotonic) -> None:
        """One is made; also one that was ordered and did not ask."""
        self._due = Monotonic(max(self._due, now) + self._spacing)
