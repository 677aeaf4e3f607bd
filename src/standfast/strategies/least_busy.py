"""The one with the fewest attempts under way, in proportion to `weight`."""

import random
from collections.abc import Sequence

from standfast.canon.ask import Ask
from standfast.canon.instants import Monotonic
from standfast.policy.explain import Row, rows
from standfast.policy.fleet import Fleet
from standfast.policy.ranking import ranked
from standfast.policy.route import Target
from standfast.policy.soundness import soundness


class LeastBusy:
    """Least load first.

        load = (attempts under way + 1) / (weight x soundness)

    Up to 12 targets this is exact. Of more, 12 at random are compared, so the least busy *of the sample* comes first:
    in two of three cases one of the idlest tenth, and never the same one for all requests of one moment.
    """

    name = "least_busy"
    tiered = False
    wants: frozenset[str] = frozenset()
    measure = "load: (under way + 1) / (weight x soundness), the least first"

    def rank(
        self, targets: Sequence[Target], ask: Ask, fleet: Fleet, rng: random.Random, now: Monotonic
    ) -> Sequence[Target]:
        """Least load first; chance decides between equals, who cannot be used now comes last."""
        del ask
        if len(targets) < 2:  # noqa: PLR2004 - nothing to choose
            return targets
        return ranked(targets, lambda target: load(target, fleet, now), rng)

    def explain(self, targets: Sequence[Target], ask: Ask, fleet: Fleet, now: Monotonic) -> list[Row]:
        """Least load first."""
        del ask
        order = sorted(targets, key=lambda target: load(target, fleet, now))
        return rows(order, fleet, now, lambda target: _judged(target, fleet, now))


def load(target: Target, fleet: Fleet, now: Monotonic) -> float:
    """Attempts under way and the one to come, for a target of weight 1 that is sound; infinite if it cannot be used."""
    place = fleet.place(target.deployment)
    sound = soundness(place, now)
    return (place.in_flight + 1) / (target.weight * sound) if sound > 0.0 and target.weight > 0.0 else float("inf")


def _judged(target: Target, fleet: Fleet, now: Monotonic) -> tuple[float | None, dict[str, float], str]:
    place = fleet.place(target.deployment)
    value = load(target, fleet, now)
    factors = {"under_way": float(place.in_flight), "weight": target.weight, "soundness": soundness(place, now)}
    return None if value == float("inf") else value, factors, "" if target.weight > 0 else "has no weight"


STRATEGY = LeastBusy()
