"""In which order one request prefers its targets, and what it has done with them so far."""

import random
from collections.abc import Iterator

from standfast.canon.ask import Ask
from standfast.canon.deployment import Operation
from standfast.canon.failure import Blame, Failure, SameTarget
from standfast.canon.instants import NEVER, Monotonic
from standfast.policy.fleet import Denied, Fleet
from standfast.policy.route import Route, Target


class Past:
    """What a request has done with one target.

    Attributes:
        tries: attempts that failed there.
        keys: positions of the upstream keys that were used.
        failure: the last one; also that the request cannot be expressed there.
    """

    __slots__ = ("failure", "keys", "tries")

    def __init__(self) -> None:
        self.tries = 0
        self.keys: set[int] = set()
        self.failure: Failure | None = None


class Preference:
    """The ranking of one request's targets, tier by tier, made only as far as it is needed.

    Args:
        best: the first tier, ranked.

    Attributes:
        model: the upstream model that was asked first.
        past: what was done with the targets that were tried.
        denied: the last refusal of the fleet for targets that could not be used.
    """

    __slots__ = (
        "_ask",
        "_fleet",
        "_order",
        "_rng",
        "_route",
        "_shunned",
        "_tiers",
        "denied",
        "model",
        "past",
    )

    def __init__(self, ask: Ask, route: Route, fleet: Fleet, rng: random.Random, best: tuple[Target, ...]) -> None:
        self._ask = ask
        self._route = route
        self._fleet = fleet
        self._rng = rng
        self._order: list[tuple[Target, ...]] = [best] if best else []
        self._tiers = route.tiers[ask.operation]
        self._shunned: set[str] = set()
        self.model = best[0].deployment.model if best else ""
        self.past: dict[Target, Past] = {}
        self.denied: dict[Target, Denied] = {}

    def rank_rest(self, now: Monotonic) -> None:
        """Rank the tiers that are left."""
        while len(self._order) < len(self._tiers):
            self._rank_next(now)

    def eligible(self) -> Iterator[Target]:
        """Ranked targets that may answer this request, best first."""
        keep = not self._ask.fallback or self._ask.operation is Operation.EMBEDDINGS  # vectors of two models never mix
        for tier in self._order:
            for target in tier:
                if not keep or target.deployment.model == self.model:
                    yield target

    def untried(self) -> list[Target]:
        """What is left, best first; within a tier the model that was asked first before others."""
        left = [
            target
            for target in self.eligible()
            if target not in self.past and target.deployment.provider not in self._shunned
        ]
        if len(left) > 1 and self.past:
            left.sort(key=lambda target: (target.tier, target.deployment.model != self.model))
        return left

    def note(self, target: Target, key: int, failure: Failure) -> None:
        """An attempt failed there."""
        past = self._history(target)
        past.tries += 1
        past.keys.add(key)
        past.failure = failure
        if failure.meaning.blame is Blame.PROVIDER:
            self._shunned.add(target.deployment.provider)

    def rule_out(self, target: Target, failure: Failure) -> None:
        """The request cannot be expressed there."""
        self._history(target).failure = failure

    def transient(self, now: Monotonic) -> tuple[int, Target] | None:
        """The least tried target whose last failure may pass by itself, and its number of tries."""
        found = [
            (past.tries, target)
            for target, past in self.past.items()
            if past.failure is not None
            and past.failure.meaning.same_target is SameTarget.QUICK
            and self._fleet.available_at(target.deployment, now) <= now
        ]
        return min(found, key=lambda pair: pair[0], default=None)

    def rested(self, now: Monotonic, *, same_model: bool) -> tuple[Monotonic, Target] | None:
        """The target whose rest ends first, among rests whose end a provider named; if asked, of the first model."""
        found = [
            (end, target)
            for target in self.eligible()
            if not same_model or target.deployment.model == self.model
            if (end := self._fleet.hint_end(target.deployment, now)) is not None
        ]
        return min(found, key=lambda pair: pair[0], default=None)

    def freed(self, now: Monotonic) -> tuple[Monotonic, Target] | None:
        """The target that can be asked soonest: after a named rest, or when a key's limit allows; None if unknown."""
        found = [(self._free_at(target, now), target) for target in self.eligible()]
        soonest = min(found, key=lambda pair: pair[0], default=None)
        return None if soonest is None or soonest[0] == NEVER else soonest

    def available_at(self, now: Monotonic) -> Monotonic:
        """When the first of all eligible targets may be asked again."""
        return min((self._fleet.available_at(target.deployment, now) for target in self.eligible()), default=NEVER)

    def _free_at(self, target: Target, now: Monotonic) -> Monotonic:
        past = self.past.get(target)
        if past is not None and past.failure is not None and past.failure.meaning.same_target is SameTarget.NEVER:
            return NEVER
        end = self._fleet.hint_end(target.deployment, now)
        if end is not None:
            return end
        denied = self.denied.get(target)
        if denied is None or denied.why != "keys" or self._fleet.available_at(target.deployment, now) > now:
            return NEVER
        return denied.until

    def _rank_next(self, now: Monotonic) -> None:
        tier = self._tiers[len(self._order)]
        if len(tier) > 1:
            tier = tuple(self._route.strategy.rank(tier, self._ask, self._fleet, self._rng, now))
        self._order.append(tier)

    def _history(self, target: Target) -> Past:
        past = self.past.get(target)
        if past is None:
            past = self.past[target] = Past()
        return past
