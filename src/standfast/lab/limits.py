"""Token buckets of a stand-in provider, and the rate-limit headers that its wire announces.

A bucket holds `burst` of a minute's allowance and refills continuously (Groq and OpenAI describe theirs so). A refused
request takes nothing from the token bucket, but one from the request bucket, never below empty.
"""

import math
from collections.abc import Mapping
from datetime import timedelta
from email.utils import formatdate, parsedate_to_datetime

from standfast.lab.settings import ProviderSettings

MINUTE = 60.0


class Bucket:
    """So many units a minute; `now` in seconds of any clock that only grows."""

    __slots__ = ("_at", "_level", "capacity", "per_minute")

    def __init__(self, per_minute: int, burst: float, now: float) -> None:
        self.per_minute = per_minute
        self.capacity = max(1.0, per_minute * burst)
        self._level = self.capacity
        self._at = now

    def level(self, now: float) -> float:
        """Units that may be taken now."""
        self._level = min(self.capacity, self._level + (now - self._at) * self.per_minute / MINUTE)
        self._at = now
        return self._level

    def wait(self, units: float, now: float) -> float:
        """Seconds until `units` (at most a full bucket) may be taken; 0 if now."""
        short = min(units, self.capacity) - self.level(now)
        return 0.0 if short <= 1e-9 else short * MINUTE / self.per_minute  # noqa: PLR2004 - rounding of the refill

    def take(self, units: float, now: float) -> None:
        """Take `units`; the bucket does not go below empty."""
        self._level = max(0.0, self.level(now) - units)


class Limits:
    """The request and token limits of one provider."""

    def __init__(self, settings: ProviderSettings, now: float) -> None:
        self._requests = Bucket(settings.rpm, settings.burst, now) if settings.rpm else None
        self._tokens = Bucket(settings.tpm, settings.burst, now) if settings.tpm else None

    def admit(self, tokens: int, now: float) -> float:
        """Take one request of `tokens`, or say how many seconds to wait; 0 means admitted."""
        waits = [
            bucket.wait(units, now)
            for bucket, units in ((self._requests, 1.0), (self._tokens, float(tokens)))
            if bucket
        ]
        wait = max(waits, default=0.0)
        if self._requests:
            self._requests.take(1.0, now)
        if self._tokens and not wait:
            self._tokens.take(float(tokens), now)
        return wait

    def headers(self, wire: str, now: float, wait: float = 0.0) -> Mapping[str, str]:
        """What the wire's provider announces."""
        found: dict[str, str] = {}
        for bucket, name in ((self._requests, "requests"), (self._tokens, "tokens")):
            if bucket is not None:
                left, reset = int(bucket.level(now)), bucket.wait(bucket.capacity, now)
                found |= announced(wire, name, left, bucket.per_minute, reset)
        if wait:
            found["retry-after"] = str(math.ceil(wait))
        return found


def announced(wire: str, name: str, left: int, per_minute: int, reset: float) -> Mapping[str, str]:
    """One limit (`requests` or `tokens`) as the wire's provider announces it; Gemini announces nothing.

    Args:
        wire: openai, anthropic, gemini.
        name: of the limit.
        left: of it.
        per_minute: the allowance.
        reset: seconds until it is whole again.
    """
    if wire == "gemini":
        return {}
    shown = f"{reset:.3f}s"
    prefix, suffix = "x-ratelimit-", f"-{name}"
    if wire == "anthropic":
        wall = parsedate_to_datetime(formatdate(usegmt=True)) + timedelta(seconds=math.ceil(reset))
        prefix, suffix, shown = f"anthropic-ratelimit-{name}-", "", wall.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        f"{prefix}limit{suffix}": str(per_minute),
        f"{prefix}remaining{suffix}": str(left),
        f"{prefix}reset{suffix}": shown,
    }
