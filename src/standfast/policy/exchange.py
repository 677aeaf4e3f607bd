"""One client request, from its arrival to its one outcome.

House rules of this file:

* Every method takes an event and `now` and returns the list of steps to perform; nothing is performed here. States that
  changed on the way are left in `changes` for the driver to tell the hooks.
* Exactly one of `Finish` and `Refuse` comes, and nothing after it. A report about an attempt that is settled, or after
  the end, is late: it changes nothing and returns no steps.
* Failure before the first content byte is the next step, invisible to the client. While several attempts are under way
  (hedging), the first content of any of them is the commitment and ends the others; one that fails leaves it to the
  others, and only when the last one has failed comes the next step.
* After the commitment nothing is sent but a repetition of an answer that broke off (`policy.mend`), one at a time.
  An answer has one source: a replay takes over all of it or none, a continuation is marked as such.

What comes next after a failure stands in `policy.course`, which is consulted when the first choice was not enough.
"""

from collections.abc import Collection, Sequence

from standfast.canon.attempt import SUCCESS, Attempt, Outcome
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import NEVER, Monotonic
from standfast.canon.rates import Rate
from standfast.canon.structs import plain_stores
from standfast.canon.usage import Usage
from standfast.policy.effort import RAMPING, Run, send
from standfast.policy.fleet import Denied, Permit
from standfast.policy.hedge import ACCOMPANIED, hedge, hedge_at
from standfast.policy.route import Target
from standfast.policy.running import Running
from standfast.policy.steps import Abandon, Commit, Finish, Freed, Purpose, Queue, Refuse, Remind, Shed, Step


@plain_stores
class Exchange(Running):
    """The state machine of one request; see `Running` for what it is made of."""

    # events, in the order of a request's life

    def open(self, now: Monotonic) -> list[Step]:
        """The request is here."""
        self._budget.in_flight += 1  # `started`: a call costs more than all it does
        ask, route, fleet = self.ask, self.route, self._fleet
        tiers = route.tiers[ask.operation]
        if tiers:
            best: Sequence[Target] = tiers[0]
            if len(best) > 1:
                best = route.strategy.rank(best, ask, fleet, self._rng, now)
            self._best = best
            self.first_choice = target = best[0]
            line = fleet.line
            if now < ask.deadline and not (line.waiting and line.blocks(ask, target.deployment)):
                prompt = ask.prompt_tokens
                permit = fleet.admit(target.deployment, prompt + ask.max_tokens, now, prompt)
                if fleet.news:
                    self._hear()
                if not isinstance(permit, Denied):
                    return self._set_off(Run(target, permit, now), now)
                if permit.why == RAMPING:
                    self._consult().effort.wishes.denied[target] = permit
        return self._advance(now)

    def unsendable(self, permit: Permit, failure: Failure, now: Monotonic) -> list[Step]:
        """The target's wire format cannot express this request; nothing was sent. Not an attempt, nobody's failure."""
        run = self._take(permit)
        if run is None:
            return []
        self._release(run)
        self._fleet.settle(permit, Outcome.CANCELLED, now, self._rng, tokens=0)
        course = self._consult()
        course.unsendable(run, failure)
        if self._committed:
            return self._repeat(now)
        if run.purpose is Purpose.HEDGE:
            course.hedges -= 1
        return self._advance(now) if self._run is None else self._hedge(now)

    def first_content(self, permit: Permit, now: Monotonic) -> list[Step]:
        """The first content byte came: this attempt gives the answer, unless it is a replay of a broken one."""
        run = self._find(permit)
        if run is None or run.first is not None:
            return []
        self._spoke(run, now)
        if run.behind:
            if run.purpose is Purpose.REPLAY:
                return []
            run.behind = False
        self._committed = True
        if self._rivals is None:
            return [Commit(permit)]
        return [Commit(permit), *self._abandon_others(run, now)]

    def completed(self, permit: Permit, usage: Usage | None, now: Monotonic) -> list[Step]:
        """The answer is whole by the provider's own rule."""
        run = self._find(permit)
        if run is None:
            return []
        steps: list[Step] = [Finish(permit)]
        if self._rivals is not None:
            steps = [*self._abandon_others(run, now), *steps]
        if run.behind:
            steps = [Commit(permit), *steps]
        self._run = None
        self._settle(run, SUCCESS, None, usage, now)
        self._end()
        return steps

    def whole(self, permit: Permit, usage: Usage | None, now: Monotonic) -> list[Step]:
        """`first_content` and `completed` in one: of a whole reply both fall together, and `Finish` says enough."""
        run = self._run
        if run is None or run.permit is not permit or run.first is not None or run.behind or self._rivals is not None:
            return [*self.first_content(permit, now), *self.completed(permit, usage, now)]
        self._spoke(run, now)
        self._committed = self.over = True
        self._run = None
        self._settle(run, SUCCESS, None, usage, now)
        self._budget.in_flight -= 1  # `ended`, the same
        return [Finish(permit)]

    def failed(
        self,
        permit: Permit,
        failure: Failure,
        now: Monotonic,
        usage: Usage | None = None,
        *,
        replayable: bool = False,
        resumable: bool = False,
    ) -> list[Step]:
        """The attempt gave no (whole) answer.

        After the commitment `replayable` says that a repetition can be compared with what the client has (text only,
        not inside a tool call), `resumable` that it can be continued.
        """
        run = self._take(permit)
        if run is None:
            return []
        says_nothing = failure.kind in (FailureKind.DEADLINE_PASSED, FailureKind.CLIENT_CANCELLED)
        self._settle(run, Outcome.CANCELLED if says_nothing else Outcome.FAILURE, failure, usage, now)
        course = self._consult()
        if not self._committed:
            course.note(run, failure)
            return [] if self._run is not None else self._advance(now)
        mending = course.broke_off(run, failure, replayable=replayable, resumable=resumable)
        return [self._refuse(now)] if mending is None else self._repeat(now)

    def caught_up(self, permit: Permit, now: Monotonic) -> list[Step]:
        """A replay has come beyond what the client has, and all was equal: it gives the answer from here on."""
        run = self._find(permit)
        if run is None or not run.behind or run.purpose is not Purpose.REPLAY:
            return []
        self.first_content(permit, now)  # if that was not said
        run.behind = False
        return [Commit(permit)]

    def diverged(self, permit: Permit, now: Monotonic) -> list[Step]:
        """A replay says something else than the client has; it says nothing about the upstream's health."""
        run = self._find(permit)
        if run is None or not run.behind or run.purpose is not Purpose.REPLAY:
            return []
        self._run = None
        self._settle(run, Outcome.CANCELLED, None, None, now)
        return [Abandon(permit), self._refuse(now)]

    def repeated(self, permit: Permit, now: Monotonic) -> None:
        """The wire sent the attempt's request a second time: its kept-alive connection was found closed (A7).

        It stands in the trace as an attempt of its own, because the first one may have been executed; it says nothing
        about the upstream's health. Told before the attempt's end.
        """
        run = self._find(permit)
        if run is None:
            return
        since = self.ask.arrived
        failure = Failure(FailureKind.BROKEN_STREAM, "kept-alive connection found closed; sent again at once")
        started = run.started - since
        self.attempts.append(
            Attempt(
                run.target.name, permit.key, Outcome.FAILURE, failure, started, None, now - since, purpose=run.purpose
            )
        )

    def told(self, permit: Permit, rates: Collection[Rate], now: Monotonic) -> None:
        """The head of an answer tells the limits of its key, or nothing. To be told where `seat.unread` is 0."""
        if not permit.settled:
            self._fleet.learn(permit, rates, now)

    def reminded(self, now: Monotonic) -> list[Step]:
        """The instant of a `Remind` has come: if nobody has content, somebody else is asked too."""
        if self._run is None or self._committed or now < self._remind:
            return []
        return self._hedge(now)

    def woke(self, now: Monotonic) -> list[Step]:
        """A sleep is over, or the line has handed out the ticket."""
        if self.over or self._run is not None:
            return []
        wants = self._leave_line(gone=True)
        steps = self._advance(now, in_turn=bool(wants))
        if wants and self._fleet.line:  # unless it waits again, the next may be in turn
            if self._run is not None:
                steps.append(Freed(self._run.target.deployment))
            elif self.over:
                steps += map(Freed, wants)
        return steps

    def shed(self, now: Monotonic) -> list[Step]:
        """The request has been put out of the line to make room for another one."""
        if self.over or not self._leave_line(gone=True):
            return []
        return [self._refuse(now, shed=True)]

    def cancel(self, now: Monotonic) -> list[Step]:
        """The client went away: stop what is under way; it says nothing about the upstream."""
        if self.over:
            return []
        steps = self._abandon_others(None, now)
        wants = self._leave_line()
        self._end()
        gone = Failure(FailureKind.CLIENT_CANCELLED)
        steps.append(Refuse(gone, None, self._committed, tuple(self.attempts)))
        if wants and self._fleet.line:
            steps += map(Freed, wants)
        return steps

    # what comes next

    def _spoke(self, run: Run, now: Monotonic) -> None:
        run.first = now
        changes = self._fleet.first_content(run.permit, now - run.started, self.ask, now, self._rng)
        if changes:
            self.changes += changes
            self._hear()

    def _advance(self, now: Monotonic, *, in_turn: bool = False) -> list[Step]:
        course, self._remind = self._consult(), NEVER
        step = course.next(now, in_turn=in_turn)
        self._hear()
        if isinstance(step, Run):
            return self._set_off(step, now)
        if isinstance(step, Queue) and course.waiting is not None and course.waiting.displaced is not None:
            return [step, Shed(course.waiting.displaced)]
        if step is None:
            return [self._refuse(now, shed=course.waiting is not None and course.waiting.shed)]
        return [step]

    def _set_off(self, run: Run, now: Monotonic) -> list[Step]:
        self._run = run
        step = send(run, self.ask, now, self.attempts)
        if self.route.hedge is None and run.permit.place.breaker.free:
            return [step]
        return [*self._reminder(run, now), step]

    def _reminder(self, run: Run, now: Monotonic) -> list[Step]:
        """Stands before the `Send`: that may turn out to be unsendable, and what is sent instead has its own."""
        limits = self.route.hedge
        self._remind = NEVER
        hedged = 0 if self._course is None else self._course.hedges
        if hedged < (ACCOMPANIED if limits is None else limits.max):
            self._remind = hedge_at(limits, run.permit, self.ask, now)
        return [Remind(self._remind)] if self._remind < self.ask.deadline else []

    def _hedge(self, now: Monotonic) -> list[Step]:
        course, oldest = self._consult(), self._run
        if oldest is None:
            return []
        self._remind = NEVER
        rivals = self._rivals or []
        run = hedge(course.effort, [oldest, *rivals], now)
        self._hear()
        if run is None:
            return []
        course.hedges += 1
        self._rivals = [*rivals, run]
        return [*self._reminder(run, now), send(run, self.ask, now, self.attempts)]

    def _repeat(self, now: Monotonic) -> list[Step]:
        mending = self._consult().mending
        run = mending.next(now) if mending is not None else None
        self._hear()
        if run is None:
            return [self._refuse(now)]
        self._run = run
        return [send(run, self.ask, now, self.attempts)]

    def _refuse(self, now: Monotonic, *, shed: bool = False) -> Refuse:
        failure, retry_after = self._consult().verdict(now, shed=shed)
        self._end()
        return Refuse(failure, retry_after, self._committed, tuple(self.attempts), shed)
