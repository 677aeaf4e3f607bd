"""Which runs of failures are no chance."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.policy.chance import CERTAIN, CHANCE, beyond_chance


@pytest.mark.parametrize(("percent", "run"), [(1, 3), (6, 5), (10, 6), (30, 12), (50, 20)])
def test_the_run_that_each_share_needs(percent: int, run: int) -> None:
    """The figures of the docstring: so many in a row come by chance once in a million, and not one fewer."""
    assert beyond_chance(run, run, 100, percent, enough=10)
    assert not beyond_chance(run - 1, run - 1, 100, percent, enough=10)


@given(st.integers(1, 200), st.integers(10, 1000), st.floats(0.01, 1.0))
def test_it_is_the_probability_that_decides(run: int, calls: int, share: float) -> None:
    """p^N against one in a million, where enough calls tell what p is."""
    failures = max(1, round(share * calls))
    probability = (failures / calls) ** run
    if not 0.99 < probability / CHANCE < 1.01:
        assert beyond_chance(run, run, calls, failures, enough=10) == (probability < CHANCE)


@given(st.integers(2, 60), st.data())
def test_it_is_never_taken_for_evidence_what_is_likely(midst: int, data: st.DataObject) -> None:
    """With calls under way in its midst: evidence is what comes less than once in a million by chance."""
    run, failures = data.draw(st.integers(1, midst)), data.draw(st.integers(1, 99))
    if beyond_chance(run, midst, 100, failures, enough=10):
        p = failures / 100
        tail = sum(math.comb(midst, n) * p**n * (1 - p) ** (midst - n) for n in range(run, midst + 1))
        assert tail <= CHANCE * (1 + 1e-9)


def test_a_third_still_under_way_does_not_excuse_the_rest() -> None:
    """D1: whole replies hang on while streams time out: seven of ten, of one who hardly ever failed before."""
    assert beyond_chance(5, 7, 300, 1, enough=10)
    assert not beyond_chance(5, 7, 300, 100, enough=10)


def test_without_a_share_a_run_stands_alone() -> None:
    """Too few calls before, or none that failed: nothing says that failing is usual."""
    assert beyond_chance(1, 1, 9, 9, enough=10)
    assert beyond_chance(1, 1, 1000, 0, enough=10)
    assert beyond_chance(1, 1, -3, -3, enough=10)
    assert not beyond_chance(5, math.ceil(5 / CERTAIN) + 1, 9, 0, enough=10)
    assert not beyond_chance(5, 10, 10, 0, enough=10)
    assert beyond_chance(5, 8, 1000, 0, enough=10)


def test_what_is_as_ever_is_no_news() -> None:
    """The share of the run is no more than that of before, though it is long."""
    assert not beyond_chance(900, 1000, 100, 90, enough=10)
    assert not beyond_chance(1000, 1000, 100, 100, enough=10)


def test_a_share_may_be_known_otherwise() -> None:
    """Of whom half is known to fail, twenty in a row are needed, however few calls are in the window."""
    assert not beyond_chance(19, 19, 0, 0, enough=10, least=0.5)
    assert beyond_chance(20, 20, 0, 0, enough=10, least=0.5)
