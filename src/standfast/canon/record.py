"""What listeners are told: the record of one finished request, and changes of state worth knowing."""

import msgspec

from standfast.canon.attempt import Attempt
from standfast.canon.deployment import Operation
from standfast.canon.instants import Wall
from standfast.canon.usage import Usage


class RequestRecord(msgspec.Struct, frozen=True, gc=False):
    """One finished request. Durations are seconds.

    Attributes:
        id: `req_...`, the value of x-standfast-request-id.
        received: wall time when the request was complete.
        caller: name of the client key; empty when the door is open.
        model: what the client named: a configured name, or `provider/model`.
        operation: chat, embeddings ...
        stream: server-sent events were wanted.
        status: HTTP status sent; 499 if the client went away first.
        code: error code sent or logged; empty for success.
        deployment: which one answered, empty if none did.
        fallback: a target other than the first choice answered.
        attempts: everything that was tried, in order.
        first_token: until the first content byte went to the client; None if none did.
        total: until the answer's last byte was handed to the wire.
        upstream: time during which at least one attempt (its connection included) or a chosen wait was under way;
            total minus this is the gateway's own overhead.
        usage: tokens reported by the attempt that answered.
        session, tags, priority: as the client gave them.
        source: where the answer came from: empty for an upstream (or an error), `cache`, `stale` (kept, in place of an
            error), `fallback` (the configured message).
    """

    id: str
    received: Wall
    caller: str
    model: str
    operation: Operation
    stream: bool
    status: int
    code: str
    deployment: str
    fallback: bool
    attempts: tuple[Attempt, ...]
    first_token: float | None
    total: float
    upstream: float
    usage: Usage | None
    session: str = ""
    tags: tuple[str, ...] = ()
    priority: int = 3
    source: str = ""


class Change(msgspec.Struct, frozen=True):
    """A state that changed.

    Attributes:
        subject: `breaker`, `ramp`, `provider`, `health`, `cooldown`, `quarantine`, `limit`, `silence`,
            `shedding` or `retry_budget`.
        name: `provider/model`, `provider key 2` for keys, `provider`, what clients name for `shedding`.
        before, after: states, for instance `closed` and `open`.
        reason: why, in a few words, free of secrets.
        until: seconds until it may change back by itself; None if unknown.
        where: the one deployment for which it holds, where the name is not it: a key's rest after a rate limit, which
            providers count per model. Empty otherwise.
    """

    subject: str
    name: str
    before: str
    after: str
    reason: str
    until: float | None = None
    where: str = ""
