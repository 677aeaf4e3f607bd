"""The whole configuration as one typed, frozen value.

It composes the rooms' own settings and adds only what belongs to no room: names and how they refer to each other. What
a name refers to, and what can never take effect, is judged in `config.check`.

Three levels set the same thing: defaults, a model, a target; the nearer one wins. A model's `retry` arrives here laid
over `defaults.retry` already (`config.check`), timeouts are laid over each other where targets are made.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, JsonValue, SecretStr, model_validator

from standfast.canon.settings import Seconds, Settings
from standfast.http1.settings import ServerLimits, UpstreamLimits
from standfast.policy.breaker import BreakerSettings
from standfast.policy.retry import RetrySettings
from standfast.policy.timeouts import TimeoutOverrides, TimeoutSettings
from standfast.providers.base import ProviderSettings

NO_KEY = "none"
"""What stands under a provider's `keys` when its server wants none."""

OnBreak = Literal["error"]
"""What happens to an answer that breaks after its first content; this version reports it."""


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
    """

    target: Annotated[str, Field(pattern=r"^[^/\s]+/\S+$")]
    weight: Annotated[float, Field(gt=0)] = 1.0
    tier: Annotated[int, Field(ge=1)] | None = None
    params: Mapping[str, JsonValue] = {}
    timeouts: TimeoutOverrides = TimeoutOverrides()

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
        on_break: None for the default.
        reply_model: what the answer's `model` field names: who served (untouched), or what the client requested.
    """

    targets: tuple[TargetSettings, ...]
    strategy: str | None = None
    timeouts: TimeoutOverrides = TimeoutOverrides()
    retry: RetrySettings | None = None
    on_break: OnBreak | None = None
    reply_model: Literal["served", "requested"] = "served"

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"targets": value} if isinstance(value, list | tuple) else value


class Defaults(Settings):
    """What holds where nothing else is written."""

    timeouts: TimeoutSettings = TimeoutSettings()
    retry: RetrySettings = RetrySettings()
    breaker: BreakerSettings = BreakerSettings()
    on_break: OnBreak = "error"
    strategy: str = "priority"


class LogSettings(Settings):
    """One line for each request.

    Attributes:
        format: `json` for machines, `text` for people, `off`.
        path: a file, or `-` for standard error.
    """

    format: Literal["json", "text", "off"] = "json"
    path: Annotated[str, Field(min_length=1)] = "-"


class Config(Settings):
    """Everything that a configuration file says."""

    server: ServerSettings = ServerSettings()
    keys: tuple[ClientKey, ...] = ()
    providers: Mapping[str, ProviderSettings] = {}
    models: Mapping[str, ModelSettings] = {}
    defaults: Defaults = Defaults()
    log: LogSettings = LogSettings()
