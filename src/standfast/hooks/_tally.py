"""Plain tallies: integers and bucket lists, found by a dictionary look-up. No metrics library on the hot path.

A *family* is one metric with its children, one child per combination of labels. The number of children is capped:
labels that a client can influence must not grow the memory or the scrape without bound. Beyond the cap the first
label (model or deployment) becomes `other`; beyond twice the cap all of them do.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

MAX_CHILDREN = 2_000
"""Children per family before `other`; a scrape stays below a few megabytes."""

OTHER = "other"
_LONGEST_LABEL = 200


class Count:
    """A counter's child."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Histogram:
    """A histogram's child. `counts[i]` is how many values lie in `(bounds[i-1], bounds[i]]`; the last has no end."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value; an upper bound belongs to its bucket, as Prometheus' `le` wants."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def add(self, other: "Histogram") -> None:
        """Take in another one of the same bounds."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.total += other.total

    def cumulative(self) -> list[tuple[str, float]]:
        """Pairs of upper bound and the number of values up to it, ending with `+Inf`, from one copy of the counts."""
        seen, pairs = 0, []
        for bound, count in zip((*self.bounds, "+Inf"), list(self.counts), strict=True):
            seen += count
            pairs.append((str(bound), float(seen)))
        return pairs

    def quantile(self, share: float) -> float | None:
        """Estimate as Prometheus' `histogram_quantile` does: linear inside the bucket; None if nothing was observed.

        A quantile that falls into the unbounded bucket is given as the highest bound.
        """
        counts = list(self.counts)
        rank = share * sum(counts)
        if rank <= 0:
            return None
        seen, low = 0, 0.0
        for high, count in zip(self.bounds, counts, strict=False):
            if count and seen + count >= rank:
                return low + (high - low) * (rank - seen) / count
            seen, low = seen + count, high
        return low


Child = TypeVar("Child", Count, Histogram)


class Family(Generic[Child]):
    """One metric: its children by label values. `add` makes a child; look-ups on the hot path keep what it returns."""

    __slots__ = ("_cap", "_children", "_make", "labels")

    def __init__(self, labels: Sequence[str], make: Callable[[], Child], cap: int = MAX_CHILDREN) -> None:
        self.labels = tuple(labels)
        self._make: Callable[[], Child] = make
        self._cap = cap
        self._children: dict[tuple[str, ...], Child] = {}

    def child(self, *values: str) -> Child:
        """The child of these label values, made if it is new; `other` once the cap is reached."""
        key: tuple[str, ...] = tuple(label(value) for value in values)
        found = self._children.get(key)
        if found is None and len(self._children) >= self._cap:
            key = (OTHER, *key[1:]) if len(self._children) < 2 * self._cap else (OTHER,) * len(key)
            found = self._children.get(key)
        if found is None:
            found = self._children[key] = self._make()
        return found

    def items(self) -> Iterator[tuple[tuple[str, ...], Child]]:
        """Children at this moment; safe while others are added."""
        return iter(list(self._children.items()))


def label(value: str) -> str:
    """A value fit for a label: encodable, printable, at most 200 characters."""
    if value.isprintable() and len(value) <= _LONGEST_LABEL:
        return value
    return "".join(each if each.isprintable() else "?" for each in value[:_LONGEST_LABEL])
