"""Amounts that vary: how they are written in a scenario, and how one is drawn.

Five ways to write one; a plain number or duration is short for `{value: ...}`:

    value                   always the same
    median, p95 (or p99)    log-normal: latencies and answer lengths are skewed to the right, their logarithms are not
    mean                    exponential: memoryless, the service time of textbook queues
    low, high               uniform
    quantiles               measured: percentile -> value, linear in between, from 0 to 100

`most` cuts any of them off, as `max_tokens` does with answers.
"""

import math
import random
from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from standfast.canon.settings import Seconds, Settings

Sampler = Callable[[], float]
"""Draws one amount."""

Z = {"p95": 1.6448536269514722, "p99": 2.3263478740408408}
"""Quantiles of the standard normal distribution."""

_FORMS = (
    {"value"},
    {"median", "p95"},
    {"median", "p99"},
    {"mean"},
    {"low", "high"},
    {"quantiles"},
)
_WHOLE = 100.0

MOST = 1e9
"""No amount is larger: thirty years, or more tokens than anybody asks for. What is, is a slip, and overflows."""

MOST_SKEWED = 1000.0
"""p95 or p99 are at most so many times the median: latencies measured anywhere stay below a hundred."""


def number(value: object) -> object:
    """`true` is no number.

    Raises:
        ValueError: for it.
    """
    if isinstance(value, bool):
        raise ValueError("expected a number")  # noqa: TRY004 - pydantic collects ValueError
    return value


Number = Annotated[float, BeforeValidator(number), Field(allow_inf_nan=False)]
Whole = Annotated[int, BeforeValidator(number)]

Percentile = Annotated[Number, Field(ge=0, le=_WHOLE)]


class Spread(Settings):
    """A duration that varies.

    Attributes:
        value: the one and only value.
        median, p95, p99: of a log-normal distribution; the median and one of the others.
        mean: of an exponential distribution.
        low, high: ends of a uniform distribution.
        quantiles: percentile (0 to 100) -> value.
        most: no value is larger.
    """

    value: Seconds | None = None
    median: Seconds | None = None
    p95: Seconds | None = None
    p99: Seconds | None = None
    mean: Seconds | None = None
    low: Seconds | None = None
    high: Seconds | None = None
    quantiles: Mapping[Percentile, Seconds] | None = None
    most: Seconds | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"value": value} if isinstance(value, int | float | str) else value

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        written = {name for name in self.model_fields_set - {"most"} if getattr(self, name) is not None}
        if written not in _FORMS:
            raise ValueError("write one of: a value; median with p95 or p99; mean; low with high; quantiles")
        amounts = [value for _, value in self._table()]
        cut = [] if self.most is None else [self.most]
        if any(not math.isfinite(each) or each < 0 for each in (*amounts, *cut)):
            raise ValueError("must be finite and not negative")
        if max(amounts) > MOST:
            raise ValueError(f"no amount may be above {MOST:.0f}")
        if amounts != sorted(amounts):
            raise ValueError("a lower percentile must not stand above a higher one")
        if self.median is not None and self.median <= 0:
            raise ValueError("the median of a log-normal distribution must be above 0")
        high = self.p95 or self.p99
        if self.median and high and high > self.median * MOST_SKEWED:
            name = "p95" if self.p95 else "p99"
            raise ValueError(
                f"{name} must be at most {MOST_SKEWED:.0f} times the median, it is {high / self.median:.3g} times"
            )
        if self.quantiles is not None and not {0.0, _WHOLE} <= set(self.quantiles):
            raise ValueError("quantiles must say where 0 and 100 are")
        return self

    def sampler(self, rng: random.Random) -> Sampler:
        """What draws from this distribution; `rng` is its only source of chance."""
        draw = self._uncut(rng)
        most = self.most
        if most is None:
            return draw

        def cut() -> float:
            amount = draw()
            return amount if amount < most else most  # noqa: FURB136 - min() costs more

        return cut

    def _table(self) -> list[tuple[float, float]]:
        """The written percentiles, in order; the ends of a uniform distribution, the value of a constant one."""
        if self.quantiles is not None:
            return sorted(self.quantiles.items())
        named = (("value", 0.0), ("low", 0.0), ("median", 50.0), ("mean", 63.2), ("p95", 95.0), ("p99", 99.0))
        table = [(at, getattr(self, name)) for name, at in (*named, ("high", _WHOLE))]
        return [(at, value) for at, value in table if value is not None]

    def _sigma(self) -> float:
        name = "p95" if self.p95 is not None else "p99"
        return math.log(getattr(self, name) / self.median) / Z[name]

    def _uncut(self, rng: random.Random) -> Sampler:
        if self.value is not None:
            constant = self.value
            return lambda: constant
        if self.median is not None:
            mu, sigma, gauss, exp = math.log(self.median), self._sigma(), rng.gauss, math.exp
            return lambda: exp(mu + sigma * gauss(0.0, 1.0))
        if self.mean is not None:
            mean, log, chance = self.mean, math.log, rng.random
            return lambda: -mean * log(1.0 - chance())
        table, chance = self._table(), rng.random
        if self.low is not None:
            low, width = table[0][1], table[-1][1] - table[0][1]
            return lambda: low + width * chance()
        return lambda: _between(table, chance() * _WHOLE)


class Amount(Spread):
    """A count that varies: tokens, for instance. Written as a `Spread`, in plain numbers."""

    value: Number | None = None
    median: Number | None = None
    p95: Number | None = None
    p99: Number | None = None
    mean: Number | None = None
    low: Number | None = None
    high: Number | None = None
    quantiles: Mapping[Percentile, Number] | None = None
    most: Number | None = None


def _between(table: list[tuple[float, float]], percentile: float) -> float:
    """Linear interpolation."""
    at = bisect_right(table, percentile, key=lambda row: row[0])
    if at == 0 or at == len(table):
        return table[min(at, len(table) - 1)][1]
    (before, low), (after, high) = table[at - 1], table[at]
    return low + (high - low) * (percentile - before) / (after - before)
