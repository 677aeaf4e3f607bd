"""How long something takes, where some of it was not waited for.

Theory. An attempt that lost a hedge, or whose caller left, says "it took longer than that". Left out, only the fast
ones are counted; counted, all seem to end where they were cut. The product-limit estimator (Kaplan, Meier,
"Nonparametric estimation from incomplete observations", JASA 1958) takes both for what they are: at each duration at
which something ended, the share that goes on shrinks by those that ended out of those still under way. What was cut at
that very duration still counts as under way. Beyond the longest duration seen nothing is known; it is taken as the end
(Efron, "The two sample problem with censored data", 1967).
"""

from standfast.sim.sketch import Sketch

_ROUNDING = 1e-9


class Durations:
    """Durations that came to their end, and durations that were cut short."""

    __slots__ = ("_cut", "_ended")

    def __init__(self) -> None:
        self._ended = Sketch()
        self._cut = Sketch()

    @property
    def count(self) -> int:
        """How many came to their end."""
        return self._ended.count

    @property
    def cut_short(self) -> int:
        """How many did not."""
        return self._cut.count

    @property
    def largest(self) -> float:
        """The longest that was seen; 0 if there is none."""
        return max(self._ended.largest, self._cut.largest)

    def add(self, seconds: float) -> None:
        """It took so long."""
        self._ended.add(seconds)

    def cut(self, seconds: float) -> None:
        """It would have taken longer."""
        self._cut.add(seconds)

    def quantile(self, share: float) -> float | None:
        """The duration by which `share` (0 to 1) of all have come to their end; None if none has."""
        if not self._cut.count or not self._ended.count:
            return self._ended.quantile(share)
        cut = dict(self._cut.rows())
        ended = dict(self._ended.rows())
        under_way, going_on = self._ended.count + self._cut.count, 1.0
        for seconds in sorted({*ended, *cut}):
            here = ended.get(seconds, 0)
            going_on *= 1.0 - here / under_way
            if here and going_on <= 1.0 - share + _ROUNDING:
                return min(seconds, self._ended.largest)
            under_way -= here + cut.get(seconds, 0)
        return self.largest
