"""Upstream calls over pooled connections: callback driven, no task and no future while a connection is at hand.

An idle connection may be closed by its server at any moment, also at the one in which we write to it. If a *reused*
connection dies before a single byte of the answer, the request is sent once more, on a fresh connection, without the
listener hearing of it: servers close idle connections without having read what comes too late (RFC 9112, section 9.3.1).
The call says so in `retried_stale`. If one byte of an answer has come, nothing is repeated here.
"""

import asyncio

from standfast.canon.failure import Failure, FailureKind
from standfast.clock import Clock
from standfast.http1.base import Origin, UpstreamListener
from standfast.http1.client_request import RequestHead, build_request
from standfast.http1.dial import DialError, Dialer, Resolver, SystemResolver
from standfast.http1.settings import UpstreamLimits
from standfast.http1.upstream import Connection

__all__ = ["Call", "RequestHead", "UpstreamClient", "build_request"]


class Call:
    """A request on its way (`http1.base.UpstreamCall`).

    Attributes:
        retried_stale: it was sent a second time, because the first connection was found closed.
        over: its end was reported, or it was cancelled.
    """

    __slots__ = (
        "_client",
        "_task",
        "connect_timeout",
        "connection",
        "listener",
        "origin",
        "over",
        "paused",
        "request",
        "retried_stale",
        "tls_timeout",
    )

    def __init__(
        self,
        client: "UpstreamClient",
        origin: Origin,
        request: bytes,
        listener: UpstreamListener,
        connect_timeout: float,
        tls_timeout: float,
    ) -> None:
        self._client = client
        self._task: asyncio.Task[None] | None = None
        self.origin = origin
        self.request = request
        self.listener = listener
        self.connect_timeout = connect_timeout
        self.tls_timeout = tls_timeout
        self.connection: Connection | None = None
        self.retried_stale = False
        self.over = False
        self.paused = False

    def cancel(self) -> None:
        """Give up: close the connection now; the listener hears nothing more."""
        if self.over:
            return
        self.over = True
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.drop()
        if self._task is not None:
            self._task.cancel()

    def pause(self) -> None:
        """Stop reading from the upstream."""
        self.paused = True
        if self.connection is not None:
            self.connection.pause()

    def resume(self) -> None:
        """Read on."""
        self.paused = False
        if self.connection is not None:
            self.connection.resume()

    def dial(self) -> None:
        """Send on a fresh connection."""
        self._task = asyncio.get_running_loop().create_task(self._dial())
        self._client.watch(self._task)

    async def _dial(self) -> None:
        try:
            protocol = await self._client.dialer.dial(
                self.origin,
                lambda: Connection(self._client, self.origin),
                connect_timeout=self.connect_timeout,
                tls_timeout=self.tls_timeout,
            )
        except DialError as error:
            self._task = None
            if not self.over:
                self.over = True
                self.listener.lost(error.failure)
            return
        self._task = None
        assert isinstance(protocol, Connection)  # noqa: S101 - made above
        if self.over:
            protocol.drop()
        elif protocol.transport is None or protocol.transport.is_closing():
            self.over = True
            self.listener.lost(Failure(FailureKind.CONNECT_FAILED, "closed while connecting", sent=False))
        else:
            protocol.begin(self)


class UpstreamClient:
    """All upstream connections of one gateway.

    Args:
        limits: what an upstream may do to us.
        clock: for the age of idle connections.
        resolver: asked for names; the system's by default.
    """

    def __init__(self, limits: UpstreamLimits, clock: Clock, *, resolver: Resolver | None = None) -> None:
        self.limits = limits
        self.dialer = Dialer(resolver or SystemResolver(clock))
        self._clock = clock
        self._idle: dict[Origin, list[Connection]] = {}
        self._open: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def send(
        self,
        origin: Origin,
        request: bytes,
        listener: UpstreamListener,
        *,
        connect_timeout: float,
        tls_timeout: float,
    ) -> Call:
        """Send a complete HTTP/1.1 request; on a connection that is idle at once, else on a new one.

        Args:
            origin: where to.
            request: head and body.
            listener: called back; never before this returns, except by a caller's own `cancel`.
            connect_timeout: seconds for name and TCP.
            tls_timeout: seconds for the handshake.
        """
        call = Call(self, origin, request, listener, connect_timeout, tls_timeout)
        pool = self._idle.get(origin)
        if pool:
            oldest = self._clock.now() - self.limits.idle_timeout
            while pool:
                connection = pool.pop()
                if connection.idle_since >= oldest and not connection.transport.is_closing():  # type: ignore[union-attr]  # connected
                    connection.begin(call)
                    return call
                connection.drop()
        call.dial()
        return call

    def idle(self, origin: Origin) -> int:
        """Unused connections to an origin."""
        return len(self._idle.get(origin, ()))

    @property
    def open_connections(self) -> int:
        """Connections, used or not."""
        return len(self._open)

    async def close(self) -> None:
        """Close every connection; calls under way hear nothing more."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self._open):
            connection.drop()
        while self._open:  # noqa: ASYNC110 - connection_lost comes with the loop's next turns
            await asyncio.sleep(0)

    # what calls and connections tell

    def watch(self, task: "asyncio.Task[None]") -> None:
        """Keep a dial's task alive until it is done."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def opened(self, connection: Connection) -> None:
        """A connection stands."""
        self._open.add(connection)

    def freed(self, connection: Connection) -> None:
        """A connection may serve again."""
        pool = self._idle.setdefault(connection.origin, [])
        if len(pool) >= self.limits.idle_connections:
            connection.drop()
            return
        connection.idle_since = self._clock.now()
        pool.append(connection)

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        self._open.discard(connection)
        pool = self._idle.get(connection.origin)
        if pool and connection in pool:
            pool.remove(connection)

    def retry(self, call: Call) -> bool:
        """Send a call once more, on a fresh connection; False if that was done already."""
        if call.retried_stale or call.over:
            return False
        call.retried_stale = True
        call.connection = None
        call.dial()
        return True
