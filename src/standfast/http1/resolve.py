"""Names to addresses, without ever blocking the event loop.

Rules (catalogue row A3): one lookup per name at a time, shared by all who wait for it; an answer is used for 30 s; when
the name server fails or dawdles, the last good answer serves on for ten minutes (RFC 8767, serving stale data).
"""

import asyncio
import socket
from typing import NamedTuple, Protocol, TypeAlias, cast

from standfast.canon.instants import Monotonic
from standfast.clock import Clock

SocketAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
"""What `connect` takes: numeric address and port, for IPv6 perhaps flow and scope."""

Address: TypeAlias = tuple[socket.AddressFamily, SocketAddress]


class Resolver(Protocol):
    """Whoever knows the addresses of names."""

    async def resolve(self, host: str, port: int) -> list[Address]:
        """Addresses of a host, best first.

        Raises:
            OSError: the name cannot be resolved.
        """
        ...


class _Answer(NamedTuple):
    addresses: list[Address]
    since: Monotonic


class SystemResolver:
    """The system's resolver in the loop's thread pool, with a small cache in front.

    Args:
        clock: ages the cache.
        ttl: seconds for which an answer is used without asking again.
        keep: seconds for which the last good answer is used when a new one cannot be had.
        patience: seconds to wait for a new answer while there is a last good one (RFC 8767 proposes 1.8 s; connect
            timeouts here are 3 s, so less).
    """

    def __init__(self, clock: Clock, *, ttl: float = 30.0, keep: float = 600.0, patience: float = 1.0) -> None:
        self._clock = clock
        self._ttl = ttl
        self._keep = keep
        self._patience = patience
        self._answers: dict[tuple[str, int], _Answer] = {}
        self._lookups: dict[tuple[str, int], asyncio.Task[Exception | None]] = {}

    async def resolve(self, host: str, port: int) -> list[Address]:
        """Addresses of a host, best first.

        Raises:
            OSError: the name cannot be resolved, and no good answer is young enough.
            UnicodeError: it is no host name at all.
        """
        key = (host, port)
        now = self._clock.now()
        answer = self._answers.get(key)
        if answer is not None and now - answer.since < self._ttl:
            return answer.addresses
        stale = answer.addresses if answer is not None and now - answer.since < self._keep else None
        lookup = self._lookups.get(key)
        if lookup is None:
            lookup = asyncio.get_running_loop().create_task(self._look_up(key))
            self._lookups[key] = lookup
        # `wait`, unlike awaiting the task, neither cancels a lookup that others share nor raises its error.
        done, _ = await asyncio.wait((lookup,), timeout=self._patience if stale else None)
        error = lookup.result() if done and not lookup.cancelled() else OSError("the resolver was closed")
        if error is None:
            return self._answers[key].addresses
        if stale is not None:
            return stale
        raise error

    async def _look_up(self, key: tuple[str, int]) -> Exception | None:
        """Ask the system; the answer goes into the cache, an error is the result (so that it is never lost)."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(*key, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            return error
        finally:
            del self._lookups[key]
        inet = (socket.AF_INET, socket.AF_INET6)
        addresses: list[Address] = [
            (family, cast("SocketAddress", sockaddr)) for family, _, _, _, sockaddr in found if family in inet
        ]
        if not addresses:
            return OSError("the name has no addresses")
        self._answers[key] = _Answer(addresses, self._clock.now())
        return None

    async def close(self) -> None:
        """Give up running lookups."""
        lookups = list(self._lookups.values())
        for lookup in lookups:
            lookup.cancel()
        await asyncio.gather(*lookups, return_exceptions=True)


def literal(host: str, port: int) -> list[Address]:
    """The address that a host already is; empty if it is a name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        return [(family, (host, port))]
    return []
