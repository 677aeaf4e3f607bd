"""What answers tell of rate limits, and what follows for the next request: the limits of one key at one deployment.

Providers count requests and tokens per key (or account) and model, and say after every answer what is left. Whoever
knows that need not run into a 429: `Quota` learns from each telling, and foretells in between (`policy.tide`).

House rules of this file:

* While more than half of everything is left nothing needs foretelling: then admission only counts, and one answer in
  `EVERY` is read. When it gets scarce, every answer is read and every cost reckoned.
* A limit that is told no more is forgotten.
* Answers that tell nothing are read seldom: that costs a decrement for each.
"""

import math
from collections.abc import Iterable
from typing import TypeAlias

from standfast.canon.instants import Monotonic
from standfast.canon.rates import Counts, Rate
from standfast.policy.limits import Gauge
from standfast.policy.tide import TRUST, Mark, Tide

SCARCE = 0.5
"""Below this share of a limit admission reckons exactly, and every answer is read."""

NEARLY_SPENT = 0.1
"""Below this share other keys are preferred."""

EVERY = 8
"""Of so many answers one is read while there is plenty."""

SELDOM = 64
"""Of so many answers one is read where the last one told nothing."""

ANSWER = 512
"""Tokens of an answer that does not say how long it may be; about 380 words of English."""

Marks: TypeAlias = dict[str, Mark] | tuple[int, int]
"""How the reckoning stood when a request went, by the names of the limits; with plenty left requests and tokens."""


class Quota:
    """All limits that one key at one deployment is known to have.

    Args:
        unseen: requests under way when the first telling came; it may not know of them.

    Attributes:
        plenty: more than half of everything is left.
        unread: answers that need not be read before the next one that must.
    """

    __slots__ = (
        "_free_requests",
        "_free_tokens",
        "_sent",
        "_since",
        "_tides",
        "_tokens",
        "_unseen",
        "plenty",
        "unread",
    )

    def __init__(self, unseen: int = 0) -> None:
        self._tides: dict[str, Tide] = {}
        self._unseen = unseen
        self._sent = self._tokens = 0  # in all
        self._since = (0, 0)  # the same at the last telling
        self._free_requests = self._free_tokens = math.inf  # up to so much in all nothing is reckoned
        self.plenty = True
        self.unread = 0

    @property
    def nearly_spent(self) -> bool:
        """Is so little left that other keys are preferred? As of the last question."""
        return not self.plenty and any(tide.level < NEARLY_SPENT * tide.size for tide in self._tides.values())

    def wait(self, tokens: int, prompt: int, now: Monotonic) -> float:
        """Seconds until a request of about so many tokens may go; 0.0 if it may go now."""
        if self.plenty:
            if self._sent < self._free_requests and self._tokens + tokens <= self._free_tokens:
                return 0.0
            self._reckon()
        longest = 0.0
        for tide in self._tides.values():
            tide.refill(now)
            longest = max(longest, tide.wait(_cost(tide.counts, tokens, prompt), now))
        return longest

    def gauges(self) -> tuple[Gauge, ...]:
        """What is left of each limit, as of the last question or telling; changes nothing."""
        sent, tokens = self._since if self.plenty else (self._sent, self._tokens)
        counted = (self._sent - sent, self._tokens - tokens)  # and not reckoned yet
        return tuple(
            Gauge(name, tide.level - _many(tide.counts, *counted), tide.size, learned=True)
            for name, tide in self._tides.items()
        )

    def take(self, tokens: int, prompt: int) -> Marks:
        """It goes. To be called after `wait`; the marks belong to its answer."""
        self._sent += 1
        self._tokens += tokens
        if self.plenty:
            return self._sent, self._tokens
        return {name: tide.take(_cost(tide.counts, tokens, prompt)) for name, tide in self._tides.items()}

    def give_back(self, tokens: int, prompt: int, marks: Marks) -> None:
        """Nothing was sent after all."""
        if isinstance(marks, dict):
            for name in marks:
                tide = self._tides.get(name)
                if tide is not None:
                    tide.give_back(_cost(tide.counts, tokens, prompt))

    def hear(self, rates: Iterable[Rate], marks: Marks | None, now: Monotonic) -> None:
        """An answer tells, or tells nothing; `marks` are those that `take` made for its request."""
        tides, told = self._tides, False
        for rate in rates:
            told = True
            tide = tides.get(rate.name)
            if tide is None or tide.counts is not rate.counts:
                tides[rate.name] = Tide(rate, now)
                tides[rate.name].correct(-_many(rate.counts, self._unseen, self._unseen * ANSWER))
            elif self.plenty:
                sent, tokens = marks if isinstance(marks, tuple) else self._since
                tide.hear_loosely(rate, _many(tide.counts, self._sent - sent, self._tokens - tokens), now)
            elif isinstance(marks, dict) and rate.name in marks:
                tide.hear(rate, marks[rate.name], now)
            else:
                tide.hear_late(rate, now)
        for name in [name for name, tide in tides.items() if now - tide.heard > TRUST]:
            del tides[name]  # it is told no more
        self._weigh()
        self.unread = SELDOM - 1 if not told and not tides else EVERY - 1 if self.plenty else 0

    def _weigh(self) -> None:
        """Is there plenty, and how much of it may be used without a look?"""
        tides = self._tides.values()
        self.plenty = all(tide.level >= SCARCE * tide.size for tide in tides)
        sent, tokens = self._since = (self._sent, self._tokens)
        self._free_requests = self._free_tokens = math.inf
        for tide in tides if self.plenty else ():
            if tide.counts is Counts.REQUESTS:
                self._free_requests = min(self._free_requests, sent + tide.level / 2)
            elif tide.counts is Counts.OUTPUT:
                self._free_requests = min(self._free_requests, sent + tide.level / 2 / ANSWER)
            else:
                self._free_tokens = min(self._free_tokens, tokens + tide.level / 2)

    def _reckon(self) -> None:
        """It gets scarce: take off what was only counted so far, and look closely from now on."""
        sent, tokens = self._since
        for tide in self._tides.values():
            tide.take(_many(tide.counts, self._sent - sent, self._tokens - tokens))
        self.plenty = False
        self.unread = 0


def _cost(counts: Counts, tokens: int, prompt: int) -> float:
    """What one request of so many tokens, of which the prompt has so many, is expected to take off."""
    if counts is Counts.REQUESTS:
        return 1.0
    if counts is Counts.TOKENS:
        return float(tokens)
    if counts is Counts.INPUT:
        return float(prompt)
    return float(min(tokens - prompt or ANSWER, ANSWER))  # it is counted as it comes, and few come near their maximum


def _many(counts: Counts, requests: int, tokens: int) -> float:
    """What some requests take off together, at most."""
    if counts is Counts.REQUESTS:
        return float(requests)
    return float(requests * ANSWER if counts is Counts.OUTPUT else tokens)
