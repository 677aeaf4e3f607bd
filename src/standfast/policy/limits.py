"""Limits of one upstream key or one deployment: requests a minute, tokens a minute, requests at the same time.

Theory. Token buckets, refilled continuously: within any stretch of t seconds no more passes than the bucket holds plus
the rate times t. Tokens are charged by estimate when a request goes and corrected when its usage is known, so a bucket
may come to owe; what it owes is waited for. Nothing here waits itself: the answer is a number of seconds.
"""

from typing import Annotated, NamedTuple

from pydantic import Field

from standfast.canon.instants import Monotonic
from standfast.canon.settings import Settings

BURST_SECONDS = 10.0
"""A bucket holds what ten seconds allow: Azure enforces minute limits in slices of 1 or 10 s, larger bursts fail."""

INSTANT = 1e-6
"""Waits below a microsecond are rounding errors of the refill, not waits."""

BUSY_WAIT = 0.05
"""Seconds after which to ask again when every slot is taken: nobody knows when one becomes free."""


class Gauge(NamedTuple):
    """How much of one limit is left, to look at.

    Attributes:
        name: of the limit, with its figure if it is configured.
        left: what may go at once; below zero what is owed.
        size: the most that may ever go at once.
        learned: answers told it; otherwise it is configured.
    """

    name: str
    left: float
    size: float
    learned: bool = False


class TargetLimits(Settings):
    """What one target may do, whichever of its provider's keys is used; absent means unlimited.

    Attributes:
        rpm: requests a minute.
        tpm: tokens a minute, prompt and answer together.
        concurrency: requests at the same time.
        adaptive: besides, learn how many at the same time it can take (`defaults.adaptive` says how).
    """

    rpm: Annotated[int, Field(gt=0)] | None = None
    tpm: Annotated[int, Field(gt=0)] | None = None
    concurrency: Annotated[int, Field(gt=0)] | None = None
    adaptive: bool = True


class _Bucket:
    """A token bucket, refilled continuously."""

    __slots__ = ("_at", "_level", "_rate", "_size")

    def __init__(self, per_minute: int) -> None:
        self._rate = per_minute / 60.0
        self._size = max(1.0, self._rate * BURST_SECONDS)
        self._level = self._size
        self._at = Monotonic(0.0)  # the bucket begins full, so whatever time passed before matters not

    def wait(self, amount: float, now: Monotonic) -> float:
        """Seconds until `amount` may be taken; a larger amount than the bucket holds waits until it is full."""
        if now > self._at:
            self._level = min(self._size, self._level + (now - self._at) * self._rate)
            self._at = now
        seconds = (min(amount, self._size) - self._level) / self._rate
        return 0.0 if seconds <= INSTANT else seconds

    def gauge(self, what: str, now: Monotonic) -> Gauge:
        """What is left of it; changes nothing."""
        level = min(self._size, self._level + max(0.0, now - self._at) * self._rate)
        return Gauge(f"{self._rate * 60.0:,.0f} {what}/min", level, self._size)

    def take(self, amount: float) -> None:
        """Take it; the level may fall below zero, and what it owes is waited for. A negative amount gives back."""
        self._level = min(self._size, self._level - amount)


class KeySlots:
    """What one upstream key, or one deployment with all its keys, may still do.

    Args:
        rpm: requests a minute, at least 1; None for unlimited.
        tpm: tokens a minute, prompt and completion together, at least 1; None for unlimited.
        concurrency: requests at the same time, at least 1; None for unlimited.
        taken: requests that are under way already.
    """

    __slots__ = ("_concurrency", "_requests", "_taken", "_tokens")

    def __init__(self, rpm: int | None, tpm: int | None, concurrency: int | None, taken: int = 0) -> None:
        self._requests = _Bucket(rpm) if rpm is not None else None
        self._tokens = _Bucket(tpm) if tpm is not None else None
        self._concurrency = concurrency
        self._taken = taken

    def admit(self, tokens: int, now: Monotonic) -> float:
        """0.0 if a request of about `tokens` tokens may go now (it is then taken), else the seconds to wait."""
        if self._concurrency is not None and self._taken >= self._concurrency:
            return BUSY_WAIT
        wait = 0.0
        if self._requests is not None:
            wait = self._requests.wait(1.0, now)
        if self._tokens is not None:
            wait = max(wait, self._tokens.wait(tokens, now))
        if wait > 0.0:
            return wait
        self._taken += 1
        if self._requests is not None:
            self._requests.take(1.0)
        if self._tokens is not None:
            self._tokens.take(tokens)
        return 0.0

    def release(self, estimated: int, actual: int | None, now: Monotonic) -> None:
        """The request is over: free its slot and correct the estimate; `actual` is None if nobody knows."""
        self._taken = max(0, self._taken - 1)
        if self._tokens is not None and actual is not None:
            self._tokens.wait(0.0, now)
            self._tokens.take(actual - estimated)

    def gauges(self, now: Monotonic) -> tuple[Gauge, ...]:
        """What is left of each limit; changes nothing."""
        buckets = (("requests", self._requests), ("tokens", self._tokens))
        found = [bucket.gauge(what, now) for what, bucket in buckets if bucket is not None]
        if self._concurrency is not None:
            free = self._concurrency - self._taken
            found.append(Gauge(f"{self._concurrency:,} at a time", free, self._concurrency))
        return tuple(found)

    def withdraw(self, tokens: int, now: Monotonic) -> None:
        """Undo an admission of which no use was made: nothing was sent, so nothing counts."""
        self.release(tokens, 0, now)
        if self._requests is not None:
            self._requests.wait(0.0, now)
            self._requests.take(-1.0)
