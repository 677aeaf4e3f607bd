"""The whole configuration as one typed, frozen value.

It composes the rooms' own settings and adds only what belongs to no room: names and how they refer to each other. What
a name refers to, and what can never take effect, is judged in `config.check`.

Three levels set the same thing: defaults, a model, a target; the nearer one wins. A model's `retry` arrives here laid
over `defaults.retry` already (`config.check`), timeouts are laid over each other where targets are made.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue, SecretStr, model_validator

from standfast.canon.settings import Seconds, Settings
from standfast.config.facts import FactSettings
from standfast.http1.settings import ServerLimits, UpstreamLimits
from standfast.policy.adaptive import AdaptiveSettings
from standfast.policy.breaker import BreakerSettings
from standfast.policy.caching import CacheSettings
from standfast.policy.fallback import FallbackSettings
from standfast.policy.health_check import HealthSettings
from standfast.policy.hedge import HedgeSettings
from standfast.policy.limits import TargetLimits
from standfast.policy.line import QueueSettings
from standfast.policy.mend import OnBreak
from standfast.policy.retry import RetrySettings
from standfast.policy.timeouts import TimeoutOverrides, TimeoutSettings
from standfast.policy.validation import ValidateSettings
from standfast.providers.base import ProviderSettings
from standfast.stores.base import AnswerStoreSettings

NO_KEY = "none"
"""What stands under a provider's `keys` when its server wants none."""


class ServerSettings(Settings):
    """The door.

    Attributes:
        host: address to listen on; loopback unless told otherwise.
        port: 0 takes a free one.
        workers: processes that share the port.
        limits: what a client may do to us.
        upstream: what an upstream may do to us.
        drain: how long requests under way may take to end after SIGTERM, seconds (30 s, as Kubernetes' grace period).
        heartbeat: silence after which a stream's client gets a comment, seconds; 0 for never (15 s, as the HTML
            standard's advice for server-sent events).
        open_door: listen on an address that others can reach although no client keys are configured.
    """

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    limits: ServerLimits = ServerLimits()
    upstream: UpstreamLimits = UpstreamLimits()
    drain: Annotated[Seconds, Field(ge=0)] = 30.0
    heartbeat: Annotated[Seconds, Field(ge=0)] = 15.0
    open_door: bool = False


class ClientKey(Settings):
    """One key that opens the door; `name` stands for it in logs and metrics."""

    name: Annotated[str, Field(min_length=1)]
    key: SecretStr


class TargetSettings(Settings):
    """One place where a model can be served. Plain text is short for `{target: text}`.

    Attributes:
        target: `provider/upstream-model`; the upstream's name is all that follows the first slash.
        weight: share among its tier, for strategies that use it.
        tier: 1 is tried first; None leaves it to the strategy.
        params: request fields that this target sets, in its own wire format's names.
        timeouts: what differs from the model's.
        limits: what it may do, whichever key is used; each key's own limits stand with the provider.
        breaker: when it is given a rest; what is absent is as in the defaults.
        validation: what its answers must be like; what is absent is as in the model's.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    target: Annotated[str, Field(pattern=r"^[^/\s]+/\S+$")]
    weight: Annotated[float, Field(gt=0)] = 1.0
    tier: Annotated[int, Field(ge=1)] | None = None
    params: Mapping[str, JsonValue] = {}
    timeouts: TimeoutOverrides = TimeoutOverrides()
    limits: TargetLimits = TargetLimits()
    breaker: BreakerSettings | None = None
    validation: ValidateSettings | None = Field(default=None, alias="validate")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"target": value} if isinstance(value, str) else value

    @property
    def provider(self) -> str:
        """The provider entry's name."""
        return self.target.partition("/")[0]

    @property
    def model(self) -> str:
        """The upstream's name of the model."""
        return self.target.partition("/")[2]


class ModelSettings(Settings):
    """What clients may name. A plain list is short for `{targets: list}`.

    Attributes:
        targets: where it can be served, best first.
        strategy: how to choose among them; None for the default.
        timeouts: what differs from the defaults.
        retry: how hard to try; None for the defaults.
        health: how its targets are watched; what is absent is as in the defaults.
        on_break: None for the default.
        hedge: when a second attempt is sent beside a slow one; None for the default.
        reply_model: what the answer's `model` field names: who served (untouched), or what the client requested.
        validation: what its answers must be like; what is absent is as in the defaults.
        cache: how long its answers are kept; what is absent is as in the defaults, and not at all if they say nothing.
        fallback: what is said when nobody can answer; None for the default.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    targets: tuple[TargetSettings, ...]
    strategy: str | None = None
    timeouts: TimeoutOverrides = TimeoutOverrides()
    retry: RetrySettings | None = None
    health: HealthSettings | None = None
    on_break: OnBreak | None = None
    hedge: HedgeSettings | None = None
    reply_model: Literal["served", "requested"] = "served"
    validation: ValidateSettings | None = Field(default=None, alias="validate")
    cache: CacheSettings | None = None
    fallback: FallbackSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"targets": value} if isinstance(value, list | tuple) else value


class Defaults(Settings):
    """What holds where nothing else is written.

    Attributes:
        health: how deployments are watched, and from when on they count as ill.
        queue: how requests wait for a slot when every target is busy.
        adaptive: how many attempts at the same time a target is given, learned from how it takes them.
        on_break: what becomes of an answer that breaks off: `replay` asks again, and goes on where the new text equals
            what the client has; `resume` lets another target continue from what the client has, where the model is
            known to (`facts`) and the request asks for plain text, else it does as `replay`; `error` reports it.
        hedge: when a second attempt is sent beside a slow one; None for never.
        validation: what answers must be like; None for anything.
        cache: how long answers are kept; None for not at all.
        fallback: what is said when nobody can answer; None for an error.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    timeouts: TimeoutSettings = TimeoutSettings()
    retry: RetrySettings = RetrySettings()
    breaker: BreakerSettings = BreakerSettings()
    health: HealthSettings = HealthSettings()
    queue: QueueSettings = QueueSettings()
    adaptive: AdaptiveSettings = AdaptiveSettings()
    on_break: OnBreak = "replay"
    hedge: HedgeSettings | None = None
    strategy: str = "priority"
    validation: ValidateSettings | None = Field(default=None, alias="validate")
    cache: CacheSettings | None = None
    fallback: FallbackSettings | None = None


class LogSettings(Settings):
    """One line for each request.

    Attributes:
        format: `json` for machines, `text` for people, `off`.
        path: a file, or `-` for standard error.
    """

    format: Literal["json", "text", "off"] = "json"
    path: Annotated[str, Field(min_length=1)] = "-"


class ConsoleKey(Settings):
    """One key that opens the console.

    Attributes:
        name: stands for it in events and logs.
        key: what is typed in, or sent as `Authorization: Bearer ...`; best from the environment.
        role: a `viewer` may look, an `operator` may act as well: force breakers, order checks, reload.
    """

    name: Annotated[str, Field(min_length=1, max_length=64)]
    key: SecretStr
    role: Literal["viewer", "operator"] = "operator"


class ConsoleSettings(Settings):
    """The page at `/console`, and what it is made of (`/admin`).

    Attributes:
        enabled: false switches it off: nobody can look, whatever key they have.
        keys: who may come in. Without any it opens to this machine alone, and only while requests need no key either;
            otherwise it stays shut.
        session: how long signing in lasts, seconds (12 h, a working day).
        origins: addresses (`https://ops.example.com`) from which browsers may use it besides its own, for instance that
            of a proxy that changes the `Host` header.
    """

    enabled: bool = True
    keys: tuple[ConsoleKey, ...] = ()
    session: Annotated[Seconds, Field(ge=60, le=31 * 86_400)] = 43_200.0
    origins: tuple[Annotated[str, Field(pattern=r"^https?://[^/\s]+$")], ...] = ()


class Config(Settings):
    """Everything that a configuration file says.

    Attributes:
        facts: what is true of models, by `provider/upstream-model` (`*` stands for anything; entries are laid over each
            other in the order written), whatever is known of them otherwise. Used by the strategies `cheapest` and
            `smart`, by the model `auto` and for `max-cost-usd`.
    """

    server: ServerSettings = ServerSettings()
    keys: tuple[ClientKey, ...] = ()
    providers: Mapping[str, ProviderSettings] = {}
    models: Mapping[str, ModelSettings] = {}
    defaults: Defaults = Defaults()
    log: LogSettings = LogSettings()
    console: ConsoleSettings = ConsoleSettings()
    cache: AnswerStoreSettings = AnswerStoreSettings()
    facts: Mapping[str, FactSettings] = {}
