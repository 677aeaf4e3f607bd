"""One client request, from its arrival to its one outcome.

House rules of this file:

* Every method takes an event and `now` and returns the list of steps to perform; nothing is performed here. States that
  changed on the way are left in `changes` for the driver to tell the hooks.
* Exactly one of `Finish` and `Refuse` comes, and nothing after it. A report about an attempt that is settled, or after
  the end, is late: it changes nothing and returns no steps.
* Nothing is sent after the commitment. Failure before the first content byte is the next step, invisible to the client;
  after it, it is the end, visible to the client.

What comes next after a failure stands in `policy.course`.
"""

from standfast.canon.attempt import Attempt, Outcome
from standfast.canon.failure import Failure, FailureKind, SameTarget
from standfast.canon.instants import Monotonic
from standfast.canon.usage import Usage
from standfast.policy.course import Course, Run
from standfast.policy.fleet import Permit
from standfast.policy.steps import Abandon, Commit, Finish, Refuse, Step


class Exchange(Course):
    """The state machine of one request; see `Course` for what it is made of."""

    __slots__ = ()

    # events, in the order of a request's life

    def open(self, now: Monotonic) -> list[Step]:
        """The request is here."""
        self._budget.started()
        ask, route = self.ask, self.route
        tiers = route.tiers[ask.operation]
        if tiers:
            best = tiers[0]
            if len(best) > 1:
                best = tuple(route.strategy.rank(best, ask, self._fleet, self._rng, now))
            self.first_choice = best[0]
            self._best = best
            if now < ask.deadline:
                step = self._send(best[0], now)
                if step is not None:
                    return [step]
        return self._advance(now)

    def unsendable(self, permit: Permit, failure: Failure, now: Monotonic) -> list[Step]:
        """The target's wire format cannot express this request; nothing was sent. Not an attempt, nobody's failure."""
        run = self._take(permit)
        if run is None:
            return []
        if run.charged:
            self._budget.give_back()
        self._fleet.settle(permit, Outcome.CANCELLED, now, self._rng, tokens=0)
        self._wishes.rule_out(run.target, failure)
        self._unsendable = failure
        return self._advance(now)

    def first_content(self, permit: Permit, now: Monotonic) -> list[Step]:
        """The first content byte came: this attempt gives the answer."""
        run = self._run
        if self.over or run is None or run.permit is not permit or run.first is not None:
            return []
        run.first = now
        self._committed = True
        self._fleet.first_content(permit, now - run.started, stream=self.ask.stream)
        return [Commit(permit)]

    def completed(self, permit: Permit, usage: Usage | None, now: Monotonic) -> list[Step]:
        """The answer is whole by the provider's own rule."""
        run = self._take(permit)
        if run is None:
            return []
        self._settle(run, Outcome.SUCCESS, None, usage, now)
        self._end()
        return [Finish(permit)]

    def failed(self, permit: Permit, failure: Failure, now: Monotonic, usage: Usage | None = None) -> list[Step]:
        """The attempt gave no (whole) answer."""
        run = self._take(permit)
        if run is None:
            return []
        says_nothing = failure.kind in (FailureKind.DEADLINE_PASSED, FailureKind.CLIENT_CANCELLED)
        outcome = Outcome.CANCELLED if says_nothing else Outcome.FAILURE
        self._settle(run, outcome, failure, usage, now)
        self._last = (run.target, failure)
        meaning = failure.meaning
        hopeless = not meaning.other_key and not meaning.other_deployment and meaning.same_target is SameTarget.NEVER
        if self._committed or says_nothing or hopeless:
            return [self._refuse(now)]
        self._wishes.note(run.target, permit.key, failure)
        self._ambiguous += failure.ambiguous
        return self._advance(now)

    def repeated(self, permit: Permit, now: Monotonic) -> None:
        """The wire sent the attempt's request a second time: its kept-alive connection was found closed (A7).

        It stands in the trace as an attempt of its own, because the first one may have been executed; it says nothing
        about the upstream's health. Told before the attempt's end.
        """
        run = self._run
        if run is None or run.permit is not permit:
            return
        since = self.ask.arrived
        failure = Failure(FailureKind.BROKEN_STREAM, "kept-alive connection found closed; sent again at once")
        started = run.started - since
        self.attempts.append(Attempt(run.target.name, permit.key, Outcome.FAILURE, failure, started, None, now - since))

    def woke(self, now: Monotonic) -> list[Step]:
        """A sleep is over."""
        if self.over or self._run is not None:
            return []
        return self._advance(now)

    def cancel(self, now: Monotonic) -> list[Step]:
        """The client went away: stop what is under way; it says nothing about the upstream."""
        if self.over:
            return []
        steps: list[Step] = []
        run = self._run
        if run is not None:
            self._run = None
            steps.append(Abandon(run.permit))
            self._settle(run, Outcome.CANCELLED, None, None, now)
        self._end()
        gone = Failure(FailureKind.CLIENT_CANCELLED)
        steps.append(Refuse(gone, None, self._committed, tuple(self.attempts)))
        return steps

    # bookkeeping

    def _take(self, permit: Permit) -> Run | None:
        run = self._run
        if self.over or run is None or run.permit is not permit:
            return None
        self._run = None
        return run

    def _settle(self, run: Run, outcome: Outcome, failure: Failure | None, usage: Usage | None, now: Monotonic) -> None:
        if run.charged:
            self._budget.give_back()
        total = usage.total if usage is not None else None
        changes = self._fleet.settle(run.permit, outcome, now, self._rng, failure=failure, tokens=total)
        if changes:
            self.changes += changes
        since = self.ask.arrived
        first = None if run.first is None else run.first - since
        self.attempts.append(
            Attempt(run.target.name, run.permit.key, outcome, failure, run.started - since, first, now - since, usage)
        )
