"""The client's side of a request under way: what is said and in which headers, and what is told when it is over."""

from typing import TYPE_CHECKING

import msgspec

from standfast.canon.attempt import reported
from standfast.canon.instants import NEVER, Monotonic, Wall
from standfast.canon.record import RequestRecord
from standfast.canon.structs import plain_stores
from standfast.engine.answers import Reserve, Served
from standfast.engine.inquiry import Inquiry
from standfast.engine.judging import Demands
from standfast.engine.rename import Renamer
from standfast.engine.reply_headers import (
    JSON_HEADERS,
    STREAM_HEADERS,
    attempt_headers,
    error_headers,
    taken_over,
    trace_header,
)
from standfast.engine.services import Services
from standfast.engine.watch import UNTOUCHED, Lane
from standfast.errors import StandfastError
from standfast.formats._heard import NOTHING, Heard, heard
from standfast.formats.base import StreamRelay
from standfast.http1.base import Downstream
from standfast.http1.splice import Flow, Splice, Tape
from standfast.policy.exchange import Exchange
from standfast.policy.route import Target
from standfast.policy.steps import Purpose

if TYPE_CHECKING:  # the snapshot is the configuration at work; it starts drives through the gateway
    from standfast.engine.assemble import Snapshot
    from standfast.engine.drive import Drive

HEARTBEAT = b": ping\n\n"

MOST_TOLD = 256 * 1024
"""Bytes of a stream that are remembered, so that a second attempt can be compared with them; a longer one is not
repeated when it breaks. With some 250 bytes for a token it is a thousand tokens or more."""


@plain_stores
class Delivery(msgspec.Struct, eq=False):
    """What `Drive` is built on. A struct, because one is made for every request and structs are made in C.

    Attributes:
        id: the request's id.
        out: the client's side.
        stream: the client wants server-sent events.
        deadline: instant after which nobody waits for the answer.
        received: wall time when the request was complete.
        due, beat_at: when the watch is to call `expired`.
        touched: the watch's turn after which content came last; `due` is then moved to `gap` seconds later, `end` at
            most.
        calm: where the watch keeps it while nothing is due soon; None while it is looked at in every turn.
        served: the target that answers; None before the first content.
        error: what the client was told, None for success.
        demands: what is asked of its answers; None for nothing.
        reserve: what the gateway can say itself; None for nothing.
        kept: what it has said itself; None for an upstream's answer.
        heard: what the client has been told, once a stream broke.
        resumed: its rest came from another attempt than its beginning.
        answering: name of the target whose answer is under way; empty for none.
    """

    services: Services
    _snapshot: "Snapshot"
    inquiry: Inquiry
    exchange: Exchange
    out: Downstream
    id: str = ""
    stream: bool = False
    deadline: float = NEVER
    received: Wall = Wall(0.0)
    due: float = NEVER
    beat_at: float = NEVER
    calm: "set[Drive] | None" = None
    gap: float = 0.0
    end: float = NEVER
    touched: int = UNTOUCHED
    served: Target | None = None
    error: StandfastError | None = None
    demands: Demands | None = None
    reserve: Reserve | None = None
    kept: Served | None = None
    heard: Heard | None = None
    answering: str = ""
    resumed: bool = False
    _body: bytes = b""
    _first: Monotonic | None = None
    _napped: float = 0.0
    _seen: float = 0.0
    _renamer: Renamer | None = None
    _reminder: Lane | None = None
    _tape: Tape | None = None  # what a second attempt would have to repeat
    _opened: bool = False
    _over: bool = False

    # while it goes on

    def prepare(self) -> None:
        """Before it sets off: what its route wants to be done with the answer."""
        route = self.exchange.route
        if self.stream and route.on_break != "error":
            self._tape = Tape(MOST_TOLD)
        if route.rename:
            self._renamer = Renamer(self.exchange.ask.model)

    def beat(self, now: Monotonic) -> None:
        """If nothing has been said for a while, say something: idle proxies must not cut the stream."""
        if not self._opened:
            self.open(STREAM_HEADERS)
            self.out.write(HEARTBEAT)
        elif self.due == self._seen or self.demands is not None:  # content moves it, but may be held back
            self.out.write(HEARTBEAT)
        self._seen = self.due
        self.beat_at = now + self.services.heartbeat

    def open(self, headers: bytes) -> None:
        """The head of a streamed answer, once."""
        if not self._opened:
            self._opened = True
            self.out.begin(200, headers + self._own_headers(len(self.exchange.attempts) + 1))

    def pass_on(self, events: bytes) -> None:
        """Complete events of the stream, in the client's format."""
        if self._renamer is not None:
            events = self._renamer.stream(events)
        if self._tape is not None:
            self._tape.add(events)
        if self.reserve is not None:
            self.reserve.add(events)
        self.out.write(events)

    def short_way(self, relay: StreamRelay, lane: "Drive | Lane") -> Splice | None:
        """For events that change nothing; None if something must be done with every one of them."""
        if self._renamer is not None or self.reserve is not None:
            return None
        return self.out.splice(Flow(relay.shape, lane, self.services.watch, self._tape))

    def read_back(self) -> Heard:
        """What has the client been told, and can a second attempt be compared with it or go on with it?"""
        tape = self._tape
        if tape is None or tape.room < 0 or self._first is None:
            return NOTHING
        self.heard = heard(self.inquiry.format, tape.told())
        return self.heard

    def taken_over(self, target: Target, purpose: Purpose) -> None:
        """A repetition gives the answer from here on."""
        if purpose is Purpose.RESUME:
            self.resumed = True
            if self.reserve is not None:
                self.reserve.drop()
        trace = self.inquiry.controls.trace
        said = taken_over(target.name, self.exchange.attempts, purpose, trace=trace)
        if said:
            self.out.write(said)

    # its end

    def finish(self) -> None:
        """The answer is complete."""
        self._over = True
        if self.stream:
            self.out.end()
        else:
            outlet = self._snapshot.outlets[self.served.deployment]  # type: ignore[union-attr]  # committed before
            self.out.reply(200, outlet.reply_headers + self._own_headers(len(self.exchange.attempts)), self._body)
        if self.reserve is not None:
            served = self.served
            fallback = served is not self.exchange.first_choice
            self.reserve.keep(served.deployment, self._body, fallback=fallback)  # type: ignore[union-attr]  # committed
        self.conclude(200, "")

    def serve(self, kept: Served) -> None:
        """Answer without an upstream."""
        self._over = True
        self.kept = kept
        own = self._own_headers(len(self.exchange.attempts))
        kept.give(self.out, own, stream=self.stream, opened=self._opened)
        self.conclude(200, "")

    def deliver_error(self, error: StandfastError) -> None:
        """There is no answer, or none that is whole."""
        self._over = True
        self.error = error
        form = self.inquiry.format
        if self._opened:
            self.out.write(form.write_stream_error(error))
            self.out.end()
        else:
            headers = JSON_HEADERS + self._own_headers(len(self.exchange.attempts)) + error_headers(error)
            self.out.reply(error.status, headers, form.write_error(error))
        self.conclude(error.status, error.code)

    def _own_headers(self, attempts: int) -> bytes:
        fallback = self.served is not None and self.served is not self.exchange.first_choice
        kept, outcome = self.kept, "answering"
        answering = self.answering
        if kept is not None:
            fallback, answering, outcome = kept.fallback, kept.deployment or kept.model, kept.source
        headers = attempt_headers(self.id, attempts, fallback)
        if self.reserve is not None:
            headers += self.reserve.mark
        if self.inquiry.controls.trace:
            headers += trace_header(self.exchange.attempts, answering, self.inquiry.decision, outcome=outcome)
        return headers

    def _forget_reminder(self) -> None:
        if self._reminder is not None:
            self.services.watch.lanes.discard(self._reminder)
            self._reminder = None

    def conclude(self, status: int, code: str) -> None:
        """Tell the hooks what became of the request."""
        services, ask, attempts = self.services, self.exchange.ask, self.exchange.attempts
        services.watch.leave(self)  # type: ignore[arg-type]  # a drive, always
        if self._reminder is not None:
            self._forget_reminder()
        arrived = ask.arrived
        upstream = self._napped
        for attempt in attempts:
            upstream += attempt.ended - attempt.started
        total = services.clock.now() - arrived
        served, kept = self.served, self.kept
        usage = None
        if kept is None and attempts:
            usage = reported(attempts) if self.resumed else attempts[-1].usage  # of all that gave a part of the answer
        services.bus.request_ended(
            RequestRecord(
                self.id,
                self.received,
                ask.caller,
                ask.model,
                ask.operation,
                self.stream,
                status,
                code,
                "" if served is None else served.name,
                (served is not None and served is not self.exchange.first_choice) if kept is None else kept.fallback,
                tuple(attempts),
                None if self._first is None else self._first - arrived,
                total,
                upstream,
                usage,
                ask.session,
                ask.tags,
                ask.priority,
                "" if kept is None else kept.source,
            )
        )
