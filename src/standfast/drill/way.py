"""The way: how much longer an attempt takes on this machine's sockets than its upstream takes for it.

A rehearsal knows no way: an attempt is at its upstream at the instant at which it is sent, and the gateway knows the
end of it when it comes. On real sockets there are three legs, each some fractions of a millisecond on a quiet machine
and more on a busy one:

    there   from the caller's last byte until the stand-in has the attempt, the gateway in between
    held    the stand-in's own lateness: from the instant at which an answer was due until it was written. For so much
            longer its place is taken.
    back    from the stand-in's last byte until the caller has the whole answer, the gateway in between

All three are measured on one clock, because stand-ins and callers are one process. The rehearsals beside a drill take
what was measured, so that policy and model are compared and not the speed of the machine.

What is not counted: `there` of a request before which somebody else was waiting, because nobody outside of the gateway
knows how long it stood in a line, and what took `LINE` or longer, for the same reason; nor of one that needed several
attempts, of which the first may have been refused by a port. `held` and `back` need no such care. Both legs through the
gateway contain the callers' part of them, so they are rather too long than too short.
"""

import random
from array import array
from bisect import bisect

from standfast.canon.instants import Monotonic

LINE = 0.1
"""Seconds: who needs so long to its first stand-in has waited in the gateway, and was not under way."""

NEAR = 100
"""A rehearsal's attempt draws its way from so many that were measured about its instant: a crowd slows everything."""


class Leg:
    """One leg: how long it took, each time."""

    __slots__ = ("_at", "_seconds")

    def __init__(self) -> None:
        self._at = array("d")
        self._seconds = array("d")

    def __len__(self) -> int:
        return len(self._seconds)

    def add(self, seconds: float, at: Monotonic) -> None:
        """One more, of this instant; best told in the order of time."""
        place = bisect(self._at, at)
        self._at.insert(place, at)
        self._seconds.insert(place, max(0.0, seconds))

    def draw(self, now: Monotonic, rng: random.Random) -> float:
        """One of those that were measured about this instant, seconds; 0 if none was measured at all."""
        count = len(self._seconds)
        if not count:
            return 0.0
        first = max(0, min(bisect(self._at, now) - NEAR // 2, count - NEAR))
        return self._seconds[first + int(rng.random() * min(NEAR, count))]

    def mean(self) -> float:
        """Seconds; 0 if none was measured."""
        return sum(self._seconds) / len(self._seconds) if self._seconds else 0.0

    def quantile(self, share: float) -> float:
        """Seconds that this share of them did not exceed; 0 if none was measured."""
        ordered = sorted(self._seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Way:
    """The way of all attempts of one drill. Instants are the scenario's.

    Attributes:
        there, held, back: the legs.
    """

    __slots__ = ("_asked", "_taken", "_told", "back", "held", "there")

    def __init__(self) -> None:
        self.there, self.held, self.back = Leg(), Leg(), Leg()
        self._asked: dict[int, tuple[Monotonic, bool]] = {}  # on the way or in a line: since when, and was it alone
        self._taken: dict[int, tuple[Monotonic, Monotonic]] = {}  # straight from its caller: asked, taken
        self._told: dict[int, Monotonic] = {}  # an answer is whole at a stand-in, and not yet at its caller

    def asked(self, number: int, now: Monotonic) -> None:
        """The caller of this request has written it."""
        self._asked[number] = (now, not self._asked)

    def taken(self, number: int, now: Monotonic) -> None:
        """A stand-in has an attempt of it; only the first one comes straight from the caller."""
        since, alone = self._asked.pop(number, (now, False))
        if alone and now - since < LINE:
            self._taken[number] = (since, now)

    def ended(self, number: int, due: float, now: Monotonic, *, whole: bool) -> None:
        """A stand-in has written the end of an answer, which was due at an instant."""
        self.held.add(now - due, now)
        if whole:
            self._told[number] = now

    def over(self, number: int, now: Monotonic, *, whole: bool, attempts: int) -> None:
        """A try has its outcome: the caller has the whole answer, after so many attempts, or none."""
        self._asked.pop(number, None)
        since, taken = self._taken.pop(number, (now, None))
        if whole and attempts == 1 and taken is not None:
            self.there.add(taken - since, taken)
        told = self._told.pop(number, None)
        if whole and told is not None:
            self.back.add(now - told, now)

    def legs(self) -> dict[str, Leg]:
        """By name, in the order in which they are gone."""
        return {"there": self.there, "held": self.held, "back": self.back}


class Traveller:
    """Draws from a measured way, for one rehearsal.

    Args:
        way: as measured.
        rng: which of the measured ones.
    """

    __slots__ = ("_rng", "_way")

    def __init__(self, way: Way, rng: random.Random) -> None:
        self._way = way
        self._rng = rng

    def under_way(self, now: Monotonic) -> float:
        """Seconds until the upstream has an attempt that sets off now; the way back is gone in advance.

        Who looks from the gateway cannot tell a long way there from a long way back: it sends, and so much later than
        the upstream's own time it is told.
        """
        return self._way.there.draw(now, self._rng) + self._way.back.draw(now, self._rng)

    def held(self, now: Monotonic) -> float:
        """Seconds for which the upstream's place is taken beyond the work that begins now."""
        return self._way.held.draw(now, self._rng)
