"""From samples to figures: quantiles, ratios of alternating rounds, and whether a budget was met. Pure."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

NGINX = "nginx"
GATEWAY = "standfast"
MOCK = "mock"


def quantile(samples: Sequence[float], share: float) -> float:
    """The nearest-rank quantile: the smallest sample that at least `share` of all samples do not exceed.

    Raises:
        ValueError: there are no samples, or `share` is not in (0, 1].
    """
    if not samples:
        raise ValueError("no samples")
    if not 0 < share <= 1:
        raise ValueError("a share lies in (0, 1]")
    return sorted(samples)[math.ceil(share * len(samples)) - 1]


@dataclass(frozen=True, slots=True)
class Spread:
    """A value that was measured in several rounds: its median, least and greatest."""

    median: float
    low: float
    high: float
    rounds: int


def spread(values: Sequence[float]) -> Spread:
    """Median, least and greatest of one value per round.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no rounds")
    return Spread(statistics.median(values), min(values), max(values), len(values))


def paired_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Spread:
    """The ratio of each round, then their median: what drifts between rounds cancels out.

    Raises:
        ValueError: the rounds do not pair up, or one of the denominators is not positive.
    """
    if len(numerators) != len(denominators):
        raise ValueError("rounds do not pair up")
    if any(value <= 0 for value in denominators):
        raise ValueError("a denominator is not positive")
    return spread([above / below for above, below in zip(numerators, denominators, strict=True)])


@dataclass(frozen=True, slots=True)
class Budget:
    """What was promised.

    Attributes:
        limit: the most that is allowed.
        relative: `limit` is a multiple of nginx' figure in the same run.
        strict: reaching the limit is too much already.
    """

    limit: float
    relative: bool = False
    strict: bool = False

    def met(self, value: float) -> bool:
        """Is `value` (a ratio if the budget is relative) within the budget?"""
        return value < self.limit if self.strict else value <= self.limit

    def text(self, unit: str) -> str:
        """For instance `<= 3 x nginx` or `< 70 MB`."""
        sign = "<" if self.strict else "<="
        return f"{sign} {self.limit:g} x nginx" if self.relative else f"{sign} {self.limit:g} {unit}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report.

    Attributes:
        key: stable name, for instance `request.cpu`.
        title: what it is, for people.
        unit: of every value.
        values: rounds by who was measured (`nginx`, `standfast`, `mock`).
        budget: for `standfast`, None if none was promised.
        digits: decimals worth showing.
    """

    key: str
    title: str
    unit: str
    values: Mapping[str, Sequence[float]] = field(default_factory=dict)
    budget: Budget | None = None
    digits: int = 1

    def with_values(self, values: Mapping[str, Sequence[float]]) -> "Figure":
        """This line with its rounds."""
        return replace(self, values={who: tuple(rounds) for who, rounds in values.items()})

    def of(self, who: str) -> Spread | None:
        """One party's figure, None if it was not measured."""
        return spread(self.values[who]) if self.values.get(who) else None

    def ratio(self) -> Spread | None:
        """Standfast to nginx; None if either is missing or nginx' figure is not positive."""
        ours, theirs = self.values.get(GATEWAY), self.values.get(NGINX)
        if not ours or not theirs or len(ours) != len(theirs) or min(theirs) <= 0:
            return None
        return paired_ratio(ours, theirs)

    def met(self) -> bool | None:
        """Was the budget met? None if there is none or what it needs was not measured."""
        judged = self.ratio() if self.budget is not None and self.budget.relative else self.of(GATEWAY)
        return None if self.budget is None or judged is None else self.budget.met(judged.median)

    def plain(self) -> dict[str, object]:
        """For JSON: the rounds and everything derived from them."""
        ratio = self.ratio()
        return {
            "key": self.key,
            "title": self.title,
            "unit": self.unit,
            "rounds": {who: list(values) for who, values in self.values.items()},
            "median": {who: statistics.median(values) for who, values in self.values.items() if values},
            "ratio": None if ratio is None else asdict(ratio),
            "budget": None if self.budget is None else self.budget.text(self.unit),
            "met": self.met(),
        }
