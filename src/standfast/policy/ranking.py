"""How strategies put targets in order without looking at all of them.

Up to `SMALL` targets are compared exactly. Of more, a sample is compared and its best comes first ("power of d
choices": with d = 2 the longest queue grows with log log n instead of log n / log log n, and further choices gain a
constant factor; Mitzenmacher, "The power of two choices in randomized load balancing", 2001). A sample also spreads
requests that arrive at the same time, where "the best of all" would send them all to one. The order of the rest is made
when it is asked for, which is after a failure.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias, overload

from standfast.policy.route import Target

SMALL = 12
"""Targets that are compared for one decision."""

Cost: TypeAlias = Callable[[Target], float]
"""What a target is ranked by, least first; infinite for one that is not to be used now."""


class Ranking(Sequence[Target]):
    """All targets, of which only the first is known; the others are put in order when somebody asks for them.

    Args:
        first: the best.
        length: how many there are.
        order: gives all of them in order; where the first stands in it does not matter.
    """

    __slots__ = ("_first", "_length", "_order", "_whole")

    def __init__(self, first: Target, length: int, order: Callable[[], Iterable[Target]]) -> None:
        self._first = first
        self._length = length
        self._order = order
        self._whole: list[Target] | None = None

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Target: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Target]: ...
    def __getitem__(self, index: int | slice) -> Target | Sequence[Target]:
        return self._first if index == 0 else self._all()[index]

    def __iter__(self) -> Iterator[Target]:
        yield self._first
        yield from self._all()[1:]

    def _all(self) -> list[Target]:
        if self._whole is None:
            first = self._first
            self._whole = [first, *(target for target in self._order() if target is not first)]
        return self._whole


def ascending(targets: Sequence[Target], cost: Cost, rng: random.Random) -> list[Target]:
    """All of them by cost; chance decides between equals."""
    keyed = [(cost(target), rng.random(), place) for place, target in enumerate(targets)]
    keyed.sort()
    return [targets[place] for _, _, place in keyed]


def ranked(
    targets: Sequence[Target],
    cost: Cost,
    rng: random.Random,
    sample: Callable[[Sequence[Target], random.Random], Sequence[Target]] | None = None,
) -> Sequence[Target]:
    """By cost, least first: exactly if there are few, else the best of a sample first and the rest on demand.

    Args:
        targets: at least one.
        cost: what to rank by.
        rng: draws the sample, and decides between equals.
        sample: draws candidates where there are many; by default `SMALL` at random.
    """
    if len(targets) <= SMALL:
        return ascending(targets, cost, rng)
    candidates = drawn(targets, SMALL, rng) if sample is None else sample(targets, rng)
    least, best = min(((cost(target), place) for place, target in enumerate(candidates)), default=(float("inf"), 0))
    if least == float("inf"):  # none of the sample can be used: now it is worth looking at all
        return ascending(targets, cost, rng)
    return Ranking(candidates[best], len(targets), lambda: ascending(targets, cost, rng))


def drawn(targets: Sequence[Target], count: int, rng: random.Random) -> list[Target]:
    """So many at random, in the order drawn; some may come twice, which is cheaper to bear than to prevent."""
    length, chance = len(targets), rng.random
    return [targets[int(chance() * length)] for _ in range(count)]
