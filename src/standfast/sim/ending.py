"""The one outcome of a request, and how it is read from the traces of its attempts."""

from collections.abc import Sequence

import msgspec

from standfast.canon.attempt import Attempt, Outcome
from standfast.canon.failure import Blame, Failure, FailureKind
from standfast.sim.crowd import Request

UNAVAILABLE = "unavailable"
"""Nothing could be asked: every breaker open, everything at rest."""

SHED = "shed"
"""It waited for its turn, or would have had to, and there was no room or no time for it."""

GAVE_UP = "gave_up"
"""The caller hung up."""

OWN_FAULT = frozenset(
    kind.value
    for kind in FailureKind
    if Failure(kind).meaning.blame is Blame.NOBODY
    and kind not in (FailureKind.CLIENT_CANCELLED, FailureKind.DEADLINE_PASSED)
)
"""Reasons that say something about the request, not about whether the door is open."""


class Ending(msgspec.Struct, frozen=True):
    """The one outcome of a request. Instants and durations in seconds.

    Attributes:
        arrived, ended: instants.
        ok: a whole answer was given.
        priority: 1 to 5.
        primary: name of the target that stands first in the configuration.
        stream: server-sent events were wanted.
        prompt, completion: tokens.
        reason: why there is no answer: a kind of failure, `unavailable`, `shed` or `gave_up`; empty for success.
        broken: content had been given before it failed.
        served: name of the target that answered; empty for none.
        fallback: that was not the first choice.
        first: from the arrival to the first content; None if none came.
        lost: from the arrival to the start of the attempt that answered.
        waited: the part of `lost` in which no attempt was under way: what the gateway chose to wait.
        tries: how often the caller asked.
    """

    arrived: float
    ended: float
    ok: bool
    priority: int
    primary: str
    stream: bool
    prompt: int
    completion: int
    reason: str = ""
    broken: bool = False
    served: str = ""
    fallback: bool = False
    first: float | None = None
    lost: float = 0.0
    waited: float = 0.0
    tries: int = 1


def no_answer(
    request: Request, now: float, reason: str, *, broken: bool = False, first: float | None = None, tries: int = 1
) -> Ending:
    """A request that ends without a whole answer; `first` is the instant at which content came, if it did."""
    return Ending(
        request.arrived,
        now,
        ok=False,
        priority=request.priority,
        primary=request.route.targets[0].name,
        stream=request.stream,
        prompt=request.prompt,
        completion=request.completion,
        reason=reason,
        broken=broken,
        first=None if first is None else first - request.arrived,
        tries=tries,
    )


def answer(
    request: Request,
    now: float,
    served: str,
    *,
    fallback: bool = False,
    first: float | None = None,
    lost: float = 0.0,
    waited: float = 0.0,
    tries: int = 1,
) -> Ending:
    """A request that was answered; `first` is the instant at which content came."""
    return Ending(
        request.arrived,
        now,
        True,
        request.priority,
        request.route.targets[0].name,
        request.stream,
        request.prompt,
        request.completion,
        "",
        False,
        served,
        fallback,
        None if first is None else first - request.arrived,
        lost,
        waited,
        tries,
    )


def reason_of(failure: Failure | None) -> str:
    """Why a request got no whole answer."""
    if failure is None:
        return UNAVAILABLE
    return GAVE_UP if failure.kind is FailureKind.CLIENT_CANCELLED else failure.kind.value


def detour(attempts: Sequence[Attempt]) -> tuple[float, float]:
    """What it took until the attempt that answered set off: seconds in all, and seconds without any attempt under way.

    Args:
        attempts: of one request; the one that answered is the last success.
    """
    answering = next((each for each in reversed(attempts) if each.outcome is Outcome.SUCCESS), None)
    if answering is None:
        return 0.0, 0.0
    lost = answering.started
    waited = reached = 0.0
    for each in sorted(attempts, key=_started):
        begin = min(each.started, lost)
        if begin > reached:
            waited += begin - reached
        reached = max(reached, min(each.ended, lost))
    return lost, waited


def _started(attempt: Attempt) -> float:
    return attempt.started
