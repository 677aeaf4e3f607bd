"""Groups of targets in known states, for tests of strategies."""

import random
from collections.abc import Sequence

from standfast.canon.ask import Ask
from standfast.canon.attempt import Outcome
from standfast.canon.deployment import Deployment
from standfast.canon.facts import Facts
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.policy.breaker import BreakerSettings
from standfast.policy.fleet import Denied, Fleet, KeyPool, Permit
from standfast.policy.places import Place
from standfast.policy.route import Target
from support.exchanges import START


class Watched(Fleet):
    """A fleet that counts how often a deployment is looked at."""

    looks = 0

    def place(self, deployment: Deployment) -> Place:
        """Count the look."""
        self.looks += 1
        return super().place(deployment)


def group(
    weights: Sequence[float], facts: Sequence[Facts | None] = (), breaker: BreakerSettings | None = None
) -> tuple[tuple[Target, ...], Watched]:
    """Targets `p0/m`, `p1/m` ... of these weights and facts, and a fleet that knows them and measures their pace."""
    found = []
    for number, weight in enumerate(weights):
        deployment = Deployment(f"p{number}", "m", f"http://p{number}.test/v1")
        known = facts[number % len(facts)] if facts else None
        found.append(Target(deployment, weight=weight, facts=known))
    pools = [KeyPool(each.deployment.provider, ("key",)) for each in found]
    fleet = Watched({each.deployment: breaker or BreakerSettings() for each in found}, pools)
    fleet.measure()
    return tuple(found), fleet


def begin(fleet: Fleet, target: Target, now: Monotonic = START, *, prompt: int = 100, stream: bool = True) -> Permit:
    """An attempt sets off."""
    permit = fleet.admit(target.deployment, prompt, now)
    assert not isinstance(permit, Denied), permit
    assert permit.place.pace is not None
    permit.trail = permit.place.pace.sent(prompt, now, stream=stream)
    return permit


def answered(
    fleet: Fleet, target: Target, first: float, now: Monotonic = START, *, rest: float = 1.0, tokens: int = 100
) -> None:
    """A stream of so many tokens that began at `now`: seconds to the first one, seconds after it."""
    permit = begin(fleet, target, now)
    fleet.first_content(
        permit, first, Ask("m", stream=True, prompt_tokens=100), Monotonic(now + first), random.Random(1)
    )
    end = Monotonic(now + first + rest)
    fleet.settle(permit, Outcome.SUCCESS, end, random.Random(1), tokens=tokens + 100, completion=tokens)


def failed(fleet: Fleet, target: Target, times: int = 1, now: Monotonic = START) -> None:
    """Attempts that fail at once."""
    for _ in range(times):
        permit = begin(fleet, target, now)
        failure = Failure(FailureKind.SERVER_ERROR, status=500)
        fleet.settle(permit, Outcome.FAILURE, now, random.Random(1), failure=failure)


def opened(fleet: Fleet, target: Target, now: Monotonic = START) -> None:
    """Fails until its breaker opens."""
    failed(fleet, target, BreakerSettings().consecutive, now)


def served(fleet: Fleet, target: Target, times: int = 1, now: Monotonic = START) -> None:
    """Attempts that succeed at once, and say nothing about the pace."""
    for _ in range(times):
        permit = fleet.admit(target.deployment, 1, now)
        assert not isinstance(permit, Denied), permit
        fleet.settle(permit, Outcome.SUCCESS, now, random.Random(1))
