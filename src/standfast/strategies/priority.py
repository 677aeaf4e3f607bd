"""The order written. Without `tier` every target is a tier of its own."""

import random
from collections.abc import Sequence

from standfast.canon.ask import Ask
from standfast.canon.instants import Monotonic
from standfast.policy.fleet import Fleet
from standfast.policy.route import Target


class Priority:
    """First the first."""

    name = "priority"
    tiered = True

    def rank(
        self, targets: Sequence[Target], ask: Ask, fleet: Fleet, rng: random.Random, now: Monotonic
    ) -> Sequence[Target]:
        """As they came."""
        del ask, fleet, rng, now
        return targets


STRATEGY = Priority()
