"""Which runs of failures are no chance."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.policy.chance import CHANCE, beyond_chance


@pytest.mark.parametrize(("percent", "run"), [(1, 3), (6, 5), (10, 6), (30, 12), (50, 20)])
def test_the_run_that_each_share_needs(percent: int, run: int) -> None:
    """The figures of the docstring: so many in a row come by chance once in a million, and not one fewer."""
    assert beyond_chance(run, 100, percent, enough=10)
    assert not beyond_chance(run - 1, 100, percent, enough=10)


@given(st.integers(1, 200), st.integers(10, 1000), st.floats(0.01, 1.0))
def test_it_is_the_probability_that_decides(run: int, calls: int, share: float) -> None:
    """p^N against one in a million, where enough calls tell what p is."""
    failures = round(share * calls)
    probability = (failures / calls) ** run
    if not 0.99 < probability / CHANCE < 1.01:
        assert beyond_chance(run, calls, failures, enough=10) == (probability < CHANCE)


def test_without_a_share_every_run_is_evidence() -> None:
    """Too few calls before, or none that failed: nothing says that failing is usual."""
    assert beyond_chance(1, 9, 9, enough=10)
    assert beyond_chance(1, 1000, 0, enough=10)
    assert beyond_chance(1, -3, -3, enough=10)


def test_a_share_may_be_known_otherwise() -> None:
    """Of whom half is known to fail, twenty in a row are needed, however few calls are in the window."""
    assert not beyond_chance(19, 0, 0, enough=10, least=0.5)
    assert beyond_chance(20, 0, 0, enough=10, least=0.5)
