"""What health settings say about each other, and which of them hold for a deployment.

A model's `health` is laid over `defaults.health` and holds for its targets. A deployment has one health, whichever
models it serves, so two models must not set different things for one target; where only one says something, that
holds.
"""

from collections.abc import Iterator, Mapping

from standfast.canon.settings import parse_duration
from standfast.config.interpolation import join
from standfast.config.schema import Config
from standfast.errors import Problem
from standfast.policy.health_check import HealthSettings


def check_health(data: Mapping[str, object]) -> list[Problem]:
    """Limits in the wrong order, a budget that cannot hold, and two models that disagree about one target."""
    default = _mapping(_mapping(data.get("defaults")).get("health"))
    problems = list(_order(default, default, "defaults.health"))
    said: dict[str, tuple[str, Mapping[str, object]]] = {}
    for name, model in _mapping(data.get("models")).items():
        own = _mapping(_mapping(model).get("health"))
        if not own:
            continue
        path = join(join("models", str(name)), "health")
        for budget in ("budget", "budget_usd"):
            if budget in own:
                message = "can never take effect: the budget is one for all models; set it under defaults.health"
                problems.append(Problem(join(path, budget), message))
        problems += _order({**default, **own}, own, path)
        for target in _targets(_mapping(model).get("targets")):
            other, theirs = said.setdefault(target, (path, own))
            if theirs != own:
                message = f"differs from {other} for {target}, and a deployment has one health; write the same in both"
                problems.append(Problem(path, message))
                break
    return problems


def with_health(config: Config) -> Config:
    """Each model's `health` laid over the default one."""
    default = config.defaults.health
    models = {
        name: model
        if model.health is None
        else model.model_copy(
            update={
                "health": default.model_copy(
                    update={field: getattr(model.health, field) for field in model.health.model_fields_set}
                )
            }
        )
        for name, model in config.models.items()
    }
    return config.model_copy(update={"models": models})


def health_of(config: Config) -> dict[str, HealthSettings]:
    """What holds for each configured target, by `provider/model`."""
    found: dict[str, HealthSettings] = {}
    for model in config.models.values():
        for line in model.targets:
            if model.health is not None or line.target not in found:
                found[line.target] = model.health or config.defaults.health
    return found


def _order(settings: Mapping[str, object], written: Mapping[str, object], path: str) -> Iterator[Problem]:
    """`settings` are those that hold; of two that clash the one written here is named."""
    standard = HealthSettings()
    degraded = _number(settings.get("degraded_ms"), standard.degraded_ms)
    unhealthy = _number(settings.get("unhealthy_ms"), standard.unhealthy_ms)
    if unhealthy < degraded:
        named = "unhealthy_ms" if "unhealthy_ms" in written else "degraded_ms"
        yield Problem(join(path, named), f"`unhealthy_ms` ({unhealthy:g}) is below `degraded_ms` ({degraded:g})")
    interval = _seconds(settings.get("interval"), standard.interval)
    timeout = _seconds(settings.get("timeout"), standard.timeout)
    if timeout > interval:
        named = "timeout" if "timeout" in written else "interval"
        yield Problem(join(path, named), f"`timeout` ({timeout:g} s) is above `interval` ({interval:g} s)")


def _targets(lines: object) -> Iterator[str]:
    for line in lines if isinstance(lines, list) else ():
        target = line if isinstance(line, str) else _mapping(line).get("target")
        if isinstance(target, str):
            yield target


def _number(value: object, default: float) -> float:
    """What the schema makes of it; the default where it makes a problem."""
    try:
        return default if value is None else float(str(value))
    except ValueError:
        return default


def _seconds(value: object, default: float) -> float:
    try:
        return default if value is None else parse_duration(value)
    except (ValueError, OverflowError):
        return default


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
