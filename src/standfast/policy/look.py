"""A look: one call in the middle of a long rest, at a target whose failures keep nobody waiting.

Theory. Rests double because a trial has its price: whoever meets a target that still hangs has to wait. A target that
fails at once (a refused connection, an error within a second) has no such price, since the next one answers right
away. There the doubling only prolongs the outage, by as long as it has lasted, and by more than that if one that is up
and down alternately happens to be down whenever it is tried. So the open time doubles, and while it lasts such a target
is looked at: after a quarter of the time that the trouble has lasted so far, and again, but never sooner than after
twice the first open time. That bounds both, the wait after a recovery and the number of looks: it grows with the
logarithm of the outage (some twenty in ten minutes).

A look is a caller's request like any other. Its success begins the trial, and is the first of it. One that made its
caller wait ends the looks until a trial fails at once again; late, it is accompanied as a trial's call is
(`policy.hedge`). Only who has a family is looked at: a circuit alone knows no elsewhere.
"""

from standfast.canon.instants import NEVER, Monotonic

AT_ONCE = 1.0
"""Seconds: whoever fails sooner keeps nobody waiting."""

FIRST = 2.0
"""No look comes sooner than after so many times the first open time."""

SHARE = 0.25
"""The time between two looks, as a share of the time that the trouble has lasted."""


class Looks:
    """When one breaker is looked at.

    Attributes:
        asked: when a call of a trial, or a look, was let through last.
        free: the last one kept nobody waiting.
        at: when the next look is due; NEVER for none.
    """

    __slots__ = ("asked", "at", "free")

    def __init__(self) -> None:
        self.asked = Monotonic(0.0)
        self.free = False
        self.at: Monotonic = NEVER

    def failed(self, now: Monotonic) -> None:
        """A call of a trial, or a look, has failed."""
        self.free = now - self.asked < AT_ONCE
        if not self.free:
            self.at = NEVER

    def waited(self) -> None:
        """A caller had to wait for one."""
        self.free = False
        self.at = NEVER

    def plan(self, now: Monotonic, age: float, shortest: float) -> None:
        """The next one, if they are free: `age` seconds of trouble so far, `shortest` is the first open time."""
        self.at = Monotonic(now + max(FIRST * shortest, SHARE * age)) if self.free else NEVER
