"""Quantiles of any number of values."""

import math

from hypothesis import given
from hypothesis import strategies as st

from standfast.sim.sketch import ACCURACY, Sketch

VALUES = st.lists(st.floats(min_value=0.0, max_value=1e6), min_size=1, max_size=200)


@given(VALUES, st.floats(min_value=0.0, max_value=1.0))
def test_a_quantile_is_right_to_half_a_percent(values: list[float], share: float) -> None:
    """The nearest-rank quantile is known to within `ACCURACY` of itself, whatever the values."""
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    exact = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    found = sketch.quantile(share)
    assert found is not None
    assert abs(found - exact) <= ACCURACY * exact * (1 + 1e-9) + 1e-9


@given(VALUES)
def test_the_count_and_the_largest_are_exact(values: list[float]) -> None:
    """Only quantiles are approximate."""
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    assert sketch.count == len(values)
    assert sketch.largest == max(values)


def test_nothing_has_no_quantile() -> None:
    """An empty sketch knows no value, not zero."""
    assert Sketch().quantile(0.5) is None


def test_memory_does_not_grow_with_the_values() -> None:
    """A million values between a millisecond and a minute stay in some thousand bins."""
    sketch = Sketch()
    for at in range(200_000):
        sketch.add(0.001 + (at % 60_000) / 1e3)
    assert len(sketch._bins) < 1_200
