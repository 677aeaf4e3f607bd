"""Who plays whom: which sections of a scenario are about which targets of a configuration.

For one target the sections are laid over each other, the more specific one on top:

    *  <  last  <  tertiary  <  secondary  <  primary  <  region:NAME  <  provider  <  provider/model
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from standfast import plugins
from standfast.canon.deployment import Deployment
from standfast.config.interpolation import join
from standfast.errors import ConfigError, Problem
from standfast.policy.route import Route
from standfast.sim.settings import Scenario, Trouble, Upstream

ROLES = ("primary", "secondary", "tertiary")
LAST = "last"
ALL = "*"
REGION = "region:"
_WEAKEST_FIRST = (ALL, LAST, *reversed(ROLES))


@dataclass(slots=True)
class Cast:
    """A scenario, applied to a configuration.

    Attributes:
        models: the routes that are asked, and their shares.
        upstreams: how each target behaves, everything laid over each other.
        troubles: what goes wrong with each.
        idle: places of the scenario's troubles that hit nobody here.
        notes: what the scenario says about targets that this configuration does not have, and what it leaves unsaid.
    """

    models: list[tuple[Route, float]]
    upstreams: dict[Deployment, Upstream] = field(default_factory=dict)
    troubles: dict[Deployment, tuple[Trouble, ...]] = field(default_factory=dict)
    idle: tuple[int, ...] = ()
    notes: list[str] = field(default_factory=list)


def cast(scenario: Scenario, routes: Mapping[str, Route]) -> Cast:
    """Apply a scenario to the models of a configuration.

    Raises:
        ConfigError: a model is asked that there is not, or nothing says how a target behaves.
    """
    models = _models(scenario, routes)
    roles = _roles([route for route, _ in models])
    result = Cast(models)
    problems: list[Problem] = []
    used: set[str] = set()
    regions: set[str] = set()
    for deployment, own in roles.items():
        region = _region(scenario, deployment, own)
        words = _words(deployment, own, region)
        used |= set(words)
        regions.add(region)
        spec = _laid_over([scenario.upstreams[word] for word in words if word in scenario.upstreams])
        result.upstreams[deployment] = spec.model_copy(update={"region": region})
        result.troubles[deployment] = tuple(each for each in scenario.troubles if set(each.where) & set(words))
        problems += _silent(scenario, deployment, spec)
    if problems:
        raise ConfigError(problems, scenario.title)
    known = {*used, *(f"{REGION}{region}" for region in regions if region)}
    hit = [_hit(each, result) for each in scenario.troubles]
    result.idle = tuple(at for at, trouble in enumerate(scenario.troubles) if not any(_effects(trouble, hit[at])))
    result.notes = [
        *_instant(scenario, result.upstreams),
        *_notes(scenario, known, result.idle),
        *_unlimited(scenario, hit, result.idle),
    ]
    return result


def _models(scenario: Scenario, routes: Mapping[str, Route]) -> list[tuple[Route, float]]:
    asked = scenario.workload.models
    if not asked:
        return [(next(iter(routes.values())), 1.0)]
    problems = []
    for name in asked:
        if name not in routes:
            message = f"the configuration has no such model; it has: {', '.join(sorted(routes))}"
            problems.append(Problem(join("workload.models", name), message, plugins.nearest(name, routes)))
    if problems:
        raise ConfigError(problems, scenario.title)
    return [(routes[name], weight) for name, weight in asked.items()]


def _roles(routes: Sequence[Route]) -> dict[Deployment, set[str]]:
    """Of every deployment: what it is to the first model that names it; best tier first, then as written."""
    found: dict[Deployment, set[str]] = {}
    for route in routes:
        ordered = sorted(route.targets, key=lambda target: target.tier)
        for position, target in enumerate(ordered):
            if target.deployment in found:
                continue
            roles = {ROLES[position]} if position < len(ROLES) else set()
            if position == len(ordered) - 1:
                roles.add(LAST)
            found[target.deployment] = roles
    return found


def _region(scenario: Scenario, deployment: Deployment, roles: set[str]) -> str:
    for word in reversed(_words(deployment, roles, "")):
        section = scenario.upstreams.get(word)
        if section is not None and section.region is not None:
            return section.region
    return deployment.region


def _words(deployment: Deployment, roles: set[str], region: str) -> list[str]:
    """Every selector that means this deployment, the most specific last."""
    general = [word for word in _WEAKEST_FIRST if word == ALL or word in roles]
    return [*general, *([f"{REGION}{region}"] if region else []), deployment.provider, deployment.name]


def _laid_over(sections: Sequence[Upstream]) -> Upstream:
    merged = Upstream()
    for section in sections:
        merged = merged.model_copy(update={name: getattr(section, name) for name in section.model_fields_set})
    return merged


def _silent(scenario: Scenario, deployment: Deployment, spec: Upstream) -> list[Problem]:
    """What must be said of an upstream and is not."""
    path = join("upstreams", deployment.name)
    streaming = scenario.workload.streaming
    if spec.first_token is None and (streaming > 0 or spec.whole is None):
        message = "nothing says how soon it answers: add first_token here, or under upstreams.'*'"
        return [Problem(join(path, "first_token"), message)]
    return []


def _instant(scenario: Scenario, upstreams: Mapping[Deployment, Upstream]) -> list[str]:
    """Answers that are over with their first token, because nothing says how fast the others come."""
    streaming = scenario.workload.streaming
    names = [
        deployment.name
        for deployment, spec in upstreams.items()
        if spec.per_token is None and (streaming > 0 or spec.whole is None)
    ]
    what = "streams" if streaming > 0 else "answers"
    message = f"nothing says how fast tokens come: {what} of {', '.join(names)} end with the first one; add per_token"
    return [f"upstreams: {message}"] if names else []


def _hit(trouble: Trouble, result: Cast) -> list[Upstream]:
    """Whom a trouble is about."""
    return [
        spec for target, spec in result.upstreams.items() if any(each is trouble for each in result.troubles[target])
    ]


def _effects(trouble: Trouble, hit: Sequence[Upstream]) -> Iterator[bool]:
    """For each of them: does anything change?"""
    always = trouble.slow != 1 or trouble.cuts > 0 or any(error.share > 0 for error in trouble.errors)
    for spec in hit:
        yield always or (trouble.capacity != 1 and spec.capacity is not None and spec.capacity.divisible)


def _notes(scenario: Scenario, known: set[str], idle: tuple[int, ...]) -> list[str]:
    """What is said about nobody: right for another configuration, or a slip of the pen."""
    notes = [
        _nobody(join("upstreams", word), word, known)
        for word in scenario.upstreams
        if word not in known and word not in _WEAKEST_FIRST
    ]
    for at, trouble in enumerate(scenario.troubles):
        path = join(join("troubles", at), "where")
        notes += [f"{_nobody(path, word, known)}{_hits(at, idle)}" for word in trouble.where if word not in known]
    return notes


def _nobody(path: str, word: str, known: set[str]) -> str:
    near = "" if word in _WEAKEST_FIRST else plugins.nearest(word, known)
    meant = f"; did you mean {near!r}?" if near else ""
    return f"{path}: no target of this configuration is {word!r}{meant}"


def _unlimited(scenario: Scenario, hit: Sequence[Sequence[Upstream]], idle: tuple[int, ...]) -> list[str]:
    """Troubles that leave a share of a capacity to targets that have none."""
    return [
        f"{join(join('troubles', at), 'capacity')}: no target that it hits has a capacity to share{_hits(at, idle)}"
        for at, trouble in enumerate(scenario.troubles)
        if trouble.capacity != 1 and hit[at] and not any(each.capacity and each.capacity.divisible for each in hit[at])
    ]


def _hits(at: int, idle: tuple[int, ...]) -> str:
    return " (the trouble hits nobody)" if at in idle else ""
