"""The contract of a strategy.

A strategy ranks, it does not pick: the same order serves balancing and failover. It sees the targets of one tier and
returns them all, best first. Each module under `standfast.strategies` offers `STRATEGY`, an instance.
"""

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from standfast.canon.ask import Ask
from standfast.canon.instants import Monotonic

if TYPE_CHECKING:  # Target names Route's file, which names this one
    from standfast.policy.fleet import Fleet
    from standfast.policy.route import Target


class Strategy(Protocol):
    """One way to choose.

    Attributes:
        name: the file's name.
        tiered: without `tier` in the configuration, is every target a tier of its own in the order written?
    """

    name: str
    tiered: bool

    def rank(
        self, targets: Sequence["Target"], ask: Ask, fleet: "Fleet", rng: random.Random, now: Monotonic
    ) -> Sequence["Target"]:
        """All the targets, best first: a permutation of what came in."""
        ...
