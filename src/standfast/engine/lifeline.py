"""The life of one attempt: sent, paused, watched, stopped; and exactly one end, which the drive hears of.

An attempt is in one of these phases:

    waiting     no content yet: comments, pings and role chunks are not content and do not move the deadline
    flowing     content has come: the deadline is the gap; each piece leaves a mark (`touched`), the watch moves it
    finishing   the provider's finish reason was seen, its terminator not yet: it gets a short grace
    draining    the answer is complete, the connection's message is not: it gets the same grace, then is closed
    over        nothing more is heard
"""

from typing import TYPE_CHECKING

import msgspec

from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import NEVER, Monotonic
from standfast.canon.structs import plain_stores
from standfast.canon.usage import Usage
from standfast.engine.outlet import Outlet
from standfast.engine.watch import UNTOUCHED, Lane
from standfast.formats.base import Format, StreamRelay
from standfast.http1.base import UpstreamCall
from standfast.policy.fleet import Permit
from standfast.policy.route import Target
from standfast.policy.timeouts import Deadlines

if TYPE_CHECKING:  # a drive makes its calls
    from standfast.engine.drive import Drive

GRACE = 1.0
"""Seconds for what must follow a finish reason at once: the terminator, the end of the message."""

WAITING, FLOWING, FINISHING, DRAINING, OVER = range(5)


@plain_stores
class Lifeline(msgspec.Struct, eq=False):
    """What `Call` is built on. A struct, because one is made for every attempt and structs are made in C.

    Args:
        drive: hears of it.
        lane: holds its deadlines for the watch: the drive itself, but for a hedge.
        outlet: the way out.
        permit, target, limits: of the step.
        format: what is spoken upstream.
        client_format: what the client speaks.
    """

    _drive: "Drive"
    _lane: "Drive | Lane"
    outlet: Outlet
    permit: Permit
    target: Target
    _limits: Deadlines
    _format: Format
    _client_format: Format
    _phase: int = WAITING
    _relay: StreamRelay | None = None
    _paused: bool = False
    _upstream: UpstreamCall | None = None

    # what the drive tells

    def stop(self) -> None:
        """Give up now; nothing is reported."""
        upstream = self._upstream
        if self._phase is not OVER:
            self._over()
            if upstream is not None:
                upstream.cancel()

    def pause(self) -> None:
        """The client reads too slowly."""
        self._paused = True
        if self._upstream is not None and self._phase is not OVER:
            self._upstream.pause()

    def resume(self) -> None:
        """The client caught up."""
        self._paused = False
        if self._upstream is not None and self._phase is not OVER:
            if self._phase in (FLOWING, FINISHING):
                self._extend(self._limits.gap if self._phase is FLOWING else GRACE)
            self._upstream.resume()

    # what the watch tells

    def expired(self, now: Monotonic) -> None:
        """A deadline passed."""
        if self._phase is OVER:
            return
        if self._phase is FLOWING and now < self._limits.end and self._paused:
            self._extend(self._limits.gap)  # the silence is the client's
            return
        if self._phase is FINISHING and self._paused and now < self._limits.end:
            self._extend(GRACE)  # what follows the finish waits until the client reads on
            return
        if self._phase is DRAINING:
            self.stop()
        elif self._phase is FINISHING and self._relay is not None:
            upstream = self._upstream
            self._close(self._relay)
            if upstream is not None:
                upstream.cancel()
        else:
            self._time_out(now)

    # ends

    def _close(self, relay: StreamRelay) -> None:
        """The body is over, or its end is not waited for any longer."""
        raise NotImplementedError

    def _time_out(self, now: Monotonic) -> None:
        if now >= self._drive.deadline:
            failure = Failure(FailureKind.DEADLINE_PASSED, "the time for this request is over")
        elif self._phase is WAITING:
            failure = Failure(FailureKind.FIRST_TOKEN_TIMEOUT, "no content in time")
        elif now >= self._limits.end:
            failure = Failure(FailureKind.STALLED, "the answer took longer than timeouts.total")
        else:
            failure = Failure(FailureKind.STALLED, f"silent for {self._limits.gap:g} s")
        self._break_off(failure)

    def _break_off(self, failure: Failure) -> None:
        upstream = self._upstream
        if upstream is not None:
            upstream.cancel()
        self._fail(failure)

    def _fail(self, failure: Failure) -> None:
        if self._phase is not OVER:
            self._over()
            self._drive.failed(self, failure, self.usage)

    def _over(self) -> None:
        if self._upstream is not None and self._upstream.retried_stale:
            self._tell_repeat()
        if self._phase is DRAINING:
            self._drive.lingered()
        self._phase = OVER
        self._upstream = None  # it listens to us: no cycle may be left for the garbage collector
        lane = self._lane
        lane.due = NEVER
        lane.touched = UNTOUCHED
        if type(lane) is Lane:
            self._drive.services.watch.lanes.discard(lane)

    def _tell_repeat(self) -> None:
        upstream = self._upstream
        if upstream is not None and upstream.retried_stale and self._phase is not DRAINING:
            self._drive.repeated(self)

    def _extend(self, seconds: float) -> None:
        lane = self._lane
        lane.touched = UNTOUCHED
        lane.due = min(self._drive.services.clock.now() + seconds, self._limits.end)

    @property
    def usage(self) -> Usage | None:
        """What the upstream has reported so far."""
        return self._relay.usage if self._relay is not None else None
