"""Asks a provider's free endpoint whether it answers."""

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit

from standfast.canon.deployment import Deployment
from standfast.canon.failure import Failure, FailureKind
from standfast.clock import Clock
from standfast.engine.assemble import origin_of, provider_of, secrets_of
from standfast.http1.client import UpstreamClient
from standfast.http1.client_request import RequestHead
from standfast.providers.base import CLASSIFIED_BODY_BYTES, Answer, ProviderSettings


@dataclass(frozen=True, slots=True)
class TargetReport:
    """How one target is.

    Attributes:
        target: `provider/model`.
        ok: the provider answered the ping with a success.
        state: state of the breaker.
        latency_ms: of the ping, connection included; None if nothing came.
        detail: what went wrong, or the HTTP status.
    """

    target: str
    ok: bool
    state: str
    latency_ms: float | None
    detail: str


class _Ping:
    """Listens to one answer (http1.base.UpstreamListener)."""

    __slots__ = ("_chunks", "_done", "headers", "size", "status")

    def __init__(self, done: "asyncio.Future[Failure | None]") -> None:
        self._done = done
        self._chunks: list[bytes] = []
        self.size = 0
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []

    def head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """The answer begins."""
        self.status, self.headers = status, headers

    def body(self, data: bytes) -> None:
        """Keep what classification reads, drop the rest."""
        if self.size < CLASSIFIED_BODY_BYTES:
            self._chunks.append(data)
            self.size += len(data)

    def end(self) -> None:
        """The answer is whole."""
        if not self._done.done():
            self._done.set_result(None)

    def lost(self, failure: Failure) -> None:
        """There is none."""
        if not self._done.done():
            self._done.set_result(failure)

    async def finished(self) -> Failure | None:
        """Wait for the end; what failed, or None."""
        return await self._done

    def text(self) -> bytes:
        """The body so far."""
        return b"".join(self._chunks)


async def ping(
    client: UpstreamClient, clock: Clock, deployment: Deployment, settings: ProviderSettings, limit: float
) -> tuple[Failure | None, float]:
    """Ask once, with the first key.

    Returns:
        What failed (None for success) and the seconds it took, connection included.
    """
    provider = provider_of(deployment.provider, settings)
    origin = origin_of(deployment.base_url, settings.ca_file)
    path = urlsplit(deployment.base_url).path.rstrip("/") + provider.ping()
    headers = (*provider.headers(secrets_of(settings)[0]), *settings.headers.items())
    request = RequestHead("GET", origin, path, headers).request()
    listener = _Ping(asyncio.get_running_loop().create_future())
    began = clock.now()
    call = client.send(origin, request, listener, connect_timeout=limit, tls_timeout=limit)
    try:
        async with asyncio.timeout(limit):
            failure = await listener.finished()
    except TimeoutError:
        failure = Failure(FailureKind.FIRST_TOKEN_TIMEOUT, f"no answer within {limit:g} s")
    finally:
        call.cancel()
    if failure is None and not 200 <= listener.status < 300:  # noqa: PLR2004 - the class of success in HTTP
        failure = provider.classify(Answer(listener.status, listener.headers, listener.text(), clock.wall()))
    return failure, clock.now() - began
