"""Upstreams of fixed capacity, for `support.hands`: so many answers at a time, a line in front, then "overloaded"."""

import heapq
from collections import Counter
from dataclasses import dataclass, field

from standfast.canon.failure import Failure, FailureKind
from standfast.policy.steps import Send
from support.hands import Client, Hands, Plan


@dataclass
class Servers:
    """What all deployments of a scene do alike; give `behave` to `Hands`.

    Attributes:
        capacity: answers under way at the same time, at each.
        queue: attempts that may wait at each; the next one is refused.
        first, rest: seconds from a place to the first token, and from there to the end.
        hands: who plays; to be set.
        refused: how often each was too busy.
        worked: seconds that places of each were taken.
        waits: how long each attempt that was taken waited for its place.
    """

    capacity: int = 20
    queue: float = 0
    first: float = 0.4
    rest: float = 1.6
    hands: Hands = field(init=False)
    refused: Counter[str] = field(default_factory=Counter)
    worked: Counter[str] = field(default_factory=Counter)
    waits: list[tuple[float, float]] = field(default_factory=list)
    _ends: dict[str, list[float]] = field(default_factory=dict)

    def behave(self, send: Send, client: Client) -> Plan:
        """Take it, let it wait, or turn it away."""
        del client
        name, now = send.target.name, self.hands.now
        ends = self._ends.setdefault(name, [])  # of those that have a place or will have one
        while ends and ends[0] <= now:
            heapq.heappop(ends)
        if len(ends) >= self.capacity + self.queue:
            self.refused[name] += 1
            return Plan(fail=(0.05, Failure(FailureKind.OVERLOADED, status=503)))
        spread = self.hands.rng.uniform(0.7, 1.3)
        over = len(ends) - self.capacity
        start = now if over < 0 else heapq.nsmallest(over + 1, ends)[over]
        end = start + (self.first + self.rest) * spread
        heapq.heappush(ends, end)
        self.worked[name] += self.first + self.rest  # type: ignore[assignment]  # seconds are no whole numbers
        self.waits.append((now, start - now))
        return Plan(start - now + self.first * spread, end - now)
