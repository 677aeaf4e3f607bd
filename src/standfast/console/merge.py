"""Several processes as one: pure functions over what each of them tells.

Three kinds of figures meet here. What was counted adds up. What each process believes for itself (a breaker, health, a
rest) is told by the worst, and where they do not agree the reason says how many see it so. What an upstream told (the
rest of a limit, learned from an answer's headers) is one figure that each of them has heard at another time: the least
that is left counts.

All of it is the same in whatever order the processes stand, except for what only tells them apart: a row's place.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final, NamedTuple, TypeAlias

from standfast.console.history import MINUTE, MINUTES, SUMS, summed
from standfast.console.messages import (
    CheckRow,
    Gauge,
    KeyRow,
    ModelRow,
    Quantiles,
    RequestRow,
    Sample,
    TargetRow,
)
from standfast.console.parts import Drawn, Took

# From the best to the worst. `unknown` is no opinion: whoever knows better is believed.
STATES: Final = ("unknown", "serving", "degraded", "trying", "unhealthy", "resting", "open")
BREAKERS: Final = ("closed", "forced_closed", "half_open", "open", "forced_open")
HEALTH: Final = ("unknown", "healthy", "degraded", "unhealthy")
KEYS: Final = ("free", "resting", "quarantined")
STATUSES: Final = ("healthy", "degraded", "unhealthy")

WELL: Final = frozenset({"unknown", "serving", "healthy"})
"""Words that are told of a target with which nothing is wrong; who says one of them does not contradict another."""

Point: TypeAlias = tuple[float, float]
"""A duration in milliseconds, and for how many hundredths of a request it stands: whole figures, so that ranks are."""


class Origin(NamedTuple):
    """One process: its number, from 0, and when it began. One that is started anew is another one."""

    number: int
    started: float


class Entry(NamedTuple):
    """What one process tells of one second; `took` while it is known from what its quantiles were told."""

    origin: Origin
    sample: Sample
    took: Took | None = None


def merged_sample(at: float, seconds: float, entries: Iterable[Entry]) -> Sample:
    """What happened in all processes together.

    Counts add up. What was under way is what each told last, added up. Quantiles are nearest-rank: exact over what was
    drawn where that is known; else each sample is taken for three heaps, at its 50th, 95th and 99th.

    Args:
        at: the instant to tell.
        seconds: the length to tell.
        entries: of one second, of each process as many as there are.
    """
    told = sorted(entries, key=lambda entry: (entry.sample.at, entry.origin))
    samples = [entry.sample for entry in told]
    last = {entry.origin: entry.sample for entry in told}.values()
    sums = {name: sum(getattr(sample, name) for sample in samples) for name in SUMS}
    return Sample(
        at=at,
        seconds=round(seconds, 3),
        in_flight=sum(sample.in_flight for sample in last),
        waiting=sum(sample.waiting for sample in last),
        first_token_ms=quantiles(
            point
            for _, sample, took in told
            for point in (heaps(sample.first_token_ms, sample.answered) if took is None else points(took.first_token))
        ),
        total_ms=quantiles(
            point
            for _, sample, took in told
            for point in (heaps(sample.total_ms, sample.answered) if took is None else points(took.total))
        ),
        answers=summed(sample.answers for sample in samples),
        failures=summed(sample.failures for sample in samples),
        **sums,
    )


def quantiles(found: Iterable[Point]) -> Quantiles | None:
    """Nearest-rank quantiles of weighted durations; None of nothing."""
    ordered = sorted(found)
    if not ordered:
        return None
    reached = list(accumulate(weight for _, weight in ordered))
    p50, p95, p99 = (
        next(
            value for (value, _), sofar in zip(ordered, reached, strict=True) if sofar * 100.0 >= percent * reached[-1]
        )
        for percent in (50, 95, 99)
    )
    return Quantiles(p50=p50, p95=p95, p99=p99)


def points(drawn: Drawn) -> Iterable[Point]:
    """Each of those that were drawn stands for as many."""
    return ((value, 100.0 * drawn.of / len(drawn.values)) for value in drawn.values)


def heaps(told: Quantiles | None, answered: int) -> Iterable[Point]:
    """Durations of which only the quantiles are known, as three heaps."""
    if told is None:
        return ()
    weight = max(1, answered)
    return ((told.p50, 50.0 * weight), (told.p95, 45.0 * weight), (told.p99, 5.0 * weight))


def merged_minutes(days: Mapping[Origin, Sequence[Sample]]) -> tuple[Sample, ...]:
    """The minutes of all processes, oldest first; one that was not there yet adds nothing to a minute."""
    found: dict[int, list[Entry]] = {}
    for origin, minutes in days.items():
        for sample in minutes:
            found.setdefault(int(sample.at // MINUTE), []).append(Entry(origin, sample))
    return tuple(
        merged_sample(
            max(entry.sample.at for entry in found[minute]),
            max(entry.sample.seconds for entry in found[minute]),
            found[minute],
        )
        for minute in sorted(found)[-MINUTES:]
    )


def merged_target(rows: Sequence[TargetRow]) -> TargetRow:
    """One target as all processes see it.

    Args:
        rows: one of each process that has it, at least one.
    """
    if len(rows) == 1:
        return rows[0]
    worst = max(rows, key=_badness)
    alike = [row for row in rows if row.state == worst.state]
    ceilings = [row.ceiling for row in rows]
    return TargetRow(
        target=worst.target,
        state=worst.state,
        breaker=max((row.breaker for row in rows), key=BREAKERS.index),
        health=max((row.health for row in rows), key=HEALTH.index),
        reason=_reason(rows, worst),
        advice=worst.advice,
        until=_latest(row.until for row in alike),
        in_flight=sum(row.in_flight for row in rows),
        ceiling=None if None in ceilings else sum(each for each in ceilings if each is not None),
        first_token_ms=_mean([(row.first_token_ms, row.answered) for row in rows if row.first_token_ms is not None]),
        answered=sum(row.answered for row in rows),
        failed=sum(row.failed for row in rows),
        prompt_tokens=sum(row.prompt_tokens for row in rows),
        completion_tokens=sum(row.completion_tokens for row in rows),
        keys=_merged_keys(rows),
        limits=merged_gauges(gauge for row in rows for gauge in row.limits),
        check=_newest(row.check for row in rows),
    )


def _badness(row: TargetRow) -> tuple[Any, ...]:
    """Worse is more; of two that are equally bad the one that says more, and never the one that happens to be first."""
    ranks = (STATES.index(row.state), BREAKERS.index(row.breaker), HEALTH.index(row.health))
    return (*ranks, row.reason != "", row.failed, row.reason, row.advice)


def _reason(rows: Sequence[TargetRow], worst: TargetRow) -> str:
    """Why; and in how many processes, where they do not agree."""
    first = rows[0]
    if all((row.state, row.breaker, row.health) == (first.state, first.breaker, first.health) for row in rows):
        return worst.reason
    breaker = max((row.breaker for row in rows), key=BREAKERS.index)
    health = max((row.health for row in rows), key=HEALTH.index)
    for said, word in (
        ([row.state for row in rows], worst.state),
        ([row.breaker for row in rows], breaker),
        ([row.health for row in rows], health),
    ):
        others = [each for each in said if each != word]
        if others and not WELL.issuperset(said):
            scope = f"{word.replace('_', ' ')} in {len(said) - len(others)} of {len(said)} processes"
            return f"{scope}: {worst.reason}" if worst.reason else scope
    return worst.reason


def _merged_keys(rows: Sequence[TargetRow]) -> tuple[KeyRow, ...]:
    by_index: dict[int, list[KeyRow]] = {}
    for row in rows:
        for key in row.keys:
            by_index.setdefault(key.index, []).append(key)
    return tuple(_merged_key(by_index[index]) for index in sorted(by_index))


def _merged_key(keys: Sequence[KeyRow]) -> KeyRow:
    state = max((key.state for key in keys), key=KEYS.index)
    return KeyRow(
        index=keys[0].index,
        state=state,
        until=_latest(key.until for key in keys if key.state == state),
        in_flight=sum(key.in_flight for key in keys),
        limits=merged_gauges(gauge for key in keys for gauge in key.limits),
    )


def merged_gauges(gauges: Iterable[Gauge]) -> tuple[Gauge, ...]:
    """Limits by name. Each process keeps a configured one for itself: these add up. A learned one is the upstream's."""
    found: dict[tuple[str, bool], tuple[float, float]] = {}
    for gauge in gauges:
        kind, left, size = (gauge.name, gauge.learned), gauge.left, gauge.size
        if kind in found:
            before, whole = found[kind]
            if gauge.learned:
                left, size = min(left, before), max(size, whole)
            else:
                left, size = left + before, size + whole
        found[kind] = left, size
    return tuple(
        Gauge(name=name, left=round(left, 1), size=round(size, 1), learned=learned)
        for (name, learned), (left, size) in found.items()
    )


def merged_model(rows: Sequence[ModelRow]) -> ModelRow:
    """One model as all processes see it: where it is written, and the worst that is said of it."""
    status = max((row.status for row in rows), key=STATUSES.index)
    first = rows[0]
    if status == first.status:
        return first
    return ModelRow(model=first.model, strategy=first.strategy, status=status, targets=first.targets)


def ended(row: RequestRow) -> tuple[float, str]:
    """What requests are ordered by: when each ended."""
    return row.at + row.total_ms / 1e3, row.id


def _latest(instants: Iterable[float | None]) -> float | None:
    return max((each for each in instants if each is not None), default=None)


def _newest(checks: Iterable[CheckRow | None]) -> CheckRow | None:
    found = [each for each in checks if each is not None]
    return max(found, key=lambda check: (check.at, not check.ok, check.kind, check.detail), default=None)


def _mean(values: Sequence[tuple[float | None, int]]) -> float | None:
    """Weighted; of equal weight if nothing weighs anything."""
    if not values:
        return None
    whole = sum(weight for _, weight in values)
    if whole == 0:
        return round(sum(value or 0.0 for value, _ in values) / len(values), 2)
    return round(sum((value or 0.0) * weight for value, weight in values) / whole, 2)
