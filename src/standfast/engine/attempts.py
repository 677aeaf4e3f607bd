"""The attempts of one request that are under way.

Most requests have one at a time, and `_call` is it. A hedge is sent beside it: its call stands in `_rivals`, with a
lane of the watch for its own deadlines, until one of both has content; then the winner is `_call`.
"""

from collections.abc import Sequence

from standfast.canon.instants import Monotonic
from standfast.canon.structs import plain_stores
from standfast.engine.delivery import Delivery
from standfast.engine.lifeline import Lifeline
from standfast.engine.watch import Lane
from standfast.policy.fleet import Permit
from standfast.policy.route import Target


@plain_stores
class Attempts(Delivery):
    """What `Drive` is built on, above the client's side."""

    _call: Lifeline | None = None
    _rivals: Sequence[Lifeline] = ()
    _paused: bool = False

    # what the client's side tells

    def pause(self) -> None:
        """The client reads too slowly."""
        self._paused = True
        for call in self._calls():
            call.pause()

    def resume(self) -> None:
        """The client caught up."""
        self._paused = False
        for call in self._calls():
            call.resume()

    # what the watch tells

    def reminded(self, now: Monotonic) -> None:
        """The attempt under way turned out to be slow."""
        raise NotImplementedError

    # inside

    def _calls(self) -> list[Lifeline]:
        return [*self._rivals] if self._call is None else [self._call, *self._rivals]

    def _promote(self, permit: Permit) -> Lifeline | None:
        """The attempt with this permit gives the answer; the others wait to be abandoned."""
        calls = self._calls()
        winner = next((call for call in calls if call.permit is permit), None)
        self._rivals = tuple(call for call in calls if call is not winner)
        self._call = winner
        return winner

    def _abandon(self, permit: Permit, now: Monotonic) -> None:
        for call in self._calls():
            if call.permit is permit:
                self._drop(call)
                call.stop()
                self._freed(call.target, now)

    def _drop(self, call: Lifeline) -> None:
        """An attempt is over."""
        if call is self._call:
            self._call = None
        if self._rivals:
            left = tuple(rival for rival in self._rivals if rival is not call)
            if self._call is None and left:
                self._call, left = left[0], left[1:]
            self._rivals = left

    def _remind(self, at: Monotonic) -> None:
        self._forget_reminder()
        self._reminder = lane = Lane()
        lane.due = at
        lane.told = self.reminded
        self.services.watch.lanes.add(lane)

    def _freed(self, target: Target, now: Monotonic) -> None:
        watch = self.services.watch
        if watch.lines:
            watch.freed(target.deployment, now)
