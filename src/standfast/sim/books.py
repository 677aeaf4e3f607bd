"""Keeps the books of a real run: the gateway's records instead of a play, the same report at the end.

What a drill on real wires needs to stand beside a rehearsal.
"""

from standfast.canon.attempt import Attempt, Outcome
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Wall
from standfast.canon.record import RequestRecord
from standfast.sim.ending import SHED, UNAVAILABLE, Ending, detour, reason_of
from standfast.sim.tally import Tally, TargetTally

SUCCESS = 200
_KINDS = frozenset(kind.value for kind in FailureKind)


def enter(tally: Tally, record: RequestRecord, began: Wall, primary: str) -> None:
    """Count one finished request of the gateway, and its attempts.

    Args:
        tally: made for the targets that the record names.
        record: as hooks are told it.
        began: wall time at which the run began.
        primary: name of the target that stands first in the configuration.
    """
    for attempt in record.attempts:
        _attempt(tally.targets[attempt.deployment], attempt)
    arrived = tally.start + (record.received - began)
    lost, waited = detour(record.attempts)
    usage, ok = record.usage, record.status == SUCCESS and not record.code
    tally.ended(
        Ending(
            arrived,
            arrived + record.total,
            ok,
            record.priority,
            primary,
            record.stream,
            usage.prompt if usage is not None else 0,
            usage.completion if usage is not None else 0,
            reason="" if ok else _reason(record),
            broken=not ok and record.first_token is not None,
            served=record.deployment if ok else "",
            fallback=ok and record.fallback,
            first=record.first_token,
            lost=lost,
            waited=waited,
        )
    )


def _attempt(target: TargetTally, attempt: Attempt) -> None:
    target.attempts += 1
    usage = attempt.usage
    if attempt.outcome is Outcome.SUCCESS:
        target.successes += 1
        content = attempt.first_content if attempt.first_content is not None else attempt.ended
        target.first.add(content - attempt.started)
        if usage is not None:
            target.work(usage.prompt, usage.completion, useful=True)
        return
    if attempt.outcome is Outcome.CANCELLED and attempt.failure is None:
        target.cancelled += 1
    elif attempt.failure is not None:
        target.failures[attempt.failure.kind] = target.failures.get(attempt.failure.kind, 0) + 1
    if usage is not None:
        target.work(usage.prompt, usage.completion, useful=False)


def _reason(record: RequestRecord) -> str:
    """The word that a rehearsal has for it."""
    last: Failure | None = record.attempts[-1].failure if record.attempts else None
    if record.code in _KINDS:
        return reason_of(Failure(FailureKind(record.code)))
    if last is not None:
        return reason_of(last)
    return SHED if record.code == SHED else UNAVAILABLE
