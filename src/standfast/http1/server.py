"""The server's side of a client connection: reads messages, asks the application, writes answers in order.

Rules:
    - One message at a time. While its answer is under way further bytes wait (reading pauses above a bound), and
      parsing goes on at the exact end of the message.
    - Whose a request is shows when its head is complete: the application's stays here, any other goes to uvicorn
      (`handover.py`) with all bytes that follow.
    - A refusal is answered as soon as the head is known; the connection survives it only if the whole body has already
      arrived. After an error of the client it never survives.

            +------------------------ answer complete, connection stays -----------------------+
            v                                                                                  |
          IDLE --bytes--> HEAD --head complete--> BODY --message complete--> ANSWERING --------+
            |               |                       |                            |
            | not ours: AWAY until uvicorn is done  |                            |
            +--silence: CLOSING      error answer: LINGERING        last answer: CLOSING or LINGERING
"""

import asyncio
from typing import cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from standfast.http1.answer import CLOSE, Answer, whole
from standfast.http1.base import HttpRequest, Refusal
from standfast.http1.connection import ANSWERING, AWAY, BODY, HEAD, IDLE, LINGERING, Connection
from standfast.http1.handover import GuestProtocol
from standfast.http1.message import MessageReader
from standfast.http1.request_head import HeadError, keeps_alive

_PENDING_BYTES = 64 * 1024
"""Pipelined bytes held while an answer is under way, plus at most what one read brings (uvicorn's mark too)."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class ServerProtocol(Connection):
    """One client connection. uvicorn makes it; `bound.server_protocol` makes the class that knows its collaborators.

    Args:
        config: uvicorn's.
        server_state: uvicorn's; the connection stands in its `connections` while it is ours.
        app_state: the lifespan's state.
        _loop: the event loop.
    """

    __slots__ = (
        "_advancing",
        "_app_state",
        "_config",
        "_connections",
        "_draining",
        "_guest",
        "_loop",
        "_reader",
        "_refusal",
        "_request",
        "_server_state",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__()
        self._config = config
        self._server_state = server_state
        self._connections = cast("set[object]", server_state.connections)
        self._app_state = app_state
        self._loop = _loop
        self._reader = MessageReader(self.serving.limits)
        self._request: HttpRequest | None = None
        self._refusal: Refusal | None = None
        self._guest: GuestProtocol | None = None
        self._advancing = self._draining = False

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self.open(transport)
        others = len(self._connections)
        self._connections.add(self)
        if self.serving.overrun(self._peer, others):
            self._transport.abort()
        elif crowd := self.serving.crowded(self._peer, others):
            self._reject(503, "too_many_connections", crowd)

    def released(self) -> None:
        """The connection is gone, or has become a WebSocket."""
        if self._gone:
            return
        super().released()
        self._connections.discard(self)
        self._reader.close()
        guest, self._guest = self._guest, None
        if guest is not None:
            guest.dismiss()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        state = self._state
        if state >= LINGERING:
            self._discard(len(data))
            return
        reader = self._reader
        if state == IDLE and not self.write_paused:
            request = reader.repeated(data, self._peer)
            if request is not None:
                self._begin(request)
                return
        reader.push(data)
        if state != ANSWERING:
            self._advance()
        if (self._state == ANSWERING or self.write_paused) and self._reader.pending > _PENDING_BYTES:
            self._pause_reading()

    def eof_received(self) -> bool:
        """Called by the event loop: the client has closed its side, or is gone."""
        if not self._reader.pending:
            self.keep = False
        return super().eof_received()

    def resume_writing(self) -> None:
        """Called by the transport: the client caught up."""
        super().resume_writing()
        if self._state <= BODY:
            self._put_off(self.serving.clock.now() + self.serving.limits.idle_timeout)
            self._timed = IDLE
            if not self._advancing:
                self._advance()

    def late(self) -> None:
        """The client has not sent its request in time."""
        limits = self.serving.limits
        if self._state == HEAD:
            message = f"the request's head was not complete after {limits.header_timeout:g} s (limits.header_timeout)"
        else:
            message = f"the request's body was not complete after {limits.body_timeout:g} s (limits.body_timeout)"
        self._reject(408, "request_timeout", message)

    # uvicorn's side.

    def shutdown(self) -> None:
        """Finish the request under way, if there is one, and close. Called by uvicorn when it drains."""
        self._draining = True
        self.keep = False
        if self._state == IDLE:
            self._close()

    def take_back(self, *, write_paused: bool) -> None:
        """Called by uvicorn's protocol when it has answered; the next bytes are looked at here."""
        self._connections.add(self)
        self._transport.set_protocol(self)
        self._state = self._timed = IDLE
        self._due(self.serving.clock.now() + self.serving.limits.idle_timeout)
        if write_paused:
            self.pause_writing()
        if self._eof:
            self._close()

    # The answer's side.

    def answered(self) -> None:
        """Called by `Answer` when the last byte of an answer is written."""
        self._answer = self._responder = self._request = None
        self._server_state.total_requests += 1
        if not self.keep:
            self._leave()
            return
        self._state = self._timed = IDLE
        if not self.write_paused:
            serving = self.serving
            due = serving.clock.now() + serving.idle_timeout
            if due < self.deadline:
                self._due(due)
            else:  # `_put_off`: this is every answer's, and a call more would be, too
                self.deadline = due
        if not self._advancing and (self._reader.data or self._eof):
            self._advance()

    # Messages.

    def _advance(self) -> None:
        """Work through the bytes that are here, as far as answers allow; a loop, however many requests they hold."""
        self._advancing = True
        try:
            while self._state <= BODY and self._reader.pending and not self.write_paused:
                if not (self._read_body() if self._state == BODY else self._read_head()):
                    break
        except HeadError as error:
            self._reject(error.status, error.code, error.message)
        except Exception as error:  # noqa: BLE001 - whatever the application raises, the client gets an answer
            self._failed(error)
        finally:
            self._advancing = False
        if self._state <= BODY:
            self._wait()
        elif self._reading_paused and self._reader.pending <= _PENDING_BYTES:
            self._resume_reading()

    def _read_head(self) -> bool:
        """Take the next head, if it is complete. Returns whether to go on."""
        reader = self._reader
        application = self.serving.application
        line = reader.sniff()
        if line is None:
            return False
        if not application.owns(line.method, line.path):
            self._hand_over()
            return False
        self._request = request = reader.head(self._peer)
        self._state = BODY
        self.keep = not self._draining and keeps_alive(request, newer=line.newer)
        self._refusal = application.admit(request)
        if self._refusal is None:
            limit = self.serving.limits.body_bytes
            if reader.length > limit:
                message = f"the body has {reader.length} bytes, the limit is {limit} (raise limits.body_bytes)"
                raise HeadError(message, 413, "payload_too_large")
            expect = request.headers.get(b"expect")
            if expect is not None and line.newer:
                self._expect(expect)
        return self._read_body()

    def _expect(self, expect: bytes) -> None:
        if expect.lower() != b"100-continue":
            raise HeadError("the only expectation that can be met is: 100-continue", 417, "expectation_failed")
        if self._reader.length and not self._reader.pending:
            self._transport.write(_CONTINUE)

    def _read_body(self) -> bool:
        """Take what is here of the body; if that is all of it, begin the answer. Returns whether to go on."""
        body = self._reader.body()
        if body is None:
            return False
        request = self._request
        if self._refusal is not None or request is None:
            self._refuse(keep=self.keep)
            return True
        request.body = body
        self._respond(request)
        return True

    def _begin(self, request: HttpRequest) -> None:
        """A whole request whose head is known from before: have it answered, or refuse it."""
        self._state = BODY
        self.keep = not self._draining
        try:
            self._refusal = self.serving.application.admit(request)
        except Exception as error:  # noqa: BLE001 - whatever the application raises, the client gets an answer
            self._failed(error)
            return
        if self._refusal is None:
            self._respond(request)
        else:
            self._refuse(keep=self.keep)

    def _failed(self, error: Exception) -> None:
        self.serving.report(error)
        self._reject(500, "internal_error", "the gateway failed on this request")

    def _respond(self, request: HttpRequest) -> None:
        self._state = ANSWERING
        self._answer = answer = Answer(
            self, self._transport, self.serving, self._reader.line.newer, request.method == b"HEAD"
        )
        try:
            responder = self.serving.application.respond(request, answer)
        except Exception as error:  # noqa: BLE001 - whatever the application raises, the client gets an answer
            self.serving.report(error)
            if self._answer is answer:
                answer.detach()
                self._answer = None
                if answer.started:
                    self.cut()
                else:
                    self._reject(500, "internal_error", "the gateway failed on this request")
            return
        if self._answer is answer:
            self._responder = responder
            if self.write_paused:
                self._tell_pace()

    def _hand_over(self) -> None:
        """The next message is not the application's: lend the connection to uvicorn's protocol."""
        self._state = AWAY
        self.serving.wheel.forget(self)
        self._connections.discard(self)
        self._resume_reading()
        guest = self._guest
        if guest is None:
            guest = GuestProtocol(self, self._config, self._server_state, self._app_state, self._loop)
            self._guest = guest
        self._transport.flush()
        guest.take(self._transport.real, self._reader.rest())
        if self._draining:
            guest.shutdown()

    def _wait(self) -> None:
        """No message can go on without more bytes: set the deadline for them."""
        if self._state == BODY and self._refusal is not None:
            self._refuse(keep=False)
            return
        pending = self._reader.pending
        if self.write_paused and pending:
            return
        if self._eof:
            self._close()
            return
        self._resume_reading()
        if self._state != BODY:
            self._state = HEAD if pending else IDLE
        if self._timed != self._state:
            self._timed = self._state
            limits = self.serving.limits
            patience = (limits.idle_timeout, limits.header_timeout, limits.body_timeout)[self._state]
            self._due(self.serving.clock.now() + patience)

    # Ends.

    def _refuse(self, *, keep: bool) -> None:
        """Give the application's refusal as the answer."""
        refusal, self._refusal = self._refusal, None
        if refusal is not None:
            self.keep = keep and self._reader.line.newer
            connection = b"" if self.keep else CLOSE
            self._transport.write(whole(self.serving, *refusal, connection))
            self.answered()

    def _reject(self, status: int, code: str, message: str) -> None:
        """Give one of the wire's own answers, and end the connection."""
        refusal = self.serving.refusal(self._reader.line.path, status, code, message)
        self._refusal = self._request = None
        self._server_state.total_requests += 1
        self._transport.write(whole(self.serving, *refusal, CLOSE))
        self._reader.clear()
        self._linger()

    def _leave(self) -> None:
        """The last answer is written; bytes that nobody will read must not turn it into a reset."""
        if self._reader.pending or self._reading_paused or self._reader.unfinished:
            self._reader.clear()
            self._linger()
        else:
            self._close()
