"""What checks of health may cost: never more than that in any hour or day, and never nothing for ever."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.canon.facts import Facts, Price
from standfast.canon.instants import Monotonic
from standfast.policy.health_budget import DAY, Allowance, Purse, check_cost, prompt_tokens
from support.exchanges import START


@given(hourly=st.integers(1, 200), gaps=st.lists(st.floats(0.1, 900), max_size=300))
def test_the_budget_is_so_many_an_hour(hourly: int, gaps: list[float]) -> None:
    """However often it is asked, no hour sees more checks than allowed, and none is refused for ever."""
    allowance, now, made = Allowance(hourly), float(START), []
    for gap in gaps:
        now += gap
        if allowance.ready(Monotonic(now)):
            allowance.spend(Monotonic(now))
            made.append(now)
    assert all(later - at >= 3600 - 1e-6 for at, later in zip(made, made[hourly:], strict=False))
    assert allowance.ready(Monotonic(now + 7200))


def test_the_budget_is_evenly_spread() -> None:
    """A gateway that asks all the time makes one check at a time; one that asks a little early is not refused."""
    allowance, made = Allowance(120), []
    for second in range(3600):
        if allowance.ready(Monotonic(START + second)):
            allowance.spend(Monotonic(START + second))
            made.append(second)
    assert 115 <= len(made) <= 120
    assert min(later - at for at, later in itertools.pairwise(made)) >= 15
    calm = Allowance(120)
    for n in range(50):
        now = Monotonic(START + n * 31 + (n % 2) * 6)
        assert calm.ready(now)
        calm.spend(now)


def test_an_ordered_check_counts_for_the_budget() -> None:
    """It is not refused, but those that ask wait the longer."""
    allowance = Allowance(4)
    for _ in range(3):
        allowance.spend(START)
    assert not allowance.ready(Monotonic(START + 2000))
    assert allowance.ready(Monotonic(START + 3600))


@given(
    daily=st.floats(0.001, 50.0),
    checks=st.lists(st.tuples(st.floats(0.1, 4_000), st.floats(0, 0.05), st.floats(0, 1)), max_size=200),
)
def test_no_day_costs_more_than_the_budget(daily: float, checks: list[tuple[float, float, float]]) -> None:
    """Whatever the checks cost and whenever they come; each is reserved at its most and settled at what it cost."""
    purse, now, spent = Purse(daily), float(START), []
    for gap, most, share in checks:
        now += gap
        if purse.ready(most, Monotonic(now)):
            purse.spend(most, Monotonic(now))
            now += 1.0
            purse.spend(most * share - most, Monotonic(now))
            spent.append((now, most * share))
    for at, _ in spent:
        assert sum(dollars for when, dollars in spent if at <= when < at + DAY - 1.0) <= daily * (1 + 1e-9)
    assert purse.ready(daily / 24 * (1 - 1e-9), Monotonic(now + DAY))


def test_the_money_is_spread_over_the_day() -> None:
    """An hour's money at once at most, then as it comes in; the last hour of a day sees as many checks as others."""
    purse, made = Purse(0.24), []
    for second in range(0, int(DAY), 30):
        if purse.ready(0.0005, Monotonic(START + second)):
            purse.spend(0.0005, Monotonic(START + second))
            made.append(second)
    assert len(made) == pytest.approx(0.24 / 0.0005, abs=2)
    assert sum(second < 3600 for second in made) <= 2 * 20 + 1
    assert sum(second >= DAY - 3600 for second in made) >= 18


def test_what_costs_nothing_is_never_refused() -> None:
    """A server of one's own with a price of 0 is asked as often as the interval says."""
    purse = Purse(0.001)
    purse.spend(0.001, START)
    assert check_cost(Facts(prices=(Price(0.0, 0.0),)), 50, 16) == (0.0, False)
    assert purse.ready(0.0, START)


def test_an_ordered_check_is_paid_for_by_the_later_ones() -> None:
    """It is not refused, whatever the purse holds; then nothing is bought until that is paid."""
    purse = Purse(0.24)
    purse.spend(0.03, START)
    assert not purse.ready(0.0001, Monotonic(START + 3600))
    assert purse.ready(0.0001, Monotonic(START + 3 * 3600))


def test_an_unknown_price_is_taken_for_a_high_one() -> None:
    """Unpriced is never 0: 5 and 25 dollars per million tokens, and it is said."""
    assert check_cost(None, 1_000_000, 1_000_000) == (30.0, True)
    assert check_cost(Facts(prices=(Price(1.0, 2.0),)), 1_000_000, 1_000_000) == (3.0, False)
    assert prompt_tokens("Reply with the single word OK.") == 31
