"""What a run amounts to: figures with names, tables, a timeline. Plain values; the same run gives the same bytes.

The names of the figures are a contract: requirements (`standfast.sim.require`) and other programs rely on them.
Percentages are 0 to 100, times in milliseconds carry `_ms`, seconds `_s`, money is US dollars.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from standfast.canon.ask import HIGHEST_PRIORITY, LOWEST_PRIORITY
from standfast.sim.settings import Scenario
from standfast.sim.sketch import Sketch
from standfast.sim.tally import Piece, Tally, TargetTally

RECOVERED = 0.95
"""Goodput is back when this share of the requests is answered."""

Figures = dict[str, float | None]

MEANINGS: Mapping[str, str] = {
    "requests": "requests of all callers",
    "declined": "requests refused for what they asked (a filtered prompt, for instance); left out of availability",
    "answered": "requests with a whole answer",
    "availability": "answered, percent of the requests that were not declined",
    "availability_unbroken": "the same, of the requests whose answer did not break off after content",
    "broken": "answers that broke off after content had been delivered",
    "unavailable": "requests refused without or after attempts, or given up by their caller",
    **{
        f"success_priority_{level}": f"the same as availability, of the requests of priority {level}"
        for level in range(LOWEST_PRIORITY, HIGHEST_PRIORITY + 1)
    },
    "p50_first_token_ms": "of answered streams (whole replies if there are none): until the first content, half less",
    "p95_first_token_ms": "the same, 95 percent",
    "p99_first_token_ms": "the same, 99 percent",
    "p50_total_ms": "from arrival to the end of the answer, half of the answered requests are faster",
    "p95_total_ms": "the same, 95 percent",
    "p99_total_ms": "the same, 99 percent",
    "worst_refusal_ms": "the longest wait for an outcome that was no answer",
    "attempts": "upstream attempts",
    "attempts_per_request": "upstream attempts for one request of a caller",
    "attempts_beyond_failures": "upstream attempts that did not fail, for one request: one, and what hedging adds",
    "tries_per_request": "how often callers asked for one answer",
    "failovers": "requests answered by another target than the first choice",
    "failover_share": "the same, percent of the answered requests",
    "p50_failover_added_ms": "of failovers: what the gateway itself waited before the attempt that answered, half less",
    "p95_failover_added_ms": "the same, 95 percent",
    "p50_failover_lost_ms": "of failovers: from arrival to the start of the attempt that answered, half less",
    "p95_failover_lost_ms": "the same, 95 percent",
    "rate_limited": "attempts refused with a rate limit, percent",
    "cost": "US dollars for delivered answers",
    "cost_on_primary": "US dollars had every answer come from the first target",
    "waste": "US dollars for content that no caller has whole",
    "cost_uncertain": "US dollars at most for attempts that may have been billed",
    "unpriced": "attempts with tokens whose price is unknown",
    "breaker_openings": "how often a breaker opened",
    "recovery_s": "from the end of the last trouble or burst until at least 95 percent are answered again",
}
"""Every figure, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Spell:
    """A stretch of the scenario worth showing: `start` and `end` in seconds since the beginning; `idle` hits nobody."""

    title: str
    start: float
    end: float
    kind: str = "trouble"
    idle: bool = False

    @property
    def shown(self) -> str:
        """The title; what hits nobody must not look as if it had been lived through."""
        return f"{self.title} (hits nobody)" if self.idle else self.title


@dataclass(slots=True)
class Report:
    """One run.

    Attributes:
        title: the scenario's.
        label: what was rehearsed: a configuration, a way of serving.
        seed: where chance began.
        duration: seconds in which requests arrived.
        figures: by name, in the order of `MEANINGS`; None where there is nothing to measure.
        reasons: requests without an answer, by reason.
        targets: one row for each target, in configuration order.
        timeline: columns of equal length, the first of them `at_s`.
        served: the timeline's answers by target.
        spells: troubles and bursts.
        changes: changes of state, with the second at which each came.
        notes: what the reader should know.
    """

    title: str
    label: str
    seed: int
    duration: float
    figures: Figures
    reasons: dict[str, int]
    targets: list[dict[str, object]]
    timeline: dict[str, list[float | None]]
    served: dict[str, list[int]]
    spells: list[Spell] = field(default_factory=list)
    changes: list[dict[str, object]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def idle(self) -> tuple[str, ...]:
        """Titles of troubles that hit nobody."""
        return tuple(each.title for each in self.spells if each.idle)

    def as_json(self) -> dict[str, object]:
        """Plain values, in a fixed order."""
        return {
            "scenario": self.title,
            "label": self.label,
            "seed": self.seed,
            "duration_s": self.duration,
            "figures": self.figures,
            "reasons": self.reasons,
            "targets": self.targets,
            "troubles": [
                {
                    "title": each.title,
                    "from_s": each.start,
                    "to_s": each.end,
                    "kind": each.kind,
                    "hits_nobody": each.idle,
                }
                for each in self.spells
            ],
            "timeline": {**self.timeline, "served": self.served},
            "changes": self.changes,
            "notes": self.notes,
        }


def report_of(
    tally: Tally,
    scenario: Scenario,
    label: str,
    seed: int,
    notes: list[str] | None = None,
    *,
    idle: Collection[int] = (),
) -> Report:
    """What the books of a run amount to; `idle` are the places of troubles that hit nobody."""
    spells = _spells(scenario, idle)
    return Report(
        title=scenario.title,
        label=label,
        seed=seed,
        duration=tally.duration,
        figures=_figures(tally, spells),
        reasons=dict(sorted(tally.reasons.items(), key=lambda pair: (-pair[1], pair[0]))),
        targets=[_target(name, each, tally) for name, each in tally.targets.items()],
        timeline=_timeline(tally),
        served={name: [piece.served.get(name, 0) for piece in tally.pieces] for name in tally.targets},
        spells=spells,
        changes=[
            {
                "at_s": round(at, 3),
                "subject": change.subject,
                "name": change.name,
                "before": change.before,
                "after": change.after,
                "reason": change.reason,
            }
            for at, change in tally.changes
        ],
        notes=list(notes or ()),
    )


def _figures(tally: Tally, spells: Sequence[Spell]) -> Figures:
    targets = tally.targets.values()
    attempts = sum(each.attempts for each in targets)
    asked = tally.requests - tally.declined
    limited = sum(each.failures.get("rate_limited", 0) for each in targets)
    failed = sum(sum(each.failures.values()) for each in targets)
    rows = tally.by_priority
    figures: Figures = {
        "requests": tally.requests,
        "declined": tally.declined,
        "answered": tally.answered,
        "availability": _percent(tally.answered, asked),
        "availability_unbroken": _percent(tally.answered, asked - tally.broken),
        "broken": tally.broken,
        "unavailable": asked - tally.answered - tally.broken,
        **{f"success_priority_{level}": _percent(row[1], row[0]) for level, row in sorted(rows.items())},
        **_times("first_token_ms", tally.first if tally.first.count else tally.total, (50, 95, 99)),
        **_times("total_ms", tally.total, (50, 95, 99)),
        "worst_refusal_ms": round(tally.worst * 1e3, 3) if asked > tally.answered else None,
        "attempts": attempts,
        "attempts_per_request": round(attempts / tally.requests, 6) if tally.requests else None,
        "attempts_beyond_failures": round((attempts - failed) / tally.requests, 6) if tally.requests else None,
        "tries_per_request": round(tally.tries / tally.requests, 6) if tally.requests else None,
        "failovers": tally.fallbacks,
        "failover_share": _percent(tally.fallbacks, tally.answered),
        **_times("failover_added_ms", tally.waited, (50, 95)),
        **_times("failover_lost_ms", tally.lost, (50, 95)),
        "rate_limited": _percent(limited, attempts),
        "cost": round(sum(each.cost for each in targets), 6),
        "cost_on_primary": round(tally.on_primary, 6),
        "waste": round(sum(each.waste for each in targets), 6),
        "cost_uncertain": round(sum(each.perhaps_cost for each in targets), 6),
        "unpriced": sum(each.unpriced for each in targets),
        "breaker_openings": tally.changed.get("breaker open", 0),
        "recovery_s": _recovery(tally, spells),
    }
    return {name: figures[name] for name in MEANINGS if name in figures}


def _percent(part: float, whole: float) -> float | None:
    return round(part / whole * 100.0, 6) if whole else None


def _milliseconds(sketch: Sketch, percentile: int) -> float | None:
    value = sketch.quantile(percentile / 100.0)
    return None if value is None else round(value * 1e3, 3)


def _times(name: str, sketch: Sketch, percentiles: tuple[int, ...]) -> Figures:
    return {f"p{each}_{name}": _milliseconds(sketch, each) for each in percentiles}


def _target(name: str, each: TargetTally, tally: Tally) -> dict[str, object]:
    return {
        "target": name,
        "served": each.served,
        "served_percent": _percent(each.served, tally.answered),
        "attempts": each.attempts,
        "successes": each.successes,
        "cancelled": each.cancelled,
        "failures": {kind: each.failures[kind] for kind in sorted(each.failures, key=str)},
        "p50_first_token_ms": _milliseconds(each.first, 50),
        "p95_first_token_ms": _milliseconds(each.first, 95),
        "cost": None if each.price is None else round(each.cost, 6),
        "waste": None if each.price is None else round(each.waste, 6),
    }


def _timeline(tally: Tally) -> dict[str, list[float | None]]:
    pieces = tally.pieces
    firsts = [piece.first if tally.first.count else piece.total for piece in pieces]
    return {
        "at_s": [round(at * tally.width, 3) for at in range(len(pieces))],
        "requests": [piece.requests for piece in pieces],
        "availability": [_percent(piece.answered, piece.requests) for piece in pieces],
        "p50_first_token_ms": [_milliseconds(first, 50) for first in firsts],
        "p95_first_token_ms": [_milliseconds(first, 95) for first in firsts],
        "p50_total_ms": [_milliseconds(piece.total, 50) for piece in pieces],
        "p95_total_ms": [_milliseconds(piece.total, 95) for piece in pieces],
    }


def _spells(scenario: Scenario, idle: Collection[int]) -> list[Spell]:
    end = scenario.duration
    spells = [
        Spell(each.title, each.at, min(each.at + each.lasts, end), idle=at in idle)
        for at, each in enumerate(scenario.troubles)
    ]
    bursts = scenario.workload.bursts
    spells += [Spell(f"{each.factor:g}x requests", each.at, min(each.at + each.lasts, end), "burst") for each in bursts]
    return spells


def _recovery(tally: Tally, spells: Sequence[Spell]) -> float | None:
    """Seconds, to within a piece of the timeline; None without trouble, or if the scenario ends with it."""
    quiet = max((spell.end for spell in spells if not spell.idle), default=None)
    if quiet is None or quiet >= tally.duration:
        return None
    after = [(at * tally.width, piece) for at, piece in enumerate(tally.pieces) if at * tally.width >= quiet]
    bad = [at for at, piece in after if not _well(piece)]
    return round(bad[-1] + tally.width - quiet, 3) if bad else 0.0


def _well(piece: Piece) -> bool:
    return piece.answered >= RECOVERED * piece.requests
