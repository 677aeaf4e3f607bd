"""A rest with a known end: after a rate limit, or while a human must act."""

import random

from standfast.canon.instants import Monotonic

SHORTEST, LONGEST = 0.05, 3600.0
DEFAULT, DEFAULT_CAP = 1.0, 60.0
QUARANTINE, QUARANTINE_CAP = 300.0, 3600.0


class Cooldown:
    """The rest of one key, seat or deployment.

    A provider's hint is honoured (within 50 ms and an hour); without one the rest doubles from a second to a minute,
    a quarantine from five minutes to an hour, both with equal jitter: half fixed, half drawn.

    Attributes:
        until: the end of the rest; in the past when there is none.
    """

    __slots__ = ("_rests", "until")

    def __init__(self) -> None:
        self._rests = 0
        self.until = Monotonic(0.0)

    def resting(self, now: Monotonic) -> bool:
        """Is it to be left alone?"""
        return now < self.until

    def rest(self, now: Monotonic, hint: float | None, rng: random.Random) -> float:
        """Rest after a rate limit or an overload; the seconds. A rest under way is never shortened."""
        if hint is not None:
            return self._until(now, min(LONGEST, max(SHORTEST, hint)))
        return self._until(now, self._grown(DEFAULT, DEFAULT_CAP, now, rng))

    def quarantine(self, now: Monotonic, rng: random.Random) -> float:
        """A long rest: bad credentials, spent quota, a missing model; the seconds."""
        return self._until(now, self._grown(QUARANTINE, QUARANTINE_CAP, now, rng))

    def clear(self, now: Monotonic) -> None:
        """A success: the next rest begins small again. A rest under way runs to its end, the success was before it."""
        if now >= self.until:
            self._rests = 0

    def _grown(self, base: float, cap: float, now: Monotonic, rng: random.Random) -> float:
        if now >= self.until:  # refusals that arrive together are one occasion, not many
            self._rests += 1
        full = min(cap, base * 2.0 ** min(max(0, self._rests - 1), 30))
        return full / 2 + rng.uniform(0.0, full / 2)

    def _until(self, now: Monotonic, seconds: float) -> float:
        self.until = Monotonic(max(self.until, now + seconds))
        return self.until - now
