"""One connection to an upstream: writes a request, reads its answer, and knows how the answer ended.

Theory. The parser's callbacks only record; the listener is called after the parser has returned. So a listener may
cancel, pause or send again from inside any callback, one `data_received` brings at most one `body`, and surplus bytes
behind a message are known before the connection is parked.

How an answer may end:

* well-formed: announced length met, terminating chunk seen, or end of file where nothing was announced;
* broken: end of file or reset anywhere else;
* invalid: not HTTP, over a limit, two meanings (both length and chunks), a switch of protocols, a bad content coding.

What was well-formed before an invalid or broken part is delivered first, so what the listener sees does not depend on
how the network sliced the bytes.
"""

import asyncio
from typing import TYPE_CHECKING, cast

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade

from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.http1.base import Origin
from standfast.http1.content import ContentError, Decoder
from standfast.http1.egress import Proxy
from standfast.http1.gather import Gathering
from standfast.http1.splice import Splice
from standfast.http1.upstream_answer import WITHOUT_BODY, AnswerReader

_SIZE_DIGITS = 5
"""Of a chunk that may pass the parser by: as much as one read brings."""
_ZERO = ord("0")

if TYPE_CHECKING:
    from standfast.http1.client import Call, UpstreamClient


class Connection(AnswerReader):
    """The protocol of one upstream connection; made by the client alone.

    States: *idle* (`call` is None; any byte or end closes it), *waiting* (no byte yet: a reused connection that dies
    here is stale), *head*, *body*, and *complete* (all is read, a decoder may still hold some of it).
    """

    __slots__ = ("_client", "_unwritten", "call", "origin", "proxy", "served", "since", "transport", "way")

    def __init__(self, client: "UpstreamClient", origin: Origin) -> None:
        super().__init__(client.limits)
        self._client = client
        self._unwritten = False
        self.origin = origin
        self.proxy: Proxy | None = None  # at the other end, in place of the origin
        self.call: Call | None = None
        self.way: Splice | None = None  # of the answer under way
        self.served = 0
        self.since = Monotonic(0.0)
        self.transport: Gathering

    # The way out -----------------------------------------------------------------------------------------------------

    def begin(self, call: "Call", request: bytes, now: Monotonic) -> None:
        """Send a request on this open, idle connection."""
        self.call = call
        self.since = now
        self.transport.write(request if self.proxy is None else self.proxy.absolute(request, self.origin))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bytes that the kernel has not taken count as unwritten, hence the lowest marks.

        1 and not 0: TLS transports compare with `>=`, so at 0 they would call an empty buffer full.
        """
        real = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self.transport = Gathering(real, self._client.turn)
        self.transport.set_write_buffer_limits(high=1)

    def pause_writing(self) -> None:
        """The kernel has not taken the whole request yet."""
        self._unwritten = True

    def resume_writing(self) -> None:
        """It has."""
        self._unwritten = False

    # The way in: the transport's callbacks ---------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parse, then tell the listener."""
        if self._between and self._lone_chunk(data):
            return
        if self.call is None or self._complete:
            self._keep = False
            if self.call is None:
                self._drop()
            return
        self._seen += len(data)
        if not self._status:
            self._raw = data if not self._raw else self._more(data)
        fault = self._parse(data)
        if fault and self._complete:  # surplus bytes, well-formed or not: the answer stands
            fault = ""
            self._keep = False
        elif not self._parts and not fault and not self._complete:
            fault = self._idle_bytes(len(data))
        self._deliver()
        if fault and self.call is not None:
            self._fail(FailureKind.INVALID_REPLY, fault)

    def _parse(self, data: bytes) -> str:
        """Feed the parser; what is wrong, or nothing."""
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            return "switch of protocols"
        except HttpParserCallbackError as error:
            return str(error.__context__) or "callback error"
        except HttpParserError as error:
            return str(error)
        if self._between and not data.endswith(b"\r\n"):
            self._between = False  # the next chunk has begun
        return ""

    def _lone_chunk(self, data: bytes) -> bool:
        """Hand on a whole chunk that came alone, as streams send them; False for anything else.

        Between two chunks the parser holds nothing, so a whole one may pass it by. What is taken for a size here is a
        size for every parser: hexadecimal digits alone, the first of them not zero.
        """
        call = self.call
        stop = data.find(b"\r\n", 1, _SIZE_DIGITS + 3)
        digits = data[:stop]
        if call is None or stop < 0 or not digits.isalnum() or data[0] == _ZERO or not data.endswith(b"\r\n"):
            return False
        body = data[stop + 2 : -2]
        try:
            if int(digits, 16) != len(body):
                return False
        except ValueError:
            return False
        way = self.way
        try:
            if way is None or not way.learn(self, data, body):
                call.listener.body(body)
        except Exception as error:  # noqa: BLE001 - a listener may raise anything; it must not take the loop down
            self._raised(call, error)
        return True

    def _idle_bytes(self, size: int) -> str:
        """Bytes that brought nothing: headers without end, trailers, chunk extensions. They have the headers' limit."""
        self._quiet += size
        limit = self._limits.header_bytes
        return f"headers or trailers of more than {limit} bytes" if self._quiet > limit else ""

    def eof_received(self) -> None:
        """Nobody upstream half-closes and then reads on; so this is the end of the connection."""
        self._gone(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The only place where the client forgets a connection."""
        self._client.closed(self)
        self._gone(exc)

    # The listener ----------------------------------------------------------------------------------------------------

    def _deliver(self) -> None:
        """Tell the listener what has come. It may cancel, pause and send again from inside each call."""
        call = self.call
        if call is None:
            return
        try:
            head = self._head
            if head is not None:
                self._head = None
                if self._complete and call.whole is not None and len(self._parts) == 1 and self._decoder is None:
                    status, body = self._status, self._parts.pop()
                    self._let_go(call)
                    call.whole(status, head, body)
                    return
                self._quiet = 0
                self._close_delimited = self._status not in WITHOUT_BODY and not head.framed
                call.request = b""  # a byte has come: it is never repeated
                call.listener.head(self._status, head)
            self._deliver_body(call)
        except ContentError as error:
            self._fail(FailureKind.INVALID_REPLY, str(error))
        except Exception as error:  # noqa: BLE001 - a listener may raise anything; it must not take the loop down
            self._raised(call, error)

    def _deliver_body(self, call: "Call") -> None:
        parts, decoder = self._parts, self._decoder
        if parts:
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
            self._quiet = 0
            if decoder is not None:
                decoder.push(data)
            elif self.call is call:
                call.listener.body(data)
        if decoder is not None and not self._decode(call, decoder):
            return
        if self._complete and self.call is call:
            self._let_go(call)
            call.listener.end()

    def _decode(self, call: "Call", decoder: Decoder) -> bool:
        """Hand on inflated bytes until there are no more or the listener has had enough; False if some remain."""
        while self.call is call:
            if call.paused:
                return False
            data = decoder.pull()
            if not data:
                break
            call.listener.body(data)
        if self._complete and self.call is call:
            decoder.finish()
        return True

    def _let_go(self, call: "Call") -> None:
        """A well-formed end. To be told afterwards: then a request that is sent from there may use the connection."""
        keep = self._keep and not self._unwritten
        self._unlink(call)
        if keep:
            if call.paused:
                self.transport.resume_reading()
            self.served += 1
            self._reset()
            self._client.park(self)
        else:
            self.transport.abort()

    def _unlink(self, call: "Call") -> None:
        self.call = None
        if self.way is not None:
            self._no_way()
        call.connection = None
        if call.request:
            call.request = b""

    def _no_way(self) -> None:
        way, self.way = self.way, None
        if way is not None:
            way.over()

    def _raised(self, call: "Call", error: Exception) -> None:
        """A listener's exception: the loop's handler is told, the connection ends, and the listener has lost.

        Unless it carries another call already, which the listener sent from its `end` before it raised.
        """
        if self.call is call:
            self._unlink(call)
        if self.call is None:
            self._parts.clear()
            self._drop()
        self._client.report(error)
        reason = f"this answer could not be read, which is an error of ours ({type(error).__name__})"
        detail = f"{self.origin.host}:{self.origin.port}: {reason}"
        call.lose(Failure(FailureKind.INVALID_REPLY, detail, status=self._status))

    def _fail(self, kind: FailureKind, reason: str) -> None:
        call = self.call
        assert call is not None  # noqa: S101 - callers have looked
        self._unlink(call)
        self.transport.abort()
        detail = f"{self.origin.host}:{self.origin.port}: {reason}"
        call.lose(Failure(kind, detail, status=self._status, sent=not self._unwritten))

    def shut(self, reason: str) -> None:
        """The client closes; a running call is lost."""
        if self.call is None:
            self._drop()
        else:
            self._fail(FailureKind.BROKEN_STREAM, reason)

    def _drop(self) -> None:
        """Close an idle connection."""
        self._client.unpark(self)
        self.transport.abort()

    def cancel(self) -> None:
        """The call is over: an answer that nobody waits for cannot be told from the next one, so close."""
        self.call = None
        if self.way is not None:
            self._no_way()
        self._parts.clear()
        self.transport.abort()

    def pause(self) -> None:
        """Stop reading."""
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on, after what a decoder still holds (in the loop's next turn, never inside the caller's)."""
        if self._decoder is not None:
            asyncio.get_running_loop().call_soon(self._deliver)
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def _gone(self, error: Exception | None) -> None:
        """The peer has closed or reset the connection. There are five cases."""
        call = self.call
        if call is None:  # idle
            self._drop()
        elif self._complete:  # all was read; the decoder's rest waits for `resume`
            self._keep = False
        elif self._close_delimited and self._status and error is None:  # this is how such an answer ends
            self._complete = True
            self._keep = False
            self._deliver()
        elif not self._seen and self.served and self._client.may_redial(call, self.since):  # stale keep-alive
            self._unlink_for_redial(call)
        else:
            place = "inside the body" if self._status else "inside the headers" if self._seen else "before the answer"
            self._fail(FailureKind.BROKEN_STREAM, f"{'reset' if error else 'closed'} {place}")

    def _unlink_for_redial(self, call: "Call") -> None:
        self.call = None
        call.connection = None
        self.transport.abort()
        self._client.redial(call)
