"""What carries the fleet's state, and the permits to use it. Only `policy.fleet` changes these."""

from dataclasses import dataclass

import msgspec

from standfast.canon.deployment import Deployment
from standfast.canon.instants import Monotonic
from standfast.canon.record import Change
from standfast.canon.structs import plain_stores
from standfast.policy.adaptive import Adaptive
from standfast.policy.breaker import Breaker, BreakerSettings, State
from standfast.policy.cooldown import Cooldown
from standfast.policy.health import Health
from standfast.policy.latency import Latency, Pace, Trail
from standfast.policy.limits import KeySlots, TargetLimits
from standfast.policy.quota import Marks, Quota
from standfast.policy.silence import Silence
from standfast.policy.usual import Usuals


@dataclass(frozen=True, slots=True)
class KeyPool:
    """The upstream keys of one provider entry.

    Attributes:
        provider: the entry's name.
        identities: one for each key, in order: any stable name that is not the key (a digest, say).
        rpm, tpm, concurrency: what each key may do; None for unlimited.
    """

    provider: str
    identities: tuple[str, ...]
    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None


class Key:
    """One upstream key, wherever it is used."""

    __slots__ = ("bad_at", "in_flight", "pool", "rest", "slots")

    def __init__(self, pool: KeyPool) -> None:
        self.pool = (pool.rpm, pool.tpm, pool.concurrency)
        self.rest = Cooldown()
        self.slots = KeySlots(*self.pool) if any(limit is not None for limit in self.pool) else None
        self.in_flight = 0
        self.bad_at: set[Deployment] = set()  # where it fails and others do not


class Seat:
    """One key at one deployment."""

    __slots__ = (
        "failed",
        "hinted",
        "index",
        "key",
        "metered",
        "others",
        "quota",
        "rest",
        "row",
        "served",
        "shy",
        "unread",
    )

    def __init__(self, index: int, key: Key) -> None:
        self.quota: Quota | None = None  # what answers tell of its limits; None while none has told any
        self.unread = 0  # answers whose telling need not be read
        self.metered = key.slots is not None  # something is counted for each attempt
        self.index = index
        self.key = key
        self.rest = Cooldown()
        self.hinted = Monotonic(0.0)  # the end of a rest that the provider itself named
        self.served = self.failed = 0  # counted where there are several keys
        self.row = 0  # failures in a row that may be the key's
        self.shy = Monotonic(0.0)  # until then other keys are preferred
        self.others = (0, 0)  # what the other keys had served and failed when it began

    def wait(self, tokens: int, prompt: int, now: Monotonic) -> float:
        """0.0 if a request of about so many tokens may go now (the key's slot is then taken), else seconds."""
        wait = 0.0
        if self.quota is not None:
            wait = self.quota.wait(tokens, prompt, now)
            if not self.quota.plenty:
                self.unread = 0
        if self.key.slots is None:
            return wait
        return wait if wait > 0.0 else self.key.slots.admit(tokens, now)


class Place:
    """One deployment."""

    __slots__ = (
        "adaptive",
        "breaker",
        "choosy",
        "deployment",
        "health",
        "hinted",
        "in_flight",
        "limits",
        "next_seat",
        "pace",
        "rest",
        "resting",
        "seats",
        "settings",
        "silence",
        "slots",
        "stream",
        "usual",
        "whole",
    )

    def __init__(
        self, deployment: Deployment, settings: BreakerSettings, seats: list[Seat], news: list[Change] | None = None
    ) -> None:
        self.deployment = deployment
        self.settings = settings
        self.breaker = Breaker(settings, deployment.name, news)
        self.adaptive = Adaptive()
        self.limits = TargetLimits()
        self.slots: KeySlots | None = None  # of all its keys together
        self.health: Health | None = None  # None while it is not watched
        self.rest = Cooldown()
        self.hinted = Monotonic(0.0)
        self.stream = Latency()
        self.whole = Latency()
        self.usual = Usuals(settings.slow_after)
        self.silence = Silence(deployment.name, self.breaker.news)
        self.pace: Pace | None = None  # None while no strategy compares by it
        self.in_flight = 0
        self.seats = seats
        self.choosy = len(seats) > 1 or any(seat.metered for seat in seats)  # or it has limits of its own
        self.resting = False  # a rest that concerns it was told, and not yet that it is over
        self.next_seat = 0


@plain_stores
class Permit(msgspec.Struct, eq=False):
    """Leave to send one attempt. Compared by identity; settle it exactly once, through the fleet.

    Attributes:
        ticket: the breaker's.
        tokens: about so many are expected to be used.
        key: position of the upstream key.
        load: attempts under way there when it was given, this one included.
        settled: it has been.
        slow: its first content took far longer than usual, and the breaker knows.
        waits: it counts as waiting for its first content (`policy.silence`).
        trail: what a strategy that compares paces learns from it.
        reckoned: prompt tokens, and how the seat's quota stood then.
    """

    place: Place
    seat: Seat
    ticket: int
    tokens: int
    key: int
    load: int
    settled: bool = False
    slow: bool = False
    waits: bool = False
    trail: Trail | None = None
    reckoned: tuple[int, Marks] | None = None

    @property
    def deployment(self) -> Deployment:
        """Where it may be sent."""
        return self.place.deployment

    def p95(self, *, stream: bool) -> float | None:
        """The deployment's own 95th percentile of the time to first content; None while it has too little history."""
        return (self.place.stream if stream else self.place.whole).p95()


@dataclass(frozen=True, slots=True)
class Denied:
    """No leave now.

    Attributes:
        why: `open` (breaker), `resting` (deployment), `keys` (every key rests or is at its limit, or the deployment is
            at its own), `tried` (no key left that this request has not used), `full` (as many attempts under way as the
            deployment can take); or a reason to go elsewhere, not to give up: `unhealthy` (checks say so), `failing`
            and `slow` (the breaker is open for a share of the calls), `trying` (the first call of its trial has not
            been heard of), `ramping` (it has just recovered, or is new), `silent` (it answers nobody), `spared` (its
            provider is down).
        until: when asking again has a chance.
    """

    why: str
    until: Monotonic


@dataclass(frozen=True, slots=True)
class Standing:
    """How one deployment stands, for checks and reports.

    Attributes:
        breaker: state of its breaker.
        health: its health, None if it is not watched.
        free_keys: positions of the upstream keys that neither rest nor are in quarantine.
        keys: how many there are.
        first_token: moving average of its streams, seconds; None before the first.
    """

    breaker: State
    health: Health | None
    free_keys: tuple[int, ...]
    keys: int
    first_token: float | None


def avoided(place: Place, now: Monotonic) -> Denied | None:
    """Why those who have an elsewhere go there, although its breaker says nothing; None if nothing speaks against it.

    An operator's word about the breaker is above what checks say and what is not heard.
    """
    if place.breaker.forced:
        return None
    health, silence = place.health, place.silence
    if health is not None and health.shunned > now:
        return Denied("unhealthy", health.shunned)
    return Denied("silent", now) if silence.holds(place.usual, now) else None


def inherit(place: Place, before: Place) -> None:
    """Carry over what the old configuration had learnt and the new one does not contradict."""
    if before.settings == place.settings:
        place.breaker = before.breaker
    else:
        place.breaker.follow(before.breaker)
    place.health = before.health
    if place.health is not None and place.breaker is not before.breaker:
        place.breaker.news += place.health.lifted("breaker began anew (its settings changed)")
        before.health = None  # what the old breaker still hears of attempts under way is no verdict about the new one
    place.pace = before.pace
    place.adaptive = before.adaptive
    place.rest, place.hinted, place.stream, place.whole = before.rest, before.hinted, before.stream, before.whole
    place.usual, place.silence = before.usual, before.silence
    place.resting, place.choosy = before.resting, place.choosy or before.resting
    place.usual.slow_after = place.settings.slow_after
    seats = {id(seat.key): seat for seat in before.seats}
    for seat in place.seats:
        old = seats.get(id(seat.key))
        if old is not None:
            seat.rest, seat.hinted = old.rest, old.hinted
            if old.quota is not None:
                seat.quota, seat.unread, seat.metered, place.choosy = old.quota, old.unread, True, True
