"""The contract of a place where answers are kept.

A store module offers `open_answers(settings, clock)`, and `path_problem(settings)`: what is wrong with `path`, empty
if nothing is. What an `AnswerStore` promises:

* `get` and `put` return at once: no disk, no network, no lock that something slow may hold. Whatever is slow happens
  behind them, and may lose what it was given last; it is a cache.
* Memory is bounded by `max_bytes` and `max_entries`; the least recently used goes first.
* An answer whose time is over is never given, and forgotten when the store is next used.
* All calls come from one thread.
"""

from typing import Annotated, Protocol

import msgspec
from pydantic import Field, model_validator

from standfast.canon.instants import Monotonic
from standfast.canon.settings import Settings

OVERHEAD = 512
"""Bytes that an entry costs besides its body: the key, the value's fields, the tables that hold them."""


class AnswerStoreSettings(Settings):
    """Where kept answers live (which models keep answers is said there, under `cache`). A change needs a restart.

    Keys are digests; the answers themselves are kept as they were given, and may tell what was asked.

    Attributes:
        store: `memory`, or `sqlite`: memory too, with a file behind it, so that a restart forgets nothing.
        path: the file of `sqlite`; readable for its owner only.
        max_bytes: the most that all kept answers of one worker may take.
        max_entries: the greatest number of them.
        max_entry_bytes: a larger answer is not kept.
    """

    store: Annotated[str, Field(min_length=1)] = "memory"
    path: str = ""
    max_bytes: Annotated[int, Field(ge=1024)] = 64 * 1024 * 1024
    max_entries: Annotated[int, Field(ge=1)] = 10_000
    max_entry_bytes: Annotated[int, Field(ge=1)] = 1024 * 1024

    @model_validator(mode="after")
    def _one_fits(self) -> "AnswerStoreSettings":
        if self.max_entry_bytes + OVERHEAD > self.max_bytes:
            raise ValueError("max_entry_bytes must be below max_bytes, or nothing of that size is ever kept")
        return self


class KeptAnswer(msgspec.Struct, frozen=True):
    """A complete answer as a client got it.

    Attributes:
        body: a whole reply, or all events of a stream.
        provider, model: who served it.
        fallback: another target than the first choice did.
        stored: when it was whole.
        gone: when it is of no use any more.
    """

    body: bytes
    provider: str
    model: str
    fallback: bool
    stored: Monotonic
    gone: Monotonic

    @property
    def size(self) -> int:
        """Bytes that it takes in a store."""
        return len(self.body) + OVERHEAD


class AnswerStore(Protocol):
    """One place to keep answers."""

    def get(self, key: bytes, now: Monotonic) -> KeptAnswer | None:
        """The answer kept under a key; None if there is none, or its time is over."""
        ...

    def put(self, key: bytes, answer: KeptAnswer, now: Monotonic) -> None:
        """Keep an answer in place of any other under that key; one that is too large is not kept."""
        ...

    def __len__(self) -> int:
        """How many answers are kept in memory."""
        ...

    async def close(self) -> None:
        """Write what is to be written, release what is held. Nothing is called afterwards."""
        ...
