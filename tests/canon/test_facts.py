"""What is known of a model."""

from hypothesis import given
from hypothesis import strategies as st

from standfast.canon.facts import ABILITIES, UNKNOWN, Facts, Price

TIERS = (Price(1.0, 5.0), Price(2.0, 10.0, above=200_000), Price(4.0, 20.0, above=500_000))


def test_nothing_is_known_of_the_unknown() -> None:
    """Unknown is not nothing: no price is None and not 0, no abilities are None and not none."""
    assert UNKNOWN.price(1) is None
    assert UNKNOWN.abilities is None
    assert not UNKNOWN.continuation


def test_the_price_follows_the_length_of_the_prompt() -> None:
    """A tier holds for prompts of more tokens than it says, as a whole."""
    facts = Facts(prices=TIERS)
    found = [facts.price(size) for size in (0, 200_000, 200_001, 500_000, 500_001)]
    assert found == [TIERS[0], TIERS[0], TIERS[1], TIERS[1], TIERS[2]]


@given(st.integers(0, 10**7))
def test_a_longer_prompt_is_never_cheaper_here(size: int) -> None:
    """Tiers are read in their order."""
    facts = Facts(prices=TIERS)
    assert facts.price(size).input <= facts.price(size + 1).input  # type: ignore[union-attr]


def test_continuation_is_an_ability() -> None:
    """Going on with an answer that was begun must be known, not assumed."""
    assert Facts(abilities=frozenset({"continuation"})).continuation
    assert not Facts(abilities=frozenset(ABILITIES) - {"continuation"}).continuation
