"""What the window is told, over the websocket and by the admin API: frozen values, nothing else.

`web/write_types.py` writes the page's TypeScript types from these classes, so that the two cannot differ. Instants are
Unix seconds, so that a row changes only when what it tells has changed; durations say their unit in their name.
"""

from typing import Literal, TypeAlias

import msgspec

Role: TypeAlias = Literal["viewer", "operator"]


class _Value(msgspec.Struct, frozen=True, kw_only=True):
    """All of them are keyword-only, frozen and compared by value."""


class Quantiles(_Value, frozen=True):
    """Of a number of durations, milliseconds."""

    p50: float
    p95: float
    p99: float


class Sample(_Value, frozen=True):
    """What happened in one second, or in one minute.

    Attributes:
        at: its end, Unix seconds.
        seconds: how long it was.
        answered: requests that got an answer (2xx).
        refused: requests that were the client's own fault (4xx).
        failed: requests that nobody could answer (5xx, and 429: all were rate-limited), or whose answer broke off.
        gone: requests whose client went away first (499).
        saved: requests that were answered by another target than their first choice.
        hedges: attempts that were sent beside a slow one.
        mends: attempts that were sent for the rest of a broken stream (replay, resume).
        prompt_tokens, completion_tokens: as the upstreams reported them.
        in_flight: requests under way at its end.
        waiting: those of them that wait in line for a free slot.
        first_token_ms: until the first content went to the client, of the newest requests; None if none did.
        total_ms: until the answer was complete, of those answered.
        answers: attempts that succeeded, by target; absent for none.
        failures: attempts that failed, by target; absent for none.
    """

    at: float
    seconds: float
    answered: int = 0
    refused: int = 0
    failed: int = 0
    gone: int = 0
    saved: int = 0
    hedges: int = 0
    mends: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    in_flight: int = 0
    waiting: int = 0
    first_token_ms: Quantiles | None = None
    total_ms: Quantiles | None = None
    answers: dict[str, int] = {}
    failures: dict[str, int] = {}


class Gauge(_Value, frozen=True):
    """How much of a limit is left.

    Attributes:
        name: `requests/min`, `tokens/min`, `at a time`, or as the provider calls it.
        left: may be below zero when more was used than was expected.
        size: all of it.
        learned: an answer's headers told it; otherwise it is configured.
    """

    name: str
    left: float
    size: float
    learned: bool = False


class KeyRow(_Value, frozen=True):
    """One upstream key at one target.

    Attributes:
        index: position in its pool, from 0; the key itself is never told.
        state: `free`, `resting` (a rate limit here) or `quarantined` (refused credentials, spent quota: everywhere).
        until: when that ends; None while it is free.
        in_flight: attempts under way with it, wherever.
        limits: its own, as far as they are known.
    """

    index: int
    state: Literal["free", "resting", "quarantined"]
    until: float | None = None
    in_flight: int = 0
    limits: tuple[Gauge, ...] = ()


class CheckRow(_Value, frozen=True):
    """The newest health check of one target.

    Attributes:
        kind: `ping` or `generate`.
        ok: it succeeded.
        at: when it ended.
        latency_ms: connection included.
        detail: what went wrong; empty if nothing did.
        cost_usd: what it is counted with; None for a ping.
    """

    kind: str
    ok: bool
    at: float
    latency_ms: float | None
    detail: str = ""
    cost_usd: float | None = None


class TargetRow(_Value, frozen=True):
    """How one target is.

    Attributes:
        target: `provider/upstream-model`.
        state: all of the below in a word. `serving`: asked as usual. `degraded`: asked, and slower or less reliable
            than it should be. `trying`: its breaker is half-open, or it has just recovered and gets its share back.
            `resting`: it waits for the end of a rate limit, a quarantine or a retry-after. `unhealthy`: asked only if
            nobody else can be. `open`: its breaker is open. `unknown`: nothing is known of it yet, it is asked.
        breaker: state of the breaker: closed, open, half_open, forced_open, forced_closed.
        health: healthy, degraded, unhealthy or unknown.
        reason: why.
        advice: what to do; empty if all is well.
        until: when it may be asked again; None if it may be now, or if nobody knows.
        in_flight: attempts under way.
        ceiling: how many at a time it is given, learned or configured; None while nothing limits it.
        first_token_ms: moving average of its streams.
        answered, failed: attempts since the start of each process that is seen.
        prompt_tokens, completion_tokens: the same, reported tokens.
        keys: its provider's keys.
        limits: its own, whichever key is used.
        check: None before the first one.
    """

    target: str
    state: Literal["serving", "degraded", "trying", "resting", "unhealthy", "open", "unknown"]
    breaker: str
    health: str
    reason: str = ""
    advice: str = ""
    until: float | None = None
    in_flight: int = 0
    ceiling: int | None = None
    first_token_ms: float | None = None
    answered: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    keys: tuple[KeyRow, ...] = ()
    limits: tuple[Gauge, ...] = ()
    check: CheckRow | None = None


class Placed(_Value, frozen=True):
    """A target in a model's list."""

    target: str
    tier: int
    weight: float


class ModelRow(_Value, frozen=True):
    """What clients may name, and who can serve it, in the order written."""

    model: str
    strategy: str
    status: Literal["healthy", "degraded", "unhealthy"]
    targets: tuple[Placed, ...]


class EventRow(_Value, frozen=True):
    """A state that changed; see `canon.record.Change`.

    Attributes:
        seq: counts up from 1 since the start; a gap means that events were forgotten. Of several processes: counts up
            for whoever is told, and a snapshot counts anew.
        at: when.
        subject: `breaker`, `ramp`, `provider`, `health`, `cooldown`, `quarantine`, `limit`, `silence`, `shedding` or
            `retry_budget`; `operator` and `configuration` for what was done here.
        name: of what: `provider/model`, `provider key 2`, `provider`, a model, or empty.
        before, after: states.
        reason: why.
        until: when it may change back by itself; None if unknown.
        where: the one target for which it holds, where the name is not it.
        worker: the process that saw it, from 1; 0 where there is only one.
    """

    seq: int
    at: float
    subject: str
    name: str
    before: str
    after: str
    reason: str
    until: float | None = None
    where: str = ""
    worker: int = 0


class AttemptRow(_Value, frozen=True):
    """One upstream attempt of a request. Milliseconds count from the request's arrival."""

    target: str
    outcome: str
    started_ms: float
    ended_ms: float
    first_content_ms: float | None = None
    kind: str = ""
    detail: str = ""
    purpose: str = "answer"


class RequestRow(_Value, frozen=True):
    """A request that got its outcome; see `canon.record.RequestRecord`.

    Attributes:
        id: `req_...`, the value of x-standfast-request-id, and in the log.
        at: when it arrived.
        status: HTTP status; 499 if the client went away first.
        code: error code; empty for success.
        target: who answered; empty if nobody did.
        fallback: another than the first choice answered (or had, for a kept answer), or a message in place of an error.
        source: empty for an upstream, else `cache`, `stale` or `fallback`.
    """

    id: str
    at: float
    caller: str
    model: str
    operation: str
    status: int
    code: str
    target: str
    stream: bool
    fallback: bool
    source: str
    priority: int
    session: str
    tags: tuple[str, ...]
    first_token_ms: float | None
    total_ms: float
    prompt_tokens: int | None
    completion_tokens: int | None
    attempts: tuple[AttemptRow, ...]


class Session(_Value, frozen=True):
    """Who looks, and at what.

    Attributes:
        name: of the console key; empty where none is needed.
        role: a viewer may look, an operator may act as well.
        open: no key is needed: nobody but this machine reaches the port.
        version: of Standfast.
        worker: which of the processes that share the port this is, from 1.
        workers: how many there are; all that are seen are told as one (`Snapshot.seen`).
    """

    name: str
    role: Role
    open: bool
    version: str
    worker: int
    workers: int


class Snapshot(_Value, frozen=True, tag_field="type", tag="snapshot"):
    """Everything, at once: the first message, and again after a reload or when the reader was too slow for ticks.

    Attributes:
        at: now.
        started: when the oldest process that is seen began to serve.
        session: whose.
        draining: it is about to end.
        models, targets: in configuration order.
        seconds: of the last quarter of an hour, oldest first.
        events: the newest ones, oldest first.
        requests: the newest ones, oldest first.
        troubled: the newest ones that did not go as they should (an error, a failed attempt, a kept answer or a message
            in place of an error), oldest first.
        seen: how many processes are told here; fewer than `session.workers` while one is started anew.
    """

    at: float
    started: float
    session: Session
    draining: bool
    models: tuple[ModelRow, ...]
    targets: tuple[TargetRow, ...]
    seconds: tuple[Sample, ...]
    events: tuple[EventRow, ...]
    requests: tuple[RequestRow, ...]
    troubled: tuple[RequestRow, ...]
    seen: int = 1


class Tick(_Value, frozen=True, tag_field="type", tag="tick"):
    """What changed in the last second.

    Attributes:
        at: now.
        draining: it is about to end.
        sample: the second.
        targets, models: the rows that have changed.
        requests: that ended, oldest first; at most as many as anybody can read.
        skipped: requests that ended besides them.
        troubled: those that did not go as they should, oldest first; told whether or not they are in `requests`.
    """

    at: float
    draining: bool
    sample: Sample
    targets: tuple[TargetRow, ...] = ()
    models: tuple[ModelRow, ...] = ()
    requests: tuple[RequestRow, ...] = ()
    skipped: int = 0
    troubled: tuple[RequestRow, ...] = ()


class Events(_Value, frozen=True, tag_field="type", tag="events"):
    """States that changed, told at once."""

    events: tuple[EventRow, ...]


Message: TypeAlias = Snapshot | Tick | Events
"""What comes over the websocket, each as one JSON text; `type` tells which."""
