"""How many attempts at the same time one deployment can take, learned from how it takes them.

House rules of this file:

* Nobody is limited who never pushes back: the limit is infinite until something speaks for a finite one, and becomes
  infinite again when nothing has spoken for it for a while.
* Total duration never counts: it is the length of the answer. A long stream occupies a place and says nothing.
* Two things speak for a limit, and both say at which load (attempts under way when one more was sent):

      overload    503, 529, "overloaded": so many at the same time were too many. Some come by chance, whatever the
                  load, and the more requests there are, the more often two of them meet (so TCP's window falls with
                  the root of the loss). Hence within `WITHIN` seconds there must be two and as many as `BEGINS` of
                  the load to begin a limit, and as many as `GOES_ON` of the load to cut it again. One with a
                  Retry-After counts at once, and the limit does not grow before that time.

      slowness    a standing queue at the upstream: of the last `ROW` first tokens even the *fastest* was slower than
                  `tolerance` x what is usual for its size of prompt, and by more than `UNFELT`. The minimum is
                  looked at, as CoDel does (Nichols and Jacobson, 2012; RFC 8289), because a queue delays everybody,
                  and bad luck only some. What is usual begins as the mean of the first `ROW`, which judge nothing:
                  beside a single one that happened to be quick, most others are slow.

  Slowness never cuts below the load at which first tokens were seen to come as usual: an upstream that became slower
  for reasons of its own keeps what it has carried well. What is slow for long becomes the usual.
* A word about a load above the limit is old: it was sent before the cut, and cuts nothing again (TCP's one reduction
  for each window).
* Overload is ill health only if it is not about load: nothing else was under way, or nothing has succeeded since the
  last cut. Then the breaker judges it, and when it opens the limit is lifted.

Theory. The limit moves as the congestion window of TCP CUBIC (RFC 9438): after a cut it comes back to the load that was
too much within `recovery` seconds, first quickly, then carefully; if nothing happens there it goes beyond, first
carefully, then quickly. It grows with time and not with answers, because answers of language models take seconds to
minutes. The gradient of first-token times (usual / now) bounds how far slowness cuts, as in Netflix's Gradient2.
"""

import math
from bisect import bisect
from typing import Annotated

from pydantic import Field

from standfast.canon.instants import Monotonic
from standfast.canon.settings import Seconds, Settings
from standfast.policy.latency import SIZES

INFINITE = math.inf

ROW = 10
"""First tokens in a row that must all be slow: by chance (one in five is) that happens once in ten million."""

UNFELT = 0.05
"""A wait that nobody feels, seconds (CoDel's target, scaled from packets to answers): where first tokens usually come
within milliseconds, what they wait for besides may be our own loop."""

WITHIN = 2.0
"""Seconds within which further overload answers show that the first one was no accident."""

BEGINS, GOES_ON = 0.1, 0.02
"""Overload answers, as shares of the load, that are no accident: without a limit, and with one."""

LONGEST_HINT = 60.0
"""The longest Retry-After that is heeded where others are served, seconds; as in the retry policy."""

STEEPEST = 0.5
"""Slowness cuts to no less than this share of the load at once (Gradient2, TCP Reno)."""

LEARN, DRIFT = 0.05, 0.002
"""Weight of the newest first token in what is usual; and if it is slower and either the load was never carried well or
there is a limit: else a queue that has come to stay would become the usual, and the limit creep up with it."""

FADE = 0.999
"""What a load that was carried well is still worth one first token later."""

FORGOTTEN = 8.0
"""A limit that has grown to so many times the load that was too much limits nobody any more."""

TOLD = 1.5
"""A limit that has moved by this factor since it was told last is told again."""


class AdaptiveSettings(Settings):
    """How many attempts at the same time a deployment is given, learned from how it takes them.

    Attributes:
        enabled: switches it off.
        least: the limit never falls below this.
        backoff: what is left of the limit after an overload answer (0.9, as Netflix's AIMD limit).
        recovery: within so many seconds the limit returns to the load that was too much.
        tolerance: so many times slower than usual is slow (1.5, as Netflix's Gradient2).
    """

    enabled: bool = True
    least: Annotated[int, Field(ge=1)] = 1
    backoff: Annotated[float, Field(gt=0, lt=1)] = 0.9
    recovery: Annotated[Seconds, Field(gt=0)] = 10.0
    tolerance: Annotated[float, Field(gt=1)] = 1.5


DEFAULT = AdaptiveSettings()

_NO_ROW = (0, INFINITE, 0)


class Adaptive:
    """The limit of one deployment.

    Args:
        settings: how it moves.

    Attributes:
        settings: the same.
        ceiling: attempts that may be under way, as of the last look: it may be more by now, never less. Infinite
            for no limit.
        moved: there was a cut, and since then either nothing succeeded or the limit has not been lifted.
    """

    __slots__ = (
        "_alive",
        "_at",
        "_low",
        "_peak",
        "_reason",
        "_row",
        "_seen",
        "_slow",
        "_told",
        "_usual",
        "_warned",
        "_well",
        "ceiling",
        "moved",
        "settings",
    )

    def __init__(self, settings: AdaptiveSettings = DEFAULT) -> None:
        self.settings = settings
        self._slow = settings.tolerance
        self._usual = [0.0] * (len(SIZES) + 1)  # seconds to the first token, by class of prompt size
        self._seen = [0] * (len(SIZES) + 1)  # of how many that is the mean, up to `ROW`
        self._well = 0.0  # the highest load at which first tokens came as usual
        self._told = INFINITE
        self._reason = ""
        self._at = Monotonic(0.0)  # of the last cut
        self.lift()

    def lift(self) -> None:
        """Forget the limit: what follows is judged by somebody else (a breaker that opens), or anew."""
        self.ceiling = INFINITE
        self._low = self._peak = INFINITE  # what it was cut to, and the load that was too much
        self._alive = True  # something has succeeded since the last cut
        self._warned = (0, Monotonic(-INFINITE))  # by overload answers that cut nothing: how many, since when
        self._row = _NO_ROW  # slow first tokens in a row, the least slow of them, the highest load
        self.moved = self._told != INFINITE

    def limit(self, now: Monotonic) -> float:
        """Attempts that may be under way now, a whole number; infinite for no limit."""
        if self.ceiling == INFINITE:
            return INFINITE
        low, peak = self._low, self._peak
        spread = max(1.0, peak - low)
        limit = max(low, peak - spread * (1.0 - (now - self._at) / self.settings.recovery) ** 3)
        self.ceiling = math.floor(limit) if limit < FORGOTTEN * max(peak, self._well) else INFINITE
        return self.ceiling

    def overloaded(self, load: int, now: Monotonic, hint: float | None = None) -> bool:
        """An attempt that was the `load`-th under way was refused. Is it about load, and not about health?

        Until the end of its `hint` (Retry-After, seconds) the limit does not grow.
        """
        settings, limit = self.settings, self.limit(now)
        if load <= settings.least:
            return False
        alive = self._alive
        since = now if hint is None else Monotonic(now + min(hint, LONGEST_HINT))
        if load > limit:
            if since > self._at and hint is not None:
                self._at, self.ceiling = since, math.floor(self._low)
            return True
        if not settings.enabled:
            self._alive, self.moved = False, True
        elif hint is None and not self._many(load, now):
            return alive or limit == INFINITE
        else:
            peak = max(float(settings.least), load - 1.0)
            self._cut(max(float(settings.least), peak * settings.backoff), peak, "overloaded", since)
        return alive

    def spoke(self, seconds: float, prompt: int, load: int, now: Monotonic) -> None:
        """The first token of a stream that was the `load`-th attempt under way came after so many seconds."""
        if self.moved:
            self._alive = True
        usuals = self._usual
        size = bisect(SIZES, prompt) if prompt >= SIZES[0] else 0
        usual = usuals[size]
        if self._seen[size] < ROW:
            self._seen[size] = seen = self._seen[size] + 1
            usuals[size] = usual + (seconds - usual) / seen
            if seconds <= usual * self._slow and load > self._well:
                self._well = load
            return
        well = self._well
        calm = load <= well and self.ceiling == INFINITE
        slow = usual * self._slow
        if seconds <= slow or seconds - usual <= UNFELT:
            usuals[size] = usual + (LEARN if calm or seconds < usual else DRIFT) * (seconds - usual)
            well *= FADE
            self._well = load if load > well else well  # noqa: FURB136 - max() costs more
            self._row = _NO_ROW
            return
        usuals[size] = usual + (LEARN if calm else DRIFT) * (slow - usual)  # what is beyond may be luck
        if load <= self.limit(now):
            self._was_slow(seconds / usual, load, now)

    def succeeded(self) -> None:
        """An answer is whole. Needs to be told only if the limit has `moved`."""
        self._alive = True
        self.moved = self._told != INFINITE or self.ceiling != INFINITE

    def news(self, now: Monotonic) -> tuple[float, float, str] | None:
        """The limit as it was told last, as it is, and why, if that is worth telling; it is told now."""
        before, after = self._told, self.limit(now)
        if before == after or (before < TOLD * after and after < TOLD * before):
            return None
        self._told = after
        return before, after, self._reason if after < before else "nothing speaks against more"

    def _many(self, load: int, now: Monotonic) -> bool:
        """One more overload answer: are those of the last moments too many for chance?"""
        count, since = self._warned
        if now - since > WITHIN:
            count, since = 0, now
        self._warned = (count + 1, since)
        return count + 1 >= (max(2.0, BEGINS * load) if self.ceiling == INFINITE else GOES_ON * load)

    def _was_slow(self, ratio: float, load: int, now: Monotonic) -> None:
        count, least, peak = self._row
        count, least, peak = count + 1, min(least, ratio), max(peak, load)
        self._row = (count, least, peak)
        settings = self.settings
        if count >= ROW:
            self._row = _NO_ROW
            floor = max(self._well, float(settings.least))
            if settings.enabled and peak > floor:
                gradient = min(settings.backoff, max(STEEPEST, 1.0 / least))
                self._cut(max(floor, peak * gradient), float(peak), "slow first tokens", now)

    def _cut(self, low: float, peak: float, reason: str, now: Monotonic) -> None:
        self._low, self._peak, self._at, self._reason = low, peak, now, reason
        self.ceiling = math.floor(low)
        self._alive, self.moved = False, True
        self._row = _NO_ROW
        self._warned = (0, now)
