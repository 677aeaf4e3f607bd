"""How hard to try."""

import random
from typing import Annotated, Literal

from pydantic import Field

from standfast.canon.record import Change
from standfast.canon.settings import Seconds, Settings


class BackoffSettings(Settings):
    """Full jitter: uniform between 0 and min(cap, base x 2^n).

    Source: AWS Architecture Blog, "Exponential Backoff And Jitter" (2015).
    """

    base: Annotated[Seconds, Field(gt=0)] = 0.25
    cap: Annotated[Seconds, Field(gt=0)] = 8.0


class RetrySettings(Settings):
    """Limits of effort for one request, and for all together.

    Attributes:
        max_attempts: upstream attempts for one request, the first included.
        max_ambiguous: how many times a request may be repeated after a failure that may have been billed.
        budget: retries under way, as a share of the requests in flight.
        budget_floor: retries that are always allowed.
        wait: the longest wait for a Retry-After before another model is used, seconds.
        backoff: before the same deployment is asked again.
        elsewhere_on: refusals of the request itself after which others are asked all the same, because their policy or
            their context window may differ.
    """

    max_attempts: Annotated[int, Field(ge=1, le=10)] = 4
    max_ambiguous: Annotated[int, Field(ge=0)] = 1
    budget: Annotated[float, Field(ge=0, le=1)] = 0.2
    budget_floor: Annotated[int, Field(ge=0)] = 3
    wait: Annotated[Seconds, Field(ge=0)] = 3.0
    backoff: BackoffSettings = BackoffSettings()
    elsewhere_on: tuple[Literal["content_filtered", "context_too_long"], ...] = ()


def backoff(settings: BackoffSettings, attempt: int, rng: random.Random) -> float:
    """Seconds to wait before repetition number `attempt` (the first is 0)."""
    return rng.uniform(0.0, min(settings.cap, settings.base * 2.0 ** min(max(0, attempt), 30)))


class RetryBudget:
    """Counts requests in flight and retries under way, so that retries stay a share of the work.

    Retries in the wider sense: hedges and repetitions of broken answers too. The budget is spent from the first retry
    that it refuses until half of it is free again; without that gap every retry that ends would be news.

    Args:
        share: retries allowed, as a share of the requests in flight (Envoy's retry budget: 20 %).
        floor: retries that are always allowed (Envoy: 3).

    Attributes:
        in_flight: requests that are being worked at.
        retrying: retries under way.
        spent: it has refused one, and not half of it is free yet.
        news: what changed since somebody took it out.
    """

    __slots__ = ("_floor", "_share", "in_flight", "news", "retrying", "spent")

    def __init__(self, share: float, floor: int) -> None:
        self._share = share
        self._floor = floor
        self.in_flight = 0
        self.retrying = 0
        self.spent = False
        self.news: list[Change] = []

    def limit(self, share: float, floor: int) -> None:
        """Other limits from now on; what is under way stays counted, though it be more than they allow."""
        self._share, self._floor = share, floor
        self._recover()

    def started(self) -> None:
        """A request came."""
        self.in_flight += 1

    def ended(self) -> None:
        """A request got its outcome."""
        if self.in_flight > 0:
            self.in_flight -= 1

    def take(self) -> bool:
        """Ask for one retry; False means that retries would do more harm than good now."""
        if self.retrying >= self._room:
            if not self.spent:
                self._turn(spent=True)
            return False
        self.retrying += 1
        return True

    def give_back(self) -> None:
        """A retry that was taken is over."""
        self.retrying = max(0, self.retrying - 1)
        self._recover()

    def _recover(self) -> None:
        if self.spent and 2 * self.retrying <= self._room:
            self._turn(spent=False)

    @property
    def _room(self) -> float:
        return max(self._floor, self._share * self.in_flight)

    def _turn(self, *, spent: bool) -> None:
        self.spent = spent
        states = ("available", "spent") if spent else ("spent", "available")
        reason = f"{self.retrying} retries under way, {self.in_flight} requests in flight"
        self.news.append(Change("retry_budget", "all models", *states, reason))
