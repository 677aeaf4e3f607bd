"""What happened in a second: differences of the metrics' tallies, and quantiles of the newest requests.

Counting is the metrics hook's, which counts every request anyway; here it is only read, so looking costs requests
nothing, and what the page shows is what `/metrics` tells.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from standfast.canon.record import RequestRecord
from standfast.console.messages import Quantiles, Sample
from standfast.hooks.prometheus import PrometheusHook

SUCCESS, CANCELLED, HEDGE = "success", "cancelled", "hedge"
GONE = "499"
LIMITED = "429"
"""What a client is told when every attempt was refused so: nobody could answer, and that is not the client's fault."""


@dataclass(slots=True)
class Reading:
    """Everything counted since the start; `by_target` counters are absent for zero."""

    answered: int = 0
    refused: int = 0
    failed: int = 0
    gone: int = 0
    hedges: int = 0
    mends: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    prompts: dict[str, int] = field(default_factory=dict)
    completions: dict[str, int] = field(default_factory=dict)


ENDINGS: Final = ("answered", "refused", "failed", "gone")
"""One of these is every request's."""

COUNTED: Final = (
    *ENDINGS,
    "hedges",
    "mends",
    "prompt_tokens",
    "completion_tokens",
)
"""What a reading and a sample have in common: the tallies."""


def read(metrics: PrometheusHook) -> Reading:
    """The tallies as they stand."""
    found = Reading()
    for (_, _, status, code), count in metrics.requests.items():
        name = _ending(status, code)
        setattr(found, name, getattr(found, name) + count.value)
    for (purpose, _), count in metrics.second.items():
        name = "hedges" if purpose == HEDGE else "mends"
        setattr(found, name, getattr(found, name) + count.value)
    for (target, outcome), count in metrics.attempts.items():
        if outcome != CANCELLED:
            _add(found.answers if outcome == SUCCESS else found.failures, target, count.value)
    for (target, kind), count in metrics.tokens.items():
        if kind in ("prompt", "completion"):  # the others are parts of these
            _add(found.prompts if kind == "prompt" else found.completions, target, count.value)
    found.prompt_tokens = sum(found.prompts.values())
    found.completion_tokens = sum(found.completions.values())
    return found


def _ending(status: str, code: str) -> str:
    if status == GONE:
        return "gone"
    if status[:1] == "2" and not code:  # an answer that broke off began with 200 and has a code
        return "answered"
    return "refused" if status[:1] == "4" and status != LIMITED else "failed"


def _add(counts: dict[str, int], name: str, value: int) -> None:
    counts[name] = counts.get(name, 0) + value


@dataclass(frozen=True, slots=True)
class Durations:
    """Seconds that requests took: until the first content (of those that had any), and in all (of those answered)."""

    first_token: Sequence[float] = ()
    total: Sequence[float] = ()


def durations(records: Iterable[RequestRecord]) -> Durations:
    """Those of some requests; what failed or was given up says nothing about how long an answer takes."""
    answered = [record for record in records if not record.code]
    first = [record.first_token for record in answered if record.first_token is not None]
    return Durations(first, [record.total for record in answered])


def quantiles(seconds: Sequence[float]) -> Quantiles | None:
    """Nearest-rank quantiles, as milliseconds; None of nothing."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    p50, p95, p99 = (ordered[math.ceil(share * len(ordered)) - 1] for share in (0.5, 0.95, 0.99))
    return Quantiles(p50=round(p50 * 1e3, 2), p95=round(p95 * 1e3, 2), p99=round(p99 * 1e3, 2))


class Sampler:
    """Takes one sample after another.

    Args:
        metrics: whose tallies are read.

    Attributes:
        reading: the newest one; totals since the start.
    """

    def __init__(self, metrics: PrometheusHook) -> None:
        self._metrics = metrics
        self.reading = read(metrics)

    def take(self, at: float, seconds: float, took: Durations, *, saved: int, in_flight: int, waiting: int) -> Sample:
        """What happened since the last one, `seconds` ago.

        Args:
            at: now, Unix seconds.
            seconds: since the last one.
            took: how long the newest requests of this time took.
            saved: requests of this time that another target than the first choice answered.
            in_flight: requests under way.
            waiting: of them those in line.
        """
        before, now = self.reading, read(self._metrics)
        self.reading = now
        counts = {name: getattr(now, name) - getattr(before, name) for name in COUNTED}
        return Sample(
            at=round(at, 3),
            seconds=round(seconds, 3),
            saved=saved,
            in_flight=in_flight,
            waiting=waiting,
            first_token_ms=quantiles(took.first_token),
            total_ms=quantiles(took.total),
            answers=_gained(before.answers, now.answers),
            failures=_gained(before.failures, now.failures),
            **counts,
        )


def _gained(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    return {name: value - before.get(name, 0) for name, value in now.items() if value > before.get(name, 0)}
