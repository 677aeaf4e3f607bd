"""Callers without a gateway: each asks the first target of its model itself, with the habits of an SDK.

What a rehearsal is compared with. No breaker, no failover, no shared knowledge: a caller learns from its own tries.
"""

from typing import TYPE_CHECKING

from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import NEVER, Monotonic
from standfast.policy.timeouts import Deadlines
from standfast.sim.call import Call
from standfast.sim.crowd import Request
from standfast.sim.customer import wait_before, worth_repeating
from standfast.sim.ending import GAVE_UP, Ending, answer, no_answer, reason_of

if TYPE_CHECKING:  # the stage brings callers
    from standfast.sim.stage import Stage

CONNECT, SILENCE = 5.0, 600.0
"""How long the SDK of OpenAI waits for a connection, and for the next byte, seconds."""

_STATUS = {FailureKind.OVERLOADED: 503, FailureKind.SERVER_ERROR: 500, FailureKind.RATE_LIMITED: 429}
_NO_ANSWER = frozenset(
    {
        FailureKind.CONNECT_FAILED,
        FailureKind.CONNECT_TIMEOUT,
        FailureKind.FIRST_TOKEN_TIMEOUT,
        FailureKind.STALLED,
        FailureKind.BROKEN_STREAM,
    }
)


class Direct:
    """One caller.

    Args:
        stage: where it plays.
        request: what is asked.
        retries: further tries; the SDKs' default is 2.
    """

    __slots__ = ("_call", "_first", "_over", "_request", "_retries", "_stage", "_tries", "_waited")

    def __init__(self, stage: "Stage", request: Request, retries: int) -> None:
        self._stage = stage
        self._request = request
        self._retries = retries
        self._tries = 0
        self._call: Call | None = None
        self._first: float | None = None
        self._over = False
        self._waited = 0.0

    def start(self, now: Monotonic) -> None:
        """Ask."""
        if self._request.patience is not None:
            self._stage.world.at(now + self._request.patience, self._had_enough)
        self._ask(now)

    # what a call tells

    def first_content(self, call: Call, now: Monotonic) -> None:
        """Content of a stream has come."""
        del call
        self._first = now

    def completed(self, call: Call, now: Monotonic) -> None:
        """The answer is whole."""
        request = self._request
        self._call = None
        name = request.route.targets[0].name
        first = now if self._first is None else self._first
        lost = call.started - request.arrived
        self._end(answer(request, now, name, first=first, lost=lost, waited=self._waited, tries=self._tries))

    def failed(self, call: Call, failure: Failure, now: Monotonic) -> None:
        """There is no (whole) answer."""
        del call
        self._call = None
        kind = failure.kind
        status = 0 if kind in _NO_ANSWER else _STATUS.get(kind, failure.meaning.status)
        if self._first is None and self._tries <= self._retries and worth_repeating(status):
            wait = wait_before(self._tries, failure.retry_after, self._stage.callers)
            self._waited += wait
            self._stage.world.at(now + wait, self._ask)
            return
        broken, reason = self._first is not None, reason_of(failure)
        self._end(no_answer(self._request, now, reason, broken=broken, first=self._first, tries=self._tries))

    # inside

    def _ask(self, now: Monotonic) -> None:
        if self._over:
            return
        self._tries += 1
        request, stage = self._request, self._stage
        limit = stage.deadline
        request.deadline = NEVER if limit is None else Monotonic(now + limit)
        end = request.deadline
        deadlines = Deadlines(CONNECT, CONNECT, Monotonic(min(now + SILENCE, end)), SILENCE, end)
        station = stage.stations[request.route.targets[0].deployment]
        self._call = call = Call(station, request, self, deadlines, 0)
        station.take(call, now)

    def _had_enough(self, now: Monotonic) -> None:
        if self._over or self._first is not None:
            return
        call, self._call = self._call, None
        if call is not None:
            call.stop(now)
        self._end(no_answer(self._request, now, GAVE_UP, tries=self._tries))

    def _end(self, ending: Ending) -> None:
        self._over = True
        self._stage.tally.ended(ending)
