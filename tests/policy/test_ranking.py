"""Orders that are made on demand."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.policy.ranking import SMALL, Ranking, ascending, drawn, ranked
from support.exchanges import target

MANY = tuple(target(f"p{n}/m") for n in range(50))
RANK = {id(each): float(n) for n, each in enumerate(MANY)}


def test_the_rest_is_ordered_only_if_somebody_asks() -> None:
    """The first place, the length and whether it is empty cost nothing; the second place is worth the work, once."""
    asked = []

    def order() -> list[object]:
        asked.append(1)
        return list(reversed(MANY))

    ranking = Ranking(MANY[7], len(MANY), order)  # type: ignore[arg-type]
    assert ranking[0] is MANY[7]
    assert len(ranking) == 50
    assert next(iter(ranking)) is MANY[7]
    assert ranking
    assert asked == []
    assert ranking[1] is MANY[49]
    assert ranking[-1] is MANY[0]
    assert next(iter(tuple(ranking))) is MANY[7]
    assert asked == [1]
    with pytest.raises(IndexError):
        ranking[50]


@given(st.integers(1, 50), st.integers(0, 49), st.integers(0, 2**32))
@settings(deadline=None)
def test_it_is_a_permutation(count: int, first: int, seed: int) -> None:
    """Whoever is first, everybody is there once."""
    few = MANY[:count]
    chosen = few[first % count]
    ranking = Ranking(chosen, count, lambda: random.Random(seed).sample(few, count))
    assert sorted(map(id, ranking)) == sorted(map(id, few))
    assert ranking[0] is chosen
    assert [ranking[n] for n in range(count)] == list(ranking)
    assert list(ranking[1:]) == list(ranking)[1:]


@given(st.lists(st.floats(0, 10), min_size=1, max_size=50), st.integers(0, 2**32))
@settings(deadline=None)
def test_ascending_is_by_cost(costs: list[float], seed: int) -> None:
    """Least first, whatever chance says between equals."""
    few = MANY[: len(costs)]
    by = {id(each): cost for each, cost in zip(few, costs, strict=True)}
    found = [by[id(each)] for each in ascending(few, lambda each: by[id(each)], random.Random(seed))]
    assert found == sorted(costs)


def test_few_are_compared_exactly_and_many_by_a_sample() -> None:
    """Up to 12 the best is first; of 50 it is the best of 12 that were drawn."""
    few = MANY[:SMALL]
    for seed in range(20):
        assert ranked(few, lambda each: RANK[id(each)], random.Random(seed))[0] is MANY[0]
    looked: list[object] = []
    firsts = set()
    for seed in range(200):
        looked.clear()

        def cost(each: object) -> float:
            looked.append(each)
            return RANK[id(each)]

        firsts.add(ranked(MANY, cost, random.Random(seed))[0].name)
        assert len(looked) == SMALL
    assert len(firsts) > 5


def test_when_the_sample_is_useless_all_are_looked_at() -> None:
    """One of 50 can be used: it is first."""
    for seed in range(20):
        found = ranked(MANY, lambda each: 1.0 if each is MANY[33] else float("inf"), random.Random(seed))
        assert found[0] is MANY[33]


def test_chance_draws_from_all() -> None:
    """Every target can be drawn, and none that is not there."""
    rng = random.Random(1)
    found = {id(each) for _ in range(100) for each in drawn(MANY, 12, rng)}
    assert found == {id(each) for each in MANY}
