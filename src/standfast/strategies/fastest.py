"""The one whose answer is expected first."""

import random
from collections.abc import Sequence

from standfast.canon.ask import Ask
from standfast.canon.instants import Monotonic
from standfast.policy.explain import Row, rows
from standfast.policy.fleet import Fleet
from standfast.policy.ranking import ranked
from standfast.policy.route import Target
from standfast.policy.soundness import soundness
from standfast.policy.strategy import PACE
from standfast.policy.weigh import wait


class Fastest:
    """Least expected wait first, as measured here and now.

        score = expected wait / soundness

    The wait is the first token's for streams and the whole answer's for whole replies, per class of prompt size. It
    decays while a target is not asked, so that whoever is slow gets a request now and then and can show that it has
    recovered; and it grows with the silence of what was sent, so that a hang is noticed before it ends
    (`policy.latency.Pace`). Up to 12 targets are compared; of more, 12 at random.
    """

    name = "fastest"
    tiered = False
    wants = frozenset({PACE})
    measure = "expected seconds / soundness, the least first"

    def rank(
        self, targets: Sequence[Target], ask: Ask, fleet: Fleet, rng: random.Random, now: Monotonic
    ) -> Sequence[Target]:
        """Least expected wait first; who cannot be used now comes last."""
        if len(targets) < 2:  # noqa: PLR2004 - nothing to choose
            return targets
        return ranked(targets, lambda target: slowness(target, ask, fleet, now), rng)

    def explain(self, targets: Sequence[Target], ask: Ask, fleet: Fleet, now: Monotonic) -> list[Row]:
        """Least expected wait first."""
        order = sorted(targets, key=lambda target: slowness(target, ask, fleet, now))
        return rows(order, fleet, now, lambda target: _judged(target, ask, fleet, now))


def slowness(target: Target, ask: Ask, fleet: Fleet, now: Monotonic) -> float:
    """Expected wait over soundness, seconds; infinite for a target that cannot be used now."""
    place = fleet.place(target.deployment)
    sound = soundness(place, now)
    return wait(place, ask, now) / sound if sound > 0.0 else float("inf")


def _judged(target: Target, ask: Ask, fleet: Fleet, now: Monotonic) -> tuple[float | None, dict[str, float], str]:
    place = fleet.place(target.deployment)
    value = slowness(target, ask, fleet, now)
    factors = {"wait": wait(place, ask, now), "soundness": soundness(place, now)}
    return None if value == float("inf") else value, factors, ""


STRATEGY = Fastest()
