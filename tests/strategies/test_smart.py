"""The best for this request."""

import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.canon.ask import Ask
from standfast.canon.facts import Facts, Price
from standfast.policy.explain import Row
from standfast.policy.route import Target
from standfast.strategies.smart import AVERAGE, CHEAP, PREFERENCES, PRIORITIES, STRATEGY, exponents
from support.exchanges import START
from support.fleets import Watched, answered, begin, failed, group, opened
from support.traffic import GOOD, KNOWN, Manner, Traffic

GREAT = Facts(200_000, 8_000, (Price(3.0, 15.0),), {"": 0.85, "code": 0.95}, frozenset({"tools", "images"}))
FAIR = Facts(128_000, 8_000, (Price(0.3, 1.2),), {"": 0.7, "translation": 0.9}, frozenset({"tools"}))
SMALL = Facts(8_000, 2_000, (Price(0.0, 0.0),), {"": 0.4}, frozenset())
THREE = (GREAT, FAIR, SMALL)


def order(facts: tuple[Facts | None, ...], ask: Ask) -> list[int]:
    """The numbers of idle, sound, unmeasured targets with these facts, best first."""
    targets, fleet = group([1.0] * len(facts), facts)
    return [targets.index(each) for each in STRATEGY.rank(targets, ask, fleet, random.Random(1), START)]


def rows(targets: tuple[Target, ...], fleet: Watched, ask: Ask) -> dict[str, Row]:
    """The explanation by target."""
    return {row.target: row for row in STRATEGY.explain(targets, ask, fleet, START)}


def test_what_matters_goes_to_the_best_and_the_rest_to_the_cheap() -> None:
    """Priority moves the weight from price to quality."""
    assert order(THREE, Ask("m", priority=5, prompt_tokens=500))[0] == 0
    assert order(THREE, Ask("m", priority=1, prompt_tokens=500))[0] == 2


def test_strengths_are_for_a_kind() -> None:
    """Who is good at code gets code, who is good at translation gets that."""
    specialists = (Facts(strengths={"": 0.6, "code": 0.9}), Facts(strengths={"": 0.6, "translation": 0.9}))
    assert order(specialists, Ask("m", kind="code")) == [0, 1]
    assert order(specialists, Ask("m", kind="translation")) == [1, 0]


def test_a_preference_goes_before_the_balance() -> None:
    """`prefer` weighs cost, speed or quality up."""
    assert order(THREE, Ask("m", prefer="quality", prompt_tokens=500))[0] == 0
    assert order(THREE, Ask("m", prefer="cost", prompt_tokens=500))[0] == 2
    targets, fleet = group([1.0] * 2, (GREAT, FAIR))
    answered(fleet, targets[0], 0.4, rest=1.0)
    answered(fleet, targets[1], 3.0, rest=4.0)
    ask = Ask("m", stream=True, prompt_tokens=500)
    assert rows(targets, fleet, ask)["p1/m"].place == 2
    assert (
        STRATEGY.rank(targets, Ask("m", stream=True, prefer="speed"), fleet, random.Random(1), START)[0] is targets[0]
    )


@pytest.mark.parametrize(
    ("ask", "number", "why"),
    [
        (Ask("m", prompt_tokens=9_000), 2, "needs about 9000 tokens, its window has 8000"),
        (Ask("m", prompt_tokens=1, max_tokens=3_000), 2, "an answer may have 3000 tokens, it writes 2000 at most"),
        (Ask("m", needs=frozenset({"images", "tools"})), 1, "lacks images"),
        (Ask("m", needs=frozenset({"tools"})), 2, "lacks tools"),
    ],
)
def test_who_cannot_serve_it_is_passed_over(ask: Ask, number: int, why: str) -> None:
    """Known facts filter; who is passed over stands behind all that are not, and the explanation says why."""
    targets, fleet = group([1.0] * 3, THREE)
    found = rows(targets, fleet, ask)
    assert found[f"p{number}/m"].passed_over == why
    kept = [row.place for row in found.values() if not row.passed_over]
    assert max(kept) < min(row.place for row in found.values() if row.passed_over)
    assert not any(row.dropped for row in found.values())


def test_what_is_unknown_excludes_nobody() -> None:
    """No facts at all: average strength, no window, no lack."""
    targets, fleet = group([1.0] * 2, (None, Facts()))
    ask = Ask("m", prompt_tokens=10**6, needs=frozenset({"tools", "images"}))
    for row in rows(targets, fleet, ask).values():
        assert (row.dropped, row.passed_over) == ("", "")
        assert row.factors["quality"] == AVERAGE**2.0


def test_unpriced_counts_as_the_dearest() -> None:
    """Not knowing a price is no advantage, and no worse than the worst that is known."""
    facts = (Facts(prices=(Price(1.0, 1.0),)), Facts(), Facts(prices=(Price(9.0, 9.0),)))
    targets, fleet = group([1.0] * 3, facts)
    found = rows(targets, fleet, Ask("m", prompt_tokens=1024, max_tokens=512))
    assert found["p1/m"].factors["price"] == found["p2/m"].factors["price"] < found["p0/m"].factors["price"] == 1.0
    dear, cheap = 9.0 * 1536 / 1e6, 1536 / 1e6
    assert found["p2/m"].factors["price"] == pytest.approx(math.sqrt((cheap + CHEAP) / (dear + CHEAP)))


def test_a_limit_on_the_latency_passes_over_the_slow() -> None:
    """Who is expected to take longer comes after all the others, whatever speaks for it; the unmeasured is tried."""
    targets, fleet = group([1.0] * 3, (GREAT, SMALL, SMALL))
    answered(fleet, targets[0], 4.0)
    answered(fleet, targets[1], 0.5)
    ask = Ask("m", stream=True, priority=5, max_latency=2.0)
    found = rows(targets, fleet, ask)
    assert found["p0/m"].place == 3
    assert found["p0/m"].passed_over == "expected to take 4.0 s, 2 s are allowed"
    assert not found["p0/m"].dropped
    assert not found["p2/m"].passed_over


def test_load_spreads_equals() -> None:
    """Of equals the one with more room comes first."""
    targets, fleet = group([1.0] * 3, (FAIR,))
    for _ in range(2):
        begin(fleet, targets[0])
        begin(fleet, targets[2])
    for target in targets:
        answered(fleet, target, 0.5)
    assert STRATEGY.rank(targets, Ask("m"), fleet, random.Random(1), START)[0] is targets[1]


def test_nothing_makes_up_for_failing() -> None:
    """D2: the strongest model that fails one in three comes after the weakest that answers."""
    targets, fleet = group([1.0] * 2, (GREAT, SMALL))
    failed(fleet, targets[0], 2)
    assert STRATEGY.rank(targets, Ask("m", priority=5, stream=True), fleet, random.Random(1), START)[0] is targets[1]


@given(
    st.lists(st.sampled_from(["", "open", "failing", "busy", "slow"]), min_size=2, max_size=12),
    st.integers(1, 5),
    st.sampled_from(sorted(PREFERENCES)),
    st.sampled_from(["chat", "code"]),
)
@settings(deadline=None)
def test_the_score_is_the_product_of_its_factors(states: list[str], priority: int, prefer: str, kind: str) -> None:
    """What is explained is what decides: factors multiply to the score, and the order is that of the scores."""
    targets, fleet = group([1.0] * len(states), THREE)
    for target, state in zip(targets, states, strict=True):
        if state == "open":
            opened(fleet, target)
        elif state == "failing":
            failed(fleet, target)
        elif state == "busy":
            begin(fleet, target)
        elif state == "slow":
            answered(fleet, target, 5.0)
    ask = Ask("m", stream=True, prompt_tokens=500, priority=priority, prefer=prefer, kind=kind)
    found = STRATEGY.explain(targets, ask, fleet, START)
    assert all(row.score == pytest.approx(math.prod(row.factors.values())) for row in found)
    fit = [row for row in found if not row.dropped]
    assert [row.score for row in fit] == sorted((row.score for row in fit), key=lambda score: -(score or 0.0))
    best = STRATEGY.rank(targets, ask, fleet, random.Random(1), START)[0]
    if fit:
        score = next(row.score for row in found if row.target == best.name)
        assert score == pytest.approx(fit[0].score)


def test_every_priority_weighs_less_price_and_more_quality() -> None:
    """The tables are monotonic, and an unknown word means the balance."""
    table = [PRIORITIES[priority] for priority in range(1, 6)]
    assert [each.quality for each in table] == sorted(each.quality for each in table)
    assert [each.price for each in table] == sorted((each.price for each in table), reverse=True)
    assert [each.speed for each in table] == sorted(each.speed for each in table)
    assert exponents(Ask("m", prefer="unheard-of")) == exponents(Ask("m"))


def test_the_best_of_many_is_found() -> None:
    """One of 400 is better on paper; when it is down, the decision looks at those that are nearly as good."""
    better = Facts(prices=(Price(1.0, 4.0),), strengths={"": 0.9})
    targets, fleet = group([1.0] * 400, [*[KNOWN] * 399, better])
    ask = Ask("m", stream=True)
    for seed in range(10):
        assert STRATEGY.rank(targets, ask, fleet, random.Random(seed), START)[0] is targets[399]
    opened(fleet, targets[399])
    assert STRATEGY.rank(targets, ask, fleet, random.Random(1), START)[0] is not targets[399]


def test_many_equals_share() -> None:
    """400 equal targets: no favourite."""
    targets, fleet = group([1.0] * 400, [KNOWN])
    rng = random.Random(1)
    firsts = Counter(STRATEGY.rank(targets, Ask("m"), fleet, rng, START)[0].name for _ in range(4000))
    assert len(firsts) > 390
    assert max(firsts.values()) < 40


def test_what_does_not_fit_keeps_nobody_out_of_a_short_list() -> None:
    """Of 400 targets 390 are too small for this request: one of the ten that are not is found."""
    facts = [*[SMALL] * 390, *[GREAT] * 10]
    targets, fleet = group([1.0] * 400, facts)
    for tokens in (8_100, 9_000, 16_000, 60_000):
        ask = Ask("m", prompt_tokens=tokens, priority=1)
        assert targets.index(STRATEGY.rank(targets, ask, fleet, random.Random(1), START)[0]) >= 390


@pytest.mark.parametrize("rate", [2.0, 20.0])
@pytest.mark.parametrize("stream", [True, False])
def test_a_brownout_loses_its_requests(rate: float, stream: bool) -> None:
    """D1: one of three becomes 20x slower without an error: its share is below 5 % from the tenth second on."""
    slow = Manner(first=10.0, rest=20.0)
    manners = {"a": lambda _: GOOD, "b": lambda t: slow if t >= 60 else GOOD, "c": lambda _: GOOD}
    traffic = Traffic("smart", manners, rate=rate, stream=stream).run(160)
    assert traffic.share("b", 0, 60) > 0.25
    assert traffic.share("b", 70, 160) < 0.05


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_partial_errors_steer_away(share: float) -> None:
    """D2: one of three fails now and then: it gets next to nothing, and everybody is served."""
    manners = {"a": lambda _: GOOD, "b": lambda t: Manner(fails=share) if t >= 60 else GOOD, "c": lambda _: GOOD}
    traffic = Traffic("smart", manners).run(200)
    assert traffic.share("b", 70, 200) < 0.05
    assert not traffic.ended[False]
