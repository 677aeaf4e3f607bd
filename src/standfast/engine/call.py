"""One attempt on the wire: listens to the upstream, watches the deadlines, says how it ended.

A call is in one of these phases:

    waiting     no content yet: comments, pings and role chunks are not content and do not move the deadline
    flowing     content has come: the deadline is the gap; each piece leaves a mark (`touched`), the watch moves it
    finishing   the provider's finish reason was seen, its terminator not yet: it gets a short grace
    draining    the answer is complete, the connection's message is not: it gets the same grace, then is closed
    over        nothing more is heard
"""

from typing import TYPE_CHECKING

from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import NEVER, Monotonic
from standfast.canon.usage import Usage
from standfast.engine.outlet import Outlet
from standfast.formats._translate import relay_for, translate_reply
from standfast.formats.base import Format, ReplyFacts, StreamRelay
from standfast.http1.base import UpstreamCall
from standfast.policy.fleet import Permit
from standfast.policy.steps import Send
from standfast.providers.base import CLASSIFIED_BODY_BYTES, Answer

if TYPE_CHECKING:  # a drive makes its calls
    from standfast.engine.drive import Drive

GRACE = 1.0
"""Seconds for what must follow a finish reason at once: the terminator, the end of the message."""

_WAITING, _FLOWING, _FINISHING, _DRAINING, _OVER = range(5)


class Call:
    """Performs one `Send` of a drive."""

    __slots__ = (
        "_body",
        "_client_format",
        "_drive",
        "_end",
        "_format",
        "_gap",
        "_headers",
        "_paused",
        "_phase",
        "_relay",
        "_size",
        "_status",
        "_upstream",
        "outlet",
        "permit",
        "target",
    )

    def __init__(self, drive: "Drive", send: Send, outlet: Outlet, upstream_format: Format) -> None:
        self._drive = drive
        self.permit: Permit = send.permit
        self.target = send.target
        self.outlet = outlet
        self._format = upstream_format
        self._client_format = drive.inquiry.format
        self._gap = send.deadlines.gap
        self._end = send.deadlines.end
        drive.due = send.deadlines.first_content
        drive.gap = send.deadlines.gap
        drive.end = send.deadlines.end
        drive.touched = False
        self._phase = _WAITING
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._relay: StreamRelay | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._paused = False
        self._upstream: UpstreamCall | None = None

    def start(self, request: bytes, send: Send) -> None:
        """Send the request; from now on exactly one end is reported to the drive."""
        services = self._drive.services
        limits = send.deadlines
        upstream = services.client.send(
            self.outlet.origin, request, self, connect_timeout=limits.connect, tls_timeout=limits.tls
        )
        if self._phase is _OVER:
            upstream.cancel()
        else:
            self._upstream = upstream
            if self._paused:
                upstream.pause()

    # what the drive tells

    def stop(self) -> None:
        """Give up now; nothing is reported."""
        upstream = self._upstream
        if self._phase is not _OVER:
            self._over()
            if upstream is not None:
                upstream.cancel()

    def pause(self) -> None:
        """The client reads too slowly."""
        self._paused = True
        if self._upstream is not None and self._phase is not _OVER:
            self._upstream.pause()

    def resume(self) -> None:
        """The client caught up."""
        self._paused = False
        if self._upstream is not None and self._phase is not _OVER:
            if self._phase in (_FLOWING, _FINISHING):
                self._extend(self._gap if self._phase is _FLOWING else GRACE)
            self._upstream.resume()

    # what the upstream tells (http1.base.UpstreamListener)

    def head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """The answer begins."""
        self._status = status
        self._headers = headers
        if not self._drive.stream or not self._succeeded:
            return
        kind = next((value for name, value in headers if name == b"content-type"), b"").lower()
        if kind.startswith(b"text/html") or b"json" in kind:
            return  # no stream: read it whole and judge it at its end
        envelope = self._drive.inquiry.envelope
        services = self._drive.services
        self._relay = relay_for(
            self._client_format,
            self._format,
            include_usage=envelope.include_usage,
            max_event_bytes=services.event_bytes,
            created=int(services.clock.wall()),
        )

    def body(self, data: bytes) -> None:
        """The next bytes of the answer."""
        relay = self._relay
        if relay is None:
            self._collect(data)
            return
        if self._phase is _DRAINING:
            return
        out = relay.feed(data)
        if self._phase is _FLOWING:
            drive = self._drive
            if out:
                drive.touched = True
                drive.pass_on(out)
                if out is data:  # whole events that change nothing
                    return
        elif out or relay.content:
            self._first(out)
        self._look(relay)

    def end(self) -> None:
        """The answer ended well-formed."""
        if self._phase is _DRAINING:
            self._over()
        elif self._relay is not None:
            self._close(self._relay)
        elif self._succeeded:
            self._whole(self._body[0] if len(self._body) == 1 else b"".join(self._body))
        else:
            self._fail(self._classify(b"".join(self._body)[:CLASSIFIED_BODY_BYTES]))

    def lost(self, failure: Failure) -> None:
        """There will be no more."""
        if self._phase is _DRAINING:
            self._over()
        else:
            self._fail(failure)

    # what the watch tells

    def expired(self, now: Monotonic) -> None:
        """A deadline passed."""
        if self._phase is _OVER:
            return
        if self._phase is _FLOWING and now < self._end and self._paused:
            self._extend(self._gap)  # the silence is the client's
            return
        if self._phase is _FINISHING and self._paused and now < self._end:
            self._extend(GRACE)  # what follows the finish waits until the client reads on
            return
        if self._phase is _DRAINING:
            self.stop()
        elif self._phase is _FINISHING and self._relay is not None:
            upstream = self._upstream
            self._close(self._relay)
            if upstream is not None:
                upstream.cancel()
        else:
            self._time_out(now)

    # inside

    def _collect(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._drive.services.reply_bytes:
            self._break_off(Failure(FailureKind.INVALID_REPLY, "reply over the limit server.upstream.reply_bytes"))
            return
        self._body.append(data)
        if self._phase is _FLOWING:
            self._drive.touched = True
        elif not data.isspace():  # DeepSeek sends blank lines while it queues: no sign of an answer yet
            self._phase = _FLOWING
            self._drive.touched = True

    def _first(self, out: bytes) -> None:
        relay = self._relay
        if relay is None or not relay.content or self._phase is not _WAITING:
            if out:
                self._drive.pass_on(out)
            return
        if relay.error is not None or relay.malformed:
            return
        self._phase = _FLOWING
        self._drive.touched = True
        self._drive.first_content(self)
        if out:
            self._drive.pass_on(out)

    def _look(self, relay: StreamRelay) -> None:
        """Has the stream come to its end?"""
        if self._phase is _OVER:
            return
        if relay.error is not None:
            self._break_off(self._classify(relay.error))
        elif relay.malformed:
            self._break_off(Failure(FailureKind.INVALID_REPLY, relay.malformed))
        elif relay.complete:
            self._complete(relay)
        elif relay.finishing and self._phase is not _FINISHING:
            self._phase = _FINISHING if self._phase is _FLOWING else self._phase
            self._extend(GRACE)

    def _close(self, relay: StreamRelay) -> None:
        """The body is over: complete by the provider's rule, or broken."""
        out = relay.close()
        if out or relay.content:
            self._first(out)
        if relay.complete:
            self._complete(relay)
            self._over()
        elif relay.error is not None or relay.malformed:
            self._look(relay)
        elif self._phase is _WAITING:
            self._fail(Failure(FailureKind.EMPTY_REPLY, "stream ended without content"))
        else:
            self._fail(Failure(FailureKind.BROKEN_STREAM, "stream ended without its terminator"))

    def _complete(self, relay: StreamRelay) -> None:
        if self._phase is _WAITING:
            self._drive.first_content(self)
        self._tell_repeat()
        self._phase = _DRAINING
        self._drive.completed(self, relay.usage)
        self._extend(GRACE)
        self._drive.linger(self)

    def _whole(self, body: bytes) -> None:
        facts, out = self._translated(body)
        if self._drive.stream and not facts.malformed and facts.error is None:
            facts = ReplyFacts(malformed="a whole reply where a stream was asked for")
        if facts.error is not None:
            self._fail(self._classify(facts.error))
        elif facts.malformed:
            self._fail(Failure(FailureKind.INVALID_REPLY, facts.malformed, status=self._status))
        elif facts.empty:
            self._fail(Failure(FailureKind.EMPTY_REPLY, "reply without content", status=self._status))
        else:
            self._over()
            self._drive.whole(self, out, facts.usage)

    def _translated(self, body: bytes) -> tuple[ReplyFacts, bytes]:
        if self._format is self._client_format:
            return self._format.inspect_reply(body), body
        created = int(self._drive.services.clock.wall())
        out, facts = translate_reply(self._format, self._client_format, body, created=created)
        return facts, out

    def _classify(self, body: bytes) -> Failure:
        services = self._drive.services
        # Providers quote keys; what is read here may be shown to the client, so they go before anything is cut or read.
        answer = Answer(self._status, self._headers, services.redactor.known(body), services.clock.wall())
        return self.outlet.provider.classify(answer)

    def _time_out(self, now: Monotonic) -> None:
        if now >= self._drive.deadline:
            failure = Failure(FailureKind.DEADLINE_PASSED, "the time for this request is over")
        elif self._phase is _WAITING:
            failure = Failure(FailureKind.FIRST_TOKEN_TIMEOUT, "no content in time")
        elif now >= self._end:
            failure = Failure(FailureKind.STALLED, "the answer took longer than timeouts.total")
        else:
            failure = Failure(FailureKind.STALLED, f"silent for {self._gap:g} s")
        self._break_off(failure)

    def _break_off(self, failure: Failure) -> None:
        upstream = self._upstream
        if upstream is not None:
            upstream.cancel()
        self._fail(failure)

    def _fail(self, failure: Failure) -> None:
        if self._phase is not _OVER:
            self._over()
            self._drive.failed(self, failure, self.usage)

    def _over(self) -> None:
        self._tell_repeat()
        if self._phase is _DRAINING:
            self._drive.lingered()
        self._phase = _OVER
        self._upstream = None  # it listens to us: no cycle may be left for the garbage collector
        self._drive.due = NEVER
        self._drive.touched = False

    def _tell_repeat(self) -> None:
        upstream = self._upstream
        if upstream is not None and upstream.retried_stale and self._phase is not _DRAINING:
            self._drive.repeated(self)

    def _extend(self, seconds: float) -> None:
        drive = self._drive
        drive.touched = False
        drive.due = min(drive.services.clock.now() + seconds, self._end)

    @property
    def _succeeded(self) -> bool:
        return self._status // 100 == 2  # noqa: PLR2004 - HTTP's class of success

    @property
    def usage(self) -> Usage | None:
        """What the upstream has reported so far."""
        return self._relay.usage if self._relay is not None else None
