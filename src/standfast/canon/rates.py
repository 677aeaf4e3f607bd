"""What an answer's headers say about a rate limit: how much, how much is left, and when it is whole again."""

from enum import StrEnum

import msgspec


class Counts(StrEnum):
    """What a limit counts."""

    __hash__ = str.__hash__  # the inherited one is a Python call

    REQUESTS = "requests"
    TOKENS = "tokens"  # prompt and answer together
    INPUT = "input"  # tokens of the prompt
    OUTPUT = "output"  # tokens of the answer


class Rate(msgspec.Struct, frozen=True):
    """One limit, as an answer tells it. All numbers are finite and not negative.

    Attributes:
        name: what the provider calls it; one key at one deployment may have several limits that count the same.
        counts: requests or which tokens.
        remaining: what is left of it.
        limit: what there is in one `window`; None if the answer does not say.
        reset: seconds until it is whole again; None if the answer does not say.
        window: seconds for which `limit` is; a minute unless the name says otherwise.
    """

    name: str
    counts: Counts
    remaining: float
    limit: float | None = None
    reset: float | None = None
    window: float = 60.0
