"""Backoff and the retry budget."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from standfast.policy.retry import BackoffSettings, RetryBudget, RetrySettings, backoff


def test_the_defaults_are_those_of_the_plan() -> None:
    """The configuration contract of the design names these figures."""
    assert RetrySettings().model_dump() == {
        "max_attempts": 4,
        "max_ambiguous": 1,
        "budget": 0.2,
        "budget_floor": 3,
        "wait": 3.0,
        "backoff": {"base": 0.25, "cap": 8.0},
        "elsewhere_on": (),
    }


@pytest.mark.parametrize(
    "wrong",
    [{"max_attempts": 0}, {"max_attempts": 11}, {"budget": 1.1}, {"budget": -0.1}, {"wait": "-1s"}, {"attempts": 3}],
)
def test_effort_has_bounds(wrong: dict[str, object]) -> None:
    """No configuration makes a retry storm, and a misspelt limit is an error, not a default."""
    with pytest.raises(ValidationError):
        RetrySettings.model_validate(wrong)


@given(st.integers(-5, 10_000), st.integers(0, 2**32), st.floats(0.001, 10), st.floats(0.001, 100))
@settings(deadline=None)
def test_backoff_stays_within_its_full_jitter(attempt: int, seed: int, base: float, cap: float) -> None:
    """Uniform between 0 and min(cap, base x 2^n), for any n, and the same for the same seed."""
    limits = BackoffSettings(base=base, cap=cap)
    seconds = backoff(limits, attempt, random.Random(seed))
    assert 0.0 <= seconds <= min(cap, base * 2.0 ** min(max(attempt, 0), 60))
    assert seconds == backoff(limits, attempt, random.Random(seed))


@pytest.mark.parametrize(("attempt", "full"), [(0, 0.25), (1, 0.5), (2, 1.0), (5, 8.0), (50, 8.0)])
def test_backoff_uses_its_whole_range(attempt: int, full: float) -> None:
    """Full jitter: the draws fill the range evenly, so that clients which failed together do not return together."""
    rng = random.Random(7)
    draws = [backoff(BackoffSettings(), attempt, rng) for _ in range(2000)]
    tenths = [sum(full * n / 10 <= draw < full * (n + 1) / 10 for draw in draws) for n in range(10)]
    assert min(tenths) > 140


def test_the_floor_is_always_allowed() -> None:
    """With little traffic a share means nothing: three retries may be under way."""
    budget = RetryBudget(0.2, 3)
    assert [budget.take() for _ in range(4)] == [True, True, True, False]
    budget.give_back()
    assert [budget.take(), budget.take()] == [True, False]


def test_the_share_counts_requests_in_flight() -> None:
    """B14: with a hundred requests in flight twenty retries may be under way, and fewer again when they end."""
    budget = RetryBudget(0.2, 3)
    for _ in range(100):
        budget.started()
    assert sum(budget.take() for _ in range(100)) == 20
    for _ in range(50):
        budget.ended()
    for _ in range(10):
        budget.give_back()
        assert not budget.take()
    budget.give_back()
    assert [budget.take(), budget.take()] == [True, False]


def test_no_budget_means_no_retry() -> None:
    """A share and a floor of zero switch retries off."""
    budget = RetryBudget(0.0, 0)
    budget.started()
    assert not budget.take()


@given(
    st.floats(0, 1),
    st.integers(0, 5),
    st.lists(st.sampled_from(["started", "ended", "take", "give_back"]), max_size=200),
)
@settings(deadline=None)
def test_retries_never_exceed_the_budget(share: float, floor: int, events: list[str]) -> None:
    """Granted exactly while fewer than max(floor, share x in flight) are under way; no count falls below 0."""
    budget = RetryBudget(share, floor)
    flying = retrying = 0
    for event in events:
        if event == "take":
            allowed = retrying < max(floor, share * flying)
            assert budget.take() == allowed
            retrying += allowed
        else:
            getattr(budget, event)()
            flying = max(0, flying + {"started": 1, "ended": -1}.get(event, 0))
            retrying = max(0, retrying - (event == "give_back"))
        assert (budget.in_flight, budget.retrying) == (flying, retrying)


def test_the_budget_is_news_when_it_is_spent_and_when_half_of_it_is_free() -> None:
    """One event for each change: not for every refusal, and not back again with the first retry that ends."""
    budget = RetryBudget(0.0, 4)
    assert [budget.take() for _ in range(7)] == [True] * 4 + [False] * 3
    (spent,) = budget.news
    assert (spent.subject, spent.before, spent.after) == ("retry_budget", "available", "spent")
    budget.news.clear()
    budget.give_back()
    assert budget.take()
    assert not budget.take()
    assert budget.news == []
    budget.give_back()
    budget.give_back()
    (free,) = budget.news
    assert (free.before, free.after) == ("spent", "available")
    assert not budget.spent


def test_other_limits_leave_what_is_under_way_counted() -> None:
    """An operator may turn retries off and on at any moment; none that is under way is forgotten, none is doubled."""
    budget = RetryBudget(0.0, 3)
    assert [budget.take() for _ in range(2)] == [True, True]
    budget.limit(0.0, 0)
    assert (budget.take(), budget.retrying, budget.spent) == (False, 2, True)
    budget.limit(0.0, 4)
    assert not budget.spent
    assert [budget.take() for _ in range(3)] == [True, True, False]
    budget.limit(0.5, 0)
    for _ in range(10):
        budget.started()
    assert [budget.take() for _ in range(2)] == [True, False]
