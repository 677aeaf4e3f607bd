"""What a client may name, and where it can be served: the immutable half of routing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from standfast.canon.deployment import Deployment, Operation
from standfast.canon.facts import Facts
from standfast.policy.retry import RetrySettings
from standfast.policy.strategy import NATURE, Strategy
from standfast.policy.timeouts import Limits, TimeoutSettings

if TYPE_CHECKING:  # what hedging and mending do, they do with targets
    from standfast.policy.hedge import HedgeSettings
    from standfast.policy.mend import OnBreak

PARTS = 64
"""Selections of a route's targets that are kept."""

LATER = 1_000_000
"""Added to the tier of a target that comes after all the others."""


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One line under a model's `targets`. Compared by identity.

    Attributes:
        deployment: where.
        tier: 1 is tried first; strategies order within a tier.
        weight: share among its tier, for strategies that use it.
        params: request fields that this target sets, in its own wire format's names.
        timeouts: the target's, defaults included.
        limits: the same as the hot path reads them.
        operations: what its provider offers.
        reasoning: the upstream model is known to think before it speaks.
        facts: what is known of the upstream model; None where nobody asked for it.
        name: the deployment's `provider/model`.
    """

    deployment: Deployment
    tier: int = 1
    weight: float = 1.0
    params: Mapping[str, object] = field(default_factory=dict)
    timeouts: TimeoutSettings = field(default_factory=TimeoutSettings)
    operations: frozenset[Operation] = frozenset(Operation)
    reasoning: bool = False
    facts: Facts | None = None
    name: str = field(init=False)
    limits: Limits = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.deployment.name)
        object.__setattr__(self, "limits", self.timeouts.limits)


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A model as clients name it.

    Attributes:
        model: the name.
        targets: at least one, in the order written.
        strategy: orders the targets of one tier.
        retry: how hard to try.
        total: seconds for all attempts together.
        rename: the reply's `model` field names what the client asked for, not who served.
        hedge: when a second attempt is sent beside a slow one; None for never.
        on_break: what becomes of an answer that breaks off after its first content.
        tiers: for each operation the targets that offer it, by tier, best tier first.
        curious: the strategy wants to know the nature of each request.
    """

    model: str
    targets: tuple[Target, ...]
    strategy: Strategy
    retry: RetrySettings
    total: float = 900.0
    rename: bool = False
    hedge: "HedgeSettings | None" = None
    on_break: "OnBreak" = "replay"
    tiers: Mapping[Operation, tuple[tuple[Target, ...], ...]] = field(init=False)
    curious: bool = field(init=False)
    _parts: "dict[tuple[tuple[Target, ...], tuple[Target, ...]], Route]" = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        tiers = {operation: _tiers(self.targets, operation) for operation in Operation}
        object.__setattr__(self, "tiers", tiers)
        object.__setattr__(self, "curious", NATURE in self.strategy.wants)

    def part(self, first: tuple[Target, ...], later: tuple[Target, ...] = ()) -> "Route":
        """The same route with these of its targets only, those of `later` after all the others.

        The parts are kept, so that the same selection is the same route and strategies remember it.
        """
        if not later and len(first) == len(self.targets):
            return self
        found = self._parts.get((first, later))
        if found is None:
            if len(self._parts) >= PARTS:
                self._parts.clear()
            moved = tuple(replace(target, tier=target.tier + LATER) for target in later)
            found = self._parts[first, later] = replace(self, targets=first + moved)
        return found


def _tiers(targets: Sequence[Target], operation: Operation) -> tuple[tuple[Target, ...], ...]:
    able = [target for target in targets if operation in target.operations]
    numbers = sorted({target.tier for target in able})
    return tuple(tuple(target for target in able if target.tier == number) for number in numbers)
