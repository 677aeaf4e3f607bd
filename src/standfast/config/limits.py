"""What limits of targets say about each other and about their keys' limits, and which of them hold for a deployment.

A deployment has one set of limits, whichever models it serves, so two models must not set different ones for one
target; where only one says something, that holds.
"""

from collections.abc import Iterator

from standfast.config.interpolation import join
from standfast.config.schema import Config
from standfast.errors import Problem
from standfast.policy.limits import TargetLimits

FIELDS = ("rpm", "tpm", "concurrency")


def check_limits(config: Config) -> Iterator[Problem]:
    """Two models that disagree about one target, and limits that the keys never let a target reach."""
    said: dict[str, tuple[str, TargetLimits]] = {}
    for name, model in config.models.items():
        for position, line in enumerate(model.targets):
            if not line.limits.model_fields_set:
                continue
            path = join(join(join(join("models", name), "targets"), position), "limits")
            other, theirs = said.setdefault(line.target, (path, line.limits))
            if theirs != line.limits:
                message = f"differs from {other}, and a deployment has one set of limits; write the same in both"
                yield Problem(path, message)
            yield from _above_the_keys(config, line.provider, line.limits, path)


def limits_of(config: Config) -> dict[str, TargetLimits]:
    """What holds for each configured target, by `provider/model`."""
    found: dict[str, TargetLimits] = {}
    for model in config.models.values():
        for line in model.targets:
            if line.limits.model_fields_set or line.target not in found:
                found[line.target] = line.limits
    return found


def _above_the_keys(config: Config, provider: str, limits: TargetLimits, path: str) -> Iterator[Problem]:
    settings = config.providers.get(provider)
    if settings is None:
        return
    for field in FIELDS:
        own, key = getattr(limits, field), getattr(settings.limits, field)
        together = None if key is None else key * max(1, len(settings.keys))
        if own is not None and together is not None and own > together:
            message = f"can never take effect: the keys of {provider!r} together may do {together}"
            yield Problem(join(path, field), message)
