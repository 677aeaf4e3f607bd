"""What comes next: the part of an exchange that chooses the next step.

What comes next after a failure, in this order (`_advance`):

    another key      the same deployment with a key that this request has not used, if the key was to blame
    elsewhere        the next target in the order of preference that has not been tried; in a tier the same model first
    patience         but before the first target of *another model*, the model that was asked first gets one more
                     chance: a quick retry after a transient error (full jitter), or a short wait for a Retry-After
                     that fits; never after a refused connection, a timeout, an open breaker, a failure that
                     repeating cannot mend or one that may have been billed (its one repetition goes elsewhere)
    again            nothing untried is left: the same deployments again after a backoff, where the failure allows it
    probe            nothing could be sent because every breaker is open: a rare, bounded probe of the least bad
    refuse           with the time after which a repetition has a chance

bounded by `max_attempts`, `max_ambiguous`, the retry budget and the one deadline of the request. The budget (20 % of
the requests in flight, at least 3, as Envoy's) guards upstreams that are failing already, against our making it worse.
So it is charged for asking the same target again and for every failover to a target that is not sound itself; a
failover after a failure that put no load on anybody (nothing was written), or to a sound target, is what the gateway is
for.
"""

import random
from collections.abc import Collection

from standfast.canon.ask import Ask
from standfast.canon.attempt import Attempt
from standfast.canon.failure import Blame, Failure, FailureKind, SameTarget
from standfast.canon.instants import NEVER, Monotonic
from standfast.canon.record import Change
from standfast.policy.fleet import Denied, Fleet, Permit
from standfast.policy.preference import Preference
from standfast.policy.retry import RetryBudget, backoff
from standfast.policy.route import Route, Target
from standfast.policy.steps import Refuse, Send, Sleep, Step
from standfast.policy.timeouts import Deadlines, first_token_limit

HERD_JITTER = 0.25
"""Requests that wait for the same instant wake spread over this many seconds."""


class Run:
    """An attempt under way."""

    __slots__ = ("charged", "first", "permit", "started", "target")

    def __init__(self, target: Target, permit: Permit, started: Monotonic, *, charged: bool) -> None:
        self.target = target
        self.permit = permit
        self.started = started
        self.first: Monotonic | None = None
        self.charged = charged


class Course:
    """What `Exchange` is built on: the state of one request, and the choice of its next step.

    Args:
        ask: what is known of the request.
        route: where it can be served.
        fleet: states and permits of all deployments.
        budget: counts requests in flight and retries under way; shared by all exchanges.
        rng: the only source of chance.

    Attributes:
        attempts: settled attempts, oldest first.
        changes: states that changed; the driver takes them out.
        first_choice: the target ranked first; None before `open`, or if no target offers the operation.
        over: `Finish` or `Refuse` was given.
    """

    __slots__ = (
        "_ambiguous",
        "_best",
        "_broke",
        "_budget",
        "_committed",
        "_fleet",
        "_last",
        "_patient",
        "_retry",
        "_rng",
        "_run",
        "_sleeps",
        "_unsendable",
        "_waited",
        "_wished",
        "ask",
        "attempts",
        "changes",
        "first_choice",
        "over",
        "route",
    )

    def __init__(self, ask: Ask, route: Route, fleet: Fleet, budget: RetryBudget, rng: random.Random) -> None:
        self.ask = ask
        self.route = route
        self.attempts: list[Attempt] = []
        self.changes: list[Change] = []
        self.over = False
        self._fleet = fleet
        self._budget = budget
        self._rng = rng
        self._wished: Preference | None = None
        self.first_choice: Target | None = None
        self._best: tuple[Target, ...] = ()
        self._run: Run | None = None
        self._committed = False
        self._last: tuple[Target, Failure] | None = None
        self._unsendable: Failure | None = None
        self._retry: Target | None = None
        self._patient = True
        self._broke = False
        self._ambiguous = 0
        self._sleeps = 0
        self._waited = 0.0

    # what comes next

    @property
    def _wishes(self) -> Preference:
        """Made when the first choice was not enough: most requests never need it."""
        wished = self._wished
        if wished is None:
            wished = self._wished = Preference(self.ask, self.route, self._fleet, self._rng, self._best)
        return wished

    def _advance(self, now: Monotonic) -> list[Step]:
        retry = self.route.retry
        if now >= self.ask.deadline:
            return [self._refuse(now, Failure(FailureKind.DEADLINE_PASSED, "no time left for an attempt", sent=False))]
        if len(self.attempts) >= retry.max_attempts or self._ambiguous > retry.max_ambiguous:
            return [self._refuse(now)]
        self._wishes.rank_rest(now)
        if self._retry is not None:
            target, self._retry = self._retry, None
            step = self._send(target, now, again=True)
            if step is not None:
                return [step]
        step = self._another_key(now) or self._elsewhere(now)
        if step is None and not self._broke:
            step = self._again(now)
        if step is None and not self.attempts:
            step = self._probe(now)
        return [step or self._refuse(now)]

    def _another_key(self, now: Monotonic) -> Step | None:
        if self._last is None or not self._last[1].meaning.other_key:
            return None
        return self._send(self._last[0], now)

    def _elsewhere(self, now: Monotonic) -> Step | None:
        failure = self._last[1] if self._last is not None else None
        if failure is not None and not failure.meaning.other_deployment:
            return None
        for target in self._wishes.untried():
            if target.deployment.model != self._wishes.model:
                if failure is not None and not failure.meaning.other_model:
                    return None
                step = self._patience(now)
                if step is not None:
                    return step
            step = self._send(target, now)
            if step is not None:
                return step
        return None

    def _patience(self, now: Monotonic) -> Step | None:
        """The model that was asked first gets one more chance before another one answers."""
        if not self._patient:
            return None
        self._patient = False
        if self._last is not None:
            target, failure = self._last
            if target.deployment.model != self._wishes.model or failure.ambiguous:
                return None  # the one repetition of what may have been billed is worth more elsewhere
            if failure.meaning.same_target is SameTarget.QUICK:
                if self._fleet.available_at(target.deployment, now) > now:
                    return None
                return self._sleep(target, now, backoff(self.route.retry.backoff, 0, self._rng))
            if failure.meaning.same_target is SameTarget.NEVER or failure.retry_after is None:
                return None
        return self._wait(self._wishes.rested(now, same_model=True), now)

    def _again(self, now: Monotonic) -> Step | None:
        """Everything has been tried or is out of reach: wait for what may still answer."""
        transient = self._wishes.transient(now)
        if transient is not None:
            tries, target = transient
            return self._sleep(target, now, backoff(self.route.retry.backoff, tries - 1, self._rng))
        return self._wait(self._wishes.freed(now), now)

    def _probe(self, now: Monotonic) -> Step | None:
        targets = list(self._wishes.eligible())
        permit = self._fleet.admit_probe([target.deployment for target in targets], now)
        if permit is None:
            return None
        target = next(target for target in targets if target.deployment == permit.deployment)
        return self._start(target, permit, now, charged=False)

    # steps

    def _send(self, target: Target, now: Monotonic, *, again: bool = False) -> Step | None:
        ask = self.ask
        tried: Collection[int] = ()
        charged = False
        if self.attempts:
            past = self._wishes.past.get(target)
            tried = past.keys if past is not None and not again else ()
            charged = self._charged(target, now, again=again)
        if charged and not self._budget.take():
            self._broke = True
            return None
        permit = self._fleet.admit(target.deployment, ask.prompt_tokens + ask.max_tokens, now, tried_keys=tried)
        if isinstance(permit, Denied):
            if charged:
                self._budget.give_back()
            self._wishes.denied[target] = permit
            return None
        return self._start(target, permit, now, charged=charged)

    def _charged(self, target: Target, now: Monotonic, *, again: bool) -> bool:
        if self._last is not None and not self._last[1].sent:
            return False
        return again or not self._fleet.sound(target.deployment, now)

    def _start(self, target: Target, permit: Permit, now: Monotonic, *, charged: bool) -> Send:
        self._run = Run(target, permit, now, charged=charged)
        limits, ask = target.timeouts, self.ask
        p95 = permit.p95(stream=ask.stream)
        first = now + first_token_limit(limits, p95, stream=ask.stream, reasoning=ask.reasoning or target.reasoning)
        end = now + limits.total
        if end > ask.deadline:  # noqa: PLR1730 - two calls of min() cost more than the rest of this method
            end = ask.deadline
        if first > end:  # noqa: PLR1730 - the same
            first = end
        return Send(target, permit, Deadlines(limits.connect, limits.tls, Monotonic(first), limits.gap, Monotonic(end)))

    def _wait(self, free: tuple[Monotonic, Target] | None, now: Monotonic) -> Step | None:
        """Sleep until a named instant, if it is near enough."""
        if free is None or free[0] - now > self.route.retry.wait - self._waited:
            return None
        return self._sleep(free[1], now, free[0] - now + self._rng.uniform(0.0, HERD_JITTER))

    def _sleep(self, target: Target, now: Monotonic, seconds: float) -> Step | None:
        if now + seconds >= self.ask.deadline or self._sleeps >= self.route.retry.max_attempts:
            return None
        self._sleeps += 1
        self._waited += seconds
        self._retry = target
        return Sleep(Monotonic(now + seconds))

    def _refuse(self, now: Monotonic, failure: Failure | None = None) -> Refuse:
        if failure is None:
            failure = self._last[1] if self._last is not None else self._unsendable
        retry_after: float | None = None
        if failure is None or failure.meaning.blame is not Blame.NOBODY:
            soonest = self._wishes.available_at(now)
            retry_after = soonest - now if soonest < NEVER else None
        self._end()
        return Refuse(failure, retry_after, self._committed, tuple(self.attempts))

    def _end(self) -> None:
        self.over = True
        self._budget.ended()
