"""A drill is held against the rehearsal: the bars, their units, and what chance alone makes."""

import pytest

from standfast.drill.agreement import agreement
from standfast.sim.report import Report


def report(availability: float, first: float | None, attempts: float) -> Report:
    """Three figures."""
    figures = {"availability": availability, "p50_first_token_ms": first, "attempts_per_request": attempts}
    return Report("t", "l", 1, 60.0, figures, {}, [], {}, {})


def test_the_bars() -> None:
    """0.1 points, 10 %, 3 %: at the bar it agrees, beyond it does not."""
    base = report(99.0, 500.0, 1.0)
    assert [each.met for each in agreement(report(99.05, 549.0, 1.02), [base])] == [True, True, True]
    assert [each.met for each in agreement(report(98.85, 440.0, 1.04), [base])] == [False, False, False]
    assert [each.difference for each in agreement(report(98.0, 550.0, 0.9), [base])] == pytest.approx([-1, 10, -10])


def test_what_is_not_measured_does_not_agree() -> None:
    """A figure that one of them lacks is no agreement."""
    verdicts = agreement(report(99.0, None, 1.0), [report(99.0, 500.0, 1.0)])
    assert [each.met for each in verdicts] == [True, False, True]
    assert str(verdicts[1]) == "p50_first_token_ms: not measured"


def test_chance_is_told_and_does_not_excuse() -> None:
    """Held against the mean of all; within two deviations it is told as chance's, and is still none that agrees."""
    others = [report(99.0 + at / 2, 500.0, 1.0 + at / 100) for at in range(-3, 4)]
    availability, _, attempts = agreement(report(97.5, 500.0, 1.2), others)
    assert (availability.rehearsal, availability.chance) == (99.0, pytest.approx(1.08, abs=0.01))
    assert (availability.met, availability.by_chance) == (False, True)
    assert "differs as chance may" in str(availability)
    assert (attempts.met, attempts.by_chance) == (False, False)
    assert "DIFFERS" in str(attempts)


def test_what_a_rehearsal_did_too_is_chance() -> None:
    """Outcomes may come in clusters: what lies between the least and the most of the rehearsals is told as chance's."""
    others = [report(99.0, 500.0, 1.0)] * 20 + [report(90.0, 500.0, 1.0)]
    inside, outside = (agreement(report(at, 500.0, 1.0), others)[0] for at in (90.5, 89.0))
    assert (inside.met, inside.by_chance) == (False, True)
    assert (outside.met, outside.by_chance) == (False, False)


def test_what_the_way_makes_is_told_and_not_held_against() -> None:
    """The verdict is of the rehearsals on the drill's way; the mean of those without one stands beside it."""
    on_the_way, plain = [report(98.9, 505.0, 1.0)] * 3, [report(99.0, 500.0, 1.0)] * 3
    availability, first, attempts = agreement(report(98.85, 505.0, 1.0), on_the_way, plain)
    assert availability.met
    assert (availability.rehearsal, availability.plain) == pytest.approx((98.9, 99.0))
    assert availability.made_by_way == pytest.approx(-0.1)
    assert first.made_by_way == pytest.approx(1.0)
    assert attempts.made_by_way == 0.0
    assert str(availability).endswith("; the way -0.1 points)")
    assert agreement(report(98.85, 505.0, 1.0), on_the_way)[0].made_by_way is None
