"""Performs one Exchange: does what its steps say, and tells it what came of it.

Which attempts are under way stands in `Attempts`, what the client is told in `Delivery`.
"""

from standfast.canon.chat import ChatRequest
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import NEVER, Monotonic
from standfast.canon.structs import plain_stores
from standfast.canon.usage import Usage
from standfast.engine.attempts import Attempts
from standfast.engine.call import Call
from standfast.engine.lifeline import Lifeline
from standfast.engine.refusal import refusal_error
from standfast.engine.repeat import REPETITIONS, ResumeCall, for_the_rest
from standfast.engine.watch import Lane
from standfast.errors import Draining, StandfastError
from standfast.formats.base import Format
from standfast.http1.base import Headers
from standfast.policy.fleet import Permit
from standfast.policy.route import Target
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

# Up to Python 3.11 looking up an enum's member is a call.
HEDGE, REPLAY, RESUME = Purpose.HEDGE, Purpose.REPLAY, Purpose.RESUME


@plain_stores
class Drive(Attempts):
    """One request under way. It is the `Responder` of its downstream, and the holder of its ticket in the line."""

    _canonical: ChatRequest | None = None
    _unsendable: StandfastError | None = None
    _napping_since: Monotonic | None = None

    def start(self) -> None:
        """Set off. The answer goes through `out`, now or later."""
        services = self.services
        now = self.exchange.ask.arrived
        if self.stream or self.exchange.route.rename:
            self.prepare()
        if self.reserve is not None and (kept := self.reserve.at_once(now)) is not None:
            self.serve(kept)
            return
        services.watch.enter(self)
        if self.stream and services.heartbeat > 0:
            self.beat_at = now + services.heartbeat
        self._perform(self.exchange.open(now), now)

    # what the client's side tells (http1.base.Responder)

    def client_gone(self) -> None:
        """The client closed first: close the upstream now."""
        if not self._over:
            now = self.services.clock.now()
            for call in self._calls():
                call.stop()
            self._perform(self.exchange.cancel(now), now)

    # what the gateway tells

    def cut_off(self) -> None:
        """The drain time is over: end with an explicit error."""
        for call in self._calls():
            call.stop()
        if not self._over:
            now = self.services.clock.now()
            steps = self.exchange.cancel(now)
            self.deliver_error(Draining("The gateway is shutting down and could not wait longer."))
            self._perform([step for step in steps if type(step) is not Refuse], now)  # that was said just now

    @property
    def waits(self) -> bool:
        """It naps, or waits for its turn."""
        return self._napping_since is not None

    # what the watch tells

    def expired(self, now: Monotonic) -> None:
        """Something is due: the end of a nap, a deadline of the attempt, a heartbeat."""
        if self.beat_at <= now and not self._over:
            self.beat(now)
        if self.due > now:
            return
        if self._call is not None:
            self._call.expired(now)
        else:
            self.called(now)

    def called(self, now: Monotonic) -> None:
        """A nap is over, or it is this request's turn in the line."""
        if self._napping_since is not None:
            self.due = NEVER
            self._napped += now - self._napping_since
            self._napping_since = None
            self._perform(self.exchange.woke(now), now)

    def shed(self, now: Monotonic) -> None:
        """The line has no room for this request any more."""
        self._napping_since = None
        self._perform(self.exchange.shed(now), now)

    def reminded(self, now: Monotonic) -> None:
        """The attempt under way turned out to be slow."""
        reminder = self._reminder
        if reminder is not None and reminder.due > now:
            return  # this is one that was replaced a moment ago, in the same look of the watch
        self._forget_reminder()
        if not self._over:
            self._perform(self.exchange.reminded(now), now)

    # what the call tells

    def first_content(self, call: Lifeline, seen: Monotonic | None = None) -> None:
        """Content of a stream has come: this attempt gives the answer. `seen` is when, if it was held back."""
        now = self.services.clock.now()
        if self._first is None:
            self._first = now
        self._perform(self.exchange.first_content(call.permit, now if seen is None else seen), now)

    def told(self, call: Lifeline, headers: Headers) -> None:
        """The head of an answer came, and what it says of rate limits is due to be read."""
        clock = self.services.clock
        self.exchange.told(call.permit, call.outlet.provider.rates(headers, clock.wall()), clock.now())

    def caught_up(self, call: Lifeline) -> None:
        """A repetition has said all that the client has, and goes on."""
        now = self.services.clock.now()
        self._perform(self.exchange.caught_up(call.permit, now), now)

    def diverged(self, call: Lifeline) -> None:
        """A repetition says something else than the client has."""
        now = self.services.clock.now()
        self._drop(call)
        self._perform(self.exchange.diverged(call.permit, now), now)
        self._freed(call.target, now)

    def completed(self, call: Lifeline, usage: Usage | None) -> None:
        """The stream is whole."""
        now = self.services.clock.now()
        self._call = None
        self._perform(self.exchange.completed(call.permit, usage, now), now)
        self._freed(call.target, now)

    def linger(self, call: Lifeline) -> None:
        """The answer is complete, the upstream's message is not: the call is watched a little longer."""
        self.beat_at = NEVER
        self._call = call
        self.services.watch.enter(self)

    def lingered(self) -> None:
        """Now it is."""
        self._call = None
        self.services.watch.leave(self)

    def whole(self, call: Lifeline, body: bytes, usage: Usage | None) -> None:
        """The whole reply is here, in the client's format: its first content and its end fall together."""
        now = self.services.clock.now()
        self._body = body if self._renamer is None else self._renamer.whole(body)
        self.served = call.target
        if self._rivals:
            self._perform(self.exchange.first_content(call.permit, now), now)
        self._call = None
        self._perform(self.exchange.whole(call.permit, usage, now), now)
        if self.services.watch.lines:
            self._freed(call.target, now)

    def repeated(self, call: Lifeline) -> None:
        """The wire sent the request a second time."""
        self.exchange.repeated(call.permit, self.services.clock.now())

    def failed(self, call: Lifeline, failure: Failure, usage: Usage | None) -> None:
        """The attempt gave no (whole) answer."""
        now = self.services.clock.now()
        self._drop(call)
        told = self.read_back()
        able, goes_on = not told.fault, bool(told.start)
        self._perform(self.exchange.failed(call.permit, failure, now, usage, replayable=able, resumable=goes_on), now)
        self._freed(call.target, now)

    # performing

    def _perform(self, steps: list[Step], now: Monotonic) -> None:
        if self.exchange.changes:
            changes, self.exchange.changes = self.exchange.changes, []
            self.services.bus.changed(changes)
        for step in steps:
            kind = type(step)
            if kind is Send:
                self._send(step, now)  # type: ignore[arg-type]  # `kind is` does not narrow, isinstance costs more
            elif kind is Commit:
                self._commit(step.permit)  # type: ignore[union-attr]  # as above
            elif kind is Finish:
                self.finish()
            else:
                self._perform_rarer(step, now)

    def _perform_rarer(self, step: Step, now: Monotonic) -> None:
        match step:
            case Sleep(until=until):
                self._napping_since = now
                self.due = until
                self.services.watch.enter(self)
            case Refuse():
                self._refuse(step, now)
            case Abandon(permit=permit):
                self._abandon(permit, now)
            case Remind(at=at):
                self._remind(at)
            case Queue(ticket=ticket):
                self._napping_since = now
                ticket.holder = self
                self.services.watch.wait(self._snapshot.fleet.line)
            case Freed(deployment=deployment):
                self.services.watch.freed(deployment, now)
            case Shed(ticket=ticket):
                holder = ticket.holder
                if isinstance(holder, Drive):
                    holder.shed(now)

    def _send(self, send: Send, now: Monotonic) -> None:
        target, operation, purpose = send.target, self.exchange.ask.operation, send.purpose
        outlet = self._snapshot.outlets[target.deployment]
        upstream_format = outlet.formats[operation]
        try:
            body = self._request_body(target, upstream_format)
            if purpose is RESUME:
                body = for_the_rest(body, self.heard, outlet, upstream_format)
        except StandfastError as error:
            self._unsendable = error
            failure = Failure(FailureKind.INVALID_REQUEST, error.message, code=error.code, sent=False)
            self._perform(self.exchange.unsendable(send.permit, failure, now), now)
            self._freed(target, now)
            return
        hedges = purpose is HEDGE and self._call is not None
        lane: Drive | Lane = Lane() if hedges else self
        wire = (self, lane, outlet, send.permit, target, send.deadlines, upstream_format, self.inquiry.format)
        call = Call(*wire) if self.heard is None else REPETITIONS[purpose](*wire, told=self.heard)
        if type(lane) is Lane:
            lane.told = call.expired
            self.services.watch.lanes.add(lane)
            self._rivals = (*self._rivals, call)
        else:
            self._call = call
            if self.calm is not None:
                self.services.watch.enter(self)
        if self._paused:
            call.pause()
        if self.demands is not None:
            call.guard(self.demands)
        heads = outlet.heads[operation, self.stream]
        if purpose is RESUME and outlet.rest_heads:
            heads = outlet.rest_heads
        call.start(heads[send.permit.key].request(body))

    def _request_body(self, target: Target, upstream_format: Format) -> bytes:
        inquiry = self.inquiry
        if upstream_format is inquiry.format:
            return upstream_format.splice(inquiry.envelope, target.deployment.model, target.params)
        if self._canonical is None:
            self._canonical = inquiry.format.parse_request(inquiry.envelope.body)
        return upstream_format.write_request(self._canonical, target.deployment.model, target.params)

    def _commit(self, permit: Permit) -> None:
        call = self._call
        if self._rivals:
            call = self._promote(permit)
        if call is None:
            return
        self.served = call.target
        if self.stream:
            self.answering = call.target.name
            self.open(call.outlet.stream_headers)
            if self.heard is not None:
                self.taken_over(call.target, RESUME if isinstance(call, ResumeCall) else REPLAY)

    def _refuse(self, refuse: Refuse, now: Monotonic) -> None:
        failure = refuse.failure
        if failure is not None and failure.kind is FailureKind.CLIENT_CANCELLED:
            self._over = True
            self.conclude(499, failure.kind.value)
            return
        if self.reserve is not None and (kept := self.reserve.at_last(refuse, self.id, now)) is not None:
            self.serve(kept)
            return
        error = refusal_error(refuse, self.exchange.ask.model)
        if self._unsendable is not None and failure is not None and failure.detail == self._unsendable.message:
            error = self._unsendable
        self.deliver_error(error)
