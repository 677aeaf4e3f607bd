"""What is told of rests: that one begins, and that it is over.

House rules of this file:

* A rest is told once when it begins, with the seconds that it is to last then, and once when it is first seen to be
  over. That more refusals prolong it meanwhile is not told: they are one occasion, and its end will be told.
* A quarantine is above a cooldown. One that begins during a cooldown is told, and that the cooldown is over; a cooldown
  during a quarantine changes nothing.
* Nothing happens by itself: the end is seen by whoever next takes a seat at a deployment that has met the rest, or by
  the next look at how it stands. Only deployments where a rest is told and not yet told to be over look at all.
"""

import msgspec

from standfast.canon.instants import Monotonic
from standfast.canon.record import Change
from standfast.policy.cooldown import Cooldown
from standfast.policy.places import Place

COOLDOWN, QUARANTINE = "cooldown", "quarantine"
"""Subjects: a rest with a known end, and one while a human must act."""


def began(place: Place, rest: Cooldown, before: Monotonic, change: Change, now: Monotonic) -> tuple[Change, ...]:
    """A rest that ended at `before` until now goes on longer, which `change` would tell. What is to be told."""
    told = rest.told
    goes_on = now < before
    if told is not None and goes_on and (told.subject == QUARANTINE or change.subject == COOLDOWN):
        return ()
    place.resting = place.choosy = True
    rest.told = change
    if told is None:
        return (change,)
    if goes_on:
        return (change, _over(told, "it is in quarantine"))
    return (_over(told), change)


def look(place: Place, now: Monotonic) -> None:
    """Leave in the news which rests at a deployment are over. Precondition: it is `resting`."""
    going_on = False
    seats = place.seats
    for rest in (place.rest, *(seat.rest for seat in seats), *(seat.key.rest for seat in seats)):
        if rest.told is not None:
            if now < rest.until:
                going_on = True
            else:
                place.breaker.news.append(_over(rest.told))
                rest.told = None
    place.resting = going_on
    place.choosy = going_on or len(seats) > 1 or any(seat.metered for seat in seats)


def _over(told: Change, reason: str = "its time is over") -> Change:
    return msgspec.structs.replace(told, before=told.after, after=told.before, reason=reason, until=None)
