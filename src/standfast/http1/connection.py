"""A client's connection without its messages: how long it may take, how fast it must read, how it ends.

Rules:
    - Every wait has a deadline on the wheel, but for an answer that the application has not given yet.
    - A client that stops reading is paused (`Responder.pause`), then cut off when nothing has moved for a while.
    - After an error of the client the connection lingers: our side is shut down, what still comes in is thrown away for
      a while, so that the client reads the answer instead of a reset.
    - A half-closed client is served to the end (RFC 9112, section 9.6). Its FIN looks like that of a client that has
      closed for good; `Answer.probe` tells them apart, because only the machine of the latter objects.
"""

import asyncio
import socket
from typing import ClassVar, cast

from standfast.canon.instants import Monotonic
from standfast.http1.answer import Answer
from standfast.http1.base import Responder
from standfast.http1.gather import Gathering
from standfast.http1.serving import Serving

LINGER = 2.0
"""Seconds of lingering after an error answer (Apache's SECONDS_TO_LINGER)."""
_STALL_LOOK = 0.5
"""Seconds between two looks at a client that does not read; at most that much later than its limit is it cut."""
_PROBE_LOOK = 0.05
"""Seconds until the first look at how a half-closed client's machine took the probe; doubles to one second."""


IDLE, HEAD, BODY, ANSWERING, AWAY, LINGERING, CLOSING = range(7)
"""Where a connection stands; those up to BODY wait for the client's bytes."""


class Connection(asyncio.Protocol):
    """What `ServerProtocol` is built on.

    Attributes:
        deadline: for the wheel.
        keep: the connection serves on after the answer under way.
        write_paused: the client reads too slowly.
        backlog: bytes that wait for it since then.
    """

    serving: ClassVar[Serving]
    __slots__ = (
        "_answer",
        "_discarded",
        "_eof",
        "_gone",
        "_peer",
        "_probe_wait",
        "_progress",
        "_reading_paused",
        "_responder",
        "_state",
        "_timed",
        "_transport",
        "backlog",
        "deadline",
        "keep",
        "write_paused",
    )

    def __init__(self) -> None:
        self._transport: Gathering
        self._answer: Answer | None = None
        self._responder: Responder | None = None
        self._peer = ""
        self._state = IDLE
        self._timed = IDLE
        self._eof = self._gone = self._reading_paused = False
        self._discarded = 0
        self._probe_wait = 0.0
        self._progress = 0.0
        self.deadline: float = 0.0
        self.keep = True
        self.write_paused = False
        self.backlog = 0

    def open(self, transport: asyncio.BaseTransport) -> None:
        """Take a new connection into account."""
        self._transport = Gathering(cast("asyncio.Transport", transport), self.serving.turn)
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) else ""
        self._transport.set_write_buffer_limits(high=self.serving.limits.write_buffer)
        self.serving.enter(self._peer)
        self._due(self.serving.clock.now() + self.serving.limits.idle_timeout)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the reason does not matter
        """Called by the event loop; tells whoever works on an answer, at once."""
        self._state = CLOSING
        self._tell_gone()
        self.released()

    def released(self) -> None:
        """The connection is gone, or has become a WebSocket."""
        if not self._gone:
            self._gone = True
            self.serving.wheel.forget(self)
            self.serving.leave(self._peer)

    def eof_received(self) -> bool:
        """The client has closed its side, or is gone. TLS knows no half-closed connections."""
        self._eof = True
        if self._transport.get_extra_info("sslcontext") is not None:
            return False
        if self._answer is not None:
            if not self.write_paused:
                self._answer.probe()
            self._probe_wait = _PROBE_LOOK
            self._due(self.serving.clock.now() + _PROBE_LOOK)
        elif self._state in (IDLE, HEAD, BODY, LINGERING) and not self.write_paused:
            self._close()
        return True

    def pause_writing(self) -> None:
        """Called by the transport: more than `limits.write_buffer` waits for the client."""
        self.write_paused = True
        if self._answer is not None:
            self._answer.hold()
        self._look_later(self.serving.clock.now())
        self._tell_pace()

    def resume_writing(self) -> None:
        """Called by the transport: the client caught up."""
        self.write_paused = False
        self._tell_pace()

    def expired(self, now: Monotonic) -> None:
        """Called by the wheel."""
        state = self._state
        if state == LINGERING:
            if self._transport.get_write_buffer_size():
                self._transport.abort()
            else:
                self._close()
        elif self.write_paused or state == CLOSING:
            self._look_for_progress(now)
        elif state == IDLE:
            self._close()
        elif state in (HEAD, BODY):
            self.late()
        elif self._probe_wait:
            self._look_at_probe(now)
        else:
            self._due(now + self.serving.limits.idle_timeout)

    def late(self) -> None:
        """The client has not sent its request in time."""
        raise NotImplementedError

    def cut(self) -> None:
        """The client must see a broken answer."""
        self._answer = self._responder = None
        self._state = CLOSING
        self._transport.abort()

    def _due(self, when: float) -> None:
        self.deadline = when
        self.serving.wheel.watch(self)

    def _put_off(self, when: float) -> None:
        """Like `_due`, for a deadline that is almost always later than the one before."""
        if when < self.deadline:
            self._due(when)
        else:
            self.deadline = when

    def _close(self) -> None:
        """Close when everything is written; a client that does not take it is cut off."""
        if self._state == CLOSING:
            return
        self._state = CLOSING
        self._transport.close()
        self._look_later(self.serving.clock.now())

    def _linger(self) -> None:
        """Close after the client has had its chance to read what was written."""
        if self._eof:
            self._close()
            return
        self._state = LINGERING
        self._resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._due(self.serving.clock.now() + LINGER)

    def _discard(self, size: int) -> None:
        """Bytes that nobody will look at; not more of them than a body may have."""
        self._discarded += size
        if self._discarded > self.serving.limits.body_bytes:
            self._pause_reading()

    def _pause_reading(self) -> None:
        if not self._reading_paused and not self._transport.is_closing():
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused:
            self._reading_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def _look_later(self, now: float) -> None:
        """Begin to watch how the client reads."""
        self._progress = now
        self.backlog = self._transport.get_write_buffer_size()
        self._due(now + min(_STALL_LOOK, self.serving.limits.write_timeout))

    def _look_for_progress(self, now: float) -> None:
        waiting = self._transport.get_write_buffer_size()
        if waiting < self.backlog:
            self.backlog = waiting
            self._progress = now
        elif now - self._progress >= self.serving.limits.write_timeout:
            self._tell_gone()
            self.cut()
            return
        self._due(now + min(_STALL_LOOK, self.serving.limits.write_timeout))

    def _look_at_probe(self, now: float) -> None:
        """Has the half-closed client's machine answered the probe with a reset?"""
        connection = self._transport.get_extra_info("socket")
        if connection is not None and connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._tell_gone()
            self.cut()
            return
        self._probe_wait = min(2 * self._probe_wait, 1.0)
        self._due(now + self._probe_wait)

    def _tell_gone(self) -> None:
        answer, responder = self._answer, self._responder
        self._answer = self._responder = None
        if answer is not None:
            answer.detach()
        if responder is not None:
            try:
                responder.client_gone()
            except Exception as error:  # noqa: BLE001 - the connection's own end goes on
                self.serving.report(error)

    def _tell_pace(self) -> None:
        responder = self._responder
        if responder is None:
            return
        try:
            if self.write_paused:
                responder.pause()
            else:
                responder.resume()
        except Exception as error:  # noqa: BLE001 - the other connections' writes go on
            self.serving.report(error)
