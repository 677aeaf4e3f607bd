"""Silence: who says nothing to anybody hangs, and that is seen before the first one has waited to the end.

A hang is told by time-outs, and whoever comes until then waits for one too. The silence itself is seen sooner: while at
least `ENOUGH` streams wait for their first content at one deployment, and nothing was heard by any of them for longer
than nearly every first content takes, the others go elsewhere.

Theory. One first content in twenty comes later than the usual 95th percentile. That the five that wait are all late is
one case in three million (0.05^5) if chance alone makes them late. A pause that stops everybody for a moment is no
chance; so nothing is late before a second has passed (`usual.LEAST`), and the suspicion is no verdict:

* It is a reason to go elsewhere and none to give up; where there is no elsewhere nothing is refused for it.
* The first word ends it, and so does the end of the waiting, without an open time, a trial or a ramp. If it is a hang,
  the time-outs of those who wait open the breaker.

What those tell who wait no more is the same: attempts that are given up late because others were faster, `ENOUGH` of
them in a row and nothing heard between, open the breaker (`Breaker.outrun`). Else hedges that win would hide a hang.

Rules:

* Whoever may think before it speaks (a request that asks for reasoning) is not counted, nor is a whole reply, which
  waits for its own length.
* What ends without content, but by no time-out, begins the silence anew: those who come and go have not waited.
* Nothing has a timer: it is looked at by those who ask, and only where enough wait.
"""

from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.canon.record import Change
from standfast.policy.usual import LEAST, Usuals

ENOUGH = 5
"""So many must be late at the same time, or in a row: by chance one case in three million."""


class Silence:
    """What is not heard of one deployment.

    Args:
        name: whose it is, for what it tells.
        news: where it leaves what it tells.

    Attributes:
        waiting: streams that wait for their first content.
        lost: attempts that were given up late because others were faster, in a row, nothing heard between.
        since: when one that waited spoke last, or was gone for a reason that is no silence, or enough began to wait.
        told: it was told to be silent.
    """

    __slots__ = ("_name", "_news", "lost", "since", "told", "waiting")

    def __init__(self, name: str, news: list[Change]) -> None:
        self._name = name
        self._news = news
        self.told = False
        self.waiting = self.lost = 0
        self.since = Monotonic(0.0)

    def left(self, failure: Failure | None, now: Monotonic) -> None:
        """One that waited is gone without a word."""
        late = failure is not None and failure.kind is FailureKind.FIRST_TOKEN_TIMEOUT
        self.gave_up()
        if not late:
            self.since = now
            if self.told:
                self.ended()

    def gave_up(self) -> None:
        """One that waited does so no longer, because it is late."""
        self.waiting -= 1
        if self.told and self.waiting < ENOUGH:
            self.ended()

    def why(self, usual: Usuals, now: Monotonic) -> str:
        """Why it is silent, in a few words; empty if it is not."""
        seconds = now - self.since
        if self.waiting < ENOUGH or seconds < LEAST or (late := usual.latest()) is None or seconds < late:
            return ""
        return f"{self.waiting} wait, and nothing was heard for {seconds:.1f} s"

    def holds(self, usual: Usuals, now: Monotonic) -> bool:
        """Is it silent? It is told when that begins."""
        why = self.why(usual, now)
        if why and not self.told:
            self._tell(silent=True, reason=why)
        return bool(why)

    def ended(self) -> None:
        """It was told to be silent, and is so no more."""
        self._tell(silent=False, reason="it speaks, or nobody waits")

    def _tell(self, *, silent: bool, reason: str) -> None:
        self.told = silent
        states = ("heard", "silent") if silent else ("silent", "heard")
        self._news.append(Change("silence", self._name, *states, reason))
