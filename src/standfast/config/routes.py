"""From a checked configuration to what the judgement works with: routes, targets, and the fleet behind them.

Pure: no address is resolved, nothing is opened. The gateway and the rehearsal stage both build from here, so that what
is rehearsed is what serves.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace

import msgspec

from standfast import plugins
from standfast.canon.deployment import Deployment, Operation
from standfast.canon.facts import UNKNOWN, Facts
from standfast.canon.prefill import Prefill
from standfast.config.breakers import breakers_of
from standfast.config.health import health_of
from standfast.config.known import facts_of
from standfast.config.limits import limits_of
from standfast.config.schema import NO_KEY, Config, ModelSettings
from standfast.policy.fleet import Fleet, KeyPool
from standfast.policy.route import Route, Target
from standfast.policy.strategy import FACTS, PACE, Strategy
from standfast.policy.timeouts import TimeoutOverrides, thinks
from standfast.providers.base import PREFILLS, Provider, ProviderSettings

AUTO = "auto"
"""The model that clients may name without anybody having configured it: the best target of all for each request."""


def routes_of(config: Config, *, informed: bool = False) -> dict[str, Route]:
    """Every configured model, by the name that clients use; with facts of the models if `informed` or if needed.

    Raises:
        LookupError: a plug-in is missing; a checked configuration has none.
    """
    informed = informed or needs_facts(config)
    return {name: _route(name, model, config, informed=informed) for name, model in config.models.items()}


def needs_facts(config: Config) -> bool:
    """Does something in the configuration go by facts of the models?

    Strategies do, going on with a broken answer, and health checks that cost money.
    """
    models = config.models.values()
    strategies = {model.strategy or config.defaults.strategy for model in models}
    resumes = {model.on_break or config.defaults.on_break for model in models} & {"resume"}
    costs = any(health.kind == "generate" for health in health_of(config).values())
    return bool(resumes) or costs or any(FACTS in strategy_of(name).wants for name in strategies)


def auto_of(config: Config, routes: Iterable[Route]) -> Route | None:
    """The model `auto`: every target of every model that can chat, as far as is known; None if there is none.

    Vectors of two models never mix, so it has no embeddings. A target that stands in several models counts once, as it
    stands in the first of them.
    """
    found: dict[Deployment, Target] = {}
    for route in routes:
        for target in route.targets:
            serves = (target.facts or UNKNOWN).operations
            if Operation.CHAT in target.operations and (serves is None or Operation.CHAT in serves):
                alone = replace(target, tier=1, weight=1.0, operations=frozenset({Operation.CHAT}))
                found.setdefault(target.deployment, alone)
    if not found:
        return None
    targets = tuple(found.values())
    total = max(config.defaults.timeouts.total, *(target.timeouts.total for target in targets))
    defaults = config.defaults
    smart = strategy_of("smart")
    return Route(AUTO, targets, smart, defaults.retry, total, hedge=defaults.hedge, on_break=defaults.on_break)


def fleet_of(config: Config, routes: Iterable[Route], previous: Fleet | None = None) -> Fleet:
    """The deployments of these routes and all keys; what `previous` had learnt about the same things is kept."""
    routes = tuple(routes)
    own, default = breakers_of(config), config.defaults.breaker
    deployments = {target.deployment: own.get(target.name, default) for route in routes for target in route.targets}
    pools = [pool_of(name, settings) for name, settings in config.providers.items()]
    fleet = Fleet(deployments, pools, previous, config.defaults.queue)
    if any(PACE in route.strategy.wants for route in routes):
        fleet.measure()
    health = health_of(config)
    limits = limits_of(config)
    fleet.bound({deployment: limits[deployment.name] for deployment in deployments}, config.defaults.adaptive)
    fleet.watch({deployment: health[deployment.name] for deployment in deployments})
    return fleet


def target_of(
    text: str,
    config: Config,
    *,
    tier: int = 1,
    weight: float = 1.0,
    params: Mapping[str, object] | None = None,
    overrides: tuple[TimeoutOverrides | None, ...] = (),
    informed: bool = False,
) -> Target:
    """The target written `provider/upstream-model`; of `overrides` the later ones win. `informed`: with facts."""
    name, _, upstream = text.partition("/")
    settings = config.providers[name]
    provider = provider_of(name, settings)
    timeouts = config.defaults.timeouts
    for override in overrides:
        if override is not None:
            timeouts = override.over(timeouts)
    base_url = (settings.base_url or provider.base_url).rstrip("/")
    deployment = Deployment(name, upstream, base_url, settings.region)
    return Target(
        deployment=deployment,
        tier=tier,
        weight=weight,
        params=dict(params or {}),
        timeouts=timeouts,
        operations=frozenset(provider.formats),
        reasoning=thinks(upstream),
        facts=_known_of(deployment, config) if informed else None,
    )


def _known_of(deployment: Deployment, config: Config) -> Facts:
    """A model can go on with an answer only where its server can be told to."""
    facts = facts_of(deployment, config)
    settings = config.providers[deployment.provider]
    if not facts.continuation or prefill_of(provider_of(deployment.provider, settings), settings) is not None:
        return facts
    return msgspec.structs.replace(facts, abilities=(facts.abilities or frozenset()) - {"continuation"})


def strategy_of(name: str) -> Strategy:
    """The plug-in of a strategy."""
    strategy: Strategy = plugins.load("strategies", name).STRATEGY
    return strategy


def provider_of(name: str, settings: ProviderSettings) -> Provider:
    """The plug-in of a provider entry."""
    provider: Provider = plugins.load("providers", settings.type or name).PROVIDER
    return provider


def prefill_of(provider: Provider, settings: ProviderSettings) -> Prefill | None:
    """How a provider entry is told to go on with an answer that was begun; None if nobody knows."""
    return PREFILLS[settings.prefill] if settings.prefill is not None else provider.prefill


def secrets_of(settings: ProviderSettings) -> tuple[str, ...]:
    """The entry's keys in order; a server without keys has the one empty key."""
    keys = tuple(key.get_secret_value() for key in settings.keys)
    return tuple("" if key == NO_KEY else key for key in keys) or ("",)


def pool_of(name: str, settings: ProviderSettings) -> KeyPool:
    """The keys of a provider entry, under names that are not the keys."""
    identities = tuple(hashlib.sha256(key.encode()).hexdigest()[:16] for key in secrets_of(settings))
    limits = settings.limits
    return KeyPool(name, identities, limits.rpm, limits.tpm, limits.concurrency)


def _route(name: str, model: ModelSettings, config: Config, *, informed: bool) -> Route:
    strategy = strategy_of(model.strategy or config.defaults.strategy)
    explicit = any(line.tier is not None for line in model.targets)
    targets = []
    for position, line in enumerate(model.targets, start=1):
        tier = line.tier if line.tier is not None else 1
        if strategy.tiered and not explicit:
            tier = position
        overrides = (model.timeouts, line.timeouts)
        targets.append(
            target_of(
                line.target,
                config,
                tier=tier,
                weight=line.weight,
                params=line.params,
                overrides=overrides,
                informed=informed,
            )
        )
    retry = model.retry or config.defaults.retry
    total = max(config.defaults.timeouts.total, *(target.timeouts.total for target in targets))
    return Route(
        name,
        tuple(targets),
        strategy,
        retry,
        total,
        rename=model.reply_model == "requested",
        hedge=model.hedge or config.defaults.hedge,
        on_break=model.on_break or config.defaults.on_break,
    )
