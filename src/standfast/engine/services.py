"""What every request in the engine shares."""

import itertools
import random
import secrets
from dataclasses import dataclass, field

from standfast.clock import Clock
from standfast.engine.answers import Answers
from standfast.engine.bus import Bus
from standfast.engine.watch import Watch
from standfast.http1.client import UpstreamClient
from standfast.policy.retry import RetryBudget
from standfast.redact import Redactor

_LAST = tuple(f"{number:02x}" for number in range(256))


@dataclass(slots=True)
class Services:
    """The hands' tools: time, chance, connections, listeners, and the watch over the requests under way."""

    clock: Clock
    rng: random.Random
    watch: Watch
    client: UpstreamClient
    budget: RetryBudget
    bus: Bus
    answers: Answers
    redactor: Redactor
    event_bytes: int
    reply_bytes: int
    heartbeat: float
    _prefix: str = field(default_factory=lambda: f"req_{secrets.token_hex(6)}")
    _count: "itertools.count[int]" = field(default_factory=itertools.count)
    _begun: str = ""  # the prefix and all digits of the count but the last two

    def request_id(self) -> str:
        """A new id: random per process, counted within it."""
        count = next(self._count)
        last = count & 0xFF
        if not last:
            self._begun = f"{self._prefix}{count >> 8:06x}"
        return self._begun + _LAST[last]
