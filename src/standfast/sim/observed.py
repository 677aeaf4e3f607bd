"""What traffic has shown of one target: distributions, ordinary errors, outages."""

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from standfast.canon.failure import FailureKind
from standfast.sim.censored import Durations
from standfast.sim.sketch import Sketch

IN_A_ROW = 5
"""Failures that make an outage: as many as open a breaker by default."""

SHORTEST = 1.0
"""Seconds of the shortest outage worth writing down."""

PERCENTILES = (10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0)

NOT_TOLD = frozenset(
    {
        FailureKind.CONNECT_TIMEOUT,
        FailureKind.FIRST_TOKEN_TIMEOUT,
        FailureKind.STALLED,
        FailureKind.BROKEN_STREAM,
        FailureKind.EMPTY_REPLY,
        FailureKind.INVALID_REPLY,
    }
)
"""Failures whose moment follows from deadlines or from the answer: nobody says them after a time of their own."""

T = TypeVar("T", bound=Hashable)


@dataclass(slots=True)
class TargetRecord:
    """One target.

    Attributes:
        first, rest, pace, whole: seconds to first content, from there to the end, from token to token, of whole
            replies.
        sized: streams that reported how long they were; `pace` is theirs.
    """

    first: Durations = field(default_factory=Durations)
    rest: Durations = field(default_factory=Durations)
    sized: int = 0
    pace: Sketch = field(default_factory=Sketch)
    whole: Durations = field(default_factory=Durations)
    _successes: int = 0
    _failures: Counter[FailureKind] = field(default_factory=Counter)
    _told: dict[FailureKind, Sketch] = field(default_factory=dict)
    _row_began: float = 0.0
    _row_last: float = 0.0
    _row_kinds: Counter[FailureKind] = field(default_factory=Counter)
    _outages: list[tuple[float, float, Counter[FailureKind]]] = field(default_factory=list)

    @property
    def said(self) -> bool:
        """Is there any distribution?"""
        return bool(self.first.count or self.whole.count)

    @property
    def cut_short(self) -> int:
        """Attempts that nobody waited for to the first content, or to the whole reply."""
        return self.first.cut_short + self.whole.cut_short

    @property
    def sizes_known(self) -> bool:
        """Did at least half of the streams say how long they were?"""
        return 2 * self.sized >= self.rest.count

    def streamed(self, first: float, rest: float, tokens: int) -> None:
        """A stream that came to its end; 0 tokens if it did not say how many."""
        self.first.add(first)
        self.rest.add(rest)
        self.sized += tokens > 0
        if tokens > 1:
            self.pace.add(rest / (tokens - 1))

    def succeeded(self, at: float) -> None:
        """An attempt gave a whole answer at this instant."""
        self._successes += 1
        self._end_row(at)

    def failed(self, kind: FailureKind, seconds: float, at: float) -> None:
        """An attempt failed at this instant, `seconds` after it set off."""
        if kind not in NOT_TOLD:
            self._told.setdefault(kind, Sketch()).add(seconds)
        if not self._row_kinds:
            self._row_began = at - seconds
        self._row_last = at
        self._row_kinds[kind] += 1

    def section(self, size: float | None = None, *, ordinary: bool = True) -> dict[str, object]:
        """What a scenario says of this target; `ordinary` errors included.

        Args:
            size: tokens of every answer, where they are assumed: the pace is then what fills the rest of the streams.
                None where it was measured.
            ordinary: with the errors of an ordinary day.
        """
        section: dict[str, object] = {"first_token": table(self.first)} if self.first.count else {}
        if size is not None and self.rest.count:
            section["per_token"] = table(self.rest, 1.0 / (size - 1.0))
        elif self.pace.count:
            section["per_token"] = table(self.pace)
        if self.whole.count:
            section["whole"] = table(self.whole)
        failures = Counter(self._failures)
        if sum(self._row_kinds.values()) < IN_A_ROW:
            failures += self._row_kinds
        attempts = self._successes + sum(failures.values())
        if ordinary and failures:
            section["errors"] = [self._error(kind, count / attempts) for kind, count in failures.most_common()]
        return section

    def troubles(self, target: str, start: float, duration: float) -> list[dict[str, object]]:
        """The outages, for a scenario that begins at `start`."""
        outages = list(self._outages)
        if sum(self._row_kinds.values()) >= IN_A_ROW:  # it has not ended
            outages.append((self._row_began, start + duration, self._row_kinds))
        found: list[dict[str, object]] = []
        for began, ended, kinds in outages:
            at = min(max(0.0, began - start), duration - SHORTEST)
            if at < 0:
                continue
            total = sum(kinds.values())
            errors = [self._error(kind, count / total) for kind, count in kinds.most_common()]
            lasts = max(SHORTEST, ended - start - at)
            found.append({"at": round(at, 3), "lasts": round(lasts, 3), "where": [target], "errors": errors})
        return found

    def _end_row(self, at: float) -> None:
        kinds = self._row_kinds
        if not kinds:
            return
        self._row_kinds = Counter()
        if sum(kinds.values()) >= IN_A_ROW:
            self._outages.append((self._row_began, (self._row_last + at) / 2, kinds))
        else:
            self._failures += kinds

    def _error(self, kind: FailureKind, share: float) -> dict[str, object]:
        error: dict[str, object] = {"kind": kind.value, "share": int(share * 1e6) / 1e6}
        told = self._told.get(kind)
        return error | {"after": table(told)} if told is not None else error


def table(sketch: Sketch | Durations, factor: float = 1.0) -> dict[str, object]:
    """The quantiles of a sketch, each times `factor`, as a scenario writes them."""
    rows = {0.0: sketch.quantile(0.0), **{each: sketch.quantile(each / 100.0) for each in PERCENTILES}}
    rows[100.0] = sketch.largest
    return {"quantiles": {at: round((value or 0.0) * factor, 6) for at, value in rows.items()}}


def shares(counts: Mapping[T, int]) -> dict[T, float]:
    """Each one's share of all, the most frequent first."""
    total = sum(counts.values())
    return {each: round(count / total, 6) for each, count in sorted(counts.items(), key=lambda pair: -pair[1])}
