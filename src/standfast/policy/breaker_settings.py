"""When a deployment is given a rest, and how it comes back: what can be set."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from standfast.canon.settings import Seconds, Settings, parse_duration


class CallWindow(Settings):
    """A window that holds the last calls, however long ago they were.

    Attributes:
        calls: how many.
    """

    calls: Annotated[int, Field(ge=1, le=100_000)]


class BreakerSettings(Settings):
    """When a deployment is given a rest, and how it comes back.

    Attributes:
        consecutive: failures in a row that open it (5 in a row, as Envoy and Finagle do); more of them where failures
            are so frequent that such a run is chance.
        rate: share of failures in the window that opens it, once there are `min_calls`.
        slow_rate: share of slow calls in the window that opens it, once there are `min_calls`; null for never
            (half, as for failures; resilience4j has both and leaves this one off).
        slow_after: no first content within this time is slow at the earliest, seconds; and only if it is also three
            times the deployment's own 95th percentile for prompts of that size (3 s is where `degraded_ms` stands).
        min_calls: calls in the window before `rate` and `slow_rate` count.
        window: the sliding window: a length in seconds, or `{calls: 100}` for the last hundred calls.
        open: first open time, seconds; doubles each time the half-open trial fails or the ramp after it ends in
            failures, with equal jitter; of who answers now and then it is at most half as long as the trouble so far.
            Who fails at once, and has others beside it, is looked at meanwhile, a quarter of the trouble's time apart
            and twice this time at least.
        open_cap: the longest open time, seconds.
        half_open_permits: calls let through at the same time while half-open; only one to those who have an elsewhere
            before the first of them has content.
        half_open_successes: successes in a row that close it again.
        ramp: seconds after closing in which the share of requests that it gets grows from a tenth to all, while others
            can serve the rest; 0 for all at once.
        force: an operator's word: `open` lets nothing through, `closed` everything, whatever happens; null for neither.
    """

    consecutive: Annotated[int, Field(ge=1)] = 5
    rate: Annotated[float, Field(gt=0, le=1)] = 0.5
    slow_rate: Annotated[float, Field(gt=0, le=1)] | None = 0.5
    slow_after: Annotated[Seconds, Field(gt=0)] = 3.0
    min_calls: Annotated[int, Field(ge=1)] = 10
    window: Annotated[Seconds, Field(gt=0)] | CallWindow = 30.0
    open: Annotated[Seconds, Field(gt=0)] = 5.0
    open_cap: Annotated[Seconds, Field(gt=0)] = 300.0
    half_open_permits: Annotated[int, Field(ge=1)] = 3
    half_open_successes: Annotated[int, Field(ge=1)] = 2
    ramp: Annotated[Seconds, Field(ge=0)] = 30.0
    force: Literal["open", "closed"] | None = None

    @field_validator("window", mode="before")
    @classmethod
    def _one_of_two(cls, value: object) -> object:
        """Decide first which of the two is meant, so that only that one is complained about."""
        if isinstance(value, CallWindow | Mapping):
            return CallWindow.model_validate(value)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError("expected a duration such as 30s, or a number of calls: {calls: 100}")  # noqa: TRY004 - pydantic collects ValueError
        seconds = parse_duration(value)
        if not seconds > 0:
            raise ValueError("must be greater than 0")
        return seconds

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self._never_full:
            raise ValueError(f"{self._never_full}: lower `min_calls`")
        return self

    @property
    def contradiction(self) -> str:
        """Which of them never go together, once nothing is laid over them any more; empty if all do."""
        if self.open_cap < self.open:
            return f"`open_cap` ({self.open_cap:g} s) is below `open` ({self.open:g} s)"
        return self._never_full

    @property
    def _never_full(self) -> str:
        window = self.window
        if isinstance(window, CallWindow) and window.calls < self.min_calls:
            return f"a window of {window.calls} calls never holds `min_calls` ({self.min_calls})"
        return ""
