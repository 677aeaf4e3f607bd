"""Builders for tests of the judgement: a small fleet and requests to it, in virtual time."""

import random
from dataclasses import dataclass, field

from standfast.canon.ask import Ask
from standfast.canon.deployment import Deployment
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.policy.breaker import BreakerSettings
from standfast.policy.exchange import Exchange
from standfast.policy.fleet import Fleet, KeyPool
from standfast.policy.retry import RetryBudget, RetrySettings
from standfast.policy.route import Route, Target
from standfast.policy.steps import Send, Sleep, Step
from standfast.policy.timeouts import TimeoutSettings
from standfast.strategies.priority import STRATEGY as PRIORITY

START = Monotonic(1_000.0)


def target(name: str, tier: int = 1, weight: float = 1.0, **timeouts: float) -> Target:
    """A target written `provider/model`."""
    provider, _, model = name.partition("/")
    deployment = Deployment(provider, model, f"http://{provider}.test/v1")
    return Target(deployment, tier, weight, {}, TimeoutSettings(**timeouts))


@dataclass
class World:
    """A fleet, and the means to play requests on it.

    Targets stand in tiers of their own in the order written, as under `priority`.
    """

    names: tuple[str, ...]
    retry: RetrySettings = field(default_factory=RetrySettings)
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    keys: int = 1
    concurrency: int | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        self.targets = tuple(target(name, tier) for tier, name in enumerate(self.names, start=1))
        self.route = Route("m", self.targets, PRIORITY, self.retry)
        providers = dict.fromkeys(each.deployment.provider for each in self.targets)
        pools = [
            KeyPool(provider, tuple(f"{provider}-{n}" for n in range(self.keys)), None, None, self.concurrency)
            for provider in providers
        ]
        self.fleet = Fleet({each.deployment: self.breaker for each in self.targets}, pools)
        self.budget = RetryBudget(self.retry.budget, self.retry.budget_floor)
        self.rng = random.Random(self.seed)

    def exchange(self, now: Monotonic = START, *, seconds: float = 900.0, **ask: object) -> Exchange:
        """A request that arrives now."""
        asked = Ask("m", arrived=now, deadline=Monotonic(now + seconds), **ask)  # type: ignore[arg-type]
        return Exchange(asked, self.route, self.fleet, self.budget, self.rng)

    def fail(self, name: str, kind: FailureKind, times: int, now: Monotonic = START) -> None:
        """Let a deployment fail that often, so that its breaker learns of it."""
        alone = Route("x", (next(each for each in self.targets if each.deployment.name == name),), PRIORITY, self.retry)
        for _ in range(times):
            ask = Ask("x", arrived=now, deadline=Monotonic(now + 900))
            exchange = Exchange(ask, alone, self.fleet, RetryBudget(1.0, 100), self.rng)
            for step in exchange.open(now):
                if isinstance(step, Send):
                    exchange.failed(step.permit, Failure(kind), now)
            exchange.cancel(now)


def sent(steps: list[Step]) -> Send:
    """The one step, which must be a Send."""
    (step,) = steps
    assert isinstance(step, Send), step
    return step


def slept(steps: list[Step]) -> Sleep:
    """The one step, which must be a Sleep."""
    (step,) = steps
    assert isinstance(step, Sleep), step
    return step
