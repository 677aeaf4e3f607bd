"""Draws reports: what happened over time, one column of panels for each.

who answered      stacked by target, failed requests in red on top
availability      percent, over the troubles as shaded stretches
first token       p50 and p95, logarithmic
breakers          stretches in which a target's breaker was not closed
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from standfast.sim.canvas import Canvas
from standfast.sim.report import Report

WIDTH, LEFT, RIGHT = 1000.0, 70.0, 20.0
TOP, GAP, BOTTOM = 90.0, 34.0, 34.0
HIGH, LOW, BAR = 130.0, 96.0, 14.0

PALETTE = ("#2563eb", "#0d9488", "#d97706", "#7c3aed", "#64748b", "#be185d", "#65a30d", "#0891b2")
"""Colours of the targets, in configuration order; they differ in lightness too."""

FAILED, TROUBLE, BURST, GRID, QUIET = "#dc2626", "#fca5a5", "#fcd34d", "#e5e7eb", "#6b7280"
_MOST_BREAKERS = 12
_HOUR, _MINUTE = 3600.0, 60.0


def draw(reports: Sequence[Report]) -> Canvas:
    """A picture of these runs, one below the other."""
    heights = [_height(report) for report in reports]
    canvas = Canvas(WIDTH, sum(heights))
    top = 0.0
    for report, height in zip(reports, heights, strict=True):
        _Panels(canvas, report, top).draw()
        top += height
    return canvas


def _breakers(report: Report) -> dict[str, list[tuple[float, float]]]:
    """By target: stretches from opening to closing, in seconds."""
    spells: dict[str, list[tuple[float, float]]] = {}
    since: dict[str, float] = {}
    for change in report.changes:
        name, at = str(change["name"]), float(str(change["at_s"]))
        if change["subject"] != "breaker":
            continue
        if change["after"] == "closed":
            if name in since:
                spells.setdefault(name, []).append((since.pop(name), at))
        else:
            since.setdefault(name, at)
    for name, at in since.items():
        spells.setdefault(name, []).append((at, report.duration))
    return dict(list(spells.items())[:_MOST_BREAKERS])


def _height(report: Report) -> float:
    bars = _breakers(report)
    return TOP + HIGH + 2 * (GAP + LOW) + (GAP + BAR * len(bars) if bars else 0.0) + BOTTOM


class _Panels:
    """The panels of one report."""

    def __init__(self, canvas: Canvas, report: Report, top: float) -> None:
        self._canvas = canvas
        self._report = report
        self._top = top
        self._starts = [at for at in report.timeline["at_s"] if at is not None]
        self._colours = {name: PALETTE[at % len(PALETTE)] for at, name in enumerate(report.served)}

    def draw(self) -> None:
        self._heading()
        top = self._top + TOP
        self._who(top)
        top += HIGH + GAP
        self._availability(top)
        top += LOW + GAP
        self._latency(top)
        top += LOW
        bars = _breakers(self._report)
        if bars:
            top += GAP
            self._bars(top, bars)
            top += BAR * len(bars)
        self._hours(top)

    # parts

    def _heading(self) -> None:
        report, figures = self._report, self._report.figures
        canvas, top = self._canvas, self._top
        canvas.text(LEFT, top + 24, f"{report.title} - {report.label}", size=16, bold=True)
        parts = [f"{figures['requests']:,.0f} requests"]
        if figures["availability"] is not None:
            parts.append(_nines(figures["availability"]))
        if figures["attempts_per_request"] is not None:
            parts.append(f"{figures['attempts_per_request']:.3f} attempts per request")
        if figures["cost"]:
            parts.append(f"${figures['cost']:,.2f} (${figures['cost_on_primary']:,.2f} on the primary alone)")
        canvas.text(LEFT, top + 43, ", ".join(parts) + f"; seed {report.seed}", size=12, fill=QUIET)
        x = LEFT
        for name, colour in (*self._colours.items(), ("no answer", FAILED)):
            canvas.box(x, top + 53, 10, 10, colour)
            canvas.text(x + 14, top + 62, name, size=11)
            x += 26 + 6.2 * len(name)

    def _who(self, top: float) -> None:
        report = self._report
        requests = [value or 0.0 for value in report.timeline["requests"]]
        most = max(requests, default=0.0) or 1.0
        self._frame(top, HIGH, "answers by target", [(0.0, "0"), (1.0, f"{most / self._width():.3g}/s")])
        below = [0.0] * len(requests)
        for name, counts in report.served.items():
            above = [low + count for low, count in zip(below, counts, strict=True)]
            self._band(top, HIGH, [low / most for low in below], [high / most for high in above], self._colours[name])
            below = above
        if any(count > low for low, count in zip(below, requests, strict=True)):
            self._band(top, HIGH, [low / most for low in below], [high / most for high in requests], FAILED)

    def _availability(self, top: float) -> None:
        values = self._report.timeline["availability"]
        lowest = min((value for value in values if value is not None), default=100.0)
        floor = next(each for each in (99.0, 95.0, 90.0, 75.0, 50.0, 0.0) if lowest >= each)
        marks = [(0.0, f"{floor:g} %"), (1.0, "100 %")]
        self._frame(top, LOW, "answered", marks)
        self._curve(top, [None if value is None else (value - floor) / (100.0 - floor) for value in values], "#15803d")
        for at, spell in enumerate(self._report.spells):
            far = spell.start > 0.6 * self._report.duration  # the words run out of the picture on the other side
            x, anchor = (self._x(spell.end), "end") if far else (self._x(spell.start), "start")
            self._canvas.text(x, top + LOW - 6 - 12 * (at % 3), spell.shown, size=10, anchor=anchor, fill="#991b1b")

    def _latency(self, top: float) -> None:
        columns = [self._report.timeline[name] for name in ("p95_first_token_ms", "p50_first_token_ms")]
        found = [value for column in columns for value in column if value]
        low = math.floor(math.log10(min(found, default=100.0)))
        high = max(low + 1, math.ceil(math.log10(max(found, default=1000.0))))
        marks = [((power - low) / (high - low), _milliseconds(10.0**power)) for power in range(low, high + 1)]
        self._frame(top, LOW, "first token, p50 and p95", marks)
        for column, colour in zip(columns, ("#93c5fd", "#1d4ed8"), strict=True):
            shares = [(math.log10(value) - low) / (high - low) if value else None for value in column]
            self._curve(top, shares, colour)

    def _bars(self, top: float, bars: dict[str, list[tuple[float, float]]]) -> None:
        self._canvas.text(LEFT, top - 6, "breaker open or on trial", size=11, fill=QUIET)
        for at, (name, spells) in enumerate(bars.items()):
            y = top + at * BAR
            self._canvas.box(LEFT, y, WIDTH - LEFT - RIGHT, BAR - 3, GRID, opacity=0.6)
            for start, end in spells:
                x = self._x(start)
                width = max(1.0, self._x(end) - x)
                title = f"{name}: {start:.0f} s to {end:.0f} s"
                self._canvas.box(x, y, width, BAR - 3, self._colours.get(name, QUIET), title=title)

    def _hours(self, top: float) -> None:
        duration = self._report.duration
        step = next((each for each in _STEPS if duration / each <= 12), duration / 12)  # noqa: PLR2004 - readable
        at = 0.0
        while at <= duration + 1e-6:
            self._canvas.text(self._x(at), top + 16, _clock(at, step), size=11, anchor="middle", fill=QUIET)
            at += step

    # means

    def _x(self, seconds: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, seconds / self._report.duration)

    def _width(self) -> float:
        return self._starts[1] - self._starts[0] if len(self._starts) > 1 else self._report.duration

    def _frame(self, top: float, height: float, title: str, marks: list[tuple[float, str]]) -> None:
        canvas = self._canvas
        for spell in self._report.spells:
            x = self._x(spell.start)
            fill = BURST if spell.kind == "burst" else TROUBLE
            canvas.box(x, top, max(1.0, self._x(spell.end) - x), height, fill, opacity=0.35, title=spell.shown)
        for share, label in marks:
            y = top + height * (1.0 - share)
            canvas.line([(LEFT, y), (WIDTH - RIGHT, y)], GRID, width=1)
            canvas.text(LEFT - 6, y + 4, label, size=11, anchor="end", fill=QUIET)
        canvas.text(LEFT, top - 6, title, size=11, fill=QUIET)

    def _band(self, top: float, height: float, below: list[float], above: list[float], fill: str) -> None:
        """Steps, because a piece's count holds for the whole of it."""
        if below == above:
            return
        edges = [*(self._x(at) for at in self._starts), self._x(self._report.duration)]
        upper = [
            (x, top + height * (1 - share))
            for (a, b), share in zip(pairwise(edges), above, strict=True)
            for x in (a, b)
        ]
        lower = [
            (x, top + height * (1 - share))
            for (a, b), share in zip(pairwise(edges), below, strict=True)
            for x in (a, b)
        ]
        self._canvas.area([*upper, *reversed(lower)], fill)

    def _curve(self, top: float, shares: list[float | None], stroke: str) -> None:
        """Interrupted where there is nothing to show; a lonely point is a short dash."""
        run: list[tuple[float, float]] = []
        half = self._width() / 2
        for at, share in zip(self._starts, shares, strict=True):
            if share is None:
                self._stretch(run, stroke)
                run = []
            else:
                run.append((self._x(at + half), top + LOW * (1.0 - min(1.0, max(0.0, share)))))
        self._stretch(run, stroke)

    def _stretch(self, run: list[tuple[float, float]], stroke: str) -> None:
        if len(run) == 1:
            (x, y) = run[0]
            run = [(x - 1, y), (x + 1, y)]
        self._canvas.line(run, stroke)


_STEPS = (
    10.0,
    30.0,
    _MINUTE,
    2 * _MINUTE,
    5 * _MINUTE,
    10 * _MINUTE,
    15 * _MINUTE,
    30 * _MINUTE,
    _HOUR,
    2 * _HOUR,
    6 * _HOUR,
)


def _clock(seconds: float, step: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}" if step >= _MINUTE else f"{hours * 60 + minutes}:{left:02}"


def _milliseconds(value: float) -> str:
    return f"{value / 1e3:g} s" if value >= 1e3 else f"{value:g} ms"  # noqa: PLR2004 - a second


def _nines(percent: float) -> str:
    return f"{percent:.6f}".rstrip("0").rstrip(".") + " % answered"
