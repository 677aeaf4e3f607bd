"""Two kinds of time, never mixed.

`Monotonic` seconds order events and measure durations; policy knows no other time. `Wall` seconds (Unix epoch, UTC)
stand in ledger entries and translate providers' dates; they may jump.
"""

from typing import NewType

Monotonic = NewType("Monotonic", float)
Wall = NewType("Wall", float)

NEVER = Monotonic(float("inf"))
"""An instant that does not come."""
