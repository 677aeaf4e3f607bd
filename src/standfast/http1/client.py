"""The upstream client: sends requests over pooled connections, and calls listeners back.

The warm path (an idle connection exists) is one synchronous call without task, future or closure; only a cold one
starts a dial task. The pool is last in, first out, per origin: few connections stay busy and the oldest age away.

**Stale keep-alive** (A7). A server may close an idle connection at the moment we write to it. Nothing on the wire tells
that from a server that read the request and died, so a repeat is a risk of one double execution; RFC 9112, section
9.3.1, leaves it to clients that know their requests. It is taken once, and only where the innocent reading is by far
the likelier one: on a *reused* connection, without a single byte of an answer, within `STALE_WINDOW` of the write (the
race is over after a round trip; a server that worked longer than that had the request). The repeat goes over a fresh
connection, so it cannot meet a second stale one, and `Call.retried_stale` shows it to the books.
"""

import asyncio
from typing import Final

import msgspec

from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.canon.structs import plain_stores
from standfast.clock import Clock
from standfast.http1.base import Origin, UpstreamListener, WholeAnswer
from standfast.http1.client_request import RequestHead, build_request
from standfast.http1.dial import Dialer, DialError, Resolver, SystemResolver, translate
from standfast.http1.egress import Egress, read_proxy
from standfast.http1.gather import Turn
from standfast.http1.settings import UpstreamLimits
from standfast.http1.splice import Splice
from standfast.http1.upstream_connection import Connection

__all__ = ["STALE_WINDOW", "Call", "RequestHead", "UpstreamClient", "build_request"]

STALE_WINDOW: Final = 2.0
"""Seconds after the write in which a reused connection's death without an answer is taken for a stale keep-alive."""


@plain_stores
class Call(msgspec.Struct, eq=False):
    """A request on its way (`UpstreamCall`). After its end all methods do nothing.

    Attributes:
        retried_stale: the request was written twice, because the pooled connection it met first was closed (A7).
    """

    _client: "UpstreamClient"
    origin: Origin
    request: bytes
    listener: UpstreamListener
    connect_timeout: float
    tls_timeout: float
    whole: WholeAnswer | None = None
    connection: Connection | None = None
    dialling: "asyncio.Task[None] | None" = None
    paused: bool = False
    retried_stale: bool = False

    def cancel(self) -> None:
        """Give up: close the connection now, or stop dialling; the listener hears nothing more."""
        connection, dialling = self.connection, self.dialling
        self.connection = self.dialling = None
        self.request = b""
        if connection is not None:
            connection.cancel()
        if dialling is not None:
            dialling.cancel()

    def pause(self) -> None:
        """Stop reading from the upstream."""
        if not self.paused:
            self.paused = True
            if self.connection is not None:
                self.connection.pause()

    def resume(self) -> None:
        """Read on."""
        if self.paused:
            self.paused = False
            if self.connection is not None:
                self.connection.resume()

    def splice(self, way: Splice) -> None:
        """Offer the rest of the answer's chunks to this short way first."""
        if self.connection is not None:
            self.connection.way = way

    def lose(self, failure: Failure) -> None:
        """Tell the listener that there will be no answer; the call is unlinked already."""
        try:
            self.listener.lost(failure)
        except Exception as error:  # noqa: BLE001 - a listener may raise anything; it must not take the loop down
            self._client.report(error)


class UpstreamClient:
    """Sends requests to upstreams. Belongs to one event loop.

    Args:
        limits: what an upstream may do to us.
        clock: ages idle connections and resolved names.
        resolver: names to addresses; the system's, with a cache, by default.
    """

    def __init__(self, limits: UpstreamLimits, clock: Clock, *, resolver: Resolver | None = None) -> None:
        self.limits = limits
        self.turn = Turn()
        self._idle_timeout = limits.idle_timeout
        self._idle_most = limits.idle_connections
        self._clock = clock
        self._own_resolver = SystemResolver(clock) if resolver is None else None
        self._egress = Egress(read_proxy(limits.proxy.get_secret_value()), limits.no_proxy)
        self._dialer = Dialer(resolver or self._own_resolver or SystemResolver(clock), self._egress)
        self._idle: dict[Origin, list[Connection]] = {}
        self._connections: set[Connection] = set()
        self._dials: dict[asyncio.Task[None], Call] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._closing = False
        self._all_closed: asyncio.Future[None] | None = None

    @property
    def open_connections(self) -> int:
        """Connections that are open, idle ones included; those being dialled are not."""
        return len(self._connections)

    @property
    def dialling(self) -> int:
        """Connections being dialled."""
        return len(self._dials)

    def idle(self, origin: Origin) -> int:
        """Connections to an origin that wait for a request."""
        return len(self._idle.get(origin, ()))

    def send(  # noqa: PLR0917 - on every attempt: keywords cost more
        self,
        origin: Origin,
        request: bytes,
        listener: UpstreamListener,
        connect_timeout: float,
        tls_timeout: float,
        whole: WholeAnswer | None = None,
    ) -> Call:
        """Send a complete HTTP/1.1 request (head and body; not `HEAD`). The listener is never called from inside.

        Args:
            origin: where to.
            request: as `RequestHead.request` makes it.
            listener: hears the answer.
            connect_timeout: seconds for name and TCP together, if a connection must be opened.
            tls_timeout: seconds for the TLS handshake.
            whole: hears an answer that comes in one piece, instead of the listener.
        """
        idle = self._idle.get(origin)
        if idle:
            now = self._clock.now()
            while idle:
                connection = idle.pop()
                if now - connection.since > self._idle_timeout or connection.transport.real.is_closing():
                    connection.transport.abort()
                    continue
                call = Call(self, origin, request, listener, connect_timeout, tls_timeout, whole, connection)
                connection.begin(call, request, now)
                return call
        call = Call(self, origin, request, listener, connect_timeout, tls_timeout, whole)
        self._dial(call)
        return call

    async def close(self) -> None:
        """Close everything. Calls that still run are lost; later ones are refused."""
        self._closing = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        dials = list(self._dials.items())
        for task, call in dials:
            if call.dialling is task:  # and not cancelled already
                call.cancel()
                call.lose(_refusal(call.origin))
        for connection in list(self._connections):
            connection.shut("the client was closed")
        await asyncio.gather(*(task for task, _ in dials), return_exceptions=True)
        if self._own_resolver is not None:
            await self._own_resolver.close()
        if self._connections:
            self._all_closed = self._all_closed or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._all_closed)
        await asyncio.sleep(0)  # transports of cancelled dials close in the loop's next turn

    # Dialling --------------------------------------------------------------------------------------------------------

    def _dial(self, call: Call) -> None:
        task = asyncio.get_running_loop().create_task(self._connect(call))
        call.dialling = task
        self._dials[task] = call
        task.add_done_callback(self._dialled)

    def _dialled(self, task: "asyncio.Task[None]") -> None:
        del self._dials[task]

    async def _connect(self, call: Call) -> None:
        """Dial, then write the request. A cancelled call never gets past the dialling."""
        failure = _refusal(call.origin) if self._closing else None
        connection: Connection | None = None
        try:
            if failure is None:
                connection = await self._dialer.dial(
                    call.origin,
                    lambda: Connection(self, call.origin),
                    connect_timeout=call.connect_timeout,
                    tls_timeout=call.tls_timeout,
                )
        except DialError as error:
            failure = error.failure
        except Exception as error:  # noqa: BLE001 - an injected resolver's bug: the listener must not wait for ever
            self.report(error)
            failure = translate(error, call.origin)
        call.dialling = None
        if connection is not None and connection.transport.is_closing():
            failure = _failed(call.origin, "closed before the request was sent")
        if connection is None or failure is not None:
            call.lose(failure or _refusal(call.origin))
            return
        # Counted from here, not from `connection_made`: uvloop closes the transport of a cancelled dial without telling
        # the protocol, and this is the first point where a later `connection_lost` is certain.
        self._connections.add(connection)
        if call.origin.scheme == "http":
            connection.proxy = self._egress.proxy(call.origin)
        call.connection = connection
        connection.begin(call, call.request, self._clock.now())
        if connection.transport.is_closing():  # the write failed at once
            connection.pause_writing()
        elif call.paused:
            connection.pause()

    # For connections -------------------------------------------------------------------------------------------------

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        if not self._connections and self._all_closed is not None and not self._all_closed.done():
            self._all_closed.set_result(None)

    def park(self, connection: Connection) -> None:
        """Keep a connection for the next request; an old or surplus one at the bottom of the stack goes."""
        if self._closing:
            connection.transport.abort()
            return
        connection.since = now = self._clock.now()
        idle = self._idle.get(connection.origin)
        if idle is None:
            self._idle[connection.origin] = idle = []
        idle.append(connection)
        if self._sweeper is None:
            self._sweep_later()
        if len(idle) > self._idle_most or now - idle[0].since > self._idle_timeout:
            idle.pop(0).transport.abort()

    def _sweep_later(self) -> None:
        self._sweeper = asyncio.get_running_loop().call_later(self._idle_timeout, self._sweep)

    def _sweep(self) -> None:
        """Close what is idle for too long, also where no traffic comes by: one timer while anything is idle."""
        self._sweeper = None
        oldest = self._clock.now() - self._idle_timeout
        for origin, idle in list(self._idle.items()):
            while idle and idle[0].since <= oldest:
                idle.pop(0).transport.abort()
            if not idle:
                del self._idle[origin]
        if self._idle:
            self._sweep_later()

    def unpark(self, connection: Connection) -> None:
        """An idle connection has ended."""
        idle = self._idle.get(connection.origin)
        if idle is not None and connection in idle:
            idle.remove(connection)

    def may_redial(self, call: Call, since: Monotonic) -> bool:
        """Is the death of a reused connection without an answer a stale keep-alive?"""
        return not call.retried_stale and not self._closing and self._clock.now() - since <= STALE_WINDOW

    def redial(self, call: Call) -> None:
        """Repeat a request over a fresh connection."""
        call.retried_stale = True
        self._dial(call)

    def report(self, error: Exception) -> None:
        """Hand an exception that is nobody's here to the loop's handler."""
        asyncio.get_running_loop().call_exception_handler(
            {"message": "an upstream listener or resolver raised", "exception": error}
        )


def _failed(origin: Origin, reason: str) -> Failure:
    return Failure(FailureKind.CONNECT_FAILED, f"{origin.host}:{origin.port}: {reason}", sent=False)


def _refusal(origin: Origin) -> Failure:
    return _failed(origin, "the client was closed")
