"""The seconds of all processes, each told once. A pure machine: it is told samples, and says which seconds are over.

Each process ends its seconds at an instant of its own. A sample belongs to the whole second of Unix time in which it
ends; a process that wanders over the border of a second (its timer is some milliseconds late now and then) still has
one in each. A second is over when every process has told of it, or of a later one; `told` is the newest such. What
comes later for a second that was told already belongs to the next one that is not: nothing is lost, nothing counts
twice.

    sample ──▶ waits in its second ──(all have told of it, or it is too late to wait)──▶ told ──(900 s)──▶ forgotten
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final

from standfast.console.history import SECONDS
from standfast.console.merge import Entry, Origin, merged_sample
from standfast.console.messages import Sample
from standfast.console.parts import Took

SLACK: Final = 0.1
"""How far a sample may lie beside its second, if it is the next one of its process."""


class Seconds:
    """What was told of the last quarter of an hour, by second.

    Args:
        told: what lies before it, or in it, is told already (as the seconds of a snapshot are).
    """

    __slots__ = ("_entries", "_newest", "_passed", "_told", "told")

    def __init__(self, told: int) -> None:
        self.told = told
        self._entries: dict[int, list[Entry]] = {}
        self._told: dict[int, Sample] = {}  # with quantiles of what was drawn, which is not kept
        self._newest: dict[Origin, int] = {}  # the second of each one's newest sample
        self._passed: dict[Origin, int] = {}  # and which it had passed when it told everything

    def begin(self, origin: Origin, samples: Sequence[Sample], at: float) -> None:
        """All that a process knows of its seconds, at an instant. What it told before counts no more."""
        for second, entries in list(self._entries.items()):
            kept = [entry for entry in entries if entry.origin != origin]
            if len(kept) != len(entries):
                self._entries[second] = kept
                self._told.pop(second, None)
            if not kept:
                del self._entries[second]
        self.leave(origin)
        for sample in samples:
            second = self._place(origin, sample)
            self._entries.setdefault(second, []).append(Entry(origin, sample))
            self._told.pop(second, None)
        self._passed[origin] = math.floor(at) - 1
        self._forget()

    def add(self, origin: Origin, sample: Sample, took: Took) -> None:
        """One second more of one process."""
        second = max(self._place(origin, sample), self.told + 1)
        self._entries.setdefault(second, []).append(Entry(origin, sample, took))

    def leave(self, origin: Origin) -> None:
        """It tells no more; what it told has happened."""
        self._newest.pop(origin, None)
        self._passed.pop(origin, None)

    def over(self, alive: Iterable[Origin], latest: float | None = None) -> list[Sample]:
        """The seconds that are over and were not told, oldest first.

        Args:
            alive: the processes that are waited for.
            latest: a second for which nobody is waited any longer, nor for those before it; None for none.
        """
        common = min((self._reached(origin) for origin in alive), default=self.told)
        last = common if latest is None else max(common, latest)
        found: list[Sample] = []
        if last <= self.told:
            return found
        for second in sorted(each for each in self._entries if self.told < each <= last):
            found.append(self._merged(second, self.told))
            self._entries[second] = [Entry(entry.origin, entry.sample) for entry in self._entries[second]]
            self.told = second
        if found:
            self._forget()
        return found

    def history(self) -> tuple[Sample, ...]:
        """The seconds that were told, oldest first."""
        seconds = sorted(each for each in self._entries if each <= self.told)
        before = zip(seconds, [None, *seconds], strict=False)
        return tuple(self._merged(second, last) for second, last in before)[-SECONDS:]

    def _reached(self, origin: Origin) -> int:
        """Nothing of this second, or an earlier one, is still to come from it."""
        return max(self._newest.get(origin, self.told), self._passed.get(origin, self.told))

    def _place(self, origin: Origin, sample: Sample) -> int:
        """The second to which a sample belongs; the newest of its process."""
        second, last = math.floor(sample.at), self._newest.get(origin)
        if last is not None and last + 1 - SLACK <= sample.at < last + 2 + SLACK:
            second = last + 1
        self._newest[origin] = second
        return second

    def _merged(self, second: int, before: int | None) -> Sample:
        """One of them. It is as long as the longest time that somebody tells of, but begins where the last ended."""
        if second in self._told:
            return self._told[second]
        entries = self._entries[second]
        lengths: dict[Origin, float] = {}
        for origin, sample, _ in entries:
            lengths[origin] = lengths.get(origin, 0.0) + sample.seconds
        length = max(lengths.values())
        if before is not None:
            length = min(second - before, length)
        return self._told.setdefault(second, merged_sample(float(second), length, entries))

    def _forget(self) -> None:
        for second in [each for each in self._entries if each <= self.told - SECONDS]:
            del self._entries[second]
            self._told.pop(second, None)
