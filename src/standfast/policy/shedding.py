"""Who need not line up, because it would wait in vain: shed at the door instead of after a wait.

House rules of this file:

* A line that has stood for `STANDING` seconds is overload, and not a burst (CoDel: good queues drain, bad ones stand;
  Nichols and Jacobson, 2012). Before that everybody may line up.
* Then a newcomer is told at once, if the wait that is to be expected is longer than it may wait:

      wait = requests before it / (turns a second - arrivals of higher priorities a second)

  Before it go all of higher priority, and of its own so many as are fair between callers: as each caller has its turn,
  that is (own + 1) x callers, and no more than there are (start-time fair queueing, as in `policy.line`). So the
  lowest priority is shed first, one caller's crowd sheds its own and nobody else's, and the highest priority never
  waits for anybody but itself.
* Requests compete by the model that they name: another model's line sheds nobody.
* Who is shed is told after how many seconds those who are before it now will have had their turn.
* It begins with the first one that is shed at the door, and ends when nobody waits or none was shed for `CALM` seconds.
"""

import math
from collections import Counter

from standfast.canon.ask import HIGHEST_PRIORITY, LOWEST_PRIORITY, Ask
from standfast.canon.instants import Monotonic
from standfast.canon.record import Change

STANDING = 1.0
"""Seconds that a line must have stood: answers of language models take seconds, so their lines drain in seconds."""

MEMORY = 10.0
"""Seconds over which turns and arrivals are averaged (exponentially)."""

DOUBT = 3.0
"""Turns that are added to those counted: so many may have been due where none came (the rule of three)."""

CALM = 5.0
"""Seconds without any shed request after which it is over."""

LONGEST = 60.0
"""The longest wait that a shed request is told: nobody knows what the next minute brings."""


class Meter:
    """How many a second, averaged over the last seconds."""

    __slots__ = ("_at", "_since", "_value")

    def __init__(self, now: Monotonic) -> None:
        self._value = 0.0
        self._at = self._since = now

    def count(self, now: Monotonic, many: float = 1.0) -> None:
        """One more, or one that did not count after all."""
        self._value = max(0.0, self._value * math.exp((self._at - now) / MEMORY) + many)
        self._at = now

    def rate(self, now: Monotonic, prior: float = 0.0) -> float:
        """So many a second; `prior` is added to what was counted."""
        value = self._value * math.exp((self._at - now) / MEMORY) + prior
        span = MEMORY * (1.0 - math.exp((self._since - now) / MEMORY))
        return value / span if span > 0.0 else math.inf


class Flow:
    """Those who wait for one model.

    Attributes:
        since: when somebody began to wait, with somebody waiting ever since.
        waiting: by priority: how many of each caller.
        turns: who was called.
        arrivals: by priority: who lined up.
        shed_at: when somebody was shed last; None while none is.
    """

    __slots__ = ("arrivals", "shed_at", "since", "turns", "waiting")

    def __init__(self, now: Monotonic) -> None:
        self.since = now
        levels = range(LOWEST_PRIORITY, HIGHEST_PRIORITY + 1)
        self.waiting: dict[int, Counter[str]] = {level: Counter() for level in levels}
        self.turns = Meter(now)
        self.arrivals = {level: Meter(now) for level in levels}
        self.shed_at: Monotonic | None = None

    def before(self, ask: Ask) -> int:
        """Requests that would have their turn before this one."""
        equals = self.waiting[ask.priority]
        callers = len(equals) + (ask.caller not in equals)
        fair = (equals.get(ask.caller, 0) + 1) * callers - 1
        higher = sum(sum(self.waiting[level].values()) for level in self.waiting if level > ask.priority)
        return higher + min(fair, sum(equals.values()))

    def wait(self, ask: Ask, now: Monotonic) -> float:
        """Seconds that this one is expected to wait; infinite if higher priorities take every turn."""
        before = self.before(ask)
        if not before:
            return 0.0
        overtaking = sum(meter.rate(now) for level, meter in self.arrivals.items() if level > ask.priority)
        left = self.turns.rate(now, prior=DOUBT) - overtaking
        return before / left if left > 0.0 else math.inf


class Shedding:
    """All flows of one line.

    Attributes:
        news: what began or ended, to be taken out and told.
    """

    __slots__ = ("_flows", "news")

    def __init__(self) -> None:
        self._flows: dict[str, Flow] = {}
        self.news: list[Change] = []

    def hopeless(self, ask: Ask, patience: float, now: Monotonic) -> bool:
        """Would this one wait longer than so many seconds? Then it is shed."""
        flow = self._flows.get(ask.model)
        if flow is None or now - flow.since < STANDING:
            return False
        wait = flow.wait(ask, now)
        if wait <= patience:
            if flow.shed_at is not None and now - flow.shed_at > CALM:
                self._calm(ask.model, flow)
            return False
        if flow.shed_at is None:
            reason = f"priority {ask.priority} would wait {wait:.0f} s" if wait < math.inf else "higher ones take all"
            self.news.append(Change("shedding", ask.model, "off", "on", reason))
        flow.shed_at = now
        return True

    def retry_after(self, ask: Ask, now: Monotonic) -> float:
        """After how many seconds those who go before this one will have had their turn."""
        flow = self._flows.get(ask.model)
        if flow is None:
            return 0.0
        return min(LONGEST, flow.before(ask) / flow.turns.rate(now, prior=DOUBT))

    # what the line tells

    def lined_up(self, ask: Ask, now: Monotonic, *, again: bool) -> None:
        """It waits; `again` if it had its turn and could not be sent."""
        flow = self._flows.get(ask.model)
        if flow is None:
            flow = self._flows[ask.model] = Flow(now)
        flow.waiting[ask.priority][ask.caller] += 1
        if again:
            flow.turns.count(now, -1.0)
        else:
            flow.arrivals[ask.priority].count(now)

    def called(self, ask: Ask, now: Monotonic) -> None:
        """It is its turn; to be told before `left`."""
        flow = self._flows.get(ask.model)
        if flow is not None:
            flow.turns.count(now)

    def left(self, ask: Ask) -> None:
        """It waits no more."""
        flow = self._flows.get(ask.model)
        if flow is None:
            return
        equals = flow.waiting[ask.priority]
        equals[ask.caller] -= 1
        if equals[ask.caller] <= 0:
            del equals[ask.caller]
        if not any(flow.waiting.values()):
            if flow.shed_at is not None:
                self._calm(ask.model, flow)
            del self._flows[ask.model]

    def _calm(self, model: str, flow: Flow) -> None:
        flow.shed_at = None
        self.news.append(Change("shedding", model, "on", "off", "the line is short again"))
