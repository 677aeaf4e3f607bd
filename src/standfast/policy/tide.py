"""One rate limit of an upstream as answers tell it: what is left of it now, and when there will be enough.

House rules of this file:

* Dead reckoning. What is sent is taken off by estimate, what comes back comes back at the rate that was told, and every
  telling corrects the reckoning.
* A telling is old when it arrives: it was made when its request was admitted (or, who knows, when it was answered), and
  more has been sent since. So there are three opinions of what is left now: the reckoning, the bare figure, and the
  reckoning corrected by how wrong it was when that request was sent. The middle one is taken. It is right whenever
  the reckoning is, whichever moment the figure is of; and one false figure alone moves nothing far.
* Limits come back continuously (OpenAI, Anthropic, Groq: a token bucket) or all at once at the reset (relays that count
  by the minute). The reset tells which: in the first case each request moves it away, in the second it stays where it
  is. Until something tells, the first is assumed; the price of being wrong is one 429, whose Retry-After is obeyed.
* Estimates are wrong, and others may use the same limit. So each limit has a price: how much of it goes for one unit
  that is reckoned, learned from what tellings say was used between them (and never beyond `DEAREST`).
* A request is held back only where what it is expected to cost is not there. Estimates of images are many times too
  high, so no cost counts for more than half of the limit.
* No telling is believed for longer than `TRUST`: then one request passes and its answer tells anew. Whatever a header
  says, it cannot keep a key from ever being asked again.
"""

from typing import TypeAlias

from standfast.canon.instants import Monotonic
from standfast.canon.rates import Rate
from standfast.policy.limits import INSTANT

TRUST = 60.0
"""Seconds for which a telling counts: the window of nearly all limits."""

LARGEST = 0.5
"""Share of a limit that a single request is taken to cost at most."""

ROUNDED = 2.0
"""Seconds by which a reset must move, or fail to move, before that tells anything: many are rounded to a second."""

TELLING = 0.05
"""Share of a limit that must be used up before its reset tells how fast it comes back: before, rounding hides it."""

MARGIN = 0.02
"""Share of a limit that is left untouched, for the rounding of figures and the disorder of arrivals."""

LEARNT = 0.05
"""Share of a limit after whose use the price is learned anew."""

PACE = 0.1
"""Weight of the newest price."""

CHEAPEST, DEAREST = 0.25, 4.0
"""Bounds of the price: an estimate that is further off is not an estimate."""

SUFFICES = 1e-6
"""Share of a limit below which what is missing is a rounding error of the refill."""

Mark: TypeAlias = tuple[float, float, float]
"""How the reckoning of a limit stood when a request had been taken off: `level - shift`, `charged` and `given`."""


class Tide:
    """One limit: how much is left of it, and how fast it comes back.

    Attributes:
        counts: what it counts.
        size: the most there can be, as far as is known.
        level: what is left; may be below zero.
        shift: sum of all corrections; `level - shift` of two instants can be compared.
        charged: sum of all costs, without what was given back.
        given: sum of what was given back, at its price.
        price: what is taken off for a cost of one.
        heard: when it was told last.
    """

    __slots__ = (
        "_anchor",
        "_at",
        "_learnt",
        "_limit",
        "_probed",
        "_rate",
        "_reset_at",
        "_whole",
        "charged",
        "counts",
        "given",
        "heard",
        "level",
        "price",
        "shift",
        "size",
    )

    def __init__(self, rate: Rate, now: Monotonic) -> None:
        self.counts = rate.counts
        self.size = 0.0
        self.level = rate.remaining
        self.shift = self.charged = self.given = 0.0
        self.price = 1.0
        self.heard = self._probed = self._at = self._reset_at = now
        self._limit = 0.0
        self._rate = 0.0  # what comes back in a second
        self._whole = False  # it comes back all at once
        self._anchor: tuple[float, float, float] | None = None  # what was left, reset and instant of an older telling
        self._learnt: tuple[float, Mark] | None = None  # what was left, and the mark, of another one
        self._fit(rate, now)

    def take(self, cost: float) -> Mark:
        """So much goes. The mark tells how the reckoning stands now."""
        self.level -= cost * self.price
        self.charged += cost
        return self.level - self.shift, self.charged, self.given

    def give_back(self, cost: float) -> None:
        """It did not go after all."""
        self.correct(cost * self.price)
        self.given += cost * self.price
        self.charged -= cost

    def hear(self, rate: Rate, mark: Mark, now: Monotonic) -> None:
        """A telling; `mark` was made when its request had just been taken off."""
        self.refill(now)
        self._appraise(rate.remaining, mark)
        corrected = self.level + rate.remaining - (mark[0] + self.shift)
        self._told(rate, sorted((self.level, rate.remaining, corrected))[1], now)

    def hear_late(self, rate: Rate, now: Monotonic) -> None:
        """A telling to a request that nobody reckoned with: what it says can only be the most there is."""
        self.refill(now)
        self._told(rate, min(self.level, rate.remaining), now)

    def hear_loosely(self, rate: Rate, unseen: float, now: Monotonic) -> None:
        """A telling while there is plenty; `unseen` has been sent meanwhile and may not be in the figure."""
        self.refill(now)
        self._told(rate, max(0.0, rate.remaining - unseen), now)

    def refill(self, now: Monotonic) -> None:
        """Let come back what has come back by now."""
        if now <= self._at:
            return
        if not self._whole:
            self.level = min(self.size, self.level + (now - self._at) * self._rate)
        elif now >= self._reset_at > self._at:
            self.level = self.size
        self._at = now

    def wait(self, cost: float, now: Monotonic) -> float:
        """Seconds until so much may be taken; to be asked after `refill`."""
        short = min(cost * self.price, LARGEST * self.size) + MARGIN * self.size - self.level
        if short <= SUFFICES * self.size:
            return 0.0
        trusted = TRUST - (now - self._probed)  # in this order it is never more than `TRUST`
        if trusted <= 0.0:  # nobody knows any more: this one finds out
            self._probed = now
            self.correct(short)
            return 0.0
        if not self._whole:
            seconds = min(trusted, short / self._rate)
        else:
            seconds = min(trusted, self._reset_at - now) if self._reset_at > now else trusted
        return 0.0 if seconds <= INSTANT else seconds

    def correct(self, amount: float) -> None:
        """So much more is left than was reckoned, or less."""
        self.level += amount
        self.shift += amount

    def _told(self, rate: Rate, level: float, now: Monotonic) -> None:
        self._fit(rate, now)
        self.correct(min(self.size, level) - self.level)
        self.heard = self._probed = now

    def _fit(self, rate: Rate, now: Monotonic) -> None:
        """Learn how large it is, and how and how fast it comes back."""
        limit = rate.limit or max(self._limit, rate.remaining, 1.0)
        if limit != self._limit:
            self._limit, self._rate, self.size = limit, limit / rate.window, 0.0
            self._anchor, self._learnt, self._whole = None, None, False
        reset = rate.reset
        if reset is None:
            self.size = limit
            return
        used = limit - rate.remaining
        if reset > 0.0 and used >= TELLING * limit:
            self._rate = min(limit / rate.window, used / reset)
            self._judge(rate.remaining, reset, now)
        self._reset_at = Monotonic(now + reset)
        self.size = limit if self._whole else min(limit, max(self.size, rate.remaining + self._rate * reset, 1.0))

    def _appraise(self, remaining: float, mark: Mark) -> None:
        """What does it really cost? What was used between two tellings, by what they say and by the reckoning."""
        if self._learnt is None or mark[1] < self._learnt[1][1]:
            self._learnt = (remaining, mark)
            return
        before, (level, charged, given) = self._learnt
        costs = mark[1] - charged
        if costs * self.price < LEARNT * self.size:
            return
        error = (remaining - before) - (mark[0] - level + mark[2] - given)
        self.price = min(DEAREST, max(CHEAPEST, self.price - PACE * error / self.size))
        self._learnt = (remaining, mark)

    def _judge(self, remaining: float, reset: float, now: Monotonic) -> None:
        """Does it come back bit by bit or all at once? The reset moves with what is used, or it does not."""
        if self._anchor is None or now >= self._anchor[1]:
            self._anchor = (remaining, now + reset, now)
            return
        before, reset_at, since = self._anchor
        expected = (before - remaining) / self._rate + now - since  # by which it moves if it comes back bit by bit
        surely = expected - 1.0 / self._rate  # figures are whole numbers: one of those used may be rounding
        moved = now + reset - reset_at
        whole = surely >= ROUNDED and moved <= surely / 4
        if whole or (expected >= ROUNDED and moved >= expected / 2):
            self._whole = whole
            self._anchor = (remaining, now + reset, now)
