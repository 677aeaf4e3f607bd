"""Holds a drill against the rehearsal of the same scenario.

The bars: availability within 0.1 percentage points, the median first token within 10 %, attempts per request within
3 %. A drill is one draw of chance, so that of some hundreds of requests a few fall out differently; what the bars mean
for a drill of its size is for the reader to judge, the figures stand beside each other.
"""

from dataclasses import dataclass

from standfast.sim.report import Report

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
    """One figure of both; `difference` in the bar's unit, None where one of them has none."""

    bar: Bar
    drill: float | None
    rehearsal: float | None
    difference: float | None

    @property
    def met(self) -> bool:
        """Within the bar."""
        return self.difference is not None and abs(self.difference) <= self.bar.limit

    def __str__(self) -> str:
        """In words."""
        if self.difference is None:
            return f"{self.bar.figure}: not measured"
        unit = " points" if self.bar.unit == POINTS else " %"
        word = "agrees" if self.met else "DIFFERS"
        return f"{self.bar.figure} {word}: {self.difference:+.3g}{unit} (allowed: {self.bar.limit:g}{unit})"


def agreement(drill: Report, rehearsal: Report) -> list[Verdict]:
    """Every bar."""
    return [_verdict(bar, drill.figures.get(bar.figure), rehearsal.figures.get(bar.figure)) for bar in BARS]


def _verdict(bar: Bar, drill: float | None, rehearsal: float | None) -> Verdict:
    difference = None
    if drill is not None and rehearsal is not None:
        difference = drill - rehearsal
        if bar.unit == SHARE:
            difference = difference / rehearsal * 100.0 if rehearsal else None
    return Verdict(bar, drill, rehearsal, difference)
