"""Which breaker settings hold for a deployment, and what they say about each other.

A target's `breaker` is laid over `defaults.breaker`. A deployment has one breaker, whichever models it serves, so two
targets must not set different things for one deployment; where only one says something, that holds.
"""

from collections.abc import Iterator

from standfast.config.interpolation import join
from standfast.config.schema import Config
from standfast.errors import Problem
from standfast.policy.breaker_settings import BreakerSettings


def check_breakers(config: Config) -> list[Problem]:
    """Two targets that disagree about one deployment, and settings that do not fit together."""
    problems = []
    said: dict[str, tuple[str, BreakerSettings]] = {}
    for path, target, own in _written(config):
        other, theirs = said.setdefault(target, (path, own))
        if own != theirs or own.model_fields_set != theirs.model_fields_set:
            message = f"differs from {other} for {target}, and a deployment has one breaker; write the same in both"
            problems.append(Problem(path, message))
            continue
        holds = _over(own, config.defaults.breaker)
        if holds.contradiction:
            problems.append(Problem(path, holds.contradiction))
    return problems


def breakers_of(config: Config) -> dict[str, BreakerSettings]:
    """What holds for each configured target that says something of its own, by `provider/model`."""
    return {target: _over(own, config.defaults.breaker) for _, target, own in _written(config)}


def _written(config: Config) -> Iterator[tuple[str, str, BreakerSettings]]:
    """Path, target and settings of every target that has its own."""
    for name, model in config.models.items():
        for at, line in enumerate(model.targets):
            if line.breaker is not None:
                yield join(join(join(join("models", name), "targets"), at), "breaker"), line.target, line.breaker


def _over(own: BreakerSettings, default: BreakerSettings) -> BreakerSettings:
    return default.model_copy(update={name: getattr(own, name) for name in own.model_fields_set})
