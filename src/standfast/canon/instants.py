"""Two kinds of time, never mixed.

`Monotonic` seconds order events and measure durations; policy knows no other time. `Wall` seconds (Unix epoch, UTC)
stand in ledger entries and translate providers' dates; they may jump.
"""

from typing import TYPE_CHECKING, NewType

if TYPE_CHECKING:
    Monotonic = NewType("Monotonic", float)
    Wall = NewType("Wall", float)
else:
    # The same to a type checker, cheaper at run time: calling a NewType is a Python call, on the hot path.
    Monotonic = Wall = float

NEVER = Monotonic(float("inf"))
"""An instant that does not come."""
