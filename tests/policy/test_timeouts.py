"""Time limits: defaults, overrides, and the automatic first-token limit."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from standfast.policy.timeouts import TimeoutOverrides, TimeoutSettings, first_token_limit, thinks

AUTO = TimeoutSettings()


def test_the_defaults_are_those_of_the_plan() -> None:
    """Every wait has a limit from the first day: 3 s, 5 s, auto, 30 s, 15 min."""
    assert AUTO.model_dump() == {"connect": 3.0, "tls": 5.0, "first_token": "auto", "gap": 30.0, "total": 900.0}


@pytest.mark.parametrize("name", list(TimeoutSettings.model_fields))
@pytest.mark.parametrize("model", [TimeoutSettings, TimeoutOverrides])
@pytest.mark.parametrize("wrong", [0, -1, "-3s", "soon", True])
def test_a_limit_is_a_positive_duration(
    model: type[TimeoutSettings | TimeoutOverrides], name: str, wrong: object
) -> None:
    """No limit can be switched off by zero, by a sign or by a word."""
    with pytest.raises(ValidationError):
        model.model_validate({name: wrong})


@pytest.mark.parametrize("name", ["connect", "tls", "gap", "total"])
def test_only_the_first_token_can_be_automatic(name: str) -> None:
    """`auto` means something for the first token alone."""
    with pytest.raises(ValidationError):
        TimeoutSettings.model_validate({name: "auto"})


def test_overrides_lie_over_the_defaults() -> None:
    """What a target sets replaces the default, what it leaves out stays."""
    defaults = TimeoutSettings(connect=1.0, first_token=20.0)
    assert TimeoutOverrides().over(defaults) == defaults
    laid = TimeoutOverrides.model_validate({"total": "45s", "first_token": "auto"}).over(defaults)
    assert laid == TimeoutSettings(connect=1.0, first_token="auto", total=45.0)
    assert defaults.total == 900.0


@pytest.mark.parametrize(
    ("stream", "reasoning", "p95", "seconds"),
    [
        (True, False, None, 12.0),
        (False, False, None, 60.0),
        (True, True, None, 300.0),
        (False, True, None, 300.0),
        (True, False, 0.4, 5.0),
        (True, False, 4.0, 12.0),
        (False, False, 0.4, 20.0),
        (False, False, 30.0, 90.0),
        (True, True, 40.0, 120.0),
    ],
)
def test_auto_follows_the_targets_own_history(stream: bool, reasoning: bool, p95: float | None, seconds: float) -> None:
    """B1: a cautious constant without history, then max(floor, 3 x p95); streams and whole replies apart."""
    assert first_token_limit(AUTO.limits, p95, stream=stream, reasoning=reasoning) == seconds


@given(st.floats(0.001, 1000), st.none() | st.floats(0, 1000), st.booleans(), st.booleans())
@settings(deadline=None)
def test_a_written_limit_is_the_limit(limit: float, p95: float | None, stream: bool, reasoning: bool) -> None:
    """What the operator wrote is never replaced by what we think."""
    written = TimeoutSettings(first_token=limit)
    assert first_token_limit(written.limits, p95, stream=stream, reasoning=reasoning) == limit


@given(st.floats(0, 1000), st.floats(0, 1000), st.booleans())
@settings(deadline=None)
def test_a_slower_history_never_shortens_the_limit(one: float, other: float, stream: bool) -> None:
    """D1: the limit grows with the percentile and is always above it, so the history can still grow worse."""
    low, high = sorted((one, other))
    limits = [first_token_limit(AUTO.limits, p95, stream=stream, reasoning=False) for p95 in (low, high)]
    assert limits == sorted(limits)
    assert limits[1] > high


@pytest.mark.parametrize(
    "model",
    [
        "o1",
        "o3-mini",
        "o4-mini",
        "gpt-5",
        "gpt-5.1-mini",
        "deepseek-r1",
        "deepseek-reasoner",
        "Qwen/QwQ-32B",
        "deepseek/deepseek-r1",
        "kimi-k2-thinking",
        "magistral-medium",
        "grok-4-fast-reasoning",
    ],
)
def test_models_that_think_before_they_speak_are_known(model: str) -> None:
    """B1: a silence of minutes is no fault of these, so the first-token limit is theirs."""
    assert thinks(model)


@pytest.mark.parametrize(
    "model", ["gpt-4o", "gpt-4.1", "gpt-50", "claude-sonnet-4-5", "llama-3.1-8b", "phi-o10", "mistral-large", "foo1"]
)
def test_models_that_speak_at_once_are_not_taken_for_thinkers(model: str) -> None:
    """A name that only looks alike does not wait for five minutes before it fails over."""
    assert not thinks(model)
