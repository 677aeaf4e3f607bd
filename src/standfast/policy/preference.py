"""In which order one request prefers its targets, and what it has done with them so far."""

import random
from collections.abc import Iterator, Sequence

from standfast.canon.ask import Ask
from standfast.canon.deployment import Operation
from standfast.canon.failure import Blame, Failure, SameTarget
from standfast.canon.instants import NEVER, Monotonic
from standfast.policy.fleet import Denied, Fleet
from standfast.policy.ranking import SMALL
from standfast.policy.route import Route, Target

BUSY = frozenset({"keys", "full", "behind"})
"""Why a deployment that is well cannot take one more request now: it can when others end, or when a limit allows."""

SOFT = frozenset({"failing", "ramping", "silent", "slow", "spared", "trying", "unhealthy"})
"""Why a deployment should be spared as long as there is another one."""

PATIENCE = 10.0
"""Seconds after which a refused request may come again, at most, if it is breakers that are open: they are probed once
a second as long as somebody asks, and whoever is told to stay away for minutes learns of the recovery last."""

FRESH_CHOICES = 3
"""How often a strategy is asked for another first choice among many targets before its whole order is needed."""


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
        "_now",
        "_order",
        "_rng",
        "_route",
        "_shunned",
        "_tiers",
        "denied",
        "model",
        "past",
    )

    def __init__(self, ask: Ask, route: Route, fleet: Fleet, rng: random.Random, best: Sequence[Target]) -> None:
        self._ask = ask
        self._route = route
        self._fleet = fleet
        self._rng = rng
        self._order: list[Sequence[Target]] = [best] if best else []
        self._now: Monotonic | None = None
        self._tiers = route.tiers[ask.operation]
        self._shunned: set[str] = set()
        self.model = best[0].deployment.model if best else ""
        self.past: dict[Target, Past] = {}
        self.denied: dict[Target, Denied] = {}

    def look(self, now: Monotonic) -> None:
        """From now on every tier counts; each is ranked when it is come to."""
        self._now = now

    def eligible(self) -> Iterator[Target]:
        """Ranked targets that may answer this request, best first."""
        for tier in self._ranked():
            for target in tier:
                if self._fits(target):
                    yield target

    def untried(self) -> Iterator[Target]:
        """What is left, best first; within a tier the model that was asked first before others, once one has failed.

        A target may come twice.
        """
        for place, tier in enumerate(self._ranked()):
            others: list[Target] = []
            for target in self._through(place, tier):
                if not self._open(target):
                    continue
                if self.past and target.deployment.model != self.model:
                    others.append(target)
                else:
                    yield target
            yield from others

    def note(self, target: Target, key: int, failure: Failure) -> None:
        """An attempt failed there."""
        past = self._history(target)
        past.tries += 1
        past.keys.add(key)
        past.failure = failure
        if failure.meaning.blame is Blame.PROVIDER:
            self._shunned.add(target.deployment.provider)
            if self._fleet.in_flight(target.deployment):
                self.denied[target] = Denied("full", NEVER)  # others are served there, so it can be waited for

    def rule_out(self, target: Target, failure: Failure) -> None:
        """The request cannot be expressed there."""
        self._history(target).failure = failure

    def tried_keys(self, target: Target) -> set[int]:
        """Positions of the upstream keys that this request has used there."""
        past = self.past.get(target)
        return set() if past is None else past.keys

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

    def rested(self, now: Monotonic, *, same_model: bool = False) -> tuple[Monotonic, Target] | None:
        """The target whose rest ends first, among rests whose end a provider named; if asked, of the first model."""
        found = [
            (end, target)
            for target in self.eligible()
            if (not same_model or target.deployment.model == self.model) and not self._hopeless(target)
            if (end := self._fleet.hint_end(target.deployment, now)) is not None
        ]
        return min(found, key=lambda pair: pair[0], default=None)

    def busy(self, now: Monotonic) -> list[tuple[Monotonic, Target]]:
        """Targets that nothing but a limit keeps from serving, and when asking again has a chance; best first."""
        return [
            (denied.until, target)
            for target in self.eligible()
            if (denied := self.denied.get(target)) is not None
            and denied.why in BUSY
            and not self._hopeless(target)
            and self._fleet.available_at(target.deployment, now) <= now
        ]

    def available_at(self, now: Monotonic) -> Monotonic:
        """When it is worth asking the first of all eligible targets again."""
        return self.soonest(now)[0]

    def soonest(self, now: Monotonic) -> tuple[Monotonic, bool]:
        """The same, and whether it is the end of a breaker's open time or of its trial that is waited for."""
        found = [(self._available_at(target, now), target) for target in self.eligible()]
        if not found:
            return NEVER, False
        at, target = min(found, key=lambda pair: pair[0])
        return at, self._fleet.place(target.deployment).breaker.barred(now)

    def _available_at(self, target: Target, now: Monotonic) -> Monotonic:
        at = self._fleet.available_at(target.deployment, now, patience=PATIENCE)
        denied = self.denied.get(target)
        if denied is not None and denied.why in BUSY and at < denied.until < NEVER:
            return denied.until
        return at

    def _fits(self, target: Target) -> bool:
        """May this target answer at all? Vectors of two models never mix."""
        if self._ask.fallback and self._ask.operation is not Operation.EMBEDDINGS:
            return True
        return target.deployment.model == self.model

    def _hopeless(self, target: Target) -> bool:
        past = self.past.get(target)
        return past is not None and past.failure is not None and past.failure.meaning.same_target is SameTarget.NEVER

    def _open(self, target: Target) -> bool:
        """Has it not been tried, and may it answer?"""
        return target not in self.past and target.deployment.provider not in self._shunned and self._fits(target)

    def _through(self, place: int, tier: Sequence[Target]) -> Iterator[Target]:
        """One tier; of a large one a few fresh first choices come before the whole order, which costs much more."""
        if len(tier) > SMALL:
            yield tier[0]
            for _ in range(FRESH_CHOICES):
                yield self._rank(place)[0]
        yield from tier

    def _ranked(self) -> Iterator[Sequence[Target]]:
        """The tiers in order, ranked when they are come to. Several may go through them at the same time."""
        known = len(self._order) if self._now is None else len(self._tiers)
        for place in range(known):
            if place == len(self._order):
                self._order.append(self._rank(place))
            yield self._order[place]

    def _rank(self, place: int) -> Sequence[Target]:
        tier = self._tiers[place]
        if len(tier) < 2 or self._now is None:  # noqa: PLR2004 - nothing to choose
            return tier
        return self._route.strategy.rank(tier, self._ask, self._fleet, self._rng, self._now)

    def _history(self, target: Target) -> Past:
        past = self.past.get(target)
        if past is None:
            past = self.past[target] = Past()
        return past
