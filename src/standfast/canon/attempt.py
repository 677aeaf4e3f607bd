"""The record of one upstream attempt, and how it ended."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from standfast.canon.failure import Failure
from standfast.canon.usage import Usage


class Outcome(StrEnum):
    """How an attempt ended. `CANCELLED` says nothing about the upstream."""

    __hash__ = str.__hash__  # the inherited one is a Python call, and these are keys on the hot path

    SUCCESS = "success"
    FAILURE = "failure"
    CANCELLED = "cancelled"


SUCCESS = Outcome.SUCCESS
"""Every answer needs it, and up to Python 3.11 looking up an enum's member is a call."""

ANSWER = "answer"
"""The purpose of attempts in general; it is told of those alone that were sent for another one."""


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """One line of a request's trace. Times are seconds since the request arrived.

    Attributes:
        deployment: `provider/model`.
        key: position of the upstream key in its pool; never the key itself.
        outcome: success, failure or cancelled.
        failure: what went wrong, None unless `outcome` is failure.
        started: when the attempt was sent.
        first_content: when the first content byte came, None if none came.
        ended: when it was settled.
        usage: tokens that the reply reported, None if it did not say.
        purpose: what it was sent for: `answer`, `hedge`, `replay` or `resume`.
    """

    deployment: str
    key: int
    outcome: Outcome
    failure: Failure | None
    started: float
    first_content: float | None
    ended: float
    usage: Usage | None = None
    purpose: str = ANSWER


def reported(attempts: Iterable[Attempt]) -> Usage | None:
    """The tokens of all attempts that reported any; None if none did."""
    total: Usage | None = None
    for attempt in attempts:
        if attempt.usage is not None:
            total = attempt.usage if total is None else total + attempt.usage
    return total
