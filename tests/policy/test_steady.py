"""Chance without spread, for drills."""

from standfast.policy.steady import Steady


def test_waits_take_their_mean_and_choices_are_drawn() -> None:
    """Jitter is gone, balancing is not; the same seed draws the same."""
    steady = Steady("seed")
    assert steady.uniform(2.0, 6.0) == 4.0
    draws = [steady.random() for _ in range(100)]
    assert len(set(draws)) == 100
    assert Steady("seed").random() == draws[0]
