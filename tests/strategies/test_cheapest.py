"""Least expected cost first."""

import random
from collections import Counter

import pytest

from standfast.canon.ask import Ask
from standfast.canon.facts import Facts, Price
from standfast.policy.route import Target
from standfast.strategies.cheapest import STRATEGY
from support.exchanges import START
from support.fleets import Watched, failed, group, opened, served
from support.traffic import GOOD, Manner, Traffic


def priced(*prices: tuple[float, float] | None, context: int | None = None) -> tuple[tuple[Target, ...], Watched]:
    """Targets at these prices in and out, None for unpriced."""
    facts = [Facts(context, prices=() if each is None else (Price(*each),)) for each in prices]
    return group([1.0] * len(prices), facts)


def order(targets: tuple[Target, ...], fleet: Watched, ask: Ask, seed: int = 1) -> list[int]:
    """The numbers of the targets, best first."""
    return [targets.index(each) for each in STRATEGY.rank(targets, ask, fleet, random.Random(seed), START)]


def test_the_cost_is_that_of_this_request() -> None:
    """Who is cheap for long prompts is not who is cheap for long answers."""
    targets, fleet = priced((1.0, 20.0), (4.0, 4.0))
    assert order(targets, fleet, Ask("m", prompt_tokens=50_000, max_tokens=10)) == [0, 1]
    assert order(targets, fleet, Ask("m", prompt_tokens=100, max_tokens=4000)) == [1, 0]


def test_a_price_may_depend_on_the_length_of_the_prompt() -> None:
    """Above 200,000 tokens the other one is cheaper."""
    tiers = (Price(1.0, 1.0), Price(9.0, 9.0, above=200_000))
    targets, fleet = group([1.0, 1.0], [Facts(prices=tiers), Facts(prices=(Price(3.0, 3.0),))])
    assert order(targets, fleet, Ask("m", prompt_tokens=200_000)) == [0, 1]
    assert order(targets, fleet, Ask("m", prompt_tokens=200_001)) == [1, 0]


def test_unpriced_is_not_free() -> None:
    """Nobody knows its price, so it comes after the dearest; what costs nothing comes first."""
    targets, fleet = priced(None, (100.0, 100.0), (0.0, 0.0))
    assert order(targets, fleet, Ask("m", prompt_tokens=100)) == [2, 1, 0]
    (last,) = [row for row in STRATEGY.explain(targets, Ask("m"), fleet, START) if row.target == "p0/m"]
    assert (last.place, last.score, last.passed_over, last.dropped) == (3, None, "unpriced", "")


@pytest.mark.parametrize("price", [0.0, 0.5])
def test_failing_is_not_cheap(price: float) -> None:
    """D2: a target that fails two of five comes after a dearer one that answers, also if it costs nothing."""
    targets, fleet = priced((price, price), (5.0, 5.0))
    served(fleet, targets[0], 6)
    for _ in range(4):
        failed(fleet, targets[0])
        served(fleet, targets[0])
    assert order(targets, fleet, Ask("m", prompt_tokens=1000)) == [1, 0]


def test_what_does_not_fit_comes_last() -> None:
    """A window that is too small is passed over, however cheap, as far as it is known."""
    facts = [Facts(1000, prices=(Price(0.1, 0.1),)), Facts(None, prices=(Price(9.0, 9.0),))]
    targets, fleet = group([1.0, 1.0], facts)
    assert order(targets, fleet, Ask("m", prompt_tokens=900)) == [0, 1]
    assert order(targets, fleet, Ask("m", prompt_tokens=900, max_tokens=200)) == [1, 0]


def test_equal_prices_share() -> None:
    """Chance decides between equals, among few and among many."""
    for count in (3, 60):
        targets, fleet = priced(*[(2.0, 2.0)] * count, (9.0, 9.0))
        rng = random.Random(1)
        firsts = Counter(STRATEGY.rank(targets, Ask("m"), fleet, rng, START)[0].name for _ in range(3000))
        assert len(firsts) == count
        assert max(firsts.values()) < 1.6 * 3000 / count


def test_the_cheapest_of_many_is_found() -> None:
    """One of 500 costs a little less than all the others; when it cannot be used, the next cheapest ones are asked."""
    targets, fleet = priced(*[(2.0 + n, 2.0) for n in range(500)])
    ask = Ask("m", prompt_tokens=5000)
    for seed in range(10):
        assert order(targets, fleet, ask, seed)[0] == 0
    opened(fleet, targets[0])
    assert order(targets, fleet, ask)[0] == 1


def test_the_dearer_one_serves_while_the_cheap_one_is_down() -> None:
    """Cheap first, and back to it after its recovery; nobody notices."""
    facts = {"cheap": Facts(prices=(Price(0.1, 0.1),)), "dear": Facts(prices=(Price(5.0, 5.0),))}
    manners = {"dear": lambda _: GOOD, "cheap": lambda t: Manner(fails=1.0) if 60 <= t < 120 else GOOD}
    traffic = Traffic("cheapest", manners, facts=facts).run(300)
    assert traffic.share("cheap", 0, 60) == 1.0
    assert traffic.share("dear", 65, 120) > 0.9
    assert traffic.share("cheap", 240, 300) > 0.9
    assert not traffic.ended[False]
