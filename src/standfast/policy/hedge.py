"""Hedging: a second attempt beside one that is slow, while no content has come from anybody.

Theory (Dean and Barroso, "The Tail at Scale", CACM 2013). Whoever waits longer than 95 % of the requests do has most
likely met a queue, a pause or a hang, and not a long answer: the same request, sent to somebody else at that moment, is
answered sooner, and only one request in twenty is sent twice. For an LLM the wait that counts is the one for the first
content; after it there is nothing left to hedge.

Rules:

* Opt-in, but for a trial: a request that finds out whether a deployment has recovered is accompanied once it is later
  than that deployment usually is, or its caller would pay for the question with a time-out. `max: 0` forbids that too.
* A hedge costs the prompt a second time. The loser is stopped at once, and both stand in the books.
* Nobody knows the 95th percentile of a target without history; then there is no hedge unless a fixed time is given.
  For a trial it is the one that a brownout does not move (`policy.usual`). It says nothing of a request that asks for
  reasoning, whose trial goes unaccompanied.
* An attempt under way may have been billed, so to send another beside it is an ambiguous repetition and `max_ambiguous`
  bounds it. A hedge also counts as an attempt, and it always takes from the retry budget.
* It goes only where an attempt is expected to succeed, and only if it still gets as much time before the deadline as
  the slow one has had. When it cannot go, nothing happens: the first attempt is still under way.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from standfast.canon.ask import Ask
from standfast.canon.instants import NEVER, Monotonic
from standfast.canon.settings import Seconds, Settings
from standfast.policy.effort import Effort, Run
from standfast.policy.fleet import Permit
from standfast.policy.route import Target
from standfast.policy.steps import Purpose

ACCOMPANIED = 1
"""Second attempts for one request beside a trial, where nothing is said of hedges."""


class HedgeSettings(Settings):
    """When a second attempt is sent beside a slow one.

    Attributes:
        after: how long the first content may take before that: `p95` is the target's own 95th percentile of the time to
            the first content ("The Tail at Scale" defers hedges to it, so that about 5 % of the requests are sent
            twice), or a fixed time.
        max: hedges for one request; 0 for none, against a default that allows some (not even beside a trial).
    """

    after: Annotated[Seconds, Field(gt=0)] | Literal["p95"] = "p95"
    max: Annotated[int, Field(ge=0, le=3)] = 1


def hedge_at(settings: HedgeSettings | None, permit: Permit, ask: Ask, now: Monotonic) -> Monotonic:
    """When an attempt that starts now is slow, or late for a trial; NEVER if nobody can tell."""
    found: list[float | None] = []
    if settings is not None:
        found.append(permit.p95(stream=ask.stream) if settings.after == "p95" else settings.after)
    if permit.place.breaker.tries(permit.ticket) and not ask.reasoning:
        found.append(permit.place.usual.late(ask.prompt_tokens, stream=ask.stream))
    return Monotonic(min((now + seconds for seconds in found if seconds is not None), default=NEVER))


def hedge(effort: Effort, under_way: Sequence[Run], now: Monotonic) -> Run | None:
    """A second attempt beside these, of which none has content; None if there shall be none.

    Args:
        effort: what the request may still do.
        under_way: at least one, the oldest first.
        now: when the oldest turned out to be slow.
    """
    oldest = under_way[0]
    if effort.exhausted(len(under_way)) or now - oldest.started > effort.ask.deadline - now:
        return None
    wishes, fleet = effort.wishes, effort.fleet
    wishes.look(now)
    taken = {run.target.deployment for run in under_way}
    for target in _same_model_first(wishes.untried(), oldest.target.deployment.model):
        if target.deployment in taken or not fleet.sound(target.deployment, now):
            continue
        run = effort.admit(target, now, Purpose.HEDGE, charged=True)
        if run is not None or effort.broke:
            return run
    return None


def _same_model_first(targets: Iterable[Target], model: str) -> Iterator[Target]:
    others: list[Target] = []
    for target in targets:
        if target.deployment.model == model:
            yield target
        else:
            others.append(target)
    yield from others
