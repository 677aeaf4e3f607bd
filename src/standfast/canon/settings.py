"""What all settings share: frozen, no unknown names, durations written as people write them."""

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d)")


class Settings(BaseModel):
    """Base of every room's settings: immutable, and an unknown name is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def parse_duration(value: object) -> float:
    """Seconds of `250ms`, `3s`, `1m30s`, `15m`, `2h` or of a plain number.

    Raises:
        ValueError: anything else, with an example of what is right.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("expected a duration such as 250ms, 3s or 1m30s")  # noqa: TRY004 - pydantic collects ValueError
    if isinstance(value, int | float):
        return float(value)
    text = value.strip().lower()
    parts = list(_PART.finditer(text))
    if parts and "".join(part.group() for part in parts) == text:
        return sum(float(part[1]) * _UNITS[part[2]] for part in parts)
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{value!r} is not a duration; write 250ms, 3s or 1m30s") from None


Seconds = Annotated[float, BeforeValidator(parse_duration)]
"""A duration in seconds; read from numbers or from text with a unit."""
