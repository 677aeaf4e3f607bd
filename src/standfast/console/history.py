"""What the samples were: seconds of the last quarter of an hour, minutes of the last day."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from standfast.console.messages import Sample
from standfast.console.sampler import COUNTED, Durations, quantiles

SECONDS: Final = 900
MINUTES: Final = 1_440
MINUTE: Final = 60.0

DRAWN: Final = 64
"""Durations of one second from which its minute's quantiles are told."""

SUMS: Final = (*COUNTED, "saved")
"""The fields of a sample that add up."""


class History:
    """The newest samples, in two grains.

    Attributes:
        seconds: as they were added, oldest first.
        minutes: each made of the samples that ended in it, oldest first; the running one is not among them.
    """

    __slots__ = ("_first", "_running", "_total", "minutes", "seconds")

    def __init__(self) -> None:
        self.seconds: deque[Sample] = deque(maxlen=SECONDS)
        self.minutes: deque[Sample] = deque(maxlen=MINUTES)
        self._running: list[Sample] = []
        self._first: list[float] = []
        self._total: list[float] = []

    def add(self, sample: Sample, took: Durations) -> None:
        """One second more; `took` is what its quantiles were told from."""
        if self._running and sample.at // MINUTE != self._running[-1].at // MINUTE:
            self.minutes.append(merged(self._running, Durations(self._first, self._total)))
            self._running, self._first, self._total = [], [], []
        self.seconds.append(sample)
        self._running.append(sample)
        self._first += drawn(took.first_token)
        self._total += drawn(took.total)

    def move(self, seconds: float) -> None:
        """The clock was put so far forward (back, if negative): what was, was at another time."""
        for samples in (self.seconds, self.minutes, self._running):
            for index, sample in enumerate(samples):
                samples[index] = msgspec.structs.replace(sample, at=round(sample.at + seconds, 3))


def drawn(values: Sequence[float]) -> Sequence[float]:
    """At most `DRAWN` of them, evenly."""
    if len(values) <= DRAWN:
        return values
    return [values[index * len(values) // DRAWN] for index in range(DRAWN)]


def merged(samples: Sequence[Sample], took: Durations) -> Sample:
    """One sample of several that follow each other; what was under way is told at its highest."""
    sums = {name: sum(getattr(sample, name) for sample in samples) for name in SUMS}
    return Sample(
        at=samples[-1].at,
        seconds=round(sum(sample.seconds for sample in samples), 3),
        in_flight=max(sample.in_flight for sample in samples),
        waiting=max(sample.waiting for sample in samples),
        first_token_ms=quantiles(took.first_token),
        total_ms=quantiles(took.total),
        answers=summed(sample.answers for sample in samples),
        failures=summed(sample.failures for sample in samples),
        **sums,
    )


def summed(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    """Counts by name, added up."""
    total: dict[str, int] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total.get(name, 0) + value
    return total
