"""Requirements on a report."""

import pytest

from standfast.errors import ConfigError
from standfast.sim.require import judge, parse


@pytest.mark.parametrize(
    ("text", "value", "met"),
    [
        ("availability>=99.95", 99.95, True),
        ("availability>=99.95", 99.9499, False),
        ("p99_first_token_ms <= 3000", 3000.1, False),
        ("cost<1e2", 99.0, True),
        ("cost>100", 100.0, False),
        ("broken==0", 0, True),
        ("unpriced == 0", 1, False),
        ("recovery_s<=.5", 0.4, True),
        ("failovers>=-1", 0, True),
    ],
)
def test_a_requirement_holds_or_not(text: str, value: float, met: bool) -> None:
    """Each operator as mathematics has it."""
    (requirement,) = parse((text,))
    (judgement,) = judge([requirement], {requirement.figure: value})
    assert judgement.met is met
    assert str(value if value != int(value) else int(value)) in str(judgement)


def test_an_unknown_figure_gets_a_suggestion() -> None:
    """A typing error must not pass for a requirement that holds; all of them are named at once."""
    with pytest.raises(ConfigError) as caught:
        parse(("availabilty>=99", "p99_first_token<=3", "cost<=1"))
    assert [problem.suggestion for problem in caught.value.problems] == ["availability", "p99_first_token_ms"]


@pytest.mark.parametrize(
    "text", ["", "availability", "availability>=", ">=3", "availability>=many", "availability=>3", "a b>=1"]
)
def test_what_is_no_requirement_is_refused(text: str) -> None:
    """With an example of what is right."""
    with pytest.raises(ConfigError, match=r"for instance availability>=99\.95"):
        parse((text,))


@pytest.mark.parametrize("figures", [{}, {"p50_failover_added_ms": None}])
def test_what_was_not_measured_does_not_hold(figures: dict[str, float | None]) -> None:
    """A run without a failover proves nothing about failovers."""
    (judgement,) = judge(parse(("p50_failover_added_ms<=5",)), figures)
    assert not judgement.met
    assert "cannot be judged" in str(judgement)


def test_nothing_is_met_where_a_trouble_hits_nobody() -> None:
    """The run does not show what the scenario is for: which trouble is told instead of a value."""
    (judgement,) = judge(parse(("availability>=99",)), {"availability": 100.0}, ("hangs",))
    assert not judgement.met
    assert str(judgement).endswith("cannot be judged, the configuration has no target that is hit by 'hangs'")
