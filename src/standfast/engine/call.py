"""One attempt on the wire: listens to the upstream, and finds out what its answer is worth."""

from collections.abc import Collection

import msgspec

from standfast.canon.failure import Failure, FailureKind
from standfast.canon.structs import plain_stores
from standfast.engine.judging import Demands, Gate
from standfast.engine.lifeline import DRAINING, FINISHING, FLOWING, GRACE, OVER, WAITING, Lifeline
from standfast.engine.verdict import Unclassified, verdict
from standfast.engine.watch import UNTOUCHED
from standfast.formats._translate import relay_for
from standfast.formats.base import StreamRelay
from standfast.http1.base import Headers
from standfast.providers.base import CLASSIFIED_BODY_BYTES, Answer

GOOD = 2
"""HTTP's class of success."""
OK, TOO_MANY = 200, 429
BLANK = b" \r\n\xef\xbb\xbf"
SSE = (b"data:", b"event:", b":", b"id:", b"retry:")
"""How server-sent events begin, behind blank lines and a byte order mark."""


@plain_stores
class Call(Lifeline):
    """Performs one `Send` of a drive; see `Lifeline` for what it is made of."""

    _gate: Gate | None = None
    _status: int = 0
    _headers: Collection[tuple[bytes, bytes]] = ()
    _body: list[bytes] = msgspec.field(default_factory=list)
    _size: int = 0
    _shortened: bool = False  # events that change nothing do not come here, if that is possible

    def guard(self, demands: Demands) -> None:
        """Let nothing pass that does not meet these; before it is sent."""
        self._gate = demands.gate(self.target.name)

    def start(self, request: bytes) -> None:
        """Send the request; from now on exactly one end is reported to the drive."""
        drive, lane, limits = self._drive, self._lane, self._limits
        lane.due = limits.first_content
        lane.gap = limits.gap
        lane.end = limits.end
        if lane.touched >= 0:
            lane.touched = UNTOUCHED
        whole = None if drive.stream else self.whole
        upstream = drive.services.client.send(self.outlet.origin, request, self, limits.connect, limits.tls, whole)
        if self._phase is OVER:
            upstream.cancel()
        else:
            self._upstream = upstream
            if self._paused:
                upstream.pause()

    # what the upstream tells (http1.base.UpstreamListener)

    def head(self, status: int, headers: Headers) -> None:
        """The answer begins."""
        self._status = status
        self._headers = headers
        seat = self.permit.seat
        if seat.unread and status != TOO_MANY:
            seat.unread -= 1
        else:
            self._drive.told(self, headers)
        if not self._drive.stream or status // 100 != GOOD:
            return
        kind = headers.word(b"content-type")
        if kind.startswith(b"text/html") or b"json" in kind:
            return  # no stream, as it says: read it whole and judge it at its end
        self._relay = self._make_relay()

    def _make_relay(self) -> StreamRelay:
        drive = self._drive
        return relay_for(
            self._client_format,
            self._format,
            include_usage=drive.inquiry.envelope.include_usage,
            max_event_bytes=drive.services.event_bytes,
            created=int(drive.services.clock.wall()),
        )

    def body(self, data: bytes) -> None:
        """The next bytes of the answer."""
        relay = self._relay
        if relay is None:
            self._collect(data)
            return
        if self._phase is DRAINING:
            return
        out = relay.feed(data)
        if self._phase is FLOWING:
            drive = self._drive
            if out:
                self._lane.touched = self._drive.services.watch.turn
                if self._gate is None:
                    drive.pass_on(out)
                else:
                    self._hold(self._gate, out)
                if out is data:  # whole events that change nothing
                    if not self._shortened:
                        self._shorten(relay)
                    return
        elif out or relay.content:
            self._first(out)
        self._look(relay)

    def _shorten(self, relay: StreamRelay) -> None:
        """Events like this one need not come here any more."""
        self._shortened = True
        way = None if self._gate is not None else self._drive.short_way(relay, self._lane)
        if way is not None and self._upstream is not None:
            self._upstream.splice(way)

    def end(self) -> None:
        """The answer ended well-formed."""
        if self._phase is DRAINING:
            self._over()
        elif self._relay is not None:
            self._close(self._relay)
        elif self._status // 100 == GOOD:
            self._whole(self._body[0] if len(self._body) == 1 else b"".join(self._body))
        else:
            self._fail(self._classify(b"".join(self._body)[:CLASSIFIED_BODY_BYTES]))

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """All of that at once, where no stream was asked for."""
        drive = self._drive
        if status != OK or len(body) > drive.services.reply_bytes:
            self.head(status, headers)
            self.body(body)
            if self._phase is not OVER:
                self.end()
            return
        self._status = status
        self._headers = headers
        seat = self.permit.seat
        if seat.unread:
            seat.unread -= 1
        else:
            drive.told(self, headers)
        self._whole(body)

    def lost(self, failure: Failure) -> None:
        """There will be no more."""
        if self._phase is DRAINING:
            self._over()
        else:
            self._fail(failure)

    # inside

    def _collect(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._drive.services.reply_bytes:
            self._break_off(Failure(FailureKind.INVALID_REPLY, "reply over the limit server.upstream.reply_bytes"))
            return
        self._body.append(data)
        if self._phase is FLOWING:
            self._lane.touched = self._drive.services.watch.turn
        elif not data.isspace():  # DeepSeek sends blank lines while it queues: no sign of an answer yet
            self._phase = FLOWING
            self._lane.touched = self._drive.services.watch.turn

    def _first(self, out: bytes) -> None:
        relay = self._relay
        if relay is None or not relay.content or self._phase is not WAITING:
            if out and self._gate is not None:
                self._hold(self._gate, out)
            elif out:
                self._drive.pass_on(out)
            return
        if relay.error is not None or relay.malformed:
            return
        self._phase = FLOWING
        self._lane.touched = self._drive.services.watch.turn
        if self._gate is not None:
            self._hold(self._gate, out)
            return
        self._drive.first_content(self)
        if out:
            self._drive.pass_on(out)

    def _hold(self, gate: Gate, events: bytes) -> None:
        """Nothing passes until the stream is whole and valid."""
        failure = gate.hold(events)
        if failure is not None:
            self._break_off(failure)

    def _look(self, relay: StreamRelay) -> None:
        """Has the stream come to its end?"""
        if self._phase is OVER:
            return
        if relay.error is not None:
            self._break_off(self._classify(relay.error))
        elif relay.malformed:
            self._break_off(Failure(FailureKind.INVALID_REPLY, relay.malformed))
        elif relay.complete:
            self._complete(relay)
        elif relay.finishing and self._phase is not FINISHING:
            self._phase = FINISHING if self._phase is FLOWING else self._phase
            self._extend(GRACE)

    def _close(self, relay: StreamRelay) -> None:
        """The body is over: complete by the provider's rule, or broken."""
        out = relay.close()
        if out or relay.content:
            self._first(out)
        if relay.complete:
            self._complete(relay)
            if self._phase is DRAINING:
                self._over()
        elif relay.error is not None or relay.malformed or self._given_up(relay):
            self._look(relay)
        elif self._phase is WAITING:
            self._fail(Failure(FailureKind.EMPTY_REPLY, "stream ended without content"))
        else:
            self._fail(Failure(FailureKind.BROKEN_STREAM, "stream ended without its terminator"))

    def _given_up(self, relay: StreamRelay) -> bool:
        """The stream is well, and of no use."""
        del relay
        return False

    def _complete(self, relay: StreamRelay) -> None:
        gate = self._gate
        if gate is not None:
            failure = gate.verdict()
            if failure is not None:
                self._break_off(failure)
                return
            self._drive.first_content(self, gate.since)
            self._drive.pass_on(gate.release())
        elif self._phase is WAITING:
            self._drive.first_content(self)
        self._tell_repeat()
        self._phase = DRAINING
        self._drive.completed(self, relay.usage)
        self._extend(GRACE)
        self._drive.linger(self)

    def _whole(self, body: bytes) -> None:
        drive = self._drive
        if drive.stream and body.lstrip(BLANK).startswith(SSE):  # a stream with a wrong label: its content decides
            self._phase = WAITING
            self._relay = self._make_relay()
            self.body(body)
            self.end()
            return
        try:
            failure, out, usage = verdict(
                self._format, self._client_format, body, drive.stream, self._status, drive.services.clock
            )
        except Unclassified as error:
            self._fail(self._classify(error.body))
            return
        if failure is None and self._gate is not None:
            failure = self._gate.whole(out)
        self._over()
        if failure is None:
            drive.whole(self, out, usage)
        else:
            drive.failed(self, failure, usage)

    def _classify(self, body: bytes) -> Failure:
        services = self._drive.services
        # Providers quote keys; what is read here may be shown to the client, so they go before anything is cut or read.
        answer = Answer(self._status, self._headers, services.redactor.known(body), services.clock.wall())
        return self.outlet.provider.classify(answer)
