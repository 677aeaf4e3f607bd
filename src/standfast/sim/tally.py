"""What is counted while it happens. Its size does not depend on how many requests there are.

Two things are counted apart: requests (what callers wanted, `Tally.ended`) and attempts (what upstreams were asked,
`TargetTally`). The same books can be kept of a real run: `standfast.sim.books` enters the gateway's records.
"""

from collections.abc import Mapping, Sequence

from standfast.canon.record import Change
from standfast.sim.ending import OWN_FAULT, Ending
from standfast.sim.settings import Price
from standfast.sim.sketch import Sketch

PIECES = 288
"""Pieces of the timeline: five minutes each in a day."""

SHORTEST_PIECE = 1.0
"""Seconds; shorter ones say nothing."""

MOST_CHANGES = 2_000
"""Changes of state that are kept one by one; all are counted."""

MILLION = 1e6


class TargetTally:
    """Attempts at one target.

    Attributes:
        attempts, successes, cancelled: counts; failures by kind.
        served: answers that it gave to callers.
        first: from the attempt's start to its first content (of a whole reply: to its end), where it succeeded.
        cost: US dollars for answers that were delivered whole.
        waste: US dollars for content that no caller has whole: cut answers, losers of a hedged pair.
        perhaps_cost: US dollars at most for attempts that may have been billed or not.
        unpriced: attempts with tokens whose price is unknown.
    """

    __slots__ = (
        "attempts",
        "cancelled",
        "cost",
        "failures",
        "first",
        "perhaps_cost",
        "price",
        "served",
        "successes",
        "unpriced",
        "waste",
    )

    def __init__(self, price: Price | None) -> None:
        self.price = price
        self.attempts = self.successes = self.cancelled = self.served = self.unpriced = 0
        self.failures: dict[str, int] = {}
        self.first = Sketch()
        self.cost = self.waste = self.perhaps_cost = 0.0

    def priced(self, prompt: int, completion: int) -> float:
        """US dollars; 0 where the price is unknown."""
        price = self.price
        return 0.0 if price is None else (prompt * price.input + completion * price.output) / MILLION

    def work(self, prompt: int, completion: int, *, useful: bool) -> None:
        """The upstream worked, and bills it."""
        if self.price is None:
            self.unpriced += 1
        elif useful:
            self.cost += self.priced(prompt, completion)
        else:
            self.waste += self.priced(prompt, completion)

    def perhaps(self, prompt: int, completion: int) -> None:
        """The upstream may have worked: nobody knows."""
        if self.price is None:
            self.unpriced += 1
        else:
            self.perhaps_cost += self.priced(prompt, completion)


class Piece:
    """A piece of the timeline; requests belong to the piece in which they arrived."""

    __slots__ = ("answered", "first", "requests", "served", "total")

    def __init__(self) -> None:
        self.requests = self.answered = 0
        self.first = Sketch()
        self.total = Sketch()
        self.served: dict[str, int] = {}


class Tally:
    """The books of one run.

    Args:
        start: instant of the beginning.
        duration: seconds in which requests arrive.
        prices: of every target, by name; None for unknown.

    Attributes:
        requests, answered, declined, broken, fallbacks, tries: counts of requests; `declined` are those whose own fault
            it was (a filtered prompt, a bad request): they say nothing about availability.
        by_priority: requests and answers by priority.
        reasons: requests that got no whole answer, by reason.
        first: of the answered streams, from arrival to first content.
        total: of the answered requests, from arrival to the end.
        lost, waited: see `Ending`, of the requests that another than the first choice answered.
        worst: the longest time from arrival to outcome of a request that got no answer.
        on_primary: US dollars that the answers had cost at the first target of each configuration.
        changes, changed: the first changes of state with their instants, and how many there were of each sort.
    """

    def __init__(self, start: float, duration: float, prices: Mapping[str, Price | None]) -> None:
        self.start = start
        self.duration = duration
        self.width = max(SHORTEST_PIECE, duration / PIECES)
        self.pieces = [Piece() for _ in range(max(1, round(duration / self.width + 0.4999)))]
        self.targets = {name: TargetTally(price) for name, price in prices.items()}
        self.requests = self.answered = self.declined = self.broken = self.fallbacks = self.tries = 0
        self.by_priority: dict[int, list[int]] = {}
        self.reasons: dict[str, int] = {}
        self.first, self.total = Sketch(), Sketch()
        self.lost, self.waited = Sketch(), Sketch()
        self.worst = 0.0
        self.on_primary = 0.0
        self.changes: list[tuple[float, Change]] = []
        self.changed: dict[str, int] = {}

    def ended(self, ending: Ending) -> None:
        """A request has its outcome."""
        self.requests += 1
        self.tries += ending.tries
        if ending.reason in OWN_FAULT:
            self.declined += 1
            return
        row = self.by_priority.get(ending.priority)
        if row is None:
            row = self.by_priority[ending.priority] = [0, 0]
        row[0] += 1
        at = int((ending.arrived - self.start) / self.width)
        piece = self.pieces[at if at < len(self.pieces) else -1]
        piece.requests += 1
        if not ending.ok:
            self._failed(ending)
            return
        row[1] += 1
        self.answered += 1
        piece.answered += 1
        total = ending.ended - ending.arrived
        self.total.add(total)
        piece.total.add(total)
        if ending.stream and ending.first is not None:
            self.first.add(ending.first)
            piece.first.add(ending.first)
        name = ending.served
        piece.served[name] = piece.served.get(name, 0) + 1
        self.targets[name].served += 1
        self.on_primary += self.targets[ending.primary].priced(ending.prompt, ending.completion)
        if ending.fallback:
            self.fallbacks += 1
            self.lost.add(ending.lost)
            self.waited.add(ending.waited)

    def moved(self, changes: Sequence[Change], now: float) -> None:
        """States changed."""
        for change in changes:
            sort = f"{change.subject} {change.after}"
            self.changed[sort] = self.changed.get(sort, 0) + 1
            if len(self.changes) < MOST_CHANGES:
                self.changes.append((now - self.start, change))

    def _failed(self, ending: Ending) -> None:
        self.reasons[ending.reason] = self.reasons.get(ending.reason, 0) + 1
        self.broken += ending.broken
        self.worst = max(self.worst, ending.ended - ending.arrived)
