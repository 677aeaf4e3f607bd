"""What a client may name, and where it can be served: the immutable half of routing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from standfast.canon.deployment import Deployment, Operation
from standfast.policy.retry import RetrySettings
from standfast.policy.strategy import Strategy
from standfast.policy.timeouts import TimeoutSettings


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One line under a model's `targets`. Compared by identity.

    Attributes:
        deployment: where.
        tier: 1 is tried first; strategies order within a tier.
        weight: share among its tier, for strategies that use it.
        params: request fields that this target sets, in its own wire format's names.
        timeouts: the target's, defaults included.
        operations: what its provider offers.
        reasoning: the upstream model is known to think before it speaks.
        name: the deployment's `provider/model`.
    """

    deployment: Deployment
    tier: int = 1
    weight: float = 1.0
    params: Mapping[str, object] = field(default_factory=dict)
    timeouts: TimeoutSettings = field(default_factory=TimeoutSettings)
    operations: frozenset[Operation] = frozenset(Operation)
    reasoning: bool = False
    name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.deployment.name)


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
        tiers: for each operation the targets that offer it, by tier, best tier first.
    """

    model: str
    targets: tuple[Target, ...]
    strategy: Strategy
    retry: RetrySettings
    total: float = 900.0
    rename: bool = False
    tiers: Mapping[Operation, tuple[tuple[Target, ...], ...]] = field(init=False)

    def __post_init__(self) -> None:
        tiers = {operation: _tiers(self.targets, operation) for operation in Operation}
        object.__setattr__(self, "tiers", tiers)


def _tiers(targets: Sequence[Target], operation: Operation) -> tuple[tuple[Target, ...], ...]:
    able = [target for target in targets if operation in target.operations]
    numbers = sorted({target.tier for target in able})
    return tuple(tuple(target for target in able if target.tier == number) for number in numbers)
