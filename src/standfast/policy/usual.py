"""How long the first content usually takes at one deployment, and which wait is slow against that.

A deployment may answer every request and still be ill: a brownout makes it twenty times slower, without an error. What
is slow can only be told from its own history, and the history of the last minutes learns to find anything normal: after
a hundred slow answers its 95th percentile is slow as well. So this one is kept apart, and has a rule for what it
believes.

Rules:

* Slow is what takes longer than `FACTOR` times the usual 95th percentile, and longer than a configured time below which
  nobody minds.
* There is one percentile for streams and one for whole replies, and of both one for each class of prompt size, because
  the wait grows with the prompt: whoever begins to send books is not a brownout. (A whole reply's time is the length of
  its answer; three times the 95th percentile is beyond nearly every answer.)
* Late is what takes longer than the usual 95th percentile alone. One in twenty is, so it says something only of several
  (`policy.silence`), or where somebody waits for an answer to a question of ours (a trial).
* Nothing is slow, or late, where fewer than `ENOUGH` answers are known. Who is slow from the beginning is slow by
  nature.
* The percentile follows the answers by steps (stochastic approximation, Robbins and Monro 1951): an answer above it
  raises it by 0.95 STEP, one below lowers it by 0.05 STEP, both as shares of itself, so that it rests where one in
  twenty is above. Its memory is about a hundred answers. It begins with the largest of the first twenty, whose mean
  rank is the 95th percentile.
* **It falls as fast as it likes and rises slowly**: by `HEADROOM` at once, which is what chance does to it, and beyond
  that at most twofold in `DOUBLING`, however many answers are slow. A brownout of twenty minutes moves it by half; a
  target that has become sixteen times slower for good is normal again after two or three hours. Until it knows
  `SETTLED` answers it may rise freely: the first twenty may have been unlike the others.
* A wait that was given up because another attempt was faster says that the answer would have taken longer. Above the
  percentile that is as good as the truth, below it says nothing.
"""

from bisect import bisect

from standfast.canon.instants import Monotonic
from standfast.policy.latency import SIZES

FACTOR = 3.0
"""Times the usual 95th percentile; as the first-token timeout has it, and the failure catalogue."""

ENOUGH = 20
"""Answers of which the largest is the 95th percentile in the mean."""

SETTLED = 200
"""Answers after which it no longer rises freely."""

STEP = 0.05
"""Of the approximation; the percentile's own spread is then about 8 % for usual first-token times."""

HEADROOM = 1.25
"""So much above its level it may go at once: three times its own spread."""

DOUBLING = 3600.0
"""Seconds in which it may double, at most."""

LEAST = 1.0
"""Seconds; nothing is late before, however fast it usually is: pauses that stop everybody (a collector's, a lost
packet's) are shorter, and say nothing."""

PATIENCE = 1.0
"""Seconds between two looks at whether it may rise further, once it has risen as far as it may."""

_SMALL = SIZES[0]
_UP, _DOWN = 1 + 0.95 * STEP, 1 - 0.05 * STEP


class Usual:
    """The usual 95th percentile of one kind of request at one deployment.

    Attributes:
        p95: seconds; 0.0 before the first answer.
        seen: answers.
    """

    __slots__ = ("_at", "_ceiling", "p95", "seen")

    def __init__(self) -> None:
        self.p95 = 0.0
        self._ceiling = 0.0
        self.seen = 0
        self._at = Monotonic(0.0)  # of the ceiling

    def observe(self, seconds: float, now: Monotonic) -> bool:
        """Learn a wait; was it far longer than usual?"""
        p95, seen = self.p95, self.seen
        if seconds <= p95:
            if seen >= ENOUGH:
                self.p95 = p95 * _DOWN
            self.seen = seen + 1
            return False
        if seen < SETTLED or p95 < self._ceiling or now - self._at >= PATIENCE:
            self._rise(seconds, now)
        return seen >= ENOUGH and seconds > FACTOR * p95

    def _rise(self, seconds: float, now: Monotonic) -> None:
        self.seen += 1
        if self.seen <= ENOUGH:
            self.p95 = seconds
        elif self.seen <= SETTLED:
            self.p95 *= _UP
        else:
            grown = self._ceiling * 2.0 ** min(1.0, (now - self._at) / DOUBLING)
            self._ceiling = min(grown, self.p95 * HEADROOM)
            self.p95 = max(self.p95, min(self.p95 * _UP, self._ceiling))
            self._at = now
            return
        self._ceiling, self._at = self.p95 * HEADROOM, now


class Usuals:
    """The usual waits of one deployment.

    Args:
        slow_after: seconds; below this nothing is slow.
    """

    __slots__ = ("_kinds", "slow_after")

    def __init__(self, slow_after: float) -> None:
        self.slow_after = slow_after
        self._kinds = tuple(tuple(Usual() for _ in range(len(SIZES) + 1)) for _ in range(2))

    def observe(self, seconds: float, prompt_tokens: int, now: Monotonic, stream: bool) -> bool:
        """Learn how long the first content took; was it slow?"""
        kinds = self._kinds[stream]
        usual = kinds[0 if prompt_tokens < _SMALL else bisect(SIZES, prompt_tokens)]
        return usual.observe(seconds, now) and seconds > self.slow_after

    def late(self, prompt_tokens: int, *, stream: bool) -> float | None:
        """Seconds after which one first content in twenty comes; None where too few are known."""
        usual = self._kinds[stream][bisect(SIZES, prompt_tokens)]
        return max(usual.p95, LEAST) if usual.seen >= ENOUGH else None

    def latest(self) -> float | None:
        """The same of streams, whatever their prompts: of the size that takes longest; None if none is known."""
        known = [usual.p95 for usual in self._kinds[True] if usual.seen >= ENOUGH]
        return max(LEAST, *known) if known else None

    def outrun(self, seconds: float, prompt_tokens: int, now: Monotonic, *, stream: bool) -> bool:
        """Learn that no content had come after so many seconds, when another attempt was faster; was that slow?"""
        usual = self._kinds[stream][bisect(SIZES, prompt_tokens)]
        return seconds > usual.p95 and usual.observe(seconds, now) and seconds > self.slow_after
