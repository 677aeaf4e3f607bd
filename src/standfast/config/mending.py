"""Checks what a configuration says about broken answers: continuations that no target could ever give."""

from collections.abc import Iterable

from standfast.canon.deployment import Operation
from standfast.config.interpolation import join
from standfast.config.routes import provider_of, routes_of
from standfast.config.schema import Config
from standfast.errors import Problem
from standfast.policy.route import Route

RESUME = "resume"


def check_mending(config: Config) -> list[Problem]:
    """Problems of `on_break: resume` and `prefill` in a configuration that is valid otherwise."""
    problems = []
    for name, settings in config.providers.items():
        chat = provider_of(name, settings).formats.get(Operation.CHAT)
        if settings.prefill is not None and chat != "openai_chat":
            path = join(join("providers", name), "prefill")
            problems.append(Problem(path, "can never take effect: this provider has one way alone; remove it"))
    models = config.models
    wishes = {name: model.on_break for name, model in models.items() if model.on_break == RESUME}
    by_default = config.defaults.on_break == RESUME
    if not (wishes or by_default):
        return problems
    routes = routes_of(config)
    problems += [_never(join(join("models", name), "on_break")) for name in wishes if not _any_goes_on([routes[name]])]
    heirs = [routes[name] for name, model in models.items() if model.on_break is None]
    if by_default and heirs and not _any_goes_on(heirs):
        problems.append(_never("defaults.on_break"))
    return problems


def _any_goes_on(routes: Iterable[Route]) -> bool:
    return any(target.facts is not None and target.facts.continuation for route in routes for target in route.targets)


def _never(path: str) -> Problem:
    reason = "no target is known to go on with an answer; say so in `facts` (abilities: [continuation])"
    return Problem(path, f"can never take effect: {reason}, and for a server of your own `prefill`")
