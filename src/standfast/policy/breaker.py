"""Circuit breaker."""

from typing import Annotated

from pydantic import Field

from standfast.canon.settings import Seconds, Settings


class BreakerSettings(Settings):
    """When a deployment is given a rest, and how it comes back.

    Attributes:
        consecutive: failures in a row that open it, for low traffic (5 in a row, as Envoy and Finagle do).
        rate: share of failures in the window that opens it, once there are `min_calls`.
        min_calls: calls in the window before `rate` counts.
        window: length of the sliding window, seconds.
        open: first open time, seconds; doubles each time the half-open trial fails, with equal jitter.
        open_cap: the longest open time, seconds.
        half_open_permits: calls let through at the same time while half-open.
        half_open_successes: successes in a row that close it again.
    """

    consecutive: Annotated[int, Field(ge=1)] = 5
    rate: Annotated[float, Field(gt=0, le=1)] = 0.5
    min_calls: Annotated[int, Field(ge=1)] = 10
    window: Annotated[Seconds, Field(gt=0)] = 30.0
    open: Annotated[Seconds, Field(gt=0)] = 5.0
    open_cap: Annotated[Seconds, Field(gt=0)] = 300.0
    half_open_permits: Annotated[int, Field(ge=1)] = 3
    half_open_successes: Annotated[int, Field(ge=1)] = 2
