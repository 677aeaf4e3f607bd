"""Each in its turn, in proportion to `weight`, evenly spread."""

import heapq
import random
from collections import defaultdict
from collections.abc import Callable, Sequence

from standfast.canon.ask import Ask
from standfast.canon.instants import Monotonic
from standfast.policy.explain import Row, rows
from standfast.policy.fleet import Fleet
from standfast.policy.ranking import SMALL, Ranking
from standfast.policy.route import Target
from standfast.policy.soundness import soundness

NEVER = float("inf")


class Turns:
    """When each target is due next, in rounds; the one that is due first has its turn.

    A target of weight w is due every 1/w rounds. Targets of the same weight begin evenly spread over their round, so
    5, 1 and 1 give `a b a a a c a` and never `a a a a a b c`: smooth, as nginx's weighted round robin, but with a heap
    instead of a pass over all targets (earliest deadline first, as Envoy's scheduler).
    """

    __slots__ = ("due", "steps")

    def __init__(self, targets: Sequence[Target]) -> None:
        alike: defaultdict[float, list[int]] = defaultdict(list)
        for place, target in enumerate(targets):
            alike[target.weight].append(place)
        self.steps = [1.0 / target.weight if target.weight > 0 else NEVER for target in targets]
        self.due = [
            (self.steps[place] * (number + 0.5) / len(places), place)
            for places in alike.values()
            for number, place in enumerate(places)
        ]
        heapq.heapify(self.due)

    def take(self) -> int:
        """Whose turn it is; it has had it now."""
        due, place = self.due[0]
        heapq.heapreplace(self.due, (due + self.steps[place], place))
        return place

    def take_first(self, usable: Callable[[int], bool]) -> int | None:
        """The one whose turn it is, of those that are usable; None if nobody is. Looks at all of them."""
        for due, place in sorted(self.due):
            if usable(place):
                self.due[self.due.index((due, place))] = (due + self.steps[place], place)
                heapq.heapify(self.due)
                return place
        return None


class RoundRobin:
    """One after the other.

    A target that cannot be used now loses its turn, so that its neighbour does not do the work of both. Weights of zero
    or less never have a turn and come last. Each reload begins a new round.
    """

    name = "round_robin"
    tiered = False
    wants: frozenset[str] = frozenset()
    measure = "rounds until its turn, the next first"

    def rank(
        self, targets: Sequence[Target], ask: Ask, fleet: Fleet, rng: random.Random, now: Monotonic
    ) -> Sequence[Target]:
        """The one whose turn it is, then the others in the order of theirs."""
        del ask, rng
        length = len(targets)
        if length < 2:  # noqa: PLR2004 - nothing to choose
            return targets
        turns = fleet.notes.of(self.name, targets, Turns)

        def usable(place: int) -> bool:
            return soundness(fleet.place(targets[place].deployment), now) > 0.0

        for _ in range(SMALL):
            first = turns.take()
            if usable(first):
                break
        else:  # those whose turns it was are all down
            found = turns.take_first(usable)
            first = first if found is None else found
        return Ranking(targets[first], length, lambda: [targets[place] for _, place in sorted(turns.due)])

    def explain(self, targets: Sequence[Target], ask: Ask, fleet: Fleet, now: Monotonic) -> list[Row]:
        """In the order of their turns; the score is how far off the turn is."""
        del ask
        turns = fleet.notes.of(self.name, targets, Turns)
        due = {id(targets[place]): at for at, place in turns.due}
        begin = min(due.values())
        order = [targets[place] for _, place in sorted(turns.due)]
        return rows(
            order,
            fleet,
            now,
            lambda t: (
                None if due[id(t)] == NEVER else due[id(t)] - begin,
                {"weight": t.weight},
                "" if t.weight > 0 else "has no weight",
            ),
        )


STRATEGY = RoundRobin()
