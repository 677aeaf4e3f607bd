"""How long to wait for what. Five limits, all first-class.

connect and TLS are the connection's; `first_token` is the time until the first *content* (comments and pings do not
count); `gap` is the silence between two pieces of content; `total` bounds the whole attempt.

`first_token: auto` starts from a cautious constant and follows the target's own history once there is enough of it:
max(floor, 3 x its p95). Streams and whole replies have histories of their own, because a whole reply's first byte
comes after its last token: its wait is output length, not health. And so a whole reply that was late at one target is
given three times as long at the next: perhaps nothing hangs, and it is longer than this target's usual ones.
"""

import re
from typing import Annotated, Literal

import msgspec
from pydantic import Field

from standfast.canon.instants import Monotonic
from standfast.canon.settings import Seconds, Settings

Positive = Annotated[Seconds, Field(gt=0)]

AUTO_STREAM, AUTO_STREAM_FLOOR = 12.0, 5.0
AUTO_WHOLE, AUTO_WHOLE_FLOOR = 60.0, 20.0  # the failure catalogue's 60 s for an answer without history
AUTO_REASONING = 300.0  # providers document minutes of silence before reasoning models speak
AUTO_FACTOR = 3.0

# Families that are known to think before they speak. A name that is missing here costs a failover too early, once.
_THINKERS = re.compile(r"(^|[/-])(o[134]|gpt-5|r1|qwq|magistral)([.-]|$)|(?<!non-)(reason|think)", re.IGNORECASE)


class Limits(msgspec.Struct, frozen=True):
    """Timeouts as the hot path reads them; seconds. `first_token` is None for `auto`."""

    connect: float
    tls: float
    first_token: float | None
    gap: float
    total: float


class TimeoutSettings(Settings):
    """Defaults for every target."""

    connect: Positive = 3.0
    tls: Positive = 5.0
    first_token: Positive | Literal["auto"] = "auto"
    gap: Positive = 30.0
    total: Positive = 900.0

    @property
    def limits(self) -> Limits:
        """The same as a struct: reading a field of this class costs three times as much."""
        first_token = None if self.first_token == "auto" else self.first_token
        return Limits(self.connect, self.tls, first_token, self.gap, self.total)


class TimeoutOverrides(Settings):
    """What a target sets for itself; absent means the default."""

    connect: Positive | None = None
    tls: Positive | None = None
    first_token: Positive | Literal["auto"] | None = None
    gap: Positive | None = None
    total: Positive | None = None

    def over(self, defaults: TimeoutSettings) -> TimeoutSettings:
        """These overrides laid over the defaults."""
        return defaults.model_copy(update=self.model_dump(exclude_none=True))


class Deadlines(msgspec.Struct, frozen=True, gc=False):
    """The limits of one attempt, resolved.

    Attributes:
        connect, tls: seconds, for the connection.
        first_content: instant by which content must have come.
        gap: seconds of silence allowed after it.
        end: instant by which the attempt must be over.
    """

    connect: float
    tls: float
    first_content: Monotonic
    gap: float
    end: Monotonic


def first_token_limit(limits: Limits, p95: float | None, stream: bool, reasoning: bool) -> float:
    """Seconds to wait for the first content; `p95` is the target's own, None while it has too little history."""
    if limits.first_token is not None:
        return limits.first_token
    start, floor = (AUTO_STREAM, AUTO_STREAM_FLOOR) if stream else (AUTO_WHOLE, AUTO_WHOLE_FLOOR)
    if reasoning:  # the history may be that of requests which did not ask for it
        start, floor = AUTO_REASONING, AUTO_WHOLE
    if p95 is None:
        return start
    return AUTO_FACTOR * p95 if AUTO_FACTOR * p95 > floor else floor  # noqa: FURB136 - a call for every attempt


def patient(limit: float, waited: float) -> float:
    """The same for a whole reply for which somebody has waited elsewhere, in vain, for so many seconds."""
    return max(limit, AUTO_FACTOR * waited)


def thinks(model: str) -> bool:
    """Is the first token of this upstream model known to take minutes?"""
    return _THINKERS.search(model) is not None
