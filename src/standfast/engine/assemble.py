"""From a configuration to what serves requests: routes, outlets, fleet. Made whole, then swapped in at once."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import urlsplit

from standfast import plugins
from standfast.canon.deployment import Deployment, Operation
from standfast.config.schema import Config, ModelSettings
from standfast.engine.outlet import Outlet
from standfast.engine.reply_headers import JSON_HEADERS, STREAM_HEADERS, deployment_headers
from standfast.errors import UnknownModel
from standfast.formats.base import Format
from standfast.http1.base import Origin
from standfast.http1.client_request import RequestHead
from standfast.http1.egress import read_proxy
from standfast.policy.fleet import Fleet, KeyPool
from standfast.policy.route import Route, Target
from standfast.policy.strategy import Strategy
from standfast.policy.timeouts import TimeoutOverrides, thinks
from standfast.providers.base import Provider, ProviderSettings

DIRECT_LIMIT = 256
"""How many `provider/model` names that are not configured a snapshot keeps; then it makes room for a fresh one."""

NAME_LIMIT = 256
"""Characters of a model name that a client may send."""


@dataclass(slots=True)
class Snapshot:
    """One configuration at work. Requests keep the snapshot that they began with.

    Attributes:
        config: what it was made from.
        routes: by the name that clients use.
        outlets: by deployment.
        fleet: states and permits.
    """

    config: Config
    routes: Mapping[str, Route]
    outlets: dict[Deployment, Outlet]
    fleet: Fleet
    _direct: dict[str, Route] = field(default_factory=dict)

    def route(self, model: str) -> Route:
        """The route of a configured name, or of `provider/model` named directly.

        Raises:
            UnknownModel: there is none; the message lists the configured names and the nearest.
        """
        route = self.routes.get(model) or self._direct.get(model)
        if route is not None:
            return route
        provider, _, upstream = model.partition("/")
        settings = self.config.providers.get(provider)
        if settings is None or not upstream or len(model) > NAME_LIMIT:
            raise UnknownModel(plugins.unknown("model", model[:NAME_LIMIT], self.routes))
        return self._add_direct(provider, upstream, settings)

    @property
    def crowded(self) -> bool:
        """Clients have named so many models that are not configured that a fresh snapshot is due."""
        return len(self._direct) >= DIRECT_LIMIT

    def _add_direct(self, provider: str, upstream: str, settings: ProviderSettings) -> Route:
        defaults = self.config.defaults
        target = _target(f"{provider}/{upstream}", self.config)
        if target.deployment not in self.outlets:
            self.outlets[target.deployment] = _outlet(target.deployment, settings)
            self.fleet.ensure(target.deployment, defaults.breaker)
        route = Route(f"{provider}/{upstream}", (target,), _strategy("priority"), defaults.retry, target.timeouts.total)
        self._direct[route.model] = route
        return route


def assemble(config: Config, previous: Snapshot | None = None) -> Snapshot:
    """Everything that serves requests under `config`; what `previous` had learnt about the same things is kept.

    Raises:
        LookupError: a plug-in is missing; a checked configuration has none.
        ValueError: a header or key cannot be sent.
    """
    routes = {name: _route(name, model, config) for name, model in config.models.items()}
    deployments = {target.deployment: config.defaults.breaker for route in routes.values() for target in route.targets}
    pools = [_pool(name, settings) for name, settings in config.providers.items()]
    fleet = Fleet(deployments, pools, previous.fleet if previous is not None else None)
    outlets = {deployment: _outlet(deployment, config.providers[deployment.provider]) for deployment in deployments}
    return Snapshot(config, MappingProxyType(routes), outlets, fleet)


def provider_of(name: str, settings: ProviderSettings) -> Provider:
    """The plug-in of a provider entry."""
    provider: Provider = plugins.load("providers", settings.type or name).PROVIDER
    return provider


def secrets_of(settings: ProviderSettings) -> tuple[str, ...]:
    """The entry's keys in order; a server without keys has the one empty key."""
    keys = tuple(key.get_secret_value() for key in settings.keys)
    return tuple("" if key == "none" else key for key in keys) or ("",)


def secrets_in(config: Config) -> list[str]:
    """Everything in a configuration that nobody may see: keys of both sides, and the values of fixed headers."""
    secrets = [entry.key.get_secret_value() for entry in config.keys]
    proxy = read_proxy(config.server.upstream.proxy.get_secret_value())
    if proxy is not None and proxy.credentials:
        secrets += [config.server.upstream.proxy.get_secret_value(), proxy.credentials]
    for settings in config.providers.values():
        secrets += secrets_of(settings)
        secrets += settings.headers.values()
    return secrets


def _route(name: str, model: ModelSettings, config: Config) -> Route:
    strategy = _strategy(model.strategy or config.defaults.strategy)
    explicit = any(line.tier is not None for line in model.targets)
    targets = []
    for position, line in enumerate(model.targets, start=1):
        tier = line.tier if line.tier is not None else 1
        if strategy.tiered and not explicit:
            tier = position
        overrides = (model.timeouts, line.timeouts)
        targets.append(
            _target(line.target, config, tier=tier, weight=line.weight, params=line.params, overrides=overrides)
        )
    retry = model.retry or config.defaults.retry
    total = max(config.defaults.timeouts.total, *(target.timeouts.total for target in targets))
    return Route(name, tuple(targets), strategy, retry, total, rename=model.reply_model == "requested")


def _target(
    text: str,
    config: Config,
    *,
    tier: int = 1,
    weight: float = 1.0,
    params: Mapping[str, object] | None = None,
    overrides: tuple[TimeoutOverrides | None, ...] = (),
) -> Target:
    name, _, upstream = text.partition("/")
    settings = config.providers[name]
    provider = provider_of(name, settings)
    timeouts = config.defaults.timeouts
    for override in overrides:
        if override is not None:
            timeouts = override.over(timeouts)
    base_url = (settings.base_url or provider.base_url).rstrip("/")
    return Target(
        deployment=Deployment(name, upstream, base_url, settings.region),
        tier=tier,
        weight=weight,
        params=dict(params or {}),
        timeouts=timeouts,
        operations=frozenset(provider.formats),
        reasoning=thinks(upstream),
    )


def _strategy(name: str) -> Strategy:
    strategy: Strategy = plugins.load("strategies", name).STRATEGY
    return strategy


def _format(name: str) -> Format:
    form: Format = plugins.load("formats", name).FORMAT
    return form


def _pool(name: str, settings: ProviderSettings) -> KeyPool:
    identities = tuple(hashlib.sha256(key.encode()).hexdigest()[:16] for key in secrets_of(settings))
    limits = settings.limits
    return KeyPool(name, identities, limits.rpm, limits.tpm, limits.concurrency)


def origin_of(base_url: str, ca_file: str = "") -> Origin:
    """Scheme, host and port of a base URL."""
    url = urlsplit(base_url)
    port = url.port or (443 if url.scheme == "https" else 80)
    return Origin(url.scheme, url.hostname or "", port, ca_file)


def _outlet(deployment: Deployment, settings: ProviderSettings) -> Outlet:
    provider = provider_of(deployment.provider, settings)
    origin = origin_of(deployment.base_url, settings.ca_file)
    prefix = urlsplit(deployment.base_url).path.rstrip("/")
    heads: dict[tuple[Operation, bool], tuple[RequestHead, ...]] = {}
    for operation in provider.formats:
        for stream in (False, True):
            path = prefix + provider.path(operation, deployment.model, stream=stream)
            heads[operation, stream] = tuple(
                RequestHead("POST", origin, path, (*provider.headers(key), *settings.headers.items()))
                for key in secrets_of(settings)
            )
    named = deployment_headers(deployment)
    return Outlet(
        provider=provider,
        origin=origin,
        formats={operation: _format(name) for operation, name in provider.formats.items()},
        heads=heads,
        reply_headers=JSON_HEADERS + named,
        stream_headers=STREAM_HEADERS + named,
    )
