"""By chance, in proportion to `weight`."""

import random
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate

from standfast.canon.ask import Ask
from standfast.canon.instants import Monotonic
from standfast.policy.explain import Row, rows
from standfast.policy.fleet import Fleet
from standfast.policy.ranking import SMALL, Ranking
from standfast.policy.route import Target
from standfast.policy.soundness import soundness

TRIES = 4
"""Draws among many targets before one that cannot be used now is taken after all."""


class Weighted:
    """A random permutation in which each next place falls to a target with probability weight / (weights left).

    One exponential draw per target with rate `weight`, sorted (Efraimidis and Spirakis, "Weighted random sampling with
    a reservoir", 2006): O(n log n), no rejection. Among many targets the first place is drawn alone, by bisection of
    the summed weights, and the others only if they are needed.
    """

    name = "weighted"
    tiered = False
    wants: frozenset[str] = frozenset()
    measure = "share of the requests, by weight"

    def rank(
        self, targets: Sequence[Target], ask: Ask, fleet: Fleet, rng: random.Random, now: Monotonic
    ) -> Sequence[Target]:
        """Best first; weights of zero or less come last, in the order written."""
        del ask
        if len(targets) < 2:  # noqa: PLR2004 - nothing to choose
            return targets
        if len(targets) == 2:  # noqa: PLR2004 - the common case needs one draw
            first, second = targets
            one, other = first.weight, second.weight
            total = one + other if one > 0.0 else other
            return targets if other <= 0.0 or rng.random() * total < one else (second, first)
        if len(targets) > SMALL:
            sums = fleet.notes.of(self.name, targets, _sums)
            if sums[-1] > 0:
                chosen = targets[_draw(sums, rng)]
                for _ in range(TRIES - 1):
                    if soundness(fleet.place(chosen.deployment), now) > 0.0:
                        break
                    chosen = targets[_draw(sums, rng)]
                return Ranking(chosen, len(targets), lambda: _shuffled(targets, rng))
        return _shuffled(targets, rng)

    def explain(self, targets: Sequence[Target], ask: Ask, fleet: Fleet, now: Monotonic) -> list[Row]:
        """By weight; the score is the share of the requests that have this target as their first choice."""
        del ask
        total = sum(max(target.weight, 0.0) for target in targets) or 1.0
        order = sorted(targets, key=lambda target: -max(target.weight, 0.0))
        return rows(order, fleet, now, lambda t: (max(t.weight, 0.0) / total, {"weight": t.weight}, ""))


def _shuffled(targets: Sequence[Target], rng: random.Random) -> list[Target]:
    draws = {id(target): rng.expovariate(target.weight) if target.weight > 0 else float("inf") for target in targets}
    return sorted(targets, key=lambda target: draws[id(target)])


def _sums(targets: Sequence[Target]) -> list[float]:
    return list(accumulate(max(target.weight, 0.0) for target in targets))


def _draw(sums: list[float], rng: random.Random) -> int:
    """A place with probability in proportion to its weight; one without weight is never drawn."""
    return bisect(sums, rng.random() * sums[-1], 0, len(sums) - 1)


STRATEGY = Weighted()
