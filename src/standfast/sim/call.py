"""One attempt in virtual time: what `engine.call` is on the wire.

A call is in one of these phases:

    waiting   no content yet: on the way, in the upstream's line, or being worked on
    flowing   content has come
    over      nothing more is heard

Deadlines are the policy's (`Deadlines` of its `Send`); here they are only kept, with the words of `engine.call` for
what went wrong. A whole reply comes in one piece: its first content and its end fall together.
"""

import math
from typing import TYPE_CHECKING, Protocol

from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.canon.rates import Rate
from standfast.policy.timeouts import Deadlines
from standfast.sim.settings import Error
from standfast.sim.world import noticed

if TYPE_CHECKING:  # a station serves calls
    from standfast.sim.crowd import Request
    from standfast.sim.station import Station

WAITING, FLOWING, OVER = range(3)

_DEADLINE = Failure(FailureKind.DEADLINE_PASSED, "the time for this request is over")
_FIRST = Failure(FailureKind.FIRST_TOKEN_TIMEOUT, "no content in time")
_TOTAL = Failure(FailureKind.STALLED, "the answer took longer than timeouts.total")
SILENT = Failure(FailureKind.STALLED, "silent for too long")


class Listener(Protocol):
    """Who made the call. Exactly one of `completed` and `failed` comes, unless the call is stopped."""

    def first_content(self, call: "Call", now: Monotonic) -> None:
        """Content of a stream has come."""
        ...

    def completed(self, call: "Call", now: Monotonic) -> None:
        """The answer is whole."""
        ...

    def failed(self, call: "Call", failure: Failure, now: Monotonic) -> None:
        """There is no (whole) answer."""
        ...


class Call:
    """One attempt.

    Args:
        station: the upstream.
        request: what is asked.
        listener: who wants to know.
        deadlines: the policy's.
        key: position of the upstream key.

    Attributes:
        started: when it set off.
        prompt, completion: tokens of the question, and of the answer.
        error: what will go wrong once it is worked on; None for nothing.
        held: it has a place at the station.
        pace: seconds from token to token, once it is served.
        first_at: when content comes, if it comes.
        rates: what the head of the answer tells of rate limits; None once it has been told.
    """

    __slots__ = (
        "_end",
        "_failure",
        "_listener",
        "_silent_at",
        "completion",
        "deadlines",
        "error",
        "first_at",
        "held",
        "key",
        "pace",
        "phase",
        "prompt",
        "rates",
        "request",
        "started",
        "station",
    )

    def __init__(
        self, station: "Station", request: "Request", listener: Listener, deadlines: Deadlines, key: int
    ) -> None:
        self.station = station
        self.request = request
        self.prompt = request.prompt
        self.completion = request.completion
        self._listener: Listener | None = listener
        self.deadlines = deadlines
        self.key = key
        self.started = station.world.now
        self.error: Error | None = None
        self.rates: tuple[Rate, ...] | None = ()
        self.phase = WAITING
        self.held = False
        self.pace = 0.0
        self.first_at = math.inf
        self._end = math.inf
        self._silent_at = math.inf
        self._failure: Failure | None = None

    # what the station tells

    def fails(self, at: float, failure: Failure) -> None:
        """Without content, at this instant; never if that is infinite."""
        self._failure = failure
        self._arrange(at)

    def answers(self, first_at: float, end: float, failure: Failure | None, silent_at: float = math.inf) -> None:
        """Content comes at `first_at` (infinite for a whole reply), the end at `end`: well, or with a failure.

        After `silent_at` no more content comes: the watch finds that when the policy's gap has passed.
        """
        self.first_at = first_at
        self._failure = failure
        self._silent_at = silent_at
        self._arrange(end)

    def waits(self) -> None:
        """It stands in the upstream's line; only the deadline is known."""
        self.station.world.at(self._given_up_at(), self._late)

    # what the listener tells

    def go_on_from(self, tokens: int) -> None:
        """It is asked to go on with an answer that has so many tokens."""
        self.prompt += tokens
        self.completion = max(1, self.completion - tokens)

    def stop(self, now: Monotonic) -> None:
        """Give up now; nothing is reported."""
        if self.phase != OVER:
            self.station.abandoned(self, now)
            self._over(now)

    # inside

    def _arrange(self, end: float) -> None:
        self._end = end
        limit = self.deadlines.first_content
        at = min(self.first_at, end)
        if at > limit and at >= (found := self._given_up_at()):  # what comes before the watch looks is in time
            self.station.world.at(found, self._late)
        elif self.first_at <= end:
            self.station.world.at(at, self._first)
        else:
            self.station.world.at(at, self._ends)

    def _given_up_at(self) -> float:
        """When the watch finds that the limit has passed: now, if the way to the station took longer (`drill.way`)."""
        return max(noticed(self.deadlines.first_content), self.station.world.now)

    def _first(self, now: Monotonic) -> None:
        if self.phase != WAITING:
            return
        self.phase = FLOWING
        gap = self.deadlines.gap
        if self.pace > gap and self._end - now > gap:
            self._silent_at = now
        if self._silent_at < math.inf:
            last = now + self.pace * (self.produced(self._silent_at) - 1)
            given_up = noticed(noticed(last) + gap)  # content leaves a mark, which the watch dates
            if given_up < self._end:
                self._failure, self._end = SILENT, given_up
        if self._listener is not None:
            self._listener.first_content(self, now)
        if self.phase != FLOWING:
            return
        limit = self.deadlines.end  # announced last: of what comes at one instant, the answer's end is the last thing
        if self._end > limit and self._end >= (found := noticed(limit)):
            self.station.world.at(found, self._too_long)
        else:
            self.station.world.at(self._end, self._ends)

    def _ends(self, now: Monotonic) -> None:
        if self.phase == OVER:
            return
        failure, listener = self._failure, self._listener
        if listener is None:
            return
        if failure is not None:
            self._fail(failure, now)
            return
        self.station.served(self, now)
        self._over(now)
        listener.completed(self, now)

    def _late(self, now: Monotonic) -> None:
        if self.phase == WAITING:
            self._fail(_DEADLINE if now >= self.request.deadline else _FIRST, now)

    def _too_long(self, now: Monotonic) -> None:
        if self.phase == FLOWING:
            self._fail(_DEADLINE if now >= self.request.deadline else _TOTAL, now)

    def _fail(self, failure: Failure, now: Monotonic) -> None:
        listener = self._listener
        self.station.failed(self, failure, now)
        self._over(now)
        if listener is not None:
            listener.failed(self, failure, now)

    def _over(self, now: Monotonic) -> None:
        self.phase = OVER
        self._listener = None  # it holds us too: no cycle may be left for the garbage collector
        if self.held:
            self.held = False
            self.station.leave(now)

    def speaks(self, now: float) -> bool:
        """It has not fallen silent."""
        return now <= self._silent_at

    def produced(self, now: float) -> int:
        """Tokens that have come by now."""
        if self.first_at > now:
            return 0
        whole, now = self.completion, min(now, self._silent_at)
        return whole if self.pace <= 0 else min(whole, 1 + int((now - self.first_at) / self.pace))
