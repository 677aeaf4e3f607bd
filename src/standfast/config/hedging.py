"""Checks what a configuration says about hedging: hedges that no request could ever send."""

from collections.abc import Iterator

from standfast.config.interpolation import join
from standfast.config.schema import Config
from standfast.errors import Problem
from standfast.policy.hedge import HedgeSettings
from standfast.policy.retry import RetrySettings


def check_hedging(config: Config) -> list[Problem]:
    """Problems of `hedge` in a configuration that is valid otherwise."""
    defaults = config.defaults
    problems = list(_bounds(defaults.hedge, defaults.retry, "defaults.hedge"))
    for name, model in config.models.items():
        path = join(join("models", name), "hedge")
        if model.hedge is not None and model.hedge.max and len(model.targets) == 1:
            problems.append(Problem(path, "can never take effect: the model has no second target"))
        else:
            own = model.retry if model.retry is not None else defaults.retry
            written = {field: getattr(own, field) for field in own.model_fields_set}
            problems += _bounds(model.hedge, defaults.retry.model_copy(update=written), path)
    return problems


def _bounds(hedge: HedgeSettings | None, retry: RetrySettings, path: str) -> Iterator[Problem]:
    """A hedge is an attempt, and one beside an attempt that may have been billed already."""
    if hedge is None:
        return
    for name, most in (("max_ambiguous", retry.max_ambiguous), ("max_attempts", retry.max_attempts - 1)):
        if hedge.max > most:
            said = f"retry.{name} ({getattr(retry, name)}) allows {most}"
            yield Problem(join(path, "max"), f"can never take effect: {said}; lower this or raise that")
            return
