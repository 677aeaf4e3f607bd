"""Quantiles of any number of values in little memory.

Theory. A histogram whose bins grow by a constant factor: a value is known to within `ACCURACY` of itself, whatever its
size (Masson, Rim, Lee, "DDSketch", VLDB 2019). Seconds from a microsecond to a day fill at most 2,500 bins.
"""

import math

ACCURACY = 0.005
"""A quantile is right to within half a percent of its value."""

_LOG_GROWTH = math.log((1 + ACCURACY) / (1 - ACCURACY))
_PER_BIN = 1.0 / _LOG_GROWTH
_MIDDLE = 2.0 / (1.0 + math.exp(_LOG_GROWTH))
"""The point of a bin (as a share of its upper end) that no value in it is further from than `ACCURACY`."""

SMALLEST = 1e-9
"""What is below counts as zero."""

_log, _ceil = math.log, math.ceil


class Sketch:
    """Counts of values by size.

    Attributes:
        count: how many values there are.
        largest: the largest; 0 if there is none.
    """

    __slots__ = ("_bins", "_zeros", "count", "largest")

    def __init__(self) -> None:
        self._bins: dict[int, int] = {}
        self._zeros = 0
        self.count = 0
        self.largest = 0.0

    def add(self, value: float, times: int = 1) -> None:
        """Count a value that is not negative."""
        self.count += times
        if value > self.largest:  # noqa: PLR1730 - max() costs more
            self.largest = value
        if value < SMALLEST:
            self._zeros += times
            return
        bins = self._bins
        at = _ceil(_log(value) * _PER_BIN)
        bins[at] = bins.get(at, 0) + times

    def rows(self) -> list[tuple[float, int]]:
        """Values, the smallest first, and how often each was counted; near values are one, the same in all sketches."""
        zeros = [(0.0, self._zeros)] if self._zeros else []
        return zeros + [(math.exp(at * _LOG_GROWTH) * _MIDDLE, self._bins[at]) for at in sorted(self._bins)]

    def quantile(self, share: float) -> float | None:
        """The value that `share` (0 to 1) of all do not exceed (nearest rank); None if there are none."""
        if not self.count:
            return None
        rank = max(1, math.ceil(share * self.count))
        if rank <= self._zeros:
            return 0.0
        passed = self._zeros
        for at in sorted(self._bins):
            passed += self._bins[at]
            if passed >= rank:
                return min(self.largest, math.exp(at * _LOG_GROWTH) * _MIDDLE)
        return self.largest
