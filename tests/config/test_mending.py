"""What a configuration may say about answers that break off."""

import pytest

from standfast.config.check import check
from standfast.config.load import from_mapping
from standfast.config.routes import routes_of

ABLE = {"abilities": ["continuation"]}
LOCAL = {"type": "openai_like", "base_url": "http://127.0.0.1:9/v1", "keys": ["none"]}


def data(target: str = "local/m", *, prefill: str | None = "final_message", **rest: object) -> dict[str, object]:
    """One model with one target."""
    local = LOCAL if prefill is None else {**LOCAL, "prefill": prefill}
    providers = {"local": local, **{name: {"keys": ["k"]} for name in ("anthropic", "gemini", "deepseek", "openai")}}
    return {"providers": providers, "models": {"m": {"targets": [target], "on_break": "resume"}}, **rest}


def paths(mapping: dict[str, object]) -> list[str]:
    """Where its problems are."""
    return [problem.path for problem in check(mapping).problems]


@pytest.mark.parametrize(
    ("target", "prefill", "facts", "goes_on"),
    [
        ("local/m", "final_message", {"local/m": ABLE}, True),
        ("local/m", "final_message", {}, False),
        ("local/m", None, {"local/m": ABLE}, False),
        ("anthropic/claude-haiku-4-5", None, {}, True),
        ("anthropic/claude-sonnet-4-6", None, {}, False),
        ("gemini/gemini-2.5-flash", None, {}, False),
        ("gemini/gemini-2.5-flash", None, {"gemini/*": ABLE}, True),
        ("deepseek/deepseek-chat", None, {}, True),
        ("openai/gpt-4.1", None, {"openai/*": ABLE}, False),
    ],
)
def test_a_continuation_needs_an_able_model_and_a_server_that_can_be_told(
    target: str, prefill: str | None, facts: dict[str, object], *, goes_on: bool
) -> None:
    """G3: a rule that can never take effect is an error; where both are known, the target knows that it goes on."""
    mapping = data(target, prefill=prefill, facts=facts)
    assert paths(mapping) == ([] if goes_on else ["models.m.on_break"])
    if goes_on:
        (found,) = routes_of(from_mapping(mapping, {}))["m"].targets
        assert found.facts is not None
        assert found.facts.continuation


def test_a_default_needs_one_model_that_it_helps() -> None:
    """`defaults.on_break: resume` is in vain only if no model that inherits it has an able target."""
    models = {"m": ["local/m"], "n": ["anthropic/claude-haiku-4-5"]}
    assert paths({**data(), "models": models, "defaults": {"on_break": "resume"}}) == []
    assert paths({**data(), "models": {"m": ["local/m"]}, "defaults": {"on_break": "resume"}}) == ["defaults.on_break"]


def test_a_provider_with_a_way_of_its_own_needs_no_other() -> None:
    """`prefill` is for servers of OpenAI's dialect."""
    mapping = data("anthropic/claude-haiku-4-5")
    mapping["providers"] = {"anthropic": {"keys": ["k"], "prefill": "prefix"}}
    assert paths(mapping) == ["providers.anthropic.prefill"]
