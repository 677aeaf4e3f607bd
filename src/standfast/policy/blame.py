"""What a failure means for those who are to blame: rests, the breaker's view, the health, and what is told of it.

A failure blames exactly one: the key (its seat at this deployment for rate limits, the key everywhere for bad
credentials and spent quotas), the deployment, or nobody. What a kind means is decided in `canon.failure.MEANING`; that
several failures together are the key's or the provider's, in `policy.kin`.
"""

import random

from standfast.canon.ask import Ask
from standfast.canon.attempt import Outcome
from standfast.canon.failure import Blame, Failure, FailureKind
from standfast.canon.failure import Cooldown as CooldownSource
from standfast.canon.instants import Monotonic
from standfast.canon.record import Change
from standfast.policy.adaptive import INFINITE
from standfast.policy.breaker import SLOW, State
from standfast.policy.health import Health
from standfast.policy.kin import key_failed, key_served
from standfast.policy.places import Permit, Place, Seat
from standfast.policy.rests import COOLDOWN, QUARANTINE, began
from standfast.policy.silence import ENOUGH

OUTRUN = "outrun"
"""Why a breaker opens again whose trial was later than usual, and another attempt faster."""


def served(place: Place, seat: Seat, now: Monotonic) -> None:
    """An attempt succeeded: whoever had rested before may begin with short rests again."""
    if seat.rest.until:
        seat.rest.clear(now)
    if seat.key.rest.until:
        seat.key.rest.clear(now)
    if place.rest.until:
        place.rest.clear(now)
    if place.choosy:
        key_served(seat, place.deployment)
    if place.health is not None:
        place.health.served += 1


def rest_after(permit: Permit, failure: Failure, now: Monotonic, rng: random.Random) -> tuple[Change, ...]:
    """Give whoever is to blame the rest that the failure asks for."""
    place, seat = permit.place, permit.seat
    meaning = failure.meaning
    if meaning.cooldown is CooldownSource.NONE:
        return key_failed(permit, failure, now, rng) if meaning.trips_breaker else ()
    long = meaning.cooldown is CooldownSource.LONG
    if meaning.blame is Blame.KEY:
        # A rate limit is counted per model; credentials and credit are the key's own.
        rest = seat.key.rest if long and failure.kind is not FailureKind.FORBIDDEN else seat.rest
        name, where = f"{place.deployment.provider} key {seat.index + 1}", ""
        if rest is seat.rest:
            where = place.deployment.name
    else:
        rest, name, where = place.rest, place.deployment.name, ""
    if not long and meaning.blame is Blame.PROVIDER and failure.retry_after is None:
        return ()  # overloaded without a hint: the breaker judges
    before = rest.until
    seconds = rest.quarantine(now, rng) if long else rest.rest(now, failure.retry_after, rng)
    if failure.retry_after is not None and not long:
        (seat if rest is seat.rest else place).hinted = rest.until
    subject = QUARANTINE if long else COOLDOWN
    change = Change(subject, name, "available", "resting", failure.kind.value, seconds, where)
    return began(place, rest, before, change, now)


def judged(
    permit: Permit, failure: Failure, outcome: Outcome, now: Monotonic, rng: random.Random
) -> tuple[tuple[Change, ...], Outcome]:
    """Whom a failure gives a rest, and what it means for breaker and health of the deployment.

    An overloaded deployment is well while it serves others: that moves its limit of attempts under way (which does not
    grow before the end of the hint), makes no rest and says nothing about its health.
    """
    place, meaning = permit.place, failure.meaning
    overloaded = failure.kind is FailureKind.OVERLOADED
    if overloaded and place.adaptive.overloaded(permit.load, now, failure.retry_after):
        return (), Outcome.CANCELLED
    changes = rest_after(permit, failure, now, rng)
    if not meaning.trips_breaker or (changes and meaning.cooldown is CooldownSource.NONE):
        # A rate limit or a bad key shows that the deployment lives, but is no success either: it says nothing.
        return changes, Outcome.CANCELLED
    if place.health is not None and outcome is Outcome.FAILURE:
        place.health.failed += 1
    return changes, outcome


def states_moved(
    place: Place, breaker: tuple[State, State] | None, outcome: Outcome, failure: Failure | None, now: Monotonic
) -> tuple[Change, ...]:
    """What is told when an attempt's end has moved the breaker, the limit of attempts under way, or both."""
    changes: tuple[Change, ...] = ()
    if breaker is not None:
        changes += breaker_moved(place, breaker, "success" if failure is None else failure.kind.value, now)
    adaptive = place.adaptive
    if outcome is Outcome.SUCCESS and adaptive.moved:
        adaptive.succeeded()
    found = adaptive.news(now)
    if found is not None:
        before, after, reason = found
        if after < INFINITE:
            reason += f", {after:g} at a time"
        changes += (Change("limit", place.deployment.name, _limited(before), _limited(after), reason),)
    return changes


def lagged(permit: Permit, now: Monotonic, rng: random.Random) -> tuple[Change, ...]:
    """An attempt is slow: the breaker counts it at once, not when its answer is whole."""
    permit.slow = True
    moved = permit.place.breaker.lag(permit.ticket, now, rng)
    return () if moved is None else breaker_moved(permit.place, moved, SLOW, now)


def outrun(permit: Permit, seconds: float, ask: Ask, now: Monotonic, rng: random.Random) -> tuple[Change, ...]:
    """No content had come after so many seconds, when another attempt was faster.

    For a percentile that it exceeds a lower bound is as good as the truth; below it says nothing. Without it the
    slowest waits would vanish from the history, and hedges would come earlier and earlier; and hedges that win would
    hide a brownout from the breaker, and those beside a trial how it fares.
    """
    place, usual, prompt, stream = permit.place, permit.place.usual, ask.prompt_tokens, ask.stream
    latency = place.stream if stream else place.whole
    p95 = latency.p95()
    if p95 is not None and seconds > p95:
        latency.observe(seconds)
    late = None if ask.reasoning else usual.late(prompt, stream=stream)
    if usual.outrun(seconds, prompt, now, stream=stream):
        changes = lagged(permit, now, rng)
        if changes:
            return changes
    if late is None or seconds < late:
        return ()
    silence = place.silence
    silence.lost += 1
    if permit.waits:
        permit.waits = False
        silence.gave_up()
    moved = place.breaker.outrun(permit.ticket, now, rng, row=silence.lost >= ENOUGH)
    if moved is None:
        return ()
    return breaker_moved(place, moved, SLOW if place.breaker.refusal(now) == SLOW else OUTRUN, now)


def breaker_moved(place: Place, moved: tuple[State, State], reason: str, now: Monotonic) -> tuple[Change, ...]:
    """What is told when a breaker changed its state; its verdict is evidence for the deployment's health.

    That it is slow is none: health measures the pace itself.
    """
    before, after = moved
    if after is State.OPEN and reason != SLOW:
        place.adaptive.lift()
    retry_at = place.breaker.retry_at(now)
    until = retry_at - now if after is State.OPEN else None
    changes: tuple[Change, ...] = (Change("breaker", place.deployment.name, before.value, after.value, reason, until),)
    if place.health is not None:
        changes += _said(place.health, moved, reason, retry_at, now)
    family = place.breaker.family
    return changes if family is None else changes + family.moved()


def _said(
    health: Health, moved: tuple[State, State], reason: str, retry_at: Monotonic, now: Monotonic
) -> tuple[Change, ...]:
    """What a breaker's move says about the health; one by an operator's word takes back what its opening said."""
    before, after = moved
    if after is State.OPEN:
        return () if reason == SLOW else health.tripped(reason, retry_at, now)
    if after is State.HALF_OPEN:
        return ()
    if before is State.HALF_OPEN and after is State.CLOSED:
        return health.proven(now)
    return health.lifted(f"breaker is {after.value} ({reason})")


def _limited(limit: float) -> str:
    return "limited" if limit < INFINITE else "unlimited"
