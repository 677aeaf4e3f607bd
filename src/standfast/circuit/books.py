"""The bookkeeping of a public circuit breaker: permits given and given back, and who is told of what changed.

Everything here is done under one lock (`circuit.guard`), but for the telling. It may be called by whatever Python runs
on the thread that is in the midst of it: a permit that is given back there is counted right after.
"""

import random

from standfast.canon.attempt import Outcome
from standfast.canon.instants import NEVER, Monotonic
from standfast.canon.record import Change
from standfast.circuit import calls
from standfast.circuit.calls import Call
from standfast.circuit.guard import Guard
from standfast.circuit.listeners import Listeners
from standfast.clock import Clock
from standfast.errors import CircuitOpen
from standfast.policy.breaker import SLOW, Breaker, State


class Books:
    """The books of one breaker.

    Args:
        name: the breaker's.
        breaker: the machine.
        slow_after: a success that takes longer counts as slow, seconds; None for never.
        clock: where time comes from.
        rng: jitter.

    Attributes:
        own: stands for the breaker where it must not be kept alive.
        listeners: who is told of changes.
        guard: the lock.
    """

    __slots__ = ("_breaker", "_clock", "_name", "_rng", "_slow_after", "guard", "listeners", "own")

    def __init__(self, name: str, breaker: Breaker, slow_after: float | None, clock: Clock, rng: random.Random) -> None:
        self._name = name
        self._breaker = breaker
        self._slow_after = slow_after
        self._clock = clock
        self._rng = rng
        self.own = object()
        self.listeners = Listeners(name)
        self.guard = Guard()

    def enter(self) -> Call:
        """Leave to make a call, or a part of the one that is under way here.

        Raises:
            CircuitOpen: no call is let through now.
        """
        guard = self.guard
        with guard.lock:
            before, guard.busy = guard.busy, True
            try:
                answer = self._admit()
            finally:
                guard.busy = before
        try:
            self._tell()
        except BaseException:
            if isinstance(answer, Call):
                self.settle(answer, Outcome.CANCELLED, "")
            raise
        if isinstance(answer, CircuitOpen):
            raise answer
        return calls.begin(answer)

    def settle(self, permit: Call, outcome: Outcome, reason: str) -> None:
        """Give a permit back, once."""
        self.guard.do(lambda: self._settle(permit, outcome, reason))
        self._tell()

    def state(self) -> State:
        """The state now; what time has changed is told."""
        with self.guard.lock:
            now = self._clock.now()
            state = self._breaker.state(now)
            self._note(now)
        self._tell()
        return state

    def recent(self) -> tuple[int, int]:
        """Calls and failures in the window."""
        with self.guard.lock:
            return self._breaker.recent(self._clock.now())

    def force(self, state: State | None) -> None:
        """An operator's word."""
        self.guard.do(lambda: self._force(state))
        self._tell()

    # under the lock

    def _admit(self) -> Call | CircuitOpen:
        now, breaker = self._clock.now(), self._breaker
        outer = calls.innermost(self.own)
        if outer is not None and not outer.permit.settled and breaker.counts(outer.ticket):
            return Call(self.own, outer.ticket, now, outer.permit)
        ticket = breaker.admit(now)
        answer = self._refusal(now) if ticket is None else Call(self.own, ticket, now)
        self._note(now)
        return answer

    def _refusal(self, now: Monotonic) -> CircuitOpen:
        retry_at = self._breaker.retry_at(now)
        state = self._breaker.state(now).value
        return CircuitOpen(self._name, None if retry_at == NEVER else retry_at - now, state=state, circuit=self.own)

    def _settle(self, permit: Call, outcome: Outcome, reason: str) -> None:
        if permit.settled:
            return
        permit.settled = True
        breaker, rng, now = self._breaker, self._rng, self._clock.now()
        slow = self._slow_after is not None and outcome is Outcome.SUCCESS and now - permit.since > self._slow_after
        if slow:
            self._note(now, breaker.lag(permit.ticket, now, rng), SLOW)
        self._note(now, breaker.settle(permit.ticket, outcome, now, rng, slow=slow), reason)

    def _force(self, state: State | None) -> None:
        now = self._clock.now()
        self._note(now, self._breaker.force(state, now), "an operator's word")

    def _note(self, now: Monotonic, moved: tuple[State, State] | None = None, reason: str = "") -> None:
        """What time has changed, and then what a call or an operator has moved."""
        news = self._breaker.news
        if moved is not None:
            before, after = moved
            until = self._breaker.retry_at(now) - now if after is State.OPEN else None
            news.append(Change("breaker", self._name, before.value, after.value, reason, until))
        if news:
            self.listeners.note(news)
            news.clear()

    # not under it

    def _tell(self) -> None:
        self.guard.catch_up()
        self.listeners.tell()
