"""Slow start: whoever has just recovered gets a growing share of the requests, not all of them at once.

Theory. A server that comes back is cold: caches are empty, models are loaded, connections are made anew; and everybody
who was turned away comes at once. The whole load in the first second is what brought many of them down a second time
(Envoy and HAProxy call the cure slow start). So the share that is let through grows linearly with the time, from
`FLOOR` on:

    share(t) = max(FLOOR, t / length)

No chance is needed: each request adds its share to a credit, and one that makes it whole is let through. So of any N
requests in a row at most N x share + 1 pass.

A ramp is a reason to go elsewhere and none to give up: where there is no elsewhere nothing is refused for it.
"""

from standfast.canon.instants import Monotonic

FLOOR = 0.1
"""The share at the beginning, as Envoy's `min_weight_percent`."""


class Ramp:
    """One ramp after another.

    Args:
        seconds: how long one lasts; 0 for none at all.

    Attributes:
        seconds: the same.
        since: when it began; None while there is none.
    """

    __slots__ = ("_credit", "seconds", "since")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.since: Monotonic | None = None
        self._credit = 0.0

    def begin(self, now: Monotonic) -> bool:
        """Begin one; False if there is none to begin."""
        if self.seconds > 0:
            self.since = now
            self._credit = 0.0
        return self.since is not None

    def end(self) -> bool:
        """Whatever comes now is not ramped; False if nothing was."""
        ended = self.since is not None
        self.since = None
        return ended

    def share(self, now: Monotonic) -> float:
        """The share of the requests that passes, up to 1."""
        if self.since is None:
            return 1.0
        return min(1.0, max(FLOOR, (now - self.since) / self.seconds))

    def passes(self, now: Monotonic) -> bool:
        """Does the next request pass? It counts as asked."""
        self._credit += self.share(now)
        if self._credit < 1.0 - 1e-9:  # ten tenths are less than one
            return False
        self._credit -= 1.0
        return True
