"""Requests of one session go to one target, so that the provider's prompt cache stays warm."""

import random
from array import array
from bisect import bisect
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from standfast.canon.ask import Ask
from standfast.canon.instants import Monotonic
from standfast.policy.explain import Row, hindered, rows
from standfast.policy.fleet import Fleet
from standfast.policy.ranking import Ranking, ranked
from standfast.policy.route import Target
from standfast.policy.soundness import soundness
from standfast.strategies.least_busy import load

POINTS = 128
"""Points on the ring for a weight of 1: shares then differ by 9 % (one standard deviation, 1 / sqrt(128))."""

MOST_WEIGHT = 8.0
"""Points are for weights up to this; larger ones are halved, all together, until they are below."""

_INDEX_BITS = 20
_INDEX = (1 << _INDEX_BITS) - 1
_LITTLE_ENDIAN = array("H", b"\x01\x00")[0] == 1


class Ring:
    """A ring on which every target owns many points; a session belongs to the next point clockwise.

    Consistent hashing (Karger and others, 1997): a target that comes or goes takes or leaves only its own share of the
    sessions, and those that a failed one leaves spread over all the others. Rendezvous hashing (Thaler and Ravishankar,
    1998) keeps the same promise with perfect balance, but hashes every target for every request; a bisection of the
    ring costs the same for 10 targets and for 1,000.

    A point is 44 bits of a hash above 20 bits of the target's index, so the ring is one sorted array of integers.
    """

    __slots__ = ("_points",)

    def __init__(self, targets: Sequence[Target]) -> None:
        scale = 1.0
        while max(target.weight for target in targets) * scale > MOST_WEIGHT:
            scale /= 2
        found: list[int] = []
        for index, target in enumerate(targets):
            if target.weight > 0:
                count = max(1, round(POINTS * target.weight * scale))
                found += [point & ~_INDEX | index for point in _points(target, count)]
        self._points = array("Q", sorted(found))

    def walk(self, session: str) -> Iterator[int]:
        """Indexes of the targets that a session meets on its way around the ring, each once."""
        points = self._points
        digest = blake2b(session.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        begin = bisect(points, int.from_bytes(digest) >> _INDEX_BITS << _INDEX_BITS)
        seen: set[int] = set()
        for step in range(begin, begin + len(points)):
            index = points[step % len(points)] & _INDEX
            if index not in seen:
                seen.add(index)
                yield index


class Sticky:
    """The session's own target first, and the next ones of its way around the ring after it.

    Never at the price of failover: a target that cannot be used now is passed over, and the session returns to it
    afterwards, because nothing is remembered. A request without a session goes to the least busy target.
    """

    name = "sticky"
    tiered = False
    wants: frozenset[str] = frozenset()
    measure = "the session's way around the ring (without a session: load, the least first)"

    def rank(
        self, targets: Sequence[Target], ask: Ask, fleet: Fleet, rng: random.Random, now: Monotonic
    ) -> Sequence[Target]:
        """The session's target, then the others on its way; who has no weight comes last."""
        length = len(targets)
        if length < 2:  # noqa: PLR2004 - nothing to choose
            return targets
        if not ask.session:
            return ranked(targets, lambda target: load(target, fleet, now), rng)
        ring = fleet.notes.of(self.name, targets, Ring)
        first: Target | None = None
        for index in ring.walk(ask.session):
            target = targets[index]
            if soundness(fleet.place(target.deployment), now) > 0.0:
                first = target
                break
            first = first or target
        if first is None:  # nobody has weight
            return targets
        return Ranking(first, length, lambda: _way(ring, targets, ask.session))

    def explain(self, targets: Sequence[Target], ask: Ask, fleet: Fleet, now: Monotonic) -> list[Row]:
        """The session's way around the ring."""
        if ask.session:
            order = _way(fleet.notes.of(self.name, targets, Ring), targets, ask.session)
        else:
            order = sorted(targets, key=lambda target: load(target, fleet, now))
        order.sort(key=lambda target: bool(hindered(target, fleet, now)))
        return rows(order, fleet, now, lambda target: (None, {"weight": target.weight}, ""))


def _way(ring: Ring, targets: Sequence[Target], session: str) -> list[Target]:
    on_ring = list(ring.walk(session))
    off = set(range(len(targets))).difference(on_ring)
    return [targets[index] for index in (*on_ring, *sorted(off))]


def _points(target: Target, count: int) -> "array[int]":
    """Points of a target: they depend on nothing but its deployment, and the first ones not on their number."""
    deployment = target.deployment
    name = f"{deployment.name} {deployment.base_url}".encode()
    digests = [blake2b(name + number.to_bytes(4), digest_size=64).digest() for number in range(-(-count // 8))]
    points = array("Q", b"".join(digests))
    if not _LITTLE_ENDIAN:
        points.byteswap()
    return points[:count]


STRATEGY = Sticky()
