"""What one request may still do: the limits of its effort, and the one way in which its attempts are admitted.

An attempt must pass, in this order:

    the retry budget    if it is charged to it
    the line            nobody overtakes those who wait for the same deployment with the same or a higher priority
    the fleet           breakers, rests, keys and their limits

A refusal is remembered with the target (`Preference.denied`); a refusal by the budget as `broke`.
"""

import random
from collections.abc import Collection, Sequence

import msgspec

from standfast.canon.ask import Ask
from standfast.canon.attempt import Attempt
from standfast.canon.deployment import Deployment
from standfast.canon.failure import FailureKind
from standfast.canon.instants import NEVER, Monotonic
from standfast.canon.structs import plain_stores
from standfast.policy.fleet import Denied, Fleet, Permit
from standfast.policy.preference import Preference
from standfast.policy.retry import RetryBudget
from standfast.policy.route import Route, Target
from standfast.policy.silence import ENOUGH
from standfast.policy.steps import Purpose, Send
from standfast.policy.timeouts import Deadlines, first_token_limit, patient

RAMPING = "ramping"
"""Each request asks a ramp once: what the fleet then says holds for its life, or two questions would be two chances."""

REPETITIONS = (Purpose.REPLAY, Purpose.RESUME)


@plain_stores
class Run(msgspec.Struct, eq=False):
    """An attempt under way. A struct, because one is made for every request and structs are made in C.

    Attributes:
        target, permit: where it was sent, and the leave to do so.
        started: when.
        charged: it takes from the retry budget.
        purpose: what it was sent for.
        first: when its first content came; None while there is none.
        behind: it repeats a broken answer and has not taken it over.
    """

    target: Target
    permit: Permit
    started: Monotonic
    charged: bool = False
    purpose: Purpose = Purpose.ANSWER
    first: Monotonic | None = None
    behind: bool = False


class Effort:
    """The limits of one request, and what is left of them.

    Args:
        ask, route, fleet, budget, rng: those of the exchange.
        attempts: its settled attempts; it adds to them.
        best: the first tier, ranked.

    Attributes:
        wishes: in which order the targets are preferred, and what was done with them.
        ambiguous: failures so far that may have been billed.
        broke: the budget has refused an attempt.
        in_turn: the request has waited in line and it is its turn: only a higher priority goes before.
    """

    __slots__ = ("ambiguous", "ask", "attempts", "broke", "budget", "fleet", "in_turn", "rng", "route", "wishes")

    def __init__(
        self,
        ask: Ask,
        route: Route,
        fleet: Fleet,
        budget: RetryBudget,
        rng: random.Random,
        *,
        attempts: list[Attempt],
        best: Sequence[Target],
    ) -> None:
        self.ask = ask
        self.route = route
        self.fleet = fleet
        self.budget = budget
        self.rng = rng
        self.attempts = attempts
        self.wishes = Preference(ask, route, fleet, rng, best)
        self.ambiguous = 0
        self.broke = False
        self.in_turn = False

    def exhausted(self, under_way: int = 0) -> bool:
        """Has the request had all its attempts, or all its ambiguous failures, if those under way end like that?"""
        retry = self.route.retry
        return len(self.attempts) + under_way >= retry.max_attempts or self.ambiguous + under_way > retry.max_ambiguous

    def admit(
        self,
        target: Target,
        now: Monotonic,
        purpose: Purpose = Purpose.ANSWER,
        *,
        charged: bool = False,
        tried: Collection[int] = (),
        soft: bool = False,
    ) -> Run | None:
        """An attempt at this target with a key that is not in `tried`, or None: not now."""
        denied = self.wishes.denied.get(target)
        if denied is not None and denied.why == RAMPING and not soft:
            return None
        if charged and not self.budget.take():
            self.broke = True
            return None
        permit = self._permit(target, now, tried, soft=soft)
        if isinstance(permit, Denied):
            if charged:
                self.budget.give_back()
            self.wishes.denied[target] = permit
            return None
        return Run(target, permit, now, charged, purpose, None, purpose in REPETITIONS)

    def _permit(self, target: Target, now: Monotonic, tried: Collection[int], *, soft: bool) -> Permit | Denied:
        ask, deployment = self.ask, target.deployment
        if self.fleet.line and self._behind(deployment):
            return Denied("behind", NEVER)
        prompt = ask.prompt_tokens
        return self.fleet.admit(deployment, prompt + ask.max_tokens, now, prompt, tried, soft=soft)

    def _behind(self, deployment: Deployment) -> bool:
        """Must the request let somebody go first? When it is its turn: only those of a higher priority."""
        ask = self.ask
        if self.in_turn:
            ask = msgspec.structs.replace(ask, priority=ask.priority + 1)
        return self.fleet.line.blocks(ask, deployment)


def send(run: Run, ask: Ask, now: Monotonic, before: Sequence[Attempt] = ()) -> Send:
    """The step that starts an attempt, after those before, with the instants by which what must have come."""
    target, permit = run.target, run.permit
    place, stream = permit.place, ask.stream
    if place.pace is not None:
        permit.trail = place.pace.sent(ask.prompt_tokens, now, stream=stream)
    limits = target.limits
    if stream and not ask.reasoning:
        permit.waits = True
        silence = place.silence  # `joined`: a call costs as much as all of this
        silence.waiting = waiting = silence.waiting + 1
        if waiting == ENOUGH:
            silence.since = now
    p95 = (place.stream if stream else place.whole).p95()
    limit = first_token_limit(limits, p95, stream, ask.reasoning or target.reasoning)
    if before and not stream and limits.first_token is None:
        limit = patient(limit, max(map(_in_vain, before)))
    first = now + limit
    end = now + limits.total
    if end > ask.deadline:  # noqa: PLR1730 - two calls of min() cost more than the rest of this function
        end = ask.deadline
    if first > end:  # noqa: PLR1730 - the same
        first = end
    deadlines = Deadlines(limits.connect, limits.tls, Monotonic(first), limits.gap, Monotonic(end))
    return Send(target, permit, deadlines, run.purpose)


def _in_vain(attempt: Attempt) -> float:
    """Seconds that were waited for an attempt that never said anything."""
    failure = attempt.failure
    late = failure is not None and failure.kind is FailureKind.FIRST_TOKEN_TIMEOUT
    return attempt.ended - attempt.started if late else 0.0
