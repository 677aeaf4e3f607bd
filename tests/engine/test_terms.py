"""What holds for a model's answers, from defaults, model and target."""

from collections.abc import Mapping

import pytest

from standfast.config.load import from_mapping
from standfast.engine.terms import UNLISTED, Terms, terms_of

PROVIDERS = {"openai": {"keys": ["sk-1"]}, "anthropic": {"keys": ["sk-2"]}}


def terms(model: Mapping[str, object] | None = None, **defaults: object) -> dict[str, Terms]:
    """The terms of a configuration whose model `m` says this."""
    entry = {"targets": ["openai/a", "anthropic/b"], **(model or {})}
    return terms_of(from_mapping({"providers": PROVIDERS, "models": {"m": entry}, "defaults": defaults}, {}))


def accepts(found: Terms, text: str, target: str = "") -> bool:
    """Does an answer of a target satisfy the configuration's rules?"""
    rules = (found.by_target or {}).get(target, found.rules)
    return rules is None or rules.fault(text, "stop") == ""


def test_only_models_that_say_something_have_terms() -> None:
    """What nobody asks for is not there: neutral rules, a cache that keeps nothing, an empty message."""
    assert terms() == {}
    assert terms({"validate": {"min_chars": 0}, "cache": {"ttl": 0}, "fallback": {"message": ""}}) == {}
    assert terms({"targets": [{"target": "openai/a", "validate": {}}]}) == {}
    assert set(terms({"cache": {}})) == {"m"}
    assert set(terms(cache={})) == {"m", UNLISTED}
    assert set(terms({"cache": {"ttl": 0}}, cache={})) == {UNLISTED}


def test_rules_of_three_levels_lie_over_each_other() -> None:
    """Target over model over defaults, rule by rule: what the nearer level does not write stays."""
    own = {"target": "openai/a", "validate": {"min_chars": 2}}
    found = terms({"targets": [own, "anthropic/b"], "validate": {"not_regex": "x"}}, validate={"min_chars": 4})
    assert [accepts(found["m"], text, "openai/a") for text in ("a", "ab", "abx", "abcd")] == [False, True, False, True]
    assert [accepts(found["m"], text, "anthropic/b") for text in ("ab", "abcx", "abcd")] == [False, False, True]
    assert [accepts(found[UNLISTED], text) for text in ("ab", "abcx")] == [False, True]


def test_a_target_can_be_free_of_rules() -> None:
    """A target that writes every rule of its model as neutral has none, and the others keep theirs."""
    own = {"target": "openai/a", "validate": {"min_chars": 0}}
    found = terms({"targets": [own, "anthropic/b"], "validate": {"min_chars": 4}})["m"]
    assert found.by_target == {"openai/a": None}
    assert accepts(found, "", "openai/a")
    assert not accepts(found, "", "anthropic/b")


def test_the_cache_lies_over_the_default_one() -> None:
    """What a model does not write about its cache is the default's."""
    found = terms({"cache": {"ttl": "1m"}}, cache={"ttl": "5m", "stale_if_error": "1h"})
    assert found["m"].cache is not None
    assert (found["m"].cache.ttl, found["m"].cache.stale_if_error) == (60.0, 3600.0)
    assert found[UNLISTED].cache is not None
    assert found[UNLISTED].cache.ttl == 300.0


def test_the_nearest_message_is_said() -> None:
    """A model's message takes the place of the default one; an empty one switches it off."""
    assert terms({"fallback": {"message": "mine"}}, fallback={"message": "all"})["m"].message == "mine"
    found = terms({"fallback": {"message": ""}}, fallback={"message": "all"})
    assert "m" not in found
    assert found[UNLISTED].message == "all"


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"strategy": "weighted"}, True),
        ({"cache": {"ttl": "1m"}}, True),
        ({"targets": ["anthropic/b", "openai/a"]}, False),
        ({"targets": [{"target": "openai/a", "params": {"top_p": 0.5}}, "anthropic/b"]}, False),
        ({"reply_model": "requested"}, False),
    ],
)
def test_the_scope_is_who_answers_and_how(change: dict[str, object], same: bool) -> None:
    """What is kept belongs to the targets, their parameters and the form of the reply; to nothing else."""
    assert (terms({"cache": {}})["m"].scope == terms({"cache": {}, **change})["m"].scope) is same
