"""The better of two at random: expected wait x load."""

import random
from collections.abc import Sequence

from standfast.canon.ask import Ask
from standfast.canon.instants import Monotonic
from standfast.policy.explain import Row, rows
from standfast.policy.fleet import Fleet
from standfast.policy.ranking import Ranking, ascending
from standfast.policy.route import Target
from standfast.policy.soundness import soundness
from standfast.policy.strategy import PACE
from standfast.policy.weigh import wait

TRIES = 4
"""Pairs that are drawn before all targets are looked at, because both of each pair could not be used."""


class TwoChoices:
    """Two targets are drawn, and the one with the lower cost comes first.

        cost = expected wait x (attempts under way + 1) / (weight x soundness)

    The wait is that of `policy.latency.Pace` (a peak-EWMA of the first token, per prompt size). Two choices keep the
    longest queue near the average (Mitzenmacher, 2001), need no look at the others, and never send a crowd to the one
    that looks best at the moment; Finagle and linkerd balance alike, with total latency, which for a language model
    would be output length.
    """

    name = "two_choices"
    tiered = False
    wants = frozenset({PACE})
    measure = "expected seconds x (under way + 1) / (weight x soundness), the least of two first"

    def rank(
        self, targets: Sequence[Target], ask: Ask, fleet: Fleet, rng: random.Random, now: Monotonic
    ) -> Sequence[Target]:
        """The better of two, then the others by cost."""
        length = len(targets)
        if length < 2:  # noqa: PLR2004 - nothing to choose
            return targets
        for _ in range(TRIES):
            one = int(rng.random() * length)
            other = int(rng.random() * (length - 1))
            first, second = targets[one], targets[other + (other >= one)]
            cost, second_cost = price(first, ask, fleet, now), price(second, ask, fleet, now)
            if second_cost < cost:
                first, cost = second, second_cost
            if cost < float("inf"):
                return Ranking(first, length, lambda: ascending(targets, lambda t: price(t, ask, fleet, now), rng))
        return ascending(targets, lambda t: price(t, ask, fleet, now), rng)

    def explain(self, targets: Sequence[Target], ask: Ask, fleet: Fleet, now: Monotonic) -> list[Row]:
        """By cost, though chance draws the two that are compared."""
        order = sorted(targets, key=lambda target: price(target, ask, fleet, now))
        return rows(order, fleet, now, lambda target: _judged(target, ask, fleet, now))


def price(target: Target, ask: Ask, fleet: Fleet, now: Monotonic) -> float:
    """What the lower of two is better of; infinite for a target that cannot be used now."""
    place = fleet.place(target.deployment)
    sound = soundness(place, now)
    if sound <= 0.0 or target.weight <= 0.0:
        return float("inf")
    return wait(place, ask, now) * (place.in_flight + 1) / (target.weight * sound)


def _judged(target: Target, ask: Ask, fleet: Fleet, now: Monotonic) -> tuple[float | None, dict[str, float], str]:
    place = fleet.place(target.deployment)
    value = price(target, ask, fleet, now)
    factors = {
        "wait": wait(place, ask, now),
        "under_way": float(place.in_flight),
        "weight": target.weight,
        "soundness": soundness(place, now),
    }
    return None if value == float("inf") else value, factors, "" if target.weight > 0 else "has no weight"


STRATEGY = TwoChoices()
