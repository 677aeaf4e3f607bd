"""How hard to try."""

from typing import Annotated

from pydantic import Field

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
    """

    max_attempts: Annotated[int, Field(ge=1, le=10)] = 4
    max_ambiguous: Annotated[int, Field(ge=0)] = 1
    budget: Annotated[float, Field(ge=0, le=1)] = 0.2
    budget_floor: Annotated[int, Field(ge=0)] = 3
    wait: Annotated[Seconds, Field(ge=0)] = 3.0
    backoff: BackoffSettings = BackoffSettings()
