"""Asks one deployment whether it answers: its provider's free endpoint, or a tiny completion.

Neither goes through the exchange: a check is about one deployment, so nothing is repeated and nothing fails over.
"""

import asyncio
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from standfast.canon.chat import ChatRequest, Finish, Message, Role, Text
from standfast.canon.deployment import Deployment, Operation
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.usage import Usage
from standfast.config.routes import secrets_of
from standfast.engine.assemble import Snapshot
from standfast.engine.outlet import Outlet
from standfast.engine.services import Services
from standfast.formats.base import Format
from standfast.http1.base import Headers
from standfast.http1.client_request import RequestHead
from standfast.policy.health_check import HealthSettings
from standfast.providers.base import CLASSIFIED_BODY_BYTES, Answer

MAX_TOKENS = 16
"""The longest answer to a generate check: bounds what it may cost, and is more than the expected word needs."""

SUCCESSES = range(200, 300)


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one probe.

    Attributes:
        failure: what went wrong, None for success.
        seconds: until its end, connection included.
        usage: tokens that the answer reported.
    """

    failure: Failure | None
    seconds: float
    usage: Usage | None = None


class _Listener:
    """Keeps one answer (http1.base.UpstreamListener)."""

    __slots__ = ("_chunks", "_done", "_size", "headers", "status")

    def __init__(self, done: "asyncio.Future[Failure | None]") -> None:
        self._done = done
        self._chunks: list[bytes] = []
        self._size = 0
        self.status = 0
        self.headers: Collection[tuple[bytes, bytes]] = ()

    def head(self, status: int, headers: Headers) -> None:
        """The answer begins."""
        self.status, self.headers = status, headers

    def body(self, data: bytes) -> None:
        """Keep what classification reads, which is more than a tiny answer has; drop the rest."""
        if self._size < CLASSIFIED_BODY_BYTES:
            self._chunks.append(data)
            self._size += len(data)

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


async def ping(services: Services, snapshot: Snapshot, deployment: Deployment, key: int, limit: float) -> Finding:
    """Ask the provider's free endpoint, with the upstream key at this position, for `limit` seconds at most."""
    outlet, provider = snapshot.outlets[deployment], snapshot.config.providers[deployment.provider]
    path = urlsplit(deployment.base_url).path.rstrip("/") + outlet.provider.ping()
    headers = (*outlet.provider.headers(secrets_of(provider)[key]), *provider.headers.items())
    began = services.clock.now()
    failure, _ = await _answer(services, outlet, RequestHead("GET", outlet.origin, path, headers), b"", limit)
    return Finding(failure, services.clock.now() - began)


async def generate(
    services: Services, snapshot: Snapshot, deployment: Deployment, key: int, settings: HealthSettings
) -> Finding:
    """Ask for a tiny completion in the provider's own format, and look whether the answer is the expected one."""
    outlet = snapshot.outlets[deployment]
    form = outlet.formats[Operation.CHAT]
    request = ChatRequest((Message(Role.USER, (Text(settings.prompt),)),), max_tokens=MAX_TOKENS)
    body = form.write_request(request, deployment.model, {})
    began = services.clock.now()
    failure, answer = await _answer(services, outlet, outlet.heads[Operation.CHAT, False][key], body, settings.timeout)
    usage = None
    if failure is None:
        failure, usage = _read(outlet, form, answer, settings.expect)
    return Finding(failure, services.clock.now() - began, usage)


async def _answer(
    services: Services, outlet: Outlet, head: RequestHead, body: bytes, limit: float
) -> tuple[Failure | None, Answer]:
    """Send one request and wait for its answer, `limit` seconds at most; what failed, or None for a success."""
    listener = _Listener(asyncio.get_running_loop().create_future())
    call = services.client.send(outlet.origin, head.request(body), listener, connect_timeout=limit, tls_timeout=limit)
    try:
        async with asyncio.timeout(limit):
            failure = await listener.finished()
    except TimeoutError:
        failure = Failure(FailureKind.FIRST_TOKEN_TIMEOUT, f"no answer within {limit:g} s")
    finally:
        call.cancel()
    known = services.redactor.known(listener.text())  # providers quote keys; what is read here may be shown
    answer = Answer(listener.status, listener.headers, known, services.clock.wall())
    if failure is None and listener.status not in SUCCESSES:
        failure = outlet.provider.classify(answer)
    return failure, answer


def _read(outlet: Outlet, form: Format, answer: Answer, expect: str) -> tuple[Failure | None, Usage | None]:
    """Is a complete answer what was asked for? A success without the expected word is none (a relay's error page)."""
    facts = form.inspect_reply(answer.body)
    if facts.error is not None:
        inner = Answer(answer.status, answer.headers, facts.error, answer.received)
        return outlet.provider.classify(inner), facts.usage
    if facts.malformed:
        return Failure(FailureKind.INVALID_REPLY, facts.malformed, status=answer.status), facts.usage
    if facts.empty:
        return Failure(FailureKind.EMPTY_REPLY, "reply without content", status=answer.status), facts.usage
    try:
        reply = form.parse_reply(answer.body)
    except ValueError as error:
        return Failure(FailureKind.INVALID_REPLY, str(error), status=answer.status), facts.usage
    thinking = reply.finish is Finish.LENGTH and not reply.text  # it spent the few tokens before it spoke
    if expect and not thinking and not re.search(rf"(?<!\w){re.escape(expect)}(?!\w)", reply.text, re.IGNORECASE):
        return Failure(FailureKind.INVALID_REPLY, "not the expected answer", status=answer.status), facts.usage
    return None, facts.usage
