"""Performs one Exchange: does what its steps say, and tells it what came of it."""

from typing import TYPE_CHECKING

from standfast.canon.chat import ChatRequest
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import NEVER, Monotonic
from standfast.canon.record import RequestRecord
from standfast.canon.usage import Usage
from standfast.engine.call import Call
from standfast.engine.inquiry import Inquiry
from standfast.engine.refusal import refusal_error
from standfast.engine.rename import Renamer
from standfast.engine.reply_headers import JSON_HEADERS, STREAM_HEADERS, attempt_headers, error_headers, trace_header
from standfast.engine.services import Services
from standfast.errors import Draining, StandfastError
from standfast.formats.base import Format
from standfast.http1.base import Downstream
from standfast.policy.exchange import Exchange
from standfast.policy.route import Target
from standfast.policy.steps import Commit, Finish, Refuse, Send, Sleep, Step

if TYPE_CHECKING:  # the snapshot is the configuration at work; it starts drives through the gateway
    from standfast.engine.assemble import Snapshot

HEARTBEAT = b": ping\n\n"


class Drive:
    """One request under way. It is the `Responder` of its downstream.

    Attributes:
        id: the request's id.
        out: the client's side.
        stream: the client wants server-sent events.
        deadline: instant after which nobody waits for the answer.
        due, beat_at: when the watch is to call `expired`.
        touched: content came since the watch looked last; `due` is then moved to `gap` seconds later, `end` at most.
        served: the target that answers; None before the first content.
        error: what the client was told, None for success.
    """

    __slots__ = (
        "_body",
        "_call",
        "_canonical",
        "_first",
        "_napped",
        "_napping_since",
        "_opened",
        "_over",
        "_paused",
        "_received",
        "_renamer",
        "_seen",
        "_snapshot",
        "_unsendable",
        "beat_at",
        "deadline",
        "due",
        "end",
        "error",
        "exchange",
        "gap",
        "id",
        "inquiry",
        "out",
        "served",
        "services",
        "stream",
        "touched",
    )

    def __init__(
        self, services: Services, snapshot: "Snapshot", inquiry: Inquiry, exchange: Exchange, out: Downstream
    ) -> None:
        self.services = services
        self.inquiry = inquiry
        self.exchange = exchange
        self.out = out
        self.id = services.request_id()
        self.stream = exchange.ask.stream
        self.deadline = exchange.ask.deadline
        self.due: float = NEVER
        self.beat_at: float = NEVER
        self.gap = 0.0
        self.end: float = NEVER
        self.touched = False
        self.served: Target | None = None
        self.error: StandfastError | None = None
        self._snapshot = snapshot
        self._received = services.clock.wall()
        self._call: Call | None = None
        self._canonical: ChatRequest | None = None
        self._unsendable: StandfastError | None = None
        self._body = b""
        self._first: Monotonic | None = None
        self._napped = 0.0
        self._napping_since: Monotonic | None = None
        self._seen: float = 0.0
        self._renamer = Renamer(exchange.ask.model) if exchange.route.rename else None
        self._opened = False
        self._paused = False
        self._over = False

    def start(self) -> None:
        """Set off. The answer goes through `out`, now or later."""
        services = self.services
        services.watch.enter(self)
        now = self.exchange.ask.arrived
        if self.stream and services.heartbeat > 0:
            self.beat_at = now + services.heartbeat
        self._perform(self.exchange.open(now), now)

    # what the client's side tells (http1.base.Responder)

    def client_gone(self) -> None:
        """The client closed first: close the upstream now."""
        if not self._over:
            now = self.services.clock.now()
            if self._call is not None:
                self._call.stop()
            self._perform(self.exchange.cancel(now), now)

    def pause(self) -> None:
        """The client reads too slowly."""
        self._paused = True
        if self._call is not None:
            self._call.pause()

    def resume(self) -> None:
        """The client caught up."""
        self._paused = False
        if self._call is not None:
            self._call.resume()

    # what the gateway tells

    def cut_off(self) -> None:
        """The drain time is over: end with an explicit error."""
        if self._call is not None:
            self._call.stop()
        if not self._over:
            self.exchange.cancel(self.services.clock.now())
            self._deliver_error(Draining("The gateway is shutting down and could not wait longer."))

    # what the watch tells

    def expired(self, now: Monotonic) -> None:
        """Something is due: the end of a nap, a deadline of the attempt, a heartbeat."""
        if self.beat_at <= now and not self._over:
            self._beat(now)
        if self.due > now:
            return
        if self._call is not None:
            self._call.expired(now)
        elif self._napping_since is not None:
            self.due = NEVER
            self._napped += now - self._napping_since
            self._napping_since = None
            self._perform(self.exchange.woke(now), now)

    def _beat(self, now: Monotonic) -> None:
        """If nothing has been said for a while, say something: idle proxies must not cut the stream."""
        if not self._opened:
            self._opened = True
            headers = STREAM_HEADERS + attempt_headers(self.id, len(self.exchange.attempts) + 1, fallback=False)
            self.out.begin(200, headers)
            self.out.write(HEARTBEAT)
        elif self.due == self._seen:  # content moves it
            self.out.write(HEARTBEAT)
        self._seen = self.due
        self.beat_at = now + self.services.heartbeat

    # what the call tells

    def first_content(self, call: Call) -> None:
        """Content of a stream has come: this attempt gives the answer."""
        self._first = now = self.services.clock.now()
        self._perform(self.exchange.first_content(call.permit, now), now)

    def completed(self, call: Call, usage: Usage | None) -> None:
        """The stream is whole."""
        now = self.services.clock.now()
        self._call = None
        self._perform(self.exchange.completed(call.permit, usage, now), now)

    def linger(self, call: Call) -> None:
        """The answer is complete, the upstream's message is not: the call is watched a little longer."""
        self.beat_at = NEVER
        self._call = call
        self.services.watch.enter(self)

    def lingered(self) -> None:
        """Now it is."""
        self._call = None
        self.services.watch.leave(self)

    def whole(self, call: Call, body: bytes, usage: Usage | None) -> None:
        """The whole reply is here, in the client's format: its first content and its end fall together."""
        now = self.services.clock.now()
        self._body = body if self._renamer is None else self._renamer.whole(body)
        self._call = None
        self.served = call.target
        self.exchange.first_content(call.permit, now)
        self._perform(self.exchange.completed(call.permit, usage, now), now)

    def repeated(self, call: Call) -> None:
        """The wire sent the request a second time."""
        self.exchange.repeated(call.permit, self.services.clock.now())

    def failed(self, call: Call, failure: Failure, usage: Usage | None) -> None:
        """The attempt gave no (whole) answer."""
        now = self.services.clock.now()
        self._call = None
        self._perform(self.exchange.failed(call.permit, failure, now, usage), now)

    def pass_on(self, events: bytes) -> None:
        """Complete events of the stream, in the client's format."""
        self.out.write(events if self._renamer is None else self._renamer.stream(events))

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
                self._commit()
            elif kind is Finish:
                self._finish()
            elif kind is Sleep:
                self._sleep(step, now)  # type: ignore[arg-type]  # as above
            elif kind is Refuse:
                self._refuse(step)  # type: ignore[arg-type]  # as above

    def _send(self, send: Send, now: Monotonic) -> None:
        target, operation = send.target, self.exchange.ask.operation
        outlet = self._snapshot.outlets[target.deployment]
        upstream_format = outlet.formats[operation]
        try:
            body = self._request_body(target, upstream_format)
        except StandfastError as error:
            self._unsendable = error
            failure = Failure(FailureKind.INVALID_REQUEST, error.message, code=error.code, sent=False)
            self._perform(self.exchange.unsendable(send.permit, failure, now), now)
            return
        call = Call(self, send, outlet, upstream_format)
        self._call = call
        if self._paused:
            call.pause()
        call.start(outlet.heads[operation, self.stream][send.permit.key].request(body), send)

    def _request_body(self, target: Target, upstream_format: Format) -> bytes:
        inquiry = self.inquiry
        if upstream_format is inquiry.format:
            return upstream_format.splice(inquiry.envelope, target.deployment.model, target.params)
        if self._canonical is None:
            self._canonical = inquiry.format.parse_request(inquiry.envelope.body)
        return upstream_format.write_request(self._canonical, target.deployment.model, target.params)

    def _sleep(self, sleep: Sleep, now: Monotonic) -> None:
        self._napping_since = now
        self.due = sleep.until

    def _commit(self) -> None:
        call = self._call
        if call is None:
            return
        self.served = call.target
        if self.stream and not self._opened:
            self._opened = True
            self.out.begin(200, call.outlet.stream_headers + self._own_headers(len(self.exchange.attempts) + 1))

    def _finish(self) -> None:
        self._over = True
        if self.stream:
            self.out.end()
        else:
            outlet = self._snapshot.outlets[self.served.deployment]  # type: ignore[union-attr]  # committed before
            self.out.reply(200, outlet.reply_headers + self._own_headers(len(self.exchange.attempts)), self._body)
        self._conclude(200, "")

    def _refuse(self, refuse: Refuse) -> None:
        failure = refuse.failure
        if failure is not None and failure.kind is FailureKind.CLIENT_CANCELLED:
            self._over = True
            self._conclude(499, failure.kind.value)
            return
        error = refusal_error(refuse, self.exchange.ask.model)
        if self._unsendable is not None and failure is not None and failure.detail == self._unsendable.message:
            error = self._unsendable
        self._deliver_error(error)

    def _deliver_error(self, error: StandfastError) -> None:
        self._over = True
        self.error = error
        form = self.inquiry.format
        if self._opened:
            self.out.write(form.write_stream_error(error))
            self.out.end()
        else:
            headers = JSON_HEADERS + self._own_headers(len(self.exchange.attempts)) + error_headers(error)
            self.out.reply(error.status, headers, form.write_error(error))
        self._conclude(error.status, error.code)

    def _own_headers(self, attempts: int) -> bytes:
        fallback = self.served is not None and self.served is not self.exchange.first_choice
        headers = attempt_headers(self.id, attempts, fallback=fallback)
        if self.inquiry.controls.trace:
            answering = self._call.target.name if self._call is not None else ""
            headers += trace_header(self.exchange.attempts, answering)
        return headers

    def _conclude(self, status: int, code: str) -> None:
        services, ask, attempts = self.services, self.exchange.ask, self.exchange.attempts
        services.watch.leave(self)
        arrived = ask.arrived
        upstream = self._napped
        for attempt in attempts:
            upstream += attempt.ended - attempt.started
        total = services.clock.now() - arrived
        served = self.served
        services.bus.request_ended(
            RequestRecord(
                self.id,
                self._received,
                ask.caller,
                ask.model,
                ask.operation,
                self.stream,
                status,
                code,
                "" if served is None else served.name,
                served is not None and served is not self.exchange.first_choice,
                tuple(attempts),
                None if self._first is None else self._first - arrived,
                total,
                upstream,
                attempts[-1].usage if attempts else None,
                ask.session,
                ask.tags,
                ask.priority,
            )
        )
