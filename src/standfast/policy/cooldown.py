"""A rest with a known end: after a rate limit, or while a human must act.

Rules:

* 429 is not ill health: it never opens a breaker, it makes a rest whose end is known.
* A rest under way is never shortened, neither by a smaller hint nor by a success: that success was admitted before the
  rest began, and says nothing about it.
* Refusals that arrive during a rest are answers to requests that were sent before it; they are one occasion, not many,
  and do not double anything.
* Rests and quarantines double apart: many short rests do not make the first quarantine a long one.
"""

import random

from standfast.canon.instants import Monotonic
from standfast.canon.record import Change

SHORTEST, LONGEST = 0.05, 3600.0
"""A hint is clamped to this, seconds: a provider that says 0 or ten years is not believed."""

DEFAULT, DEFAULT_CAP = 1.0, 60.0
"""Without a hint: the first rest and the longest, seconds. A minute is the slice of every provider's rate limits."""

QUARANTINE, QUARANTINE_CAP = 300.0, 3600.0
"""The first quarantine and the longest, seconds."""


class Cooldown:
    """The rest of one key, seat or deployment.

    A provider's hint is honoured (within 50 ms and an hour); without one the rest doubles from a second to a minute,
    a quarantine from five minutes to an hour, both with equal jitter: half fixed, half drawn.

    Attributes:
        until: the end of the rest; in the past when there is none.
        told: what was told when it began; None if it was told to be over (`policy.rests`).
    """

    __slots__ = ("_quarantines", "_rests", "told", "until")

    def __init__(self) -> None:
        self._rests = 0
        self._quarantines = 0
        self.until = Monotonic(0.0)
        self.told: Change | None = None

    def resting(self, now: Monotonic) -> bool:
        """Is it to be left alone?"""
        return now < self.until

    def rest(self, now: Monotonic, hint: float | None, rng: random.Random) -> float:
        """Rest after a rate limit or an overload; the seconds. A rest under way is never shortened."""
        if hint is not None:
            return self._until(now, min(LONGEST, max(SHORTEST, hint)))
        if now >= self.until or not self._rests:
            self._rests += 1
        return self._until(now, _jittered(DEFAULT, DEFAULT_CAP, self._rests, rng))

    def quarantine(self, now: Monotonic, rng: random.Random) -> float:
        """A long rest: bad credentials, spent quota, a missing model; the seconds."""
        if now >= self.until or not self._quarantines:
            self._quarantines += 1
        return self._until(now, _jittered(QUARANTINE, QUARANTINE_CAP, self._quarantines, rng))

    def clear(self, now: Monotonic) -> None:
        """A success: the next rest begins small again. A rest under way runs to its end, the success was before it."""
        if now >= self.until:
            self._rests = self._quarantines = 0

    def _until(self, now: Monotonic, seconds: float) -> float:
        self.until = Monotonic(max(self.until, now + seconds))
        return self.until - now


def _jittered(base: float, cap: float, occasion: int, rng: random.Random) -> float:
    """Equal jitter on a doubling wait; the first occasion is 1."""
    full = min(cap, base * 2.0 ** min(occasion - 1, 30))
    return full / 2 + rng.uniform(0.0, full / 2)
