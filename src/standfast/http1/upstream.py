"""One connection to an upstream: a request out, an answer in, then back to the pool.

Rules of an answer's end:

    Content-Length met, last chunk seen            well-formed: the connection may serve again
    neither announced, then EOF                    well-formed: the connection is spent
    EOF or reset before that                       lost: broken_stream
    anything that is not strict HTTP/1.1           lost: invalid_reply, the connection is closed

1xx answers are skipped, except 101, which nobody asked for. Bytes after the end, a folded header, both framings at once: the
connection is not used again, or the answer refused, because two readers could disagree on what it says.
"""

import asyncio
from typing import TYPE_CHECKING, cast

import httptools

from standfast.canon.failure import Failure, FailureKind
from standfast.http1.base import Origin, UpstreamListener
from standfast.http1.content import ContentError, Decoder

if TYPE_CHECKING:  # the client makes connections and takes them back
    from standfast.http1.client import Call, UpstreamClient

MAX_HEADERS = 1000
_HEAD_END = b"\r\n\r\n"
_FIRST_FINAL = 200
_SWITCHING = 101


class Connection(asyncio.Protocol):
    """A connection that serves one call at a time.

    Attributes:
        idle_since: when it came back to the pool.
        reused: it has served before.
    """

    __slots__ = (
        "_call",
        "_chunked",
        "_client",
        "_complete",
        "_decoder",
        "_head",
        "_headers",
        "_heard",
        "_in_head",
        "_keep",
        "_length",
        "_listener",
        "_parser",
        "_paused",
        "_surplus",
        "_unsent",
        "idle_since",
        "origin",
        "reused",
        "transport",
    )

    def __init__(self, client: "UpstreamClient", origin: Origin) -> None:
        self._client = client
        self.origin = origin
        self.transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._call: Call | None = None
        self._listener: UpstreamListener | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._head = b""
        self._in_head = True
        self._keep = False
        self._heard = False
        self._complete = False
        self._chunked = False
        self._length = False
        self._surplus = False
        self._unsent = False
        self._paused = False
        self._decoder: Decoder | None = None
        self.idle_since = 0.0
        self.reused = False

    # what the client tells

    def begin(self, call: "Call") -> None:
        """Send a call's request."""
        self._call = call
        self._listener = call.listener
        self._in_head = True
        self._heard = False
        call.connection = self
        if call.paused:
            self.pause()
        self.transport.write(call.request)  # type: ignore[union-attr]  # connected before

    def drop(self) -> None:
        """Close now; nobody is told."""
        self._call = self._listener = None
        if self.transport is not None:
            self.transport.abort()

    def pause(self) -> None:
        """Stop reading."""
        transport = self.transport
        if not self._paused and transport is not None and not transport.is_closing():
            self._paused = True
            transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        transport = self.transport
        if self._paused and transport is not None:
            self._paused = False
            if not transport.is_closing():
                transport.resume_reading()

    # what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected; TLS is verified."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=0)  # so that pause_writing tells what is not written yet
        self._client.opened(self)

    def pause_writing(self) -> None:
        """The request is not written completely."""
        self._unsent = True

    def resume_writing(self) -> None:
        """Now it is."""
        self._unsent = False

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer."""
        if self._listener is None:
            self.drop()  # an idle connection has nothing to say
            return
        self._heard = True
        if self._in_head:
            checked = self._whole_head(data)
            if checked is None:
                return
            data = checked
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse("switching protocols was not asked for")
            return
        except httptools.HttpParserCallbackError as error:
            self._listener_failed(error.__context__ or error)
            return
        except httptools.HttpParserError as error:
            self._refuse(f"not HTTP/1.1: {error}")
            return
        if self._complete:
            self._end()

    def eof_received(self) -> None:
        """The upstream closed; `connection_lost` judges."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._client.closed(self)
        call, listener = self._call, self._listener
        self._call = self._listener = None
        if call is None or listener is None:
            return
        if exc is None and not self._in_head and not self._chunked and not self._length:
            self._finish(call, listener)
            return
        if self.reused and not self._heard and self._client.retry(call):
            return
        reason = "connection reset" if exc is not None else "connection closed"
        where = (
            "before an answer" if not self._heard else "inside the headers" if self._in_head else "inside the answer"
        )
        call.connection = None
        call.over = True
        listener.lost(Failure(FailureKind.BROKEN_STREAM, f"{reason} {where}", sent=not self._unsent))

    # what the parser tells

    def on_message_begin(self) -> None:
        """A message begins; a second one in one read is surplus."""
        if self._complete:
            self._surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        if not self._complete:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        listener = self._listener
        if listener is None or self._complete:
            return
        status: int = self._parser.get_status_code()
        if status < _FIRST_FINAL:
            return
        headers = self._headers
        self._headers = []
        if len(headers) > MAX_HEADERS:
            self._refuse(f"more than {MAX_HEADERS} headers")
            return
        self._in_head = False
        coding = b""
        for name, value in headers:
            if name == b"content-length":
                self._length = True
            elif name == b"transfer-encoding":
                self._chunked = True
            elif name == b"content-encoding":
                coding = value.strip().lower()
        if self._length and self._chunked:
            self._refuse("Content-Length and Transfer-Encoding in one answer")
            return
        if coding not in (b"", b"identity"):
            try:
                self._decoder = Decoder(coding, self._client.limits.reply_bytes)
            except ContentError as error:
                self._refuse(str(error))
                return
        listener.head(status, headers)

    def on_body(self, data: bytes) -> None:
        """The next bytes of the body."""
        listener = self._listener
        if listener is None or self._complete:
            return
        if self._decoder is None:
            listener.body(data)
        else:
            self._inflate(self._decoder, data)

    def on_message_complete(self) -> None:
        """The answer's last byte; 1xx answers go by."""
        if self._in_head:
            self._headers = []
        else:
            self._complete = True
            self._keep = self._parser.should_keep_alive()  # llhttp knows it only now

    # inside

    def _whole_head(self, data: bytes) -> bytes | None:
        """The bytes from the head's beginning once it is whole and sound, else None."""
        if self._head:
            data = self._head + data
        end = data.find(_HEAD_END)
        limit = self._client.limits.header_bytes
        if end > limit or (end < 0 and len(data) > limit):
            self._refuse(f"headers over the limit of {limit} bytes")
            return None
        if end < 0:
            self._head = data
            return None
        self._head = b""
        if data.find(b"\r\n ", 0, end) >= 0 or data.find(b"\r\n\t", 0, end) >= 0:
            self._refuse("a folded header line")
            return None
        return data

    def _inflate(self, decoder: Decoder, data: bytes) -> None:
        try:
            decoder.push(data)
            while self._listener is not None and (piece := decoder.pull()):
                self._listener.body(piece)
        except ContentError as error:
            self._refuse(str(error))

    def _end(self) -> None:
        """A well-formed end: the connection is free before the listener hears of it."""
        call, listener = self._call, self._listener
        self._call = self._listener = None
        keep = self._keep and not self._surplus and not self._unsent
        self._complete = self._chunked = self._length = False
        if self._paused:
            self.resume()
        if keep:
            self.reused = True
            self._client.freed(self)
        elif self.transport is not None:
            self.transport.abort()
        if call is not None and listener is not None:
            self._finish(call, listener)

    def _finish(self, call: "Call", listener: UpstreamListener) -> None:
        call.connection = None
        call.over = True
        decoder, self._decoder = self._decoder, None
        if decoder is not None:
            try:
                decoder.finish()
            except ContentError as error:
                listener.lost(Failure(FailureKind.INVALID_REPLY, str(error)))
                return
        listener.end()

    def _refuse(self, reason: str) -> None:
        call, listener = self._call, self._listener
        self.drop()
        if call is not None and listener is not None:
            call.connection = None
            call.over = True
            listener.lost(Failure(FailureKind.INVALID_REPLY, reason))

    def _listener_failed(self, error: BaseException) -> None:
        self.drop()
        context = {"message": "the listener of an upstream's answer failed", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)
