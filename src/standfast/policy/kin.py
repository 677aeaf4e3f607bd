"""Shared fate: the deployments of one provider fail together, and one bad key fails everywhere.

A breaker sees one deployment. Above it stand the key (the account) and the provider (hierarchy deployment < key <
provider), and a failure belongs to the highest of them that explains it:

* **Provider.** While most of a provider's breakers (more than half of them, and at least two) are open, the provider is
  taken to be down: its other deployments are spared, which means asked after all others, and never refused where there
  is no other. Its trials and probes are shared: one deployment at a time is tried, because one answer speaks for all.
* **Key.** A key that fails several times in a row at a deployment at which other keys succeed meanwhile is bad, not the
  deployment, which then does not count the failure; the key rests there. One that is bad at several deployments rests
  everywhere. The rest doubles as those of rate limits do (a second to a minute), so that a bad key sees one request a
  rest. How many times: at least `KEY_RUN`, and so many that the run is no chance at the share p of failures that the
  other keys have had meanwhile, p^N <= `KEY_CHANCE` (with one failure added to theirs, for what is not known): four
  of the twenty requests of five keys, five of the ten of two; where 40 % fail with every key, hardly ever.

Nothing of this costs a request anything that does not fail: a family is counted when one of its breakers moves, a key
when it fails.
"""

import random
from typing import TYPE_CHECKING

from standfast.canon.deployment import Deployment
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.canon.record import Change
from standfast.policy.rests import COOLDOWN, began

if TYPE_CHECKING:  # a breaker has a family, and a permit a place
    from standfast.policy.breaker_machine import Machine
    from standfast.policy.places import Permit, Seat

LEAST = 2
"""So many breakers must be open before anything is said of the provider."""

KEY_RUN = 3
"""The least number of failures in a row that makes a key suspect."""

SHY, SHY_CAP = 1.0, 60.0
"""After each failure other keys are preferred, for so many seconds times the failures in a row: a key that fails at
once is always the least busy one, and would draw all requests to itself."""

KEY_CHANCE = 1e-3
"""How probable the run may be by chance; a mistake costs a key a second's rest."""

_NOT_THE_KEYS = frozenset(
    (FailureKind.CONNECT_FAILED, FailureKind.CONNECT_TIMEOUT, FailureKind.OVERLOADED, FailureKind.REJECTED_REPLY)
)
"""Failures in which the key had no part: it was not told, or the provider speaks of itself."""


class Family:
    """The breakers of one provider.

    Args:
        name: the provider's.
        down: as the configuration before knew it.

    Attributes:
        name: the same.
        members: its breakers.
        down: most of them are open.
        trying: the half-open one that had a call last.
    """

    __slots__ = ("_next_probe", "down", "members", "name", "trying")

    def __init__(self, name: str, *, down: bool = False) -> None:
        self.name = name
        self.members: list[Machine] = []
        self.down = down
        self.trying: Machine | None = None
        self._next_probe = Monotonic(0.0)

    def add(self, breaker: "Machine") -> None:
        """One more; it comes from wherever it was before."""
        self.members.append(breaker)
        breaker.family = self
        breaker.spare(spared=self.down)

    def moved(self) -> tuple[Change, ...]:
        """A breaker has moved: count again. What changed for the provider."""
        counted = [member for member in self.members if not member.forced]
        tripped = sum(member.tripped for member in counted)
        down = tripped >= LEAST and 2 * tripped > len(counted)
        if down == self.down:
            return ()
        self.down = down
        for member in self.members:
            member.spare(spared=down)
        reason = f"{tripped} of {len(counted)} breakers are open"
        return (
            Change("provider", self.name, "up", "down", reason)
            if down
            else Change("provider", self.name, "down", "up", reason),
        )

    def tries_another(self, breaker: "Machine") -> bool:
        """Must this half-open one wait, because the provider is down and one of the others is being tried?"""
        trying = self.trying
        return self.down and trying is not None and trying is not breaker and trying.on_trial

    def lets_probe(self, now: Monotonic, interval: float) -> bool:
        """May an open one be probed? While the provider is down one probe in an interval is enough for all."""
        if self.down:
            if now < self._next_probe:
                return False
            self._next_probe = Monotonic(now + interval)
        return True


def key_failed(permit: "Permit", failure: Failure, now: Monotonic, rng: random.Random) -> tuple[Change, ...]:
    """A failure that would count for the deployment: is it the key's?"""
    place, seat = permit.place, permit.seat
    if len(place.seats) == 1 or failure.kind in _NOT_THE_KEYS:
        return ()
    served = sum(other.served for other in place.seats if other is not seat)
    failed = sum(other.failed for other in place.seats if other is not seat)
    if not seat.row:
        seat.others = (served, failed)
    seat.row += 1
    seat.failed += 1
    seat.shy = Monotonic(now + min(seat.row * SHY, SHY_CAP))
    served, failed = served - seat.others[0], failed - seat.others[1]
    if seat.row < KEY_RUN or ((failed + 1) / (served + failed + 1)) ** seat.row > KEY_CHANCE:
        return ()
    if now < max(seat.rest.until, seat.key.rest.until):
        return ()  # a late result: it rests already
    key = seat.key
    key.bad_at.add(place.deployment)
    rest, where = (seat.rest, place.deployment.name) if len(key.bad_at) < LEAST else (key.rest, "")
    before, seconds = rest.until, rest.rest(now, None, rng)
    name, reason = f"{place.deployment.provider} key {seat.index + 1}", f"{failure.kind.value}; other keys succeed"
    return began(place, rest, before, Change(COOLDOWN, name, "available", "resting", reason, seconds, where), now)


def key_served(seat: "Seat", deployment: Deployment) -> None:
    """A success with one of several keys."""
    seat.served += 1
    if seat.row:
        seat.row = 0
        seat.shy = Monotonic(0.0)
        seat.key.bad_at.discard(deployment)
