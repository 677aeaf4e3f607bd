"""Plays traffic through real exchanges in virtual time: arrivals, deployments that answer or fail, who was asked."""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from standfast import plugins
from standfast.canon.ask import Ask
from standfast.canon.facts import Facts, Price
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.canon.usage import Usage
from standfast.policy.breaker import BreakerSettings
from standfast.policy.exchange import Exchange
from standfast.policy.fleet import Fleet, KeyPool
from standfast.policy.retry import RetryBudget, RetrySettings
from standfast.policy.route import Route, Target
from standfast.policy.steps import Abandon, Commit, Finish, Purpose, Refuse, Remind, Send, Sleep, Step
from standfast.policy.strategy import PACE, Strategy
from support.exchanges import START, target

PATIENT = {"first_token": 600.0, "total": 900.0}
"""No timeout helps: what a strategy does not notice goes unnoticed."""

KNOWN = Facts(100_000, 8_000, (Price(1.0, 4.0),), {"": 0.8}, frozenset({"tools"}))


@dataclass(frozen=True)
class Manner:
    """How a deployment answers: seconds to the first token and after it, and the share that fails at once."""

    first: float = 0.5
    rest: float = 1.0
    fails: float = 0.0


GOOD = Manner()
Manners = Callable[[float], Manner]
"""By the seconds since the start."""


@dataclass
class Traffic:
    """Requests at a steady rate to deployments called `a/m`, `b/m` ...

    Attributes:
        sent: what was sent: seconds since the start, to whom, and whether it was the request's first attempt.
        ended: how many requests got an answer, and how many none.
    """

    strategy: str
    manners: Mapping[str, Manners]
    rate: float = 10.0
    stream: bool = True
    seed: int = 1
    facts: Mapping[str, Facts] = field(default_factory=dict)
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    sent: list[tuple[float, str, bool]] = field(default_factory=list)
    ended: Counter[bool] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.targets = tuple(self._target(name) for name in self.manners)
        strategy: Strategy = plugins.load("strategies", self.strategy).STRATEGY
        self.retry = RetrySettings()
        self.route = Route("m", self.targets, strategy, self.retry)
        pools = [KeyPool(each.deployment.provider, ("key",)) for each in self.targets]
        self.fleet = Fleet({each.deployment: self.breaker for each in self.targets}, pools)
        if PACE in strategy.wants:
            self.fleet.measure()
        self.budget = RetryBudget(self.retry.budget, self.retry.budget_floor)
        self.rng = random.Random(self.seed)
        self.now = START
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()

    def _target(self, name: str) -> Target:
        plain = target(f"{name}/m", **PATIENT)
        return Target(plain.deployment, timeouts=plain.timeouts, facts=self.facts.get(name, KNOWN))

    def run(self, seconds: float) -> "Traffic":
        """Play so many seconds of arrivals, and what follows from them until then."""
        end = self.now + seconds
        at = float(self.now)
        while at < end:
            self._at(at, self._arrive)
            at += self.rng.expovariate(self.rate)
        while self._agenda and self._agenda[0][0] <= end:
            instant, _, act = heapq.heappop(self._agenda)
            self.now = Monotonic(max(instant, self.now))
            act()
        self.now = Monotonic(end)
        return self

    def share(self, name: str, since: float, until: float, *, first: bool = True) -> float:
        """Which share of what was sent between two times went there; first attempts only, or all."""
        found = [who for at, who, begins in self.sent if since <= at < until and (begins or not first)]
        return found.count(name) / len(found)

    # inside

    def _at(self, instant: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (instant, next(self._count), act))

    def _arrive(self) -> None:
        ask = Ask("m", stream=self.stream, arrived=self.now, deadline=Monotonic(self.now + 900), prompt_tokens=200)
        exchange = Exchange(ask, self.route, self.fleet, self.budget, self.rng)
        self._perform(exchange, exchange.open(self.now))

    def _perform(self, exchange: Exchange, steps: list[Step]) -> None:
        for step in steps:
            if isinstance(step, Send):
                self._send(exchange, step)
            elif isinstance(step, Sleep):
                self._at(step.until, lambda: self._perform(exchange, exchange.woke(self.now)))
            elif isinstance(step, Remind):
                self._at(step.at, lambda: self._perform(exchange, exchange.reminded(self.now)))
            elif isinstance(step, Finish | Refuse):
                self.ended[isinstance(step, Finish)] += 1
            else:
                assert isinstance(step, Commit | Abandon), step

    def _send(self, exchange: Exchange, send: Send) -> None:
        name = send.target.deployment.provider
        since = self.now - START
        manner = self.manners[name](since)
        self.sent.append((since, name, not exchange.attempts and send.purpose is Purpose.ANSWER))
        permit = send.permit
        pace = permit.place.pace
        if pace is not None and permit.trail is None:
            permit.trail = pace.sent(exchange.ask.prompt_tokens, self.now, stream=exchange.ask.stream)
        if self.rng.random() < manner.fails:
            failure = Failure(FailureKind.SERVER_ERROR, status=500)
            self._at(self.now + 0.02, lambda: self._perform(exchange, exchange.failed(permit, failure, self.now)))
            return
        first = manner.first * self.rng.uniform(0.7, 1.3)
        usage = Usage(prompt=200, completion=100)

        def complete() -> None:
            if not exchange.ask.stream:
                self._perform(exchange, exchange.first_content(permit, self.now))
            self._perform(exchange, exchange.completed(permit, usage, self.now))

        if exchange.ask.stream:
            self._at(self.now + first, lambda: self._perform(exchange, exchange.first_content(permit, self.now)))
        self._at(self.now + first + manner.rest, complete)
