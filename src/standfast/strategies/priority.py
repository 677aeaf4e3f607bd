"""The order written. Without `tier` every target is a tier of its own."""

import random
from collections.abc import Sequence

from standfast.canon.ask import Ask
from standfast.canon.instants import Monotonic
from standfast.policy.explain import Row, rows
from standfast.policy.fleet import Fleet
from standfast.policy.route import Target


class Priority:
    """First the first."""

    name = "priority"
    tiered = True
    wants: frozenset[str] = frozenset()
    measure = "the order written"

    def rank(
        self, targets: Sequence[Target], ask: Ask, fleet: Fleet, rng: random.Random, now: Monotonic
    ) -> Sequence[Target]:
        """As they came."""
        del ask, fleet, rng, now
        return targets

    def explain(self, targets: Sequence[Target], ask: Ask, fleet: Fleet, now: Monotonic) -> list[Row]:
        """As they came; who cannot be used keeps its place and is passed over."""
        del ask
        return rows(targets, fleet, now, lambda _: (None, {}, ""))


STRATEGY = Priority()
