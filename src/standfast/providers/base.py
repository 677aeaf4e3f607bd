"""The contract of a provider.

A provider module offers `PROVIDER`, an instance of a class that satisfies `Provider`. Providers are pure and stateless;
where a deployment is and which keys it has is configuration (`ProviderSettings`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Literal, Protocol

from pydantic import Field, SecretStr

from standfast.canon.deployment import Operation
from standfast.canon.failure import Failure
from standfast.canon.instants import Wall
from standfast.canon.prefill import FINAL_MESSAGE, PLAIN, PREFIX, Prefill
from standfast.canon.rates import Rate
from standfast.canon.settings import Settings

CLASSIFIED_BODY_BYTES = 64 * 1024
"""How much of an error body is read for classification."""

PREFILLS: Mapping[str, Prefill] = MappingProxyType({"plain": PLAIN, "prefix": PREFIX, "final_message": FINAL_MESSAGE})
"""The words of `ProviderSettings.prefill`."""


class KeyLimits(Settings):
    """What one upstream key may do; absent means unknown, not zero.

    Attributes:
        rpm: requests a minute.
        tpm: tokens a minute.
        concurrency: requests at the same time.
    """

    rpm: Annotated[int, Field(gt=0)] | None = None
    tpm: Annotated[int, Field(gt=0)] | None = None
    concurrency: Annotated[int, Field(gt=0)] | None = None


class ProviderSettings(Settings):
    """One entry under `providers:`.

    Attributes:
        type: the provider file; by default the entry's own name.
        base_url: where it is served; by default the provider's public address. Plain `http` is for trusted networks.
        keys: upstream keys, best from the environment (`${OPENAI_API_KEY}`); `none` for a server without keys.
        limits: per key.
        headers: fixed headers for every request, for instance `OpenAI-Organization`.
        region: free text; deployments of one region may fail together.
        ca_file: PEM bundle to trust instead of the system's.
        prefill: how a server of OpenAI's dialect is told to go on with an answer that was begun (`on_break: resume`):
            `plain` by the answer as the last message (OpenRouter, llama.cpp), `prefix` by a mark on it (Mistral),
            `final_message` by `continue_final_message` (vLLM, SGLang). Absent: as its type is known to want it, and
            `openai_like` servers are not asked to.
    """

    type: str = ""
    base_url: str = ""
    keys: tuple[SecretStr, ...] = ()
    limits: KeyLimits = KeyLimits()
    headers: Mapping[str, str] = {}
    region: str = ""
    ca_file: str = ""
    prefill: Literal["plain", "prefix", "final_message"] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer that is not a success, or an in-band error.

    Attributes:
        status: HTTP status; 200 for an in-band error.
        headers: lower-case names; values as they came.
        body: at most `CLASSIFIED_BODY_BYTES`.
        received: wall time at reception, to read dates.
    """

    status: int
    headers: Collection[tuple[bytes, bytes]]
    body: bytes
    received: Wall

    def header(self, name: bytes) -> str | None:
        """The first header of that (lower-case) name, or None."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), None)


class Provider(Protocol):
    """One provider's wire habits.

    Attributes:
        name: the file's name.
        base_url: the public address; empty if there is none and the configuration must give one.
        key_variable: the environment variable that holds its key by custom, for instance `OPENAI_API_KEY`.
        formats: which wire format each operation speaks; an operation that is missing is not offered.
        limit_headers: lower-case names of the headers that tell rate limits; empty if there are none, and then nobody
            needs to look.
        prefill: how it is told to go on with an answer that was begun; None if it is not known to.
    """

    name: str
    base_url: str
    key_variable: str
    formats: Mapping[Operation, str]
    limit_headers: frozenset[bytes]
    prefill: Prefill | None

    def path(self, operation: Operation, model: str, *, stream: bool) -> str:
        """Path and query to append to the base URL."""
        ...

    def headers(self, key: str) -> tuple[tuple[str, str], ...]:
        """Headers of every request, authorization included; `key` may be empty."""
        ...

    def ping(self) -> str:
        """Path of a free endpoint that shows that the provider answers (models list, health)."""
        ...

    def classify(self, answer: Answer) -> Failure:
        """Which failure an answer is: one with an error status, or an in-band error (status 200)."""
        ...

    def rates(self, headers: Collection[tuple[bytes, bytes]], received: Wall) -> tuple[Rate, ...]:
        """The rate limits that an answer's headers tell, whatever its status; empty if none. Never raises.

        `headers` have lower-case names, `received` is the wall time at reception.
        """
        ...
