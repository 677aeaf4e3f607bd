"""The attempts of one request that are under way, and how they are settled: what an exchange is built on."""

import random
from collections.abc import Sequence

import msgspec

from standfast.canon.ask import Ask
from standfast.canon.attempt import Attempt, Outcome
from standfast.canon.deployment import Deployment
from standfast.canon.failure import Failure
from standfast.canon.instants import NEVER, Monotonic
from standfast.canon.record import Change
from standfast.canon.structs import plain_stores
from standfast.canon.usage import Usage
from standfast.policy.course import Course
from standfast.policy.effort import Effort, Run
from standfast.policy.fleet import Fleet, Permit
from standfast.policy.retry import RetryBudget
from standfast.policy.route import Route, Target
from standfast.policy.steps import Abandon, Step


@plain_stores
class Running(msgspec.Struct, eq=False):
    """The state of one request. A struct, because one is made for every request and structs are made in C.

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

    ask: Ask
    route: Route
    _fleet: Fleet
    _budget: RetryBudget
    _rng: random.Random
    attempts: list[Attempt] = []
    changes: list[Change] = []
    first_choice: Target | None = None
    over: bool = False
    _best: Sequence[Target] = ()
    _run: Run | None = None  # under way; of several the oldest
    _rivals: list[Run] | None = None  # under way beside it, oldest first; None rather than empty
    _committed: bool = False
    _remind: Monotonic = NEVER  # when the attempt under way is slow
    _course: Course | None = None  # made when it is needed

    def _find(self, permit: Permit) -> Run | None:
        """The attempt under way with this permit; None if it is settled."""
        run = self._run
        if run is not None and run.permit is permit:
            return run
        for rival in self._rivals or ():
            if rival.permit is permit:
                return rival
        return None

    def _take(self, permit: Permit) -> Run | None:
        """The same, and it is under way no more."""
        run = self._find(permit)
        if run is not None:
            rest = [other for other in (self._run, *(self._rivals or ())) if other is not None and other is not run]
            self._run = rest[0] if rest else None
            self._rivals = rest[1:] or None
        return run

    def _abandon_others(self, winner: Run | None, now: Monotonic) -> list[Step]:
        """Stop all but the winner; that they lost says nothing about their health."""
        losers = [run for run in (self._run, *(self._rivals or ())) if run is not None and run is not winner]
        self._run, self._rivals = winner, None
        ask = self.ask
        for run in losers:
            if winner is not None:
                self.changes += self._fleet.outrun(run.permit, now - run.started, ask, now, self._rng)
            self._settle(run, Outcome.CANCELLED, None, None, now)
        return [Abandon(run.permit) for run in losers]

    def _settle(self, run: Run, outcome: Outcome, failure: Failure | None, usage: Usage | None, now: Monotonic) -> None:
        permit = run.permit
        if run.charged:
            self._release(run)
        if usage is not None and not usage.prompt and not usage.completion:
            usage = None  # no tokens at all is no report: the estimate stands
        tokens, completion = None, 0
        if usage is not None:
            completion = usage.completion
            tokens = usage.prompt + completion
        changes = self._fleet.settle(permit, outcome, now, self._rng, failure, tokens, completion)
        if changes:
            self._hear()  # first: what was seen before
            self.changes += changes
        since, first = self.ask.arrived, run.first
        if first is not None:
            first = Monotonic(first - since)
        self.attempts.append(
            Attempt(
                run.target.name,
                permit.key,
                outcome,
                failure,
                run.started - since,
                first,
                now - since,
                usage,
                run.purpose,
            )
        )

    def _release(self, run: Run) -> None:
        if run.charged:
            self._budget.give_back()
            self._hear()

    def _hear(self) -> None:
        """Events of what is shared, the budget, the line and the fleet, are told by whoever meets them first."""
        for news in (self._budget.news, self._fleet.line.shedding.news, self._fleet.news):
            if news:
                self.changes += news
                news.clear()

    def _end(self) -> None:
        self.over = True
        self._budget.ended()

    def _consult(self) -> Course:
        course = self._course
        if course is None:
            effort = Effort(
                self.ask, self.route, self._fleet, self._budget, self._rng, attempts=self.attempts, best=self._best
            )
            course = self._course = Course(effort)
        return course

    def _leave_line(self, *, gone: bool = False) -> tuple[Deployment, ...]:
        """Wait in line no longer; the deployments for which it waited. `gone` if the line knows already."""
        waiting = None if self._course is None else self._course.waiting
        return waiting.wants if waiting is not None and waiting.leave(gone=gone) else ()
