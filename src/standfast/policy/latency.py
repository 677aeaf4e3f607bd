"""What a target's own history says about how fast it is.

Two histories, for two purposes:

* `Latency`: the last 128 times to the first content and their 95th percentile, from which timeouts are made.
* `Pace`: what a strategy compares. For an LLM speed is two things, the time to the first token and the time per token
  after it, and both grow with the prompt; so each is an average per class of prompt size. A whole reply shows neither:
  its time is the length of the answer, so it is kept per token of the answer.

Rules of `Pace`:

* An average rises fast and falls slowly (at least half of the way up, a tenth down), as the peak-EWMA of Finagle does:
  what is slow now must lose its requests now. But one outlier is not the whole truth, so it does not jump all the way.
* The longer the pause before an observation, the more it weighs (1 - e^(-pause / 30 s)): after a minute of silence the
  new figure is nearly the only one.
* **Silence is evidence.** A stream that hangs sends no observation, so an average alone would learn of it last. While
  streams wait for their first token and none has come for t seconds, the oldest has waited for t at least: the estimate
  is never below t. A wait that ends without content counts as an observation if it is longer than the average.
* **What is not asked is forgotten.** An estimate decays by e^(-idle / 30 s) while nothing is sent, so a target that was
  slow gets a request again, and a recovered one comes back: ten times slower than the others after 70 s. The one that
  is sent restores the estimate, so it is one request and not a crowd. (Finagle decays alike, over 10 s; first tokens
  take seconds, not milliseconds.)
* A target that nobody has measured is worth `QUICKEST` until something is sent, and `ASSUMED` until it answers.
"""

import math
from bisect import bisect

from standfast.canon.instants import Monotonic

SAMPLES = 128
"""Observations that are remembered."""

ENOUGH = 20
"""Below this many, one of them would be the 95th percentile alone: 1 of 20 is 5 %."""

REFRESH = 16
"""Observations after which the percentile is computed anew; sorting 128 numbers for each request would be waste."""

ALPHA = 0.1
"""Weight of the newest observation in the moving average: about the last ten count."""

RISE = 0.5
"""Weight of an observation above the average of a `Pace`."""

DECAY = 30.0
"""Seconds in which an estimate that nothing confirms falls to 1/e."""

QUICKEST = 0.05
"""Seconds below which first tokens are not told apart, and what a target is worth that nobody has measured."""

ASSUMED = 1.0
"""Seconds that a first token is assumed to take while the first one ever is awaited; a usual figure of the big APIs."""

ASSUMED_GAP = 0.02
"""Seconds per token of an answer where nothing is known: 50 tokens a second, a usual figure of the big APIs."""

TYPICAL_ANSWER = 512
"""Tokens of an answer of which nobody says how long it is; about 380 words of English."""

SIZES = (1_000, 8_000, 64_000)
"""Upper ends of the classes of prompt size, tokens; each class spans a factor of eight, the last has no end."""


class Latency:
    """The last 128 observations, their 95th percentile and a moving average.

    Attributes:
        ewma: exponentially weighted moving average (alpha 0.1), seconds; None before the first observation.
    """

    __slots__ = ("_at", "_fresh", "_p95", "_ring", "ewma")

    def __init__(self) -> None:
        self._ring: list[float] = []
        self._at = 0
        self._fresh = 0
        self._p95: float | None = None
        self.ewma: float | None = None

    def observe(self, seconds: float) -> None:
        """Add one observation."""
        ring = self._ring
        if len(ring) < SAMPLES:
            ring.append(seconds)
        else:
            at = self._at
            ring[at] = seconds
            self._at = at + 1 if at + 1 < SAMPLES else 0
        ewma = self.ewma
        self.ewma = seconds if ewma is None else ewma + ALPHA * (seconds - ewma)
        self._fresh += 1

    def p95(self) -> float | None:
        """The 95th percentile (nearest rank), seconds; None below 20 observations. Computed anew every 16 of them."""
        if len(self._ring) < ENOUGH:
            return None
        if self._p95 is None or self._fresh >= REFRESH:
            ordered = sorted(self._ring)
            self._p95 = ordered[-(-95 * len(ordered) // 100) - 1]
            self._fresh = 0
        return self._p95


def size_class(prompt_tokens: int) -> int:
    """The class of prompt size, 0 for the shortest."""
    return bisect(SIZES, prompt_tokens)


class _Averages:
    """One moving average for each class of prompt size.

    A class without observations borrows from the nearest that has some, of two from the shorter prompts.
    """

    __slots__ = ("_lender", "_seen", "_values")

    def __init__(self) -> None:
        self._values: list[float | None] = [None] * (len(SIZES) + 1)
        self._seen = [0.0] * (len(SIZES) + 1)
        self._lender = list(range(len(SIZES) + 1))

    def observe(self, size: int, value: float, now: Monotonic) -> None:
        before = self._values[size]
        if before is None:
            self._values[size] = value
            known = [number for number, each in enumerate(self._values) if each is not None]
            for number in range(len(self._lender)):
                self._lender[number] = min(known, key=lambda other: abs(other - number))
        else:
            pause = 1.0 - math.exp((self._seen[size] - now) / DECAY)
            weight = max(RISE if value > before else ALPHA, pause)
            self._values[size] = before + weight * (value - before)
        self._seen[size] = now

    def of(self, size: int) -> float | None:
        """The average of this class or of its lender; None before the first observation of any."""
        return self._values[self._lender[size]]


class Trail:
    """Where one attempt stands; its permit carries it while paces are measured.

    Attributes:
        pace: what learns from it.
        stream: it wants server-sent events.
        size: class of its prompt size.
        since: when it was sent; once a stream has spoken, when it did.
        spoken: its first content came, or never will.
    """

    __slots__ = ("pace", "since", "size", "spoken", "stream")

    def __init__(self, pace: "Pace", prompt_tokens: int, now: Monotonic, *, stream: bool) -> None:
        self.pace = pace
        self.stream = stream
        self.size = size_class(prompt_tokens)
        self.since = now
        self.spoken = False


class Pace:
    """How fast one deployment is now, as far as it is known."""

    __slots__ = ("_at", "_first", "_gap", "_silent", "_waiting", "_whole")

    def __init__(self) -> None:
        self._first = _Averages()  # seconds to the first token of streams
        self._gap = _Averages()  # seconds per token after it
        self._whole = _Averages()  # seconds per token of whole replies, the first token's wait included
        self._at = Monotonic(-math.inf)  # when the last attempt was sent
        # Of whole replies and of streams: attempts without content so far, and since when none of them got any.
        self._waiting = [0, 0]
        self._silent = [Monotonic(0.0), Monotonic(0.0)]

    # what happens

    def sent(self, prompt_tokens: int, now: Monotonic, *, stream: bool) -> Trail:
        """An attempt sets off; the trail is handed to `spoke` and `ended`."""
        if not self._waiting[stream]:
            self._silent[stream] = now
        self._waiting[stream] += 1
        self._at = now
        return Trail(self, prompt_tokens, now, stream=stream)

    def spoke(self, trail: Trail, now: Monotonic) -> None:
        """Its first content is here."""
        if trail.spoken:
            return
        trail.spoken = True
        self._waiting[trail.stream] -= 1
        self._silent[trail.stream] = now
        if trail.stream:
            self._first.observe(trail.size, now - trail.since, now)
            trail.since = now

    def ended(self, trail: Trail, tokens: int | None, now: Monotonic) -> None:
        """It is over; `tokens` is the length of its answer, 0 if nobody knows, None if it gave none."""
        seconds = now - trail.since
        if not trail.spoken:
            trail.spoken = True
            self._waiting[trail.stream] -= 1
            believed = self._first.of(trail.size) if trail.stream else None
            if believed is not None and seconds > believed:
                self._first.observe(trail.size, seconds, now)
        elif tokens is None:
            pass  # what broke off tells nothing of speed
        elif not trail.stream:
            self._whole.observe(trail.size, seconds / (tokens or TYPICAL_ANSWER), now)
        elif tokens > 1:
            self._gap.observe(trail.size, seconds / (tokens - 1), now)

    # what is expected

    def first_token(self, prompt_tokens: int, now: Monotonic) -> float | None:
        """Expected seconds to the first token of a stream; None if nothing is known and nothing is under way."""
        silence = now - self._silent[True] if self._waiting[True] else QUICKEST
        value = self._first.of(bisect(SIZES, prompt_tokens))
        if value is None:
            return max(ASSUMED, silence) if any(self._waiting) else None
        idle = now - self._at
        if idle > 0.0:
            value *= math.exp(-idle / DECAY)
        return max(value, silence, QUICKEST)

    def answer(self, prompt_tokens: int, tokens: int, now: Monotonic) -> float | None:
        """Expected seconds until a whole answer of so many tokens is here; None if nothing is known or under way."""
        silence = now - self._silent[False] if self._waiting[False] else 0.0
        per_token = self._whole.of(bisect(SIZES, prompt_tokens))
        if per_token is not None:
            freshness = math.exp(min(0.0, self._at - now) / DECAY)
            return max(per_token * tokens * freshness, silence, QUICKEST)
        first = self.first_token(prompt_tokens, now)
        return None if first is None else max(first + self.gap(prompt_tokens) * tokens, silence)

    def gap(self, prompt_tokens: int) -> float:
        """Expected seconds per token after the first; a usual figure where nothing is known."""
        value = self._gap.of(bisect(SIZES, prompt_tokens))
        return ASSUMED_GAP if value is None else value
