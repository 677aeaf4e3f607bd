"""Checks what a configuration says about answers: rules that contradict each other, and what can never take effect."""

from collections.abc import Iterator, Mapping

from standfast import plugins
from standfast.config.interpolation import join
from standfast.config.schema import Config, ModelSettings
from standfast.errors import Problem
from standfast.policy.fallback import FallbackSettings
from standfast.policy.validation import Rules, ValidateSettings


def check_answers(config: Config, data: Mapping[str, object]) -> list[Problem]:
    """Problems of `validate`, `cache` and `fallback` in a configuration that is valid otherwise.

    Args:
        config: the whole.
        data: what it was read from: short forms have shorter paths.
    """
    problems = list(_store(config, data))
    defaults = config.defaults
    problems += _message(defaults.fallback, defaults.validation, "defaults.fallback.message")
    for name, model in config.models.items():
        problems += _model(name, model, config, data)
    return problems


def _model(name: str, model: ModelSettings, config: Config, data: Mapping[str, object]) -> Iterator[Problem]:
    path = join("models", name)
    written = data.get("models")
    listed = path
    if isinstance(written, Mapping) and isinstance(written.get(name), Mapping):
        listed = join(path, "targets")
    base = config.defaults.validation
    rules = base if model.validation is None else model.validation.over(base)
    if rules is not None and rules.contradictory:
        yield _contradiction(join(path, "validate"))
        return
    for at, target in enumerate(model.targets):
        if target.validation is not None and target.validation.over(rules).contradictory:
            yield _contradiction(join(join(listed, at), "validate"))
    yield from _message(model.fallback, rules, join(path, "fallback.message"))


def _contradiction(path: str) -> Problem:
    return Problem(path, "contradicts what it is laid over: no answer can be that long and that short")


def _message(fallback: FallbackSettings | None, rules: ValidateSettings | None, path: str) -> Iterator[Problem]:
    if fallback is None or not fallback.message or rules is None or rules.contradictory:
        return
    fault = Rules(rules).fault(fallback.message, "stop")
    if fault:
        yield Problem(path, f"can never take effect: as an answer it would not count under `validate`: {fault}")


def _store(config: Config, data: Mapping[str, object]) -> Iterator[Problem]:
    if "cache" not in data:
        return
    settings = config.cache
    known = plugins.names("stores")
    if settings.store not in known:
        message = f"there is no store {settings.store!r}; there are: {', '.join(known)}"
        yield Problem("cache.store", message, plugins.nearest(settings.store, known))
        return
    problem = plugins.load("stores", settings.store).path_problem(settings)
    if problem:
        yield Problem("cache.path", problem)
    caches = [config.defaults.cache, *(model.cache for model in config.models.values())]
    if not any(cache is not None and cache.kept for cache in caches):
        message = "can never take effect: no model keeps answers; set `cache: {ttl: 5m}` under a model or `defaults`"
        yield Problem("cache", message)
