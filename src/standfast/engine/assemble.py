"""From a configuration to what serves requests: routes, outlets, fleet. Made whole, then swapped in at once."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import urlsplit

from standfast import plugins
from standfast.canon.deployment import Deployment, Operation
from standfast.config.routes import (
    AUTO,
    auto_of,
    fleet_of,
    needs_facts,
    prefill_of,
    provider_of,
    routes_of,
    secrets_of,
    strategy_of,
    target_of,
)
from standfast.config.schema import Config
from standfast.engine.outlet import Outlet
from standfast.engine.reply_headers import JSON_HEADERS, STREAM_HEADERS, deployment_headers
from standfast.engine.terms import Terms, terms_of
from standfast.errors import UnknownDeployment, UnknownModel
from standfast.formats.base import Format
from standfast.http1.base import Origin
from standfast.http1.client_request import RequestHead
from standfast.http1.egress import read_proxy
from standfast.policy.fleet import Fleet
from standfast.policy.route import Route
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
        terms: what holds for the answers of models that say so (`engine.terms`); empty if none does.
        informed: targets know the facts of their models.
    """

    config: Config
    routes: Mapping[str, Route]
    outlets: dict[Deployment, Outlet]
    fleet: Fleet
    terms: Mapping[str, Terms] = field(default_factory=dict)
    informed: bool = False
    _direct: dict[str, Route] = field(default_factory=dict)

    def route(self, model: str) -> Route:
        """The route of a configured name, of `auto`, or of `provider/model` named directly.

        Raises:
            UnknownModel: there is none; the message lists the configured names and the nearest.
        """
        route = self.routes.get(model) or self._direct.get(model)
        if route is not None:
            return route
        if model == AUTO:
            return self._add_auto()
        provider, _, upstream = model.partition("/")
        settings = self.config.providers.get(provider)
        if settings is None or not upstream or len(model) > NAME_LIMIT:
            raise UnknownModel(plugins.unknown("model", model[:NAME_LIMIT], self.routes))
        return self._add_direct(provider, upstream, settings)

    @property
    def names(self) -> tuple[str, ...]:
        """What clients may name, besides `provider/model`."""
        return tuple(dict.fromkeys((*self.routes, AUTO)))

    def configured(self, names: Collection[str] | None = None) -> list[Deployment]:
        """Every configured deployment once, or those of these names; what clients named directly is none of them.

        Raises:
            UnknownDeployment: a name that is not configured; the message names the nearest.
        """
        found = {target.name: target.deployment for route in self.routes.values() for target in route.targets}
        for name in names or ():
            if name not in found:
                raise UnknownDeployment(plugins.unknown("deployment", name[:NAME_LIMIT], found))
        return [deployment for name, deployment in found.items() if names is None or name in names]

    @property
    def crowded(self) -> bool:
        """Clients have named so many models that are not configured that a fresh snapshot is due."""
        return len(self._direct) >= DIRECT_LIMIT

    def _add_auto(self) -> Route:
        route = auto_of(self.config, self.routes.values())
        if route is None:
            raise UnknownModel(f"There is no model {AUTO!r}: no configured target is known to chat.")
        self.fleet.measure()
        self._direct[AUTO] = route
        return route

    def _add_direct(self, provider: str, upstream: str, settings: ProviderSettings) -> Route:
        defaults = self.config.defaults
        target = target_of(f"{provider}/{upstream}", self.config, informed=self.informed)
        if target.deployment not in self.outlets:
            self.outlets[target.deployment] = _outlet(target.deployment, settings)
            self.fleet.ensure(target.deployment, defaults.breaker)
        route = Route(
            f"{provider}/{upstream}",
            (target,),
            strategy_of("priority"),
            defaults.retry,
            target.timeouts.total,
            hedge=defaults.hedge,
            on_break=defaults.on_break,
        )
        self._direct[route.model] = route
        return route


def assemble(config: Config, previous: Snapshot | None = None, *, informed: bool = False) -> Snapshot:
    """Everything that serves requests under `config`; what `previous` had learnt about the same things is kept.

    Facts of the models are gathered if the configuration needs them, if `informed`, or if they were before.

    Raises:
        LookupError: a plug-in is missing; a checked configuration has none.
        ValueError: a header or key cannot be sent.
    """
    informed = informed or needs_facts(config) or (previous is not None and previous.informed)
    routes = routes_of(config, informed=informed)
    deployments = dict.fromkeys(target.deployment for route in routes.values() for target in route.targets)
    outlets = {deployment: _outlet(deployment, config.providers[deployment.provider]) for deployment in deployments}
    terms = terms_of(config)
    # Last, because nothing can fail any more: it takes over what the fleet before has learnt, and its line.
    fleet = fleet_of(config, routes.values(), previous.fleet if previous is not None else None)
    return Snapshot(config, MappingProxyType(routes), outlets, fleet, terms, informed)


def secrets_in(config: Config) -> list[str]:
    """Everything in a configuration that nobody may see: keys of both sides, and the values of fixed headers."""
    secrets = [entry.key.get_secret_value() for entry in config.keys]
    secrets += [entry.key.get_secret_value() for entry in config.console.keys]
    proxy = read_proxy(config.server.upstream.proxy.get_secret_value())
    if proxy is not None and proxy.credentials:
        secrets += [config.server.upstream.proxy.get_secret_value(), proxy.credentials]
    for settings in config.providers.values():
        secrets += secrets_of(settings)
        secrets += settings.headers.values()
    return secrets


def _format(name: str) -> Format:
    form: Format = plugins.load("formats", name).FORMAT
    return form


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
            heads[operation, stream] = _heads(origin, path, provider, settings)
    prefill = prefill_of(provider, settings)
    rest_heads: tuple[RequestHead, ...] = ()
    if prefill is not None and prefill.path:
        start = prefix.removesuffix("/v1").removesuffix(prefill.path) + prefill.path
        path = start + provider.path(Operation.CHAT, deployment.model, stream=True)
        rest_heads = _heads(origin, path, provider, settings)
    named = deployment_headers(deployment)
    return Outlet(
        provider=provider,
        origin=origin,
        formats={operation: _format(name) for operation, name in provider.formats.items()},
        heads=heads,
        reply_headers=JSON_HEADERS + named,
        stream_headers=STREAM_HEADERS + named,
        prefill=prefill,
        rest_heads=rest_heads,
    )


def _heads(origin: Origin, path: str, provider: Provider, settings: ProviderSettings) -> tuple[RequestHead, ...]:
    return tuple(
        RequestHead("POST", origin, path, (*provider.headers(key), *settings.headers.items()))
        for key in secrets_of(settings)
    )
