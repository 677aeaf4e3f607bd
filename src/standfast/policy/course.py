"""What comes next: the choice of the next step, made when the first choice was not enough.

What comes next after a failure, in this order (`next`):

    another key      the same deployment with a key that this request has not used, if the key was to blame
    elsewhere        the next target in the order of preference that has not been tried; in a tier the same model first
    patience         but before the first target of *another model*, the model that was asked first gets one more
                     chance: a quick retry after a transient error (full jitter), or a short wait for a Retry-After
                     that fits; never after a refused connection, a timeout, an open breaker, a failure that
                     repeating cannot mend or one that may have been billed (its one repetition goes elsewhere)
    nevertheless     what was passed over for a soft reason (its health check fails, it has just recovered), when there
                     is nobody else
    again            nothing untried is left: the same deployments again after a backoff, where the failure allows it
    in line          what could serve is busy: wait for a place (`policy.waiting`), or for a rest that ends soon
    probe            nothing could be sent because every breaker is open: a rare, bounded probe of the least bad
    refuse           with the time after which a repetition has a chance

bounded by `max_attempts`, `max_ambiguous`, the retry budget and the one deadline of the request. The budget (20 % of
the requests in flight, at least 3, as Envoy's) guards upstreams that are failing already, against our making it worse.
So it is charged for asking the same target again and for every failover to a target that is not sound itself; a
failover after a failure that put no load on anybody (nothing was written), or to a sound target, is what the gateway is
for.

A request that is wrong itself, or refused by a policy, ends with its first failure (`hopeless`), unless `elsewhere_on`
says that others may see it differently.
"""

from collections.abc import Iterator
from typing import TypeAlias

from standfast.canon.failure import Blame, Failure, FailureKind, SameTarget
from standfast.canon.instants import NEVER, Monotonic
from standfast.policy.effort import Effort, Run
from standfast.policy.mend import Mending
from standfast.policy.preference import SOFT
from standfast.policy.retry import backoff
from standfast.policy.route import Target
from standfast.policy.steps import Queue, Sleep
from standfast.policy.waiting import Waiting

HERD_JITTER = 0.25
"""Requests that wait for the same instant wake spread over this many seconds."""

SPREAD = 10.0
"""Seconds over which the repetitions of those are spread whom breakers keep away, at least."""

SHED_WAIT = 1.0
"""Seconds after which a request that found no room may come again, at least; the least that Retry-After can say."""

Next: TypeAlias = Run | Sleep | Queue | None
"""An attempt, a wait, or nothing: refuse."""


class Course:
    """The choice of one request's next step. Made on demand: most requests need their first choice only.

    Args:
        effort: what the request may still do.

    Attributes:
        effort: the same.
        hedges: second attempts so far.
        mending: how its broken answer is given again; None while none has broken.
        waiting: its place in the line; None while it has none.
    """

    __slots__ = (
        "_due",
        "_hopeless",
        "_last",
        "_patient",
        "_retry",
        "_sleeps",
        "_unsendable",
        "_waited",
        "effort",
        "hedges",
        "mending",
        "waiting",
    )

    def __init__(self, effort: Effort) -> None:
        self.effort = effort
        self.hedges = 0
        self.mending: Mending | None = None
        self.waiting: Waiting | None = None
        self._last: tuple[Target, Failure] | None = None
        self._hopeless: Failure | None = None
        self._unsendable: Failure | None = None
        self._retry: tuple[Target, ...] = ()
        self._due: tuple[Target, ...] = ()  # those for which the last wait was
        self._patient = True
        self._sleeps = 0
        self._waited = 0.0

    # what happened

    def note(self, run: Run, failure: Failure) -> None:
        """An attempt failed."""
        self._last = (run.target, failure)
        self.effort.wishes.note(run.target, run.permit.key, failure)
        self.effort.ambiguous += failure.ambiguous
        meaning = failure.meaning
        again = meaning.other_key or meaning.other_deployment or meaning.same_target is not SameTarget.NEVER
        if not again and failure.kind not in self.effort.route.retry.elsewhere_on:
            self._hopeless = failure

    def unsendable(self, run: Run, failure: Failure) -> None:
        """A target cannot be told what the request says."""
        if self.mending is not None:
            self.mending.unable(run)
            return
        self.effort.wishes.rule_out(run.target, failure)
        self._unsendable = failure

    def broke_off(self, run: Run, failure: Failure, *, replayable: bool, resumable: bool) -> Mending | None:
        """An answer broke after its first content, or its repetition failed; None if that is the end of it."""
        if self.mending is not None:
            self.note(run, failure)
            return self.mending if run.first is None and failure.meaning.blame is not Blame.NOBODY else None
        self._last = (run.target, failure)
        self.effort.wishes.note(run.target, run.permit.key, failure)
        self.mending = Mending(self.effort, run, failure, replayable=replayable, resumable=resumable)
        return self.mending

    # what comes next

    def next(self, now: Monotonic, *, in_turn: bool = False) -> Next:
        """The next step; `in_turn` after the request has waited in line."""
        effort = self.effort
        if self.waiting is not None:
            self.waiting.shed = False
        if self._hopeless is not None:
            return None
        if now >= effort.ask.deadline:
            self._hopeless = Failure(FailureKind.DEADLINE_PASSED, "no time left for an attempt", sent=False)
            return None
        if effort.exhausted():
            return None
        effort.in_turn, effort.broke = in_turn, False
        effort.wishes.look(now)
        step = self._try_again(now) or self._another_key(now) or self._elsewhere(now) or self._nevertheless(now)
        if step is None and not effort.broke:
            step = self._again(now)
        if step is None and not effort.attempts:
            step = self._probe(now)
        return step

    def verdict(self, now: Monotonic, *, shed: bool = False) -> tuple[Failure | None, float | None]:
        """Why the request is refused, and after how many seconds a repetition has a chance.

        Those who are refused because of breakers are not all told the same time: they would all come at that instant,
        and bring down what has just recovered. Whoever is shed is told to stay away for a second at least, likewise.
        """
        if self.mending is not None:
            failure: Failure | None = self.mending.failure
        else:
            failure = self._hopeless or (self._last[1] if self._last is not None else self._unsendable)
        if failure is not None and failure.meaning.blame is Blame.NOBODY:
            return failure, None
        at, broken = self.effort.wishes.soonest(now)
        wait = at - now
        if shed:
            before = self.effort.fleet.line.shedding.retry_after(self.effort.ask, now)
            wait = max(wait if wait < NEVER else 0.0, before, SHED_WAIT)
            wait += self.effort.rng.uniform(0.0, wait)
        elif broken and wait < NEVER:
            wait += self.effort.rng.uniform(0.0, max(wait, SPREAD))
        return failure, wait if wait < NEVER else None

    def _try_again(self, now: Monotonic) -> Run | None:
        """After a wait: those for which it was."""
        self._due, self._retry = self._retry, ()
        for target in self._due:
            run = self._send(target, now, again=True)
            if run is not None:
                return run
        return None

    def _another_key(self, now: Monotonic) -> Run | None:
        if self._last is None or not self._last[1].meaning.other_key:
            return None
        return self._send(self._last[0], now)

    def _elsewhere(self, now: Monotonic) -> Next:
        wishes = self.effort.wishes
        for target in self._others():
            if target.deployment.model != wishes.model:
                step = self._patience(now)
                if step is not None:
                    return step
            run = self._send(target, now)
            if run is not None:
                return run
        return None

    def _nevertheless(self, now: Monotonic) -> Run | None:
        denied = self.effort.wishes.denied
        for target in (*self._due, *self._others()):
            if target in denied and denied[target].why in SOFT:
                run = self._send(target, now, again=target in self._due, soft=True)
                if run is not None:
                    return run
        return None

    def _others(self) -> Iterator[Target]:
        """Targets that have not been tried, as far as the last failure lets the request go to them."""
        failure = None if self._last is None else self._last[1]
        for target in self.effort.wishes.untried():
            if failure is None or self._may_go(target, failure):
                yield target

    def _may_go(self, target: Target, failure: Failure) -> bool:
        same_model = target.deployment.model == self.effort.wishes.model
        if failure.kind in self.effort.route.retry.elsewhere_on:
            # The same model has the same window wherever it is; its policy differs from place to place.
            return not same_model or failure.kind is not FailureKind.CONTEXT_TOO_LONG
        return failure.meaning.other_deployment and (same_model or failure.meaning.other_model)

    def _patience(self, now: Monotonic) -> Sleep | None:
        """The model that was asked first gets one more chance before another one answers."""
        if not self._patient:
            return None
        self._patient = False
        effort = self.effort
        if self._last is not None:
            target, failure = self._last
            if target.deployment.model != effort.wishes.model or failure.ambiguous:
                return None  # the one repetition of what may have been billed is worth more elsewhere
            if failure.meaning.same_target is SameTarget.QUICK:
                if effort.fleet.available_at(target.deployment, now) > now:
                    return None
                return self._sleep(target, now, backoff(effort.route.retry.backoff, 0, effort.rng))
            if failure.meaning.same_target is SameTarget.NEVER or failure.retry_after is None:
                return None
        return self._rest(effort.wishes.rested(now, same_model=True), now)

    def _again(self, now: Monotonic) -> Next:
        """Everything has been tried or is out of reach: wait for what may still answer."""
        effort = self.effort
        transient = effort.wishes.transient(now)
        if transient is not None:
            tries, target = transient
            return self._sleep(target, now, backoff(effort.route.retry.backoff, tries - 1, effort.rng))
        if self.waiting is None:
            self.waiting = Waiting(effort)
        queue = self.waiting.enter(now)
        if queue is not None:
            self._retry = tuple(target for target in self.waiting.targets if target in effort.wishes.past)
            return queue
        return None if self.waiting.shed else self._rest(effort.wishes.rested(now), now)

    def _probe(self, now: Monotonic) -> Run | None:
        effort = self.effort
        targets = list(effort.wishes.eligible())
        permit = effort.fleet.admit_probe([target.deployment for target in targets], now)
        if permit is None:
            return None
        return Run(next(target for target in targets if target.deployment == permit.deployment), permit, now)

    # how

    def _send(self, target: Target, now: Monotonic, *, again: bool = False, soft: bool = False) -> Run | None:
        effort = self.effort
        if not effort.attempts:
            return effort.admit(target, now, soft=soft)
        charged, tried = self._charged(target, now, again=again), effort.wishes.tried_keys(target)
        run = effort.admit(target, now, charged=charged, tried=tried, soft=soft)
        if run is None and again and tried and not effort.broke:  # every key has been used: any of them once more
            run = effort.admit(target, now, charged=charged, soft=soft)
        return run

    def _charged(self, target: Target, now: Monotonic, *, again: bool) -> bool:
        if self._last is not None and not self._last[1].sent:
            return False
        return again or not self.effort.fleet.sound(target.deployment, now)

    def _rest(self, rest: tuple[Monotonic, Target] | None, now: Monotonic) -> Sleep | None:
        """Sleep until the end of a rest, if it is near enough."""
        effort = self.effort
        if rest is None or rest[0] - now > effort.route.retry.wait - self._waited:
            return None
        return self._sleep(rest[1], now, rest[0] - now + effort.rng.uniform(0.0, HERD_JITTER))

    def _sleep(self, target: Target, now: Monotonic, seconds: float) -> Sleep | None:
        effort = self.effort
        if now + seconds >= effort.ask.deadline or self._sleeps >= effort.route.retry.max_attempts:
            return None
        self._sleeps += 1
        self._waited += seconds
        self._retry = (target,)
        return Sleep(Monotonic(now + seconds))
