"""Holds a drill against the rehearsal of the same scenario.

The bars: availability within 0.1 percentage points, the median first token within 10 %, attempts per request within
3 %. The upstreams' chance is the same in both (`drill.paired`), and jittered waits take their mean in both
(`policy.steady`); choices between targets, and every wait of a gateway that was running before, are its own chance. And
on real sockets everything is late by a millisecond or two, which may decide who tries first when all come back at once.
So the drill is held against the mean of many rehearsals that differ in both, on the way that the drill measured
(`drill.way`), and their standard deviation stands beside the bar. What the way makes is told: the mean of as many
rehearsals without one stands beside it. A difference beyond the bar that lies within two deviations or between the
least and the most of them (whether a trial comes before or after an outage's end makes two clusters, not a bell) is
told as such; it does not count as agreement.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from standfast.sim.report import Report

PLAYS = 60
"""Rehearsals that measure what milliseconds and the policy's chance make, and as many without the milliseconds."""

CHANCE = 2.0
"""Standard deviations that chance may well make."""

POINTS, SHARE = "points", "percent"


@dataclass(frozen=True, slots=True)
class Bar:
    """How far a figure may differ: in percentage points, or in percent of the rehearsal's."""

    figure: str
    limit: float
    unit: str


BARS = (
    Bar("availability", 0.1, POINTS),
    Bar("p50_first_token_ms", 10.0, SHARE),
    Bar("attempts_per_request", 3.0, SHARE),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One figure: the drill's, and the rehearsals' mean; `difference` and `chance` (a deviation) in the bar's unit.

    `seen` are the least and the most of the rehearsals, `plain` is the mean of those without a way.
    """

    bar: Bar
    drill: float | None
    rehearsal: float | None
    difference: float | None
    chance: float | None = None
    seen: tuple[float, float] | None = None
    plain: float | None = None

    @property
    def made_by_way(self) -> float | None:
        """What the way makes of the rehearsals' mean, in the bar's unit."""
        if self.rehearsal is None or not self.plain:
            return None
        return (self.rehearsal - self.plain) * (1.0 if self.bar.unit == POINTS else 100.0 / self.plain)

    @property
    def met(self) -> bool:
        """Within the bar."""
        return self.difference is not None and abs(self.difference) <= self.bar.limit

    @property
    def by_chance(self) -> bool:
        """Rehearsals differ as much among themselves."""
        if self.drill is None or self.difference is None or self.chance is None or self.seen is None:
            return False
        return abs(self.difference) <= CHANCE * self.chance or self.seen[0] <= self.drill <= self.seen[1]

    def __str__(self) -> str:
        """In words."""
        if self.difference is None:
            return f"{self.bar.figure}: not measured"
        unit = " points" if self.bar.unit == POINTS else " %"
        word = "agrees" if self.met else "differs as chance may" if self.by_chance else "DIFFERS"
        chance = "" if self.chance is None else f"; chance makes {self.chance:.2g}{unit}"
        made = self.made_by_way
        way = "" if made is None else f"; the way {made:+.2g}{unit}"
        limit = f"{self.bar.limit:g}{unit}"
        return f"{self.bar.figure} {word}: {self.difference:+.3g}{unit} (allowed: {limit}{chance}{way})"


def agreement(drill: Report, rehearsals: Sequence[Report], plain: Sequence[Report] = ()) -> list[Verdict]:
    """Every bar; the rehearsals differ in milliseconds and the policy's chance alone.

    Args:
        drill: what was performed.
        rehearsals: of the same, on the drill's way.
        plain: of the same, without a way; they are told, and not held against.
    """
    return [_verdict(bar, drill.figures.get(bar.figure), rehearsals, plain) for bar in BARS]


def _verdict(bar: Bar, drill: float | None, rehearsals: Sequence[Report], plain: Sequence[Report]) -> Verdict:
    values, without = _values(bar, rehearsals), _values(bar, plain)
    mean = statistics.fmean(values) if values else 0.0
    unmoved = statistics.fmean(without) if without else None
    if drill is None or not mean:
        return Verdict(bar, drill, mean or None, None, plain=unmoved)
    scale = 100.0 / mean if bar.unit == SHARE else 1.0
    chance = statistics.stdev(values) * scale if len(values) > 1 else None
    return Verdict(bar, drill, mean, (drill - mean) * scale, chance, (min(values), max(values)), unmoved)


def _values(bar: Bar, reports: Sequence[Report]) -> list[float]:
    return [value for each in reports if (value := each.figures.get(bar.figure)) is not None]
