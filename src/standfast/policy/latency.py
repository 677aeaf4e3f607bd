"""What a target's own history says about how long its first content takes."""

from array import array

SAMPLES = 128
"""Observations that are remembered."""

ENOUGH = 20
"""Below this many, one of them would be the 95th percentile alone: 1 of 20 is 5 %."""

REFRESH = 16
"""Observations after which the percentile is computed anew; sorting 128 numbers for each request would be waste."""

ALPHA = 0.1
"""Weight of the newest observation in the moving average: about the last ten count."""


class Latency:
    """The last 128 observations, their 95th percentile and a moving average.

    Attributes:
        ewma: exponentially weighted moving average (alpha 0.1), seconds; None before the first observation.
    """

    __slots__ = ("_at", "_fresh", "_p95", "_ring", "ewma")

    def __init__(self) -> None:
        self._ring = array("d")
        self._at = 0
        self._fresh = 0
        self._p95: float | None = None
        self.ewma: float | None = None

    def observe(self, seconds: float) -> None:
        """Add one observation."""
        ring = self._ring
        if len(ring) < SAMPLES:
            ring.append(seconds)
        else:
            at = self._at
            ring[at] = seconds
            self._at = at + 1 if at + 1 < SAMPLES else 0
        ewma = self.ewma
        self.ewma = seconds if ewma is None else ewma + ALPHA * (seconds - ewma)
        self._fresh += 1

    def p95(self) -> float | None:
        """The 95th percentile (nearest rank), seconds; None below 20 observations. Computed anew every 16 of them."""
        if len(self._ring) < ENOUGH:
            return None
        if self._p95 is None or self._fresh >= REFRESH:
            ordered = sorted(self._ring)
            self._p95 = ordered[-(-95 * len(ordered) // 100) - 1]
            self._fresh = 0
        return self._p95
