"""Which key an attempt is sent with, and what its limits learn: the limits that are configured and those that are told.

House rules of this file:

* A key that rests, or that this request has used, is no candidate. Of the others those with plenty left come first,
  then those with the fewest attempts under way; equals take turns.
* A deployment may have limits of its own, for all its keys together; they are asked first.
* The first candidate whose limits let the request pass is taken. If none does, the request knows when to ask again.
* What answers tell of a key's limits at this deployment is kept with its seat (`policy.quota`), because providers
  count by model.
"""

from collections.abc import Collection

from standfast.canon.instants import NEVER, Monotonic
from standfast.canon.rates import Rate
from standfast.policy.adaptive import Adaptive, AdaptiveSettings
from standfast.policy.limits import KeySlots, TargetLimits
from standfast.policy.places import Denied, Permit, Place, Seat, Standing
from standfast.policy.quota import SELDOM, Quota
from standfast.policy.rests import look


def take_seat(place: Place, tokens: int, prompt: int, now: Monotonic, tried: Collection[int]) -> Seat | Denied:
    """The least busy key that may serve, taken in turn where equal. Takes its slot, and the deployment's."""
    if place.resting:
        look(place, now)
    if place.slots is None:
        return _take_seat(place, tokens, prompt, now, tried)
    wait = place.slots.admit(tokens, now)
    if wait > 0.0:
        return Denied("keys", Monotonic(now + wait))
    seat = _take_seat(place, tokens, prompt, now, tried)
    if isinstance(seat, Denied):
        place.slots.withdraw(tokens, now)
    return seat


def _take_seat(place: Place, tokens: int, prompt: int, now: Monotonic, tried: Collection[int]) -> Seat | Denied:
    seats = place.seats
    first = seats[0]
    if len(seats) == 1 and not tried and first.rest.until <= now and first.key.rest.until <= now:
        wait = first.wait(tokens, prompt, now) if first.metered else 0.0
        return Denied("keys", Monotonic(now + wait)) if wait > 0.0 else first
    soonest = NEVER
    untried = False
    best: list[Seat] = []
    for offset in range(len(seats)):
        seat = seats[(place.next_seat + offset) % len(seats)]
        if tried and seat.index in tried:
            continue
        untried = True
        until = max(seat.rest.until, seat.key.rest.until)
        if until > now:
            soonest = min(soonest, until)
            place.resting = place.choosy = True  # it is told to be over by whoever met it
        else:
            best.append(seat)
    if not untried:
        return Denied("tried", NEVER)
    if len(best) > 1:
        best.sort(key=lambda seat: _eagerness(seat, now))
    for seat in best:
        wait = seat.wait(tokens, prompt, now) if seat.metered else 0.0
        if wait <= 0.0:
            if len(seats) > 1:
                place.next_seat = (seat.index + 1) % len(seats)
            return seat
        soonest = min(soonest, Monotonic(now + wait))
    return Denied("keys", soonest)


def learn(permit: Permit, rates: Collection[Rate], now: Monotonic) -> None:
    """What an answer's headers tell of the limits of its key; also if they tell nothing."""
    seat = permit.seat
    if seat.quota is None and rates:
        seat.quota = Quota(unseen=seat.key.in_flight - 1)
        seat.metered = permit.place.choosy = True
    if seat.quota is None:
        seat.unread = SELDOM - 1
        return
    seat.quota.hear(rates, None if permit.reckoned is None else permit.reckoned[1], now)
    seat.unread = seat.quota.unread


def _eagerness(seat: Seat, now: Monotonic) -> tuple[bool, bool, int]:
    """Least first: keys that failed of late come last, then those whose limits are nearly spent or that are busy."""
    return seat.shy > now, seat.quota is not None and seat.quota.nearly_spent, seat.key.in_flight


def withdraw(place: Place, seat: Seat, tokens: int, now: Monotonic) -> None:
    """The seat that was taken is not used after all: nothing was sent."""
    for slots in (place.slots, seat.key.slots):
        if slots is not None:
            slots.withdraw(tokens, now)


def bound(place: Place, limits: TargetLimits, adaptive: AdaptiveSettings) -> None:
    """Limit what is under way at this deployment so; what was learned under the same settings is kept."""
    if not limits.adaptive:
        adaptive = adaptive.model_copy(update={"enabled": False})
    if place.adaptive.settings != adaptive:
        place.adaptive = Adaptive(adaptive)
    if place.limits == limits:
        return
    place.limits, place.slots = limits, None
    if limits.rpm is not None or limits.tpm is not None or limits.concurrency is not None:
        place.slots = KeySlots(limits.rpm, limits.tpm, limits.concurrency, place.in_flight)
        place.choosy = True
        for seat in place.seats:
            seat.metered = True


def standing(place: Place, now: Monotonic) -> Standing:
    """How a deployment stands; that a rest is over is left in the news."""
    if place.resting:
        look(place, now)
    free = tuple(s.index for s in place.seats if s.rest.until <= now and s.key.rest.until <= now)
    return Standing(place.breaker.state(now), place.health, free, len(place.seats), place.stream.ewma)


def give_back(permit: Permit, tokens: int | None, now: Monotonic) -> None:
    """The limits of the key learn what the attempt really used; 0 if it was not sent."""
    place, seat = permit.place, permit.seat
    for slots in (place.slots, seat.key.slots):
        if slots is not None:
            slots.release(permit.tokens, tokens, now)
    if tokens == 0 and seat.quota is not None and permit.reckoned is not None:
        prompt, marks = permit.reckoned
        seat.quota.give_back(permit.tokens, prompt, marks)
