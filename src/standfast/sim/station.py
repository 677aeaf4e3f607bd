"""One upstream in virtual time: errors, rate limits, quota, places, speed. It knows nothing of policy.

What befalls an attempt, in this order: an error of its troubles or of an ordinary day that comes before any work; the
rate limits of its key; the account's quota; a place, a place in the line, or an overflow; then the work, which may
still end badly.
"""

import math
import random
from collections import deque
from collections.abc import Mapping
from types import MappingProxyType

from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.canon.rates import Counts, Rate
from standfast.sim.call import OVER, Call
from standfast.sim.settings import Error, RateLimits, Upstream
from standfast.sim.spread import Sampler, Spread
from standfast.sim.tally import TargetTally
from standfast.sim.weather import Weather
from standfast.sim.world import START, World

_K = FailureKind

IN_WORK = frozenset({_K.FIRST_TOKEN_TIMEOUT, _K.STALLED, _K.BROKEN_STREAM, _K.EMPTY_REPLY, _K.INVALID_REPLY})
"""Failures that come after the request was taken: they use limits, quota and a place like any other."""

_AT_ONCE, _QUICK, _SLOW = Spread(value=0.001), Spread(median=0.06, p95=0.2), Spread(median=0.3, p95=2.0)
USUAL: Mapping[FailureKind, Spread] = MappingProxyType(
    {_K.CONNECT_FAILED: _AT_ONCE, _K.SERVER_ERROR: _SLOW, _K.CONTENT_FILTERED: _SLOW}
)
"""How long it takes to be told: a refused connection is known at once, an internal error after some work, all other
refusals after a round trip."""

_SUFFICES = 1e-9
_OK = 200


class Bucket:
    """A token bucket, refilled continuously; it begins full."""

    __slots__ = ("_at", "_level", "_rate", "_size")

    def __init__(self, per_minute: float, burst: float) -> None:
        self._rate = per_minute / 60.0
        self._size = self._level = max(1.0, self._rate * burst)
        self._at = START

    def wait(self, amount: float, now: float) -> float:
        """Seconds until so much is there; more than it holds waits until it is full."""
        self._level = min(self._size, self._level + (now - self._at) * self._rate)
        self._at = now
        missing = min(amount, self._size) - self._level
        return missing / self._rate if missing > _SUFFICES else 0.0

    def take(self, amount: float) -> None:
        """Take it; what is owed is waited for."""
        self._level -= amount

    def rate(self, counts: Counts, per_minute: float) -> Rate:
        """What a header says of it: whole numbers and milliseconds, to the allowance of a minute."""
        full = round((self._size - self._level) / self._rate, 3)
        return Rate(counts.value, counts, max(0.0, float(int(self._level))), per_minute, full)


class Station:
    """One upstream at work.

    Args:
        world: virtual time.
        spec: how it behaves.
        weather: what goes wrong when.
        rng: its own source of chance, so that another configuration meets the same weather.
        tally: where what happens here is counted.
    """

    __slots__ = (
        "_afters",
        "_buckets",
        "_busy",
        "_chance",
        "_first",
        "_line",
        "_pace",
        "_rng",
        "_used",
        "_weather",
        "_whole",
        "spec",
        "tally",
        "world",
    )

    def __init__(self, world: World, spec: Upstream, weather: Weather, rng: random.Random, tally: TargetTally) -> None:
        self.world = world
        self.spec = spec
        self.tally = tally
        self._weather = weather
        self._rng = rng
        self._chance = rng.random
        self._first: Sampler | None = spec.first_token.sampler(rng) if spec.first_token is not None else None
        self._pace: Sampler | None = spec.per_token.sampler(rng) if spec.per_token is not None else None
        self._whole: Sampler | None = spec.whole.sampler(rng) if spec.whole is not None else None
        self._afters: dict[int, Sampler] = {}
        self._buckets: dict[int, tuple[Bucket | None, Bucket | None]] = {}
        self._used: tuple[int, int, int] = (-1, 0, 0)  # period, requests, tokens
        self._busy = 0
        self._line: deque[Call] = deque()

    def take(self, call: Call, now: Monotonic) -> None:
        """A request arrives."""
        self.tally.attempts += 1
        weather = self._weather
        if now >= weather.until:
            weather.look(now)
        chance = self._chance()
        error = weather.error(chance)
        if error is not None and error.kind not in IN_WORK:
            self._refuse(call, error, now)
            return
        spec = self.spec
        if spec.limits is not None or spec.quota is not None:
            failure = self._over_limits(call, now)
            if failure is not None:
                call.fails(now + self._after(_RATE), failure)
                return
        call.error = error
        if spec.capacity is not None and not self._has_room(call, now):
            return
        self._work(call, now)

    def ping(self, rng: random.Random, timeout: float, now: float) -> tuple[float, Failure | None]:
        """What the free endpoint says: after how many seconds, and what went wrong. Real requests fare otherwise."""
        self._weather.look(now)
        error = self._weather.error(rng.random())
        kind = None if error is None else error.kind
        if kind is _K.CONNECT_FAILED:
            return _AT_ONCE.sampler(rng)(), Failure(kind, "rehearsed", sent=False)
        seconds = _QUICK.sampler(rng)() * self._weather.slow
        if kind is _K.CONNECT_TIMEOUT or seconds > timeout:
            return timeout, Failure(_K.CONNECT_TIMEOUT, "no answer in time", sent=False)
        return seconds, None

    # what the call tells

    def served(self, call: Call, now: Monotonic) -> None:
        """The answer is whole."""
        tally = self.tally
        tally.successes += 1
        first = call.first_at if call.first_at <= now else now  # noqa: FURB136 - min() costs more
        tally.first.add(first - call.started)
        tally.work(call.prompt, call.completion, useful=True)

    def failed(self, call: Call, failure: Failure, now: Monotonic) -> None:
        """There will be no whole answer."""
        tally = self.tally
        tally.failures[failure.kind] = tally.failures.get(failure.kind, 0) + 1
        produced = call.produced(now)
        if produced:
            tally.work(call.prompt, produced, useful=False)
        elif failure.ambiguous:
            tally.perhaps(call.prompt, call.completion)

    def abandoned(self, call: Call, now: Monotonic) -> None:
        """The gateway closed it: another attempt was faster, or nobody waits any more."""
        self.tally.cancelled += 1
        if call.held or self.spec.capacity is None:
            self.tally.work(call.prompt, call.produced(now), useful=False)

    def leave(self, now: Monotonic) -> None:
        """A place is free: the next in line has it."""
        self._busy -= 1
        self._weather.look(now)
        while self._line and self._busy < self._places():
            call = self._line.popleft()
            if call.phase != OVER:
                self._hold(call)
                self._work(call, now)

    # inside

    def _refuse(self, call: Call, error: Error, now: float) -> None:
        kind = error.kind
        if kind is _K.CONNECT_TIMEOUT:
            failure = Failure(kind, "no connection in time", sent=False)
            call.fails(now + call.deadlines.connect, failure)  # a timer of the wire, not the watch
            return
        hint = error.retry_after.sampler(self._rng)() if error.retry_after is not None else None
        status = _OK if error.in_band else 0
        failure = Failure(kind, "rehearsed", status, hint, sent=kind is not _K.CONNECT_FAILED)
        call.fails(now + self._after(error), failure)

    def _after(self, error: Error) -> float:
        """Seconds until an error is told; a brownout slows it down too."""
        draw = self._afters.get(id(error))
        if draw is None:
            draw = (error.after or USUAL.get(error.kind, _QUICK)).sampler(self._rng)
            self._afters[id(error)] = draw
        return draw() * self._weather.slow

    def _over_limits(self, call: Call, now: float) -> Failure | None:
        tokens = call.prompt + call.completion
        spec = self.spec
        buckets: tuple[Bucket | None, Bucket | None] = (None, None)
        if spec.limits is not None:
            buckets = self._buckets.get(call.key) or self._buckets.setdefault(call.key, _buckets(spec.limits))
            waits = [bucket.wait(amount, now) for bucket, amount in zip(buckets, (1, tokens), strict=True) if bucket]
            wait = max(waits, default=0.0)
            if wait > 0:
                call.rates = _told(spec.limits, buckets)
                return Failure(_K.RATE_LIMITED, "rehearsed", status=429, retry_after=wait if spec.limits.hint else None)
        if spec.quota is not None:
            quota = spec.quota
            period = int((now - START) // quota.per)
            _, requests, used = self._used if self._used[0] == period else (period, 0, 0)
            self._used = (period, requests, used)
            if (quota.requests is not None and requests >= quota.requests) or (
                quota.tokens is not None and used >= quota.tokens
            ):
                return Failure(_K.QUOTA_EXHAUSTED, "rehearsed", status=429)
            self._used = (period, requests + 1, used + tokens)
        for bucket, amount in zip(buckets, (1, tokens), strict=True):
            if bucket is not None:
                bucket.take(amount)
        if spec.limits is not None:
            call.rates = _told(spec.limits, buckets)
        return None

    def _places(self) -> float:
        capacity = self.spec.capacity
        return math.inf if capacity is None else max(1.0, capacity.concurrency * self._weather.capacity)

    def _has_room(self, call: Call, now: float) -> bool:
        """A place for this call now; else it waits in line, or is turned away."""
        capacity = self.spec.capacity
        if capacity is None or self._busy < self._places():
            self._hold(call)
            return True
        if len(self._line) >= capacity.queue and self._line:
            self._line = deque(each for each in self._line if each.phase != OVER)
        if len(self._line) < capacity.queue:
            self._line.append(call)
            call.waits()
        else:
            failure = Failure(capacity.overflow, "rehearsed: too busy", retry_after=capacity.retry_after)
            call.fails(now + self._after(_RATE), failure)
        return False

    def _hold(self, call: Call) -> None:
        self._busy += 1
        call.held = True

    def _work(self, call: Call, now: Monotonic) -> None:
        weather, request = self._weather, call.request
        slow = weather.slow
        capacity = self.spec.capacity
        if capacity is not None and capacity.crowding:
            slow *= 1.0 + capacity.crowding * min(1.0, self._busy / capacity.concurrency)
        first_at = math.inf
        if self._first is not None and (request.stream or self._whole is None):
            first = self._first() * slow
            call.pace = pace = self._pace() * slow if self._pace is not None else 0.0
            end = now + first + pace * (call.completion - 1)
            if request.stream:
                first_at = now + first
        else:
            end = now + (self._whole() * slow if self._whole is not None else 0.0)
        failure: Failure | None = None
        silent_at = math.inf
        if call.error is not None:
            first_at, end, failure = self._spoilt(call.error.kind, first_at, end, now)
            if call.error.kind is _K.STALLED:
                silent_at, end = end, math.inf
        if weather.cut_at < end and self._chance() < weather.cut_share:
            end, failure = weather.cut_at, _CUT
        call.answers(first_at, end, failure, silent_at)

    def _spoilt(
        self, kind: FailureKind, first_at: float, end: float, now: float
    ) -> tuple[float, float, Failure | None]:
        """The same work, ending badly: first content, end (of a stall: of the content), failure."""
        if kind is _K.FIRST_TOKEN_TIMEOUT:
            return math.inf, math.inf, None
        if kind in (_K.EMPTY_REPLY, _K.INVALID_REPLY):
            return math.inf, min(first_at, end), _EMPTY if kind is _K.EMPTY_REPLY else _INVALID
        begin = first_at if first_at < end else now
        point = begin + (end - begin) * self._chance()
        if kind is _K.BROKEN_STREAM:
            return first_at, point, _CUT
        if first_at >= end:  # a whole reply that stays out
            return math.inf, math.inf, None
        return first_at, point, None


_CUT = Failure(_K.BROKEN_STREAM, "rehearsed: cut off")
_EMPTY = Failure(_K.EMPTY_REPLY, "rehearsed: nothing in it", status=200)
_INVALID = Failure(_K.INVALID_REPLY, "rehearsed: no answer", status=200)
_RATE = Error(kind=_K.RATE_LIMITED)


def _buckets(limits: RateLimits) -> tuple[Bucket | None, Bucket | None]:
    """Of one key: requests, tokens."""
    requests = None if limits.rpm is None else Bucket(limits.rpm, limits.burst)
    return requests, None if limits.tpm is None else Bucket(limits.tpm, limits.burst)


def _told(limits: RateLimits, buckets: tuple[Bucket | None, Bucket | None]) -> tuple[Rate, ...]:
    """What the head of an answer tells, as of when its request was admitted or refused."""
    if not limits.tells:
        return ()
    spec = ((buckets[0], Counts.REQUESTS, limits.rpm), (buckets[1], Counts.TOKENS, limits.tpm))
    return tuple(bucket.rate(counts, most) for bucket, counts, most in spec if bucket is not None and most is not None)
