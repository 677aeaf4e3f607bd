"""By chance, in proportion to `weight`."""

import random
from collections.abc import Sequence

from standfast.canon.ask import Ask
from standfast.canon.instants import Monotonic
from standfast.policy.fleet import Fleet
from standfast.policy.route import Target


class Weighted:
    """A random permutation in which each next place falls to a target with probability weight / (weights left).

    One exponential draw per target with rate `weight`, sorted (Efraimidis and Spirakis, "Weighted random sampling with
    a reservoir", 2006): O(n log n), no rejection.
    """

    name = "weighted"
    tiered = False

    def rank(
        self, targets: Sequence[Target], ask: Ask, fleet: Fleet, rng: random.Random, now: Monotonic
    ) -> Sequence[Target]:
        """Best first; weights of zero or less come last, in the order written."""
        del ask, fleet, now
        if len(targets) < 2:  # noqa: PLR2004 - nothing to choose
            return targets
        if len(targets) == 2:  # noqa: PLR2004 - the common case needs one draw
            first, second = targets
            total = max(first.weight, 0.0) + max(second.weight, 0.0)
            return targets if second.weight <= 0 or rng.random() * total < first.weight else (second, first)
        draws = {
            id(target): rng.expovariate(target.weight) if target.weight > 0 else float("inf") for target in targets
        }
        return sorted(targets, key=lambda target: draws[id(target)])


STRATEGY = Weighted()
