"""How one deployment looks from outside: what is under way, what is left of its limits, how each of its keys is.

For people who look; nothing decides by it, and looking changes nothing but what every look finds out (that a rest is
over).
"""

import math
from dataclasses import dataclass

from standfast.canon.instants import Monotonic
from standfast.policy.breaker import State
from standfast.policy.limits import Gauge
from standfast.policy.places import Place, Seat

__all__ = ["Gauge", "KeyPortrait", "Portrait", "portrait"]


@dataclass(frozen=True, slots=True)
class KeyPortrait:
    """One upstream key at one deployment.

    Attributes:
        index: position in its pool.
        resting: seconds that a rate limit keeps it from this deployment; 0.0 for none.
        quarantined: seconds that it is not used anywhere (refused, or its quota spent); 0.0 for none.
        in_flight: attempts under way with it, at all deployments together.
        gauges: its limits; those that answers told are this deployment's own.
    """

    index: int
    resting: float
    quarantined: float
    in_flight: int
    gauges: tuple[Gauge, ...]


@dataclass(frozen=True, slots=True)
class Portrait:
    """One deployment.

    Attributes:
        in_flight: attempts under way.
        ceiling: how many at a time it is given, learned; None for no limit.
        wait: seconds until it may be asked; 0.0 for now, infinite if nobody knows.
        ramping: it has just recovered, or is new, and gets a growing share of its requests.
        first_token: moving average of its streams, seconds; None before the first.
        keys: its keys, in order.
        gauges: its own limits, whichever key is used.
    """

    in_flight: int
    ceiling: int | None
    wait: float
    ramping: bool
    first_token: float | None
    keys: tuple[KeyPortrait, ...]
    gauges: tuple[Gauge, ...]


def portrait(place: Place, available_at: Monotonic, now: Monotonic) -> Portrait:
    """What there is to see of a deployment; `available_at` is when it may be asked (`Fleet.available_at`)."""
    limit = place.adaptive.limit(now)
    return Portrait(
        in_flight=place.in_flight,
        ceiling=None if math.isinf(limit) else int(limit),
        wait=max(0.0, available_at - now),
        ramping=place.breaker.state(now) is State.CLOSED and place.breaker.share(now) < 1.0,
        first_token=place.stream.ewma,
        keys=tuple(_key(seat, now) for seat in place.seats),
        gauges=() if place.slots is None else place.slots.gauges(now),
    )


def _key(seat: Seat, now: Monotonic) -> KeyPortrait:
    key = seat.key
    return KeyPortrait(
        index=seat.index,
        resting=max(0.0, seat.rest.until - now),
        quarantined=max(0.0, key.rest.until - now),
        in_flight=key.in_flight,
        gauges=(
            *(() if key.slots is None else key.slots.gauges(now)),
            *(() if seat.quota is None else seat.quota.gauges()),
        ),
    )
