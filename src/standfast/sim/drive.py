"""Performs one Exchange in virtual time: does what its steps say, tells it what came of it. As `engine.drive` does.

Who reports what when:

    a stream's first content, its end, a failure     at the instant at which it happens upstream
    a whole reply                                    its first content and its end, both at its end
    a deadline, the end of a nap, a reminder         when the gateway's watch finds it (`world.TICK`)
    a turn in the line                               when the policy says that a place is free, or at the watch's look

A replay says the same as the broken answer if the request is repeatable and the same model is asked; else it differs
after a few words. The comparison is the driver's part, so it is played here.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from standfast.canon.ask import Ask
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.canon.usage import Usage
from standfast.policy.exchange import Exchange
from standfast.policy.fleet import Permit
from standfast.policy.steps import (
    Abandon,
    Commit,
    Finish,
    Freed,
    Purpose,
    Queue,
    Refuse,
    Remind,
    Send,
    Shed,
    Sleep,
    Step,
)
from standfast.sim.call import Call
from standfast.sim.crowd import Request
from standfast.sim.ending import SHED, Ending, answer, detour, no_answer, reason_of
from standfast.sim.world import noticed

if TYPE_CHECKING:  # the stage starts drives
    from standfast.sim.stage import Stage


HEADLESS = frozenset(
    (
        FailureKind.CONNECT_FAILED,
        FailureKind.CONNECT_TIMEOUT,
        FailureKind.FIRST_TOKEN_TIMEOUT,
        FailureKind.BROKEN_STREAM,
        FailureKind.STALLED,
        FailureKind.DEADLINE_PASSED,
    )
)
"""Failures without the head of an answer, or long after it: nothing is told of rate limits."""

ALIKE = 8.0
"""Tokens for which two answers to one question read the same, on average."""


class Customer(Protocol):
    """Who asked."""

    def told(self, ending: Ending, refuse: Refuse | None, now: Monotonic) -> None:
        """The one outcome of a drive; `refuse` unless it is an answer."""
        ...


class Drive:
    """One request under way.

    Args:
        stage: where it plays.
        request: what is asked.
        customer: who is told; None for the books alone.
    """

    __slots__ = (
        "_calls",
        "_customer",
        "_first",
        "_giving",
        "_model",
        "_served",
        "_shown",
        "_stage",
        "exchange",
        "request",
    )

    def __init__(self, stage: "Stage", request: Request, customer: Customer | None, now: Monotonic) -> None:
        self._stage = stage
        self.request = request
        self._customer = customer
        self._calls: dict[Call, Send] = {}
        self._first: float | None = None
        self._served: Send | None = None
        self._giving: Permit | None = None  # the attempt whose content the client gets
        self._shown = 0  # tokens that the client has of a broken answer
        self._model = ""  # who gave it
        route = request.route
        total = route.total
        limit = stage.deadline
        request.deadline = deadline = Monotonic(now + (total if limit is None or limit > total else limit))
        ask = Ask(
            model=route.model,
            stream=request.stream,
            arrived=now,
            deadline=deadline,
            prompt_tokens=request.prompt,
            max_tokens=request.max_tokens,
            priority=request.priority,
            session=request.session,
            caller=request.caller,
        )
        self.exchange = Exchange(ask, route, stage.fleet, stage.budget, stage.rng)

    def start(self, now: Monotonic) -> None:
        """Set off."""
        self._perform(self.exchange.open(now), now)

    def hang_up(self, now: Monotonic) -> None:
        """The caller leaves, unless content has come or it is over."""
        if self._first is None and not self.exchange.over:
            self._perform(self.exchange.cancel(now), now)

    # what a call tells

    def first_content(self, call: Call, now: Monotonic) -> None:
        """Content of a stream has come."""
        send = self._calls[call]
        self._told(call, send, now)
        self._perform(self.exchange.first_content(send.permit, now), now)
        if send.purpose is Purpose.REPLAY and call in self._calls:
            self._compare(call, send, now)

    def completed(self, call: Call, now: Monotonic) -> None:
        """The answer is whole."""
        self._served = send = self._calls.pop(call)
        self._told(call, send, now)
        exchange, usage = self.exchange, Usage(call.prompt, call.completion)
        if self.request.stream:
            self._perform(exchange.completed(send.permit, usage, now), now)
        else:  # as `engine.drive` does
            if self._calls:
                self._perform(exchange.first_content(send.permit, now), now)
            if self._first is None:
                self._first = now
            self._perform(exchange.whole(send.permit, usage, now), now)
        self._freed(send, now)

    def failed(self, call: Call, failure: Failure, now: Monotonic) -> None:
        """There is no (whole) answer from it."""
        send = self._calls.pop(call)
        if failure.kind not in HEADLESS:
            self._told(call, send, now, limited=failure.kind is FailureKind.RATE_LIMITED)
        if send.permit is self._giving:
            kept = self._shown if send.purpose is Purpose.RESUME else 0
            self._shown = kept + call.produced(now)
            self._model = send.target.deployment.model
        stream = self.request.stream
        steps = self.exchange.failed(send.permit, failure, now, replayable=stream, resumable=stream)
        self._perform(steps, now)
        self._freed(send, now)

    # what the line tells

    def called(self, now: Monotonic) -> None:
        """A nap is over, or it is this request's turn."""
        self._perform(self.exchange.woke(now), now)

    def shed(self, now: Monotonic) -> None:
        """The line has no room for this request any more."""
        self._perform(self.exchange.shed(now), now)

    # performing

    def _perform(self, steps: list[Step], now: Monotonic) -> None:
        stage, exchange = self._stage, self.exchange
        if exchange.changes:
            changes, exchange.changes = exchange.changes, []
            stage.tally.moved(changes, now)
        if stage.trace is not None:
            stage.trace(self, steps, now)
        for step in steps:
            _PERFORM[type(step)](self, step, now)

    def _send(self, send: Send, now: Monotonic) -> None:
        station = self._stage.stations[send.target.deployment]
        call = Call(station, self.request, self, send.deadlines, send.permit.key)
        if send.purpose is Purpose.RESUME:
            call.go_on_from(self._shown)
        self._calls[call] = send
        station.take(call, now)

    def _sleep(self, sleep: Sleep, now: Monotonic) -> None:
        self._stage.world.at(noticed(max(sleep.until, now)), self.called)  # what is past is due at the next look

    def _queue(self, queue: Queue, now: Monotonic) -> None:
        ticket = queue.ticket
        ticket.holder = self
        ripe = min(ticket.ripe, ticket.deadline)
        self._stage.world.at(noticed(max(ripe, now)), self._stage.look_at_line)

    def _put_out(self, shed: Shed, now: Monotonic) -> None:
        holder = shed.ticket.holder
        if isinstance(holder, Drive):
            holder.shed(now)

    def _freed(self, send: Send, now: Monotonic) -> None:
        """An attempt is over: its place may be somebody's turn."""
        if self._stage.fleet.line:
            self._stage.freed(send.target.deployment, now)

    def _told(self, call: Call, send: Send, now: Monotonic, *, limited: bool = False) -> None:
        """The head of an answer is here: what it tells of rate limits is read now and then, as `engine.call` does."""
        rates, seat = call.rates, send.permit.seat
        if rates is None:
            return
        call.rates = None
        if seat.unread and not limited:
            seat.unread -= 1
        else:
            self.exchange.told(send.permit, rates, now)

    def _free(self, freed: Freed, now: Monotonic) -> None:
        self._stage.freed(freed.deployment, now)

    def _remind(self, remind: Remind, now: Monotonic) -> None:
        self._stage.world.at(noticed(max(remind.at, now)), partial(self._stage.at_last, self._reminded))

    def _reminded(self, now: Monotonic) -> None:
        self._perform(self.exchange.reminded(now), now)  # one that was replaced comes too early, and changes nothing

    def _commit(self, commit: Commit, now: Monotonic) -> None:
        self._giving = commit.permit
        if self._first is None:
            self._first = now

    def _abandon(self, abandon: Abandon, now: Monotonic) -> None:
        for call, send in self._calls.items():
            if send.permit is abandon.permit:
                del self._calls[call]
                call.stop(now)
                self._freed(send, now)
                return

    # a replay

    def _compare(self, call: Call, send: Send, now: Monotonic) -> None:
        """When will the new text be beyond what the client has, or differ from it?"""
        shown, stage = self._shown, self._stage
        same = self.request.repeatable and send.target.deployment.model == self._model
        alike = shown if same else int(stage.callers.expovariate(1.0 / ALIKE))
        tell = self._catches_up if alike >= shown else self._differs
        stage.world.at(now + min(alike, shown) * call.pace, partial(tell, call))

    def _catches_up(self, call: Call, now: Monotonic) -> None:
        if call in self._calls and call.speaks(now):
            self._perform(self.exchange.caught_up(self._calls[call].permit, now), now)

    def _differs(self, call: Call, now: Monotonic) -> None:
        if call in self._calls and call.speaks(now):
            self._perform(self.exchange.diverged(self._calls[call].permit, now), now)

    # the end

    def _finish(self, finish: Finish, now: Monotonic) -> None:
        del finish
        exchange, request, served = self.exchange, self.request, self._served
        if served is None:
            return
        attempts = exchange.attempts
        lost = waited = 0.0
        if len(attempts) > 1:
            lost, waited = detour(attempts)
        elif attempts[0].started > 0.0:
            lost = waited = attempts[0].started
        before = exchange.ask.arrived - request.arrived  # earlier tries of the same caller
        name = served.target.name
        fallback = served.target is not exchange.first_choice
        ending = answer(
            request, now, name, fallback=fallback, first=self._first, lost=lost + before, waited=waited + before
        )
        self._tell(ending, None, now)

    def _refuse(self, refuse: Refuse, now: Monotonic) -> None:
        reason = SHED if refuse.shed else reason_of(refuse.failure)
        self._tell(no_answer(self.request, now, reason, broken=refuse.broken, first=self._first), refuse, now)

    def _tell(self, ending: Ending, refuse: Refuse | None, now: Monotonic) -> None:
        if self._customer is None:
            self._stage.tally.ended(ending)
        else:
            self._customer.told(ending, refuse, now)


_PERFORM: Mapping[type[Step], Callable[[Drive, Any, Monotonic], None]] = MappingProxyType(
    {
        Send: Drive._send,  # noqa: SLF001 - the table of what this class does
        Sleep: Drive._sleep,  # noqa: SLF001
        Queue: Drive._queue,  # noqa: SLF001
        Shed: Drive._put_out,  # noqa: SLF001
        Freed: Drive._free,  # noqa: SLF001
        Remind: Drive._remind,  # noqa: SLF001
        Commit: Drive._commit,  # noqa: SLF001
        Abandon: Drive._abandon,  # noqa: SLF001
        Finish: Drive._finish,  # noqa: SLF001
        Refuse: Drive._refuse,  # noqa: SLF001
    }
)
