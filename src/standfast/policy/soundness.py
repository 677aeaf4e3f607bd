"""Can a deployment be used now, and how likely is it to answer.

A target that fails fast is idle and quick, so by load or latency alone it would draw all requests to itself (the "black
hole" of load balancing). Therefore everything that is measured is multiplied with, or divided by, its soundness:

    soundness = (1 - failures / (calls + 2)) ^ 8 x factor of its health

of the recent calls that the breaker counts. Two calls are added so that one failure of one call is a third and not
all. The eighth power makes the penalty outweigh what failing saves: a share of 5 % costs a third of the score, 20 %
five sixths, 40 % all but a sixtieth. The window forgets, so a target that has mended is sound again by itself.

While the breaker tries the deployment with a few permits, its soundness is 1: the breaker bounds the trial, and a
target that nobody sends to would never be tried. Likewise while it ramps up: the breaker lets a share of the requests
through, and a lower soundness would take a share of that share. An operator who forces the breaker closed overrules the
checks, not what real requests say.
"""

from standfast.canon.instants import NEVER, Monotonic
from standfast.policy.breaker import SHUT, State
from standfast.policy.places import Place

PRIOR_CALLS = 2
"""Calls that are taken to have succeeded before the first."""

SEVERITY = 8
"""Power of the share of successes."""

SICK = 0.2
"""Below this (about one failure in five) a target is for those who have no other."""


def soundness(place: Place, now: Monotonic) -> float:
    """0 (not to be used now) to 1 (nothing speaks against it)."""
    state = place.breaker.state(now)
    if state in SHUT or place.rest.until > now:
        return 0.0
    if place.in_flight >= place.adaptive.ceiling and place.in_flight >= place.adaptive.limit(now):
        return 0.0
    for seat in place.seats:
        if seat.rest.until <= now and seat.key.rest.until <= now:
            break
    else:
        return 0.0
    if state is State.HALF_OPEN:
        return 1.0
    health = place.health
    if health is not None and health.shunned > now and state is State.CLOSED:
        return 0.0
    calls, failures = place.breaker.recent(now)
    value = (1.0 - failures / (calls + PRIOR_CALLS)) ** SEVERITY if failures else 1.0
    return value if health is None else value * health.factor(now)


def hindrance(place: Place, now: Monotonic) -> str:
    """Why it is not to be used now by those who can go elsewhere, in a few words; empty if it is."""
    return barrier(place, now) or reluctance(place, now)


def barrier(place: Place, now: Monotonic) -> str:
    """Why nobody can be served there now, whether they have an elsewhere or not, in a few words; empty if they can."""
    state = place.breaker.state(now)
    if state is State.FORCED_OPEN:
        return "an operator has forced its breaker open"
    if state is State.OPEN and place.breaker.barred(now):
        return f"its breaker is open for {place.breaker.retry_at(now) - now:.1f} s"
    if place.rest.until > now:
        return f"it rests for {place.rest.until - now:.1f} s"
    return _spent(place, now)


def reluctance(place: Place, now: Monotonic) -> str:
    """Why it is for those who have no elsewhere, in a few words; empty if it is for all. Precondition: no barrier."""
    state = place.breaker.state(now)
    if state is State.OPEN:
        left = place.breaker.retry_at(now) - now
        return f"its breaker is open for {left:.1f} s: it is {place.breaker.refusal(now)}"
    return _sick(place, state, now)


def _spent(place: Place, now: Monotonic) -> str:
    """It is well, and has nothing left to give."""
    free = min((max(seat.rest.until, seat.key.rest.until) for seat in place.seats), default=NEVER)
    if free > now:
        return f"all its keys rest for {free - now:.1f} s"
    limit = place.adaptive.limit(now)
    if place.in_flight >= limit:
        return f"it is full: {place.in_flight} under way, {limit:g} at a time"
    return ""


def _sick(place: Place, state: State, now: Monotonic) -> str:
    health = place.health
    if health is not None and health.shunned > now and state is State.CLOSED:
        return f"it is unhealthy: {health.reason}"
    silent = "" if place.breaker.forced else place.silence.why(place.usual, now)
    return f"it is silent: {silent}" if silent else ""
