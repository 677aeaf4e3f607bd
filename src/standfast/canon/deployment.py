"""A place where a model is served."""

from enum import StrEnum

import msgspec


class Operation(StrEnum):
    """What is asked of a deployment; each has its own upstream path and wire format."""

    __hash__ = str.__hash__  # the inherited one is a Python call, and these are keys on the hot path

    CHAT = "chat"
    EMBEDDINGS = "embeddings"


class Deployment(msgspec.Struct, frozen=True, cache_hash=True):
    """Provider, base URL and upstream model: the unit of health.

    Attributes:
        provider: name of the provider entry in the configuration, for instance `openai`.
        model: the upstream's name of the model, for instance `gpt-4.1`.
        base_url: where it is served; two entries may differ in nothing else.
        region: free text; deployments of one region may fail together.
    """

    provider: str
    model: str
    base_url: str
    region: str = ""

    @property
    def name(self) -> str:
        """`provider/model`, as written in configuration, logs, metrics and headers."""
        return f"{self.provider}/{self.model}"
