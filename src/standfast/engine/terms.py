"""What a configuration says about the answers of a model: their rules, how long they are kept, the last resort."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from standfast.config.schema import Config, ModelSettings
from standfast.policy.caching import CacheSettings
from standfast.policy.validation import Rules, ValidateSettings

UNLISTED = ""
"""Stands for all models that clients name as `provider/model`; no configured model can have this name."""


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """What holds for the answers of one model.

    Attributes:
        rules: what an answer must be like; None for anything.
        by_target: the same for targets that say so themselves, by `provider/model`; None for anything.
        cache: how long answers are kept; None for not at all.
        scope: changes with whatever decides who answers and in which form, so that no answer outlives that.
        message: what is said when nobody can answer; empty for an error.
    """

    rules: Rules | None = None
    by_target: Mapping[str, Rules | None] | None = None
    cache: CacheSettings | None = None
    scope: bytes = b""
    message: str = ""


def terms_of(config: Config) -> dict[str, Terms]:
    """By model, for those that use any of it; `UNLISTED` for what is named directly."""
    found: dict[str, Terms] = {}
    nothing = ModelSettings(targets=())
    for name, model in ((UNLISTED, nothing), *config.models.items()):
        terms = _terms(model, config)
        if terms is not None:
            found[name] = terms
    return found


def validation_of(model: ModelSettings, config: Config) -> ValidateSettings | None:
    """A model's rules laid over the default ones."""
    return _over(model.validation, config.defaults.validation)


def _terms(model: ModelSettings, config: Config) -> Terms | None:
    defaults = config.defaults
    settings = validation_of(model, config)
    rules = _rules(settings)
    by_target = {
        target.target: _rules(target.validation.over(settings))
        for target in model.targets
        if target.validation is not None
    }
    cache = model.cache.over(defaults.cache) if model.cache is not None else defaults.cache
    if cache is not None and not cache.kept:
        cache = None
    fallback = model.fallback or defaults.fallback
    message = "" if fallback is None else fallback.message
    if rules is None and not any(by_target.values()) and cache is None and not message:
        return None
    return Terms(rules, by_target, cache, _scope(model), message)


def _over(own: ValidateSettings | None, base: ValidateSettings | None) -> ValidateSettings | None:
    return base if own is None else own.over(base)


def _rules(settings: ValidateSettings | None) -> Rules | None:
    return Rules(settings) if settings is not None and settings.demanding else None


def _scope(model: ModelSettings) -> bytes:
    rows = [(target.target, target.params) for target in model.targets]
    return hashlib.sha256(msgspec.json.encode((rows, model.reply_model), order="sorted")).digest()
