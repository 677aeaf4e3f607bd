"""A new upstream connection: name, TCP (happy eyeballs, RFC 8305), TLS.

`loop.create_connection(..., happy_eyeballs_delay=...)` would not do: it resolves by itself, so no resolver could be
injected and no last good answer kept, and uvloop's has no such argument. The race is therefore ours, on
`loop.sock_connect`; the connected socket is then given to `create_connection`, which makes the transport.

The request is written only after the handshake has verified the peer, so no key ever reaches a stranger (A5). A proxy
is used only if one is configured (`egress`). Errors of the socket, resolver and TLS libraries end here: `translate`
turns them into the house's failures.
"""

import asyncio
import os
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from typing import TypeVar

from standfast.canon.failure import Failure, FailureKind
from standfast.http1.base import Origin
from standfast.http1.egress import Egress
from standfast.http1.resolve import Address, Resolver, SystemResolver, literal

__all__ = ["STAGGER", "Address", "DialError", "Dialer", "Resolver", "SystemResolver", "translate"]

P = TypeVar("P", bound=asyncio.Protocol)

STAGGER = 0.25
"""Seconds until the next address is tried beside the one under way (RFC 8305, section 5, recommends 250 ms)."""


class DialError(Exception):
    """There is no connection. `failure` says why; its `sent` is False."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


def translate(error: Exception, origin: Origin) -> Failure:
    """The failure that a foreign exception means. The one place where they are translated."""
    kind = FailureKind.CONNECT_FAILED
    match error:
        case TimeoutError():
            kind = FailureKind.CONNECT_TIMEOUT
            reason = str(error) or "connect timed out"
        case ssl.SSLCertVerificationError():
            reason = f"certificate refused: {error.verify_message}"
        case ssl.SSLError():
            cause = getattr(error, "reason", None) or "protocol error"  # errors that OpenSSL did not raise have none
            reason = f"TLS handshake failed: {cause.lower().replace('_', ' ')}"
        case socket.gaierror():
            reason = f"name not resolved: {error.strerror}"
        case UnicodeError():
            reason = "name not resolved: not a host name"
        case OSError() if error.errno:  # the loops put addresses in place of the system's words
            reason = os.strerror(error.errno).lower()
        case OSError():
            reason = str(error) or type(error).__name__
        case _:
            reason = type(error).__name__
    return Failure(kind, f"{origin.host}:{origin.port}: {reason}", sent=False)


_FOREIGN = (OSError, UnicodeError)  # gaierror, TimeoutError and the ssl errors are OSErrors


class Dialer:
    """Opens connections; keeps one TLS context per CA bundle (building one takes tens of milliseconds).

    Args:
        resolver: asked for names; literal addresses skip it.
        egress: knows which origins are reached through a proxy; none by default.
    """

    def __init__(self, resolver: Resolver, egress: Egress | None = None) -> None:
        self._resolver = resolver
        self._egress = egress or Egress()
        self._contexts: dict[str, asyncio.Future[ssl.SSLContext]] = {}

    async def dial(
        self,
        origin: Origin,
        factory: Callable[[], P],
        *,
        connect_timeout: float,
        tls_timeout: float,
    ) -> P:
        """Connect; the protocol's `connection_made` has been called when this returns.

        Args:
            origin: where to.
            factory: makes the protocol.
            connect_timeout: seconds for name and TCP together.
            tls_timeout: seconds for the TLS handshake.

        Raises:
            DialError: there is no connection, and nothing stays open.
        """
        phase = f"no connection within {connect_timeout:g} s"
        try:
            async with asyncio.timeout(connect_timeout):
                sock = await self._reach(origin)
            if origin.scheme != "https":
                return await _adopt(sock, factory)
            phase = f"TLS handshake not finished within {tls_timeout:g} s"
            async with asyncio.timeout(tls_timeout):
                return await self._secure(sock, factory, origin, tls_timeout)
        except TimeoutError as error:
            # The system's own ETIMEDOUT has an errno, the deadlines above have none.
            raise DialError(translate(error if error.errno else TimeoutError(phase), origin)) from None
        except _FOREIGN as error:
            raise DialError(translate(error, origin)) from error

    async def _reach(self, origin: Origin) -> socket.socket:
        """A socket at whose other end the origin is, or the proxy of a plain one."""
        proxy = self._egress.proxy(origin)
        host, port = (origin.host, origin.port) if proxy is None else (proxy.host, proxy.port)
        sock = await race(literal(host, port) or await self._resolver.resolve(host, port))
        if proxy is not None and origin.scheme == "https":
            try:
                await proxy.tunnel(sock, origin)
            except BaseException:
                sock.close()
                raise
        return sock

    async def _secure(self, sock: socket.socket, factory: Callable[[], P], origin: Origin, seconds: float) -> P:
        try:
            context = await self._context(origin.ca_file)
        except BaseException:
            sock.close()
            raise
        # The loop's own handshake timer is only a guard behind `asyncio.timeout`: its error looks like a reset.
        return await _adopt(
            sock, factory, context=context, server_hostname=origin.host, ssl_handshake_timeout=seconds + 1.0
        )

    async def _context(self, ca_file: str) -> ssl.SSLContext:
        """The context for a bundle, built in a thread once, however many dials wait for it; a failure is not kept."""
        building = self._contexts.get(ca_file)
        if building is None:
            building = asyncio.get_running_loop().run_in_executor(None, _context, ca_file)
            self._contexts[ca_file] = building
        await asyncio.wait((building,))  # unlike awaiting it, this does not cancel what others share
        if building.exception() is not None:
            self._contexts.pop(ca_file, None)
        return building.result()


async def _adopt(
    sock: socket.socket,
    factory: Callable[[], P],
    *,
    context: ssl.SSLContext | None = None,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
) -> P:
    """Make a transport of a connected socket; if that fails the loop closes the socket with the transport."""
    _, protocol = await asyncio.get_running_loop().create_connection(
        factory, sock=sock, ssl=context, server_hostname=server_hostname, ssl_handshake_timeout=ssl_handshake_timeout
    )
    return protocol


def _context(ca_file: str) -> ssl.SSLContext:
    """Verification of chain and host name is on, as `create_default_context` sets it; nothing here turns it off."""
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except ssl.SSLError:
        raise OSError("the CA bundle holds no certificate") from None
    except OSError as error:
        raise OSError(f"cannot read the CA bundle: {os.strerror(error.errno or 0).lower()}") from None
    context.set_alpn_protocols(["http/1.1"])
    return context


def interleave(addresses: Sequence[Address]) -> list[Address]:
    """Families in turn, the first address's family first; the order within a family stays (RFC 8305, section 4)."""
    first = [address for address in addresses if address[0] == addresses[0][0]]
    rest = [address for address in addresses if address[0] != addresses[0][0]]
    return [address for address in chain(*zip_longest(first, rest)) if address is not None]


async def race(addresses: Sequence[Address], stagger: float = STAGGER) -> socket.socket:
    """Connect to the first address that answers; the others are closed.

    The next address starts when the one before has failed, or after `stagger` seconds beside it.

    Raises:
        OSError: every address failed; this is the first error.
    """
    loop = asyncio.get_running_loop()
    waiting = deque(interleave(addresses))
    pending: set[asyncio.Task[None]] = set()
    connected: list[socket.socket] = []
    errors: list[OSError] = []
    winner: socket.socket | None = None
    try:
        while waiting or pending:
            if waiting:
                pending.add(loop.create_task(_attempt(loop, waiting.popleft(), connected, errors)))
            _, pending = await asyncio.wait(
                pending, timeout=stagger if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            if connected:
                winner = connected[0]
                break
        else:
            raise errors[0] if errors else OSError("the name has no addresses")
        return winner
    finally:
        for task in pending:
            task.cancel()
        try:
            await asyncio.gather(*pending, return_exceptions=True)
        except asyncio.CancelledError:  # cancelled a second time: nobody takes the winner any more
            winner = None
            raise
        finally:
            for sock in connected:
                if sock is not winner:
                    sock.close()


async def _attempt(
    loop: asyncio.AbstractEventLoop, address: Address, connected: list[socket.socket], errors: list[OSError]
) -> None:
    """One runner of the race; leaves its socket or its error behind, never both and never neither."""
    family, sockaddr = address
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:  # out of descriptors, or the family is not built in
        errors.append(error)
        return
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        await loop.sock_connect(sock, sockaddr)
    except OSError as error:
        sock.close()
        errors.append(error)
    except BaseException:
        sock.close()
        raise
    else:
        connected.append(sock)
