"""Settings of the lab."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from standfast.canon.settings import Seconds, Settings

Count = Annotated[int, Field(ge=0)]


class ProviderSettings(Settings):
    """One stand-in provider.

    Attributes:
        wire: whose error shape answers unknown paths; all wires are served on every port.
        dialect: `deepseek` comments before the first token, blank lines before JSON, octet-stream errors.
        port: 0 for a free one.
        keys: accepted API keys; empty accepts any, but not none.
        models: shown by the models list.
        strict_models: other models are 404.
        rpm: requests per minute; 0 for no limit. The bucket holds `burst`.
        tpm: tokens per minute (prompt estimate + max_tokens); 0 for no limit.
        burst: share of a minute's allowance that may be used at once.
        tokens: length of answers before `max_tokens` cuts them; 0 for their natural one.
        first_token_delay: of a healthy answer.
        chunk_delay: between chunks of a healthy stream.
    """

    wire: Literal["openai", "anthropic", "gemini"] = "openai"
    dialect: Literal["plain", "deepseek"] = "plain"
    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    keys: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    strict_models: bool = False
    rpm: Count = 0
    tpm: Count = 0
    burst: Annotated[float, Field(gt=0, le=1)] = 1.0
    tokens: Count = 0
    first_token_delay: Annotated[Seconds, Field(ge=0)] = 0.0
    chunk_delay: Annotated[Seconds, Field(ge=0)] = 0.0


DEFAULT: Mapping[str, ProviderSettings] = {
    "openai": ProviderSettings(wire="openai", models=("gpt-4.1", "gpt-4.1-mini", "text-embedding-3-small")),
    "anthropic": ProviderSettings(wire="anthropic", models=("claude-sonnet-4-5", "claude-haiku-4-5")),
    "gemini": ProviderSettings(wire="gemini", models=("gemini-2.5-pro", "gemini-2.5-flash")),
}


class LabSettings(Settings):
    """The lab.

    Attributes:
        host: address to listen on; loopback, since the control API asks for no key.
        providers: by name.
        seed: of the source behind `Fault.rate`.
        journal: entries kept.
        kept_body: bytes of each request body kept in the journal.
        body_bytes: largest request body (413 above).
    """

    host: str = "127.0.0.1"
    providers: Mapping[str, ProviderSettings] = DEFAULT
    seed: int = 1
    journal: Annotated[int, Field(gt=0)] = 10_000
    kept_body: Count = 64 * 1024
    body_bytes: Annotated[int, Field(gt=0)] = 64 * 1024 * 1024
