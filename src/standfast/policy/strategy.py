"""The contract of a strategy.

A strategy ranks, it does not pick: the same order serves balancing and failover. It sees the targets of one tier and
returns them all, best first. Each module under `standfast.strategies` offers `STRATEGY`, an instance.

Rules:

* A ranking is a permutation of what came in. Only its first place is needed for most requests, so it may be made on
  demand (`policy.ranking.Ranking`): ask for `[0]` first, and for the rest when the first was not enough.
* Instances hold nothing: what a strategy remembers from one ranking to the next stands in the fleet's `Notes`.
* Chance comes from `rng` alone, so the same state and seed give the same order.
* A decision looks at a bounded number of targets, however many there are (`policy.ranking.SMALL`).
* Nobody starves for ever: what was slow or failing is tried again (`policy.latency.DECAY`, the breaker's trial).
"""

import random
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from standfast.canon.ask import Ask
from standfast.canon.instants import Monotonic

if TYPE_CHECKING:  # Target names Route's file, which names this one
    from standfast.policy.explain import Row
    from standfast.policy.fleet import Fleet
    from standfast.policy.route import Target

FACTS, PACE, NATURE = "facts", "pace", "nature"
"""What a strategy may want: facts of the models, paces measured live, the nature of the request (kind and needs)."""

NOTED = 1024
"""Groups of targets of which something is remembered; the one that was not used for longest makes room."""

T = TypeVar("T")


class Strategy(Protocol):
    """One way to choose.

    Attributes:
        name: the file's name.
        tiered: without `tier` in the configuration, is every target a tier of its own in the order written?
        wants: some of `FACTS`, `PACE`, `NATURE`; what no strategy wants is not loaded, measured or looked at.
        measure: what targets are compared by, for explanations.
    """

    name: str
    tiered: bool
    wants: frozenset[str]
    measure: str

    def rank(
        self, targets: Sequence["Target"], ask: Ask, fleet: "Fleet", rng: random.Random, now: Monotonic
    ) -> Sequence["Target"]:
        """All the targets, best first: a permutation of what came in."""
        ...

    def explain(self, targets: Sequence["Target"], ask: Ask, fleet: "Fleet", now: Monotonic) -> list["Row"]:
        """The same as one row for each target, best first, with what it was judged by. Takes no chance and no turn.

        Where chance decides, the order is that of the chances.
        """
        ...


class Notes:
    """What strategies remember from one ranking to the next, for each group of targets. One for each fleet."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], tuple[Sequence[Target], object]] = OrderedDict()

    def of(self, name: str, targets: Sequence["Target"], make: Callable[[Sequence["Target"]], T]) -> T:
        """What the strategy of this name remembers of these targets; made the first time.

        The group is known by its identity: routes keep the tuples of their tiers.
        """
        key = (name, id(targets))
        kept = self._kept.get(key)
        if kept is None or kept[0] is not targets:
            kept = self._kept[key] = (targets, make(targets))
            if len(self._kept) > NOTED:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return cast("T", kept[1])
