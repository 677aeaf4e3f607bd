"""Upstreams without sockets for a real gateway: a rehearsal's stations decide what befalls an attempt.

This says it in bytes, in virtual time, through the very seam at which the gateway's upstream client hangs.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.canon.rates import Rate
from standfast.engine.call import Call as EngineCall
from standfast.engine.repeat import RepeatCall
from standfast.http1.answer_head import AnswerHead
from standfast.http1.base import Origin, UpstreamListener, WholeAnswer
from standfast.policy.timeouts import Deadlines
from standfast.sim.call import FLOWING, OVER, WAITING
from standfast.sim.crowd import Request
from standfast.sim.settings import Error
from standfast.sim.station import Station
from standfast.sim.world import World

_K = FailureKind

STATUSES: Mapping[FailureKind, tuple[int, str]] = {
    _K.SERVER_ERROR: (500, "server_error"),
    _K.OVERLOADED: (503, "service_unavailable_error"),
    _K.RATE_LIMITED: (429, "rate_limit_exceeded"),
    _K.QUOTA_EXHAUSTED: (429, "insufficient_quota"),
    _K.AUTH_FAILED: (401, "invalid_api_key"),
    _K.CONTENT_FILTERED: (400, "content_filter"),
}
"""How failures are said with a status."""

HEADERS = [(b"content-type", b"application/json")]
STREAM = [(b"content-type", b"text/event-stream")]


def head_of(*lines: tuple[bytes, bytes]) -> AnswerHead:
    """A head as the wire would give it."""
    raw = b"HTTP/1.1 200 OK\r\n" + b"".join(b"%b: %b\r\n" % line for line in lines)
    return AnswerHead(raw, raw.lower())


Divergence = Callable[[Request, str], int]
"""Tokens for which a repetition of a request by a model reads as what the client has."""


class Performance:
    """One attempt on the wire: a station decides, the listener hears bytes.

    It stands where a `sim.call.Call` does for the station, and where an `UpstreamCall` does for the engine.
    """

    retried_stale = False

    def __init__(self, station: Station, request: Request, listener: EngineCall, alike: Divergence) -> None:
        self.station = station
        self.request = request
        self.prompt = request.prompt
        self.completion = request.completion
        self.deadlines: Deadlines = listener._limits
        self.key = listener.permit.key
        self.started = station.world.now
        self.error: Error | None = None
        self.rates: tuple[Rate, ...] = ()
        self.phase = WAITING
        self.held = False
        self.pace = 0.0
        self.first_at = math.inf
        self.said = 0  # tokens
        self._silent_at = math.inf
        self._listener: EngineCall | None = listener
        self._model = listener.target.deployment.model
        self._repeats = isinstance(listener, RepeatCall)
        self._alike_to = alike
        self._alike = 0
        self._failure: Failure | None = None

    # what the station tells

    def fails(self, at: float, failure: Failure) -> None:
        """Without content, at this instant; never if that is infinite."""
        self._failure = failure
        if at < math.inf:
            self.station.world.at(at, self._end)

    def answers(self, first_at: float, end: float, failure: Failure | None, silent_at: float = math.inf) -> None:
        """Content comes at `first_at` and until `silent_at`, the end at `end`: well, or with a failure."""
        self.first_at = first_at
        self._failure = failure
        self._silent_at = silent_at
        if first_at <= end and first_at < math.inf:
            self.station.world.at(first_at, self._first)
        if end < math.inf:
            self.station.world.at(end, self._end)

    def waits(self) -> None:
        """It stands in the upstream's line: nothing is heard."""

    # what the engine tells

    def cancel(self) -> None:
        """Nobody listens any more."""
        if self.phase != OVER:
            now = self.station.world.now
            self.station.abandoned(self, now)  # type: ignore[arg-type]  # stands for a call
            self._over(now)

    def pause(self) -> None:
        """These clients are quick."""

    def resume(self) -> None:
        """The same."""

    # inside

    def produced(self, now: float) -> int:
        """Tokens that have come by now."""
        del now
        return self.said

    def _first(self, now: Monotonic) -> None:
        listener = self._listener
        if self.phase != WAITING or listener is None:
            return
        self.phase = FLOWING
        if self._repeats:
            self._alike = self._alike_to(self.request, self._model)
        listener.head(200, head_of(*STREAM, *self._rates()))
        self._token(now)

    def _token(self, now: Monotonic) -> None:
        listener, at = self._listener, self.said
        if listener is None or at >= self.completion or now > self._silent_at:
            return
        self.said = at + 1
        world = self.station.world
        if self.said < self.completion:
            world.at(max(now, self.first_at + self.said * self.pace), self._token)
        listener.body(event({"delta": {"content": self._word(at)}}))

    def _word(self, at: int) -> str:
        return f" {at}" if not self._repeats or at < self._alike else f" other-{at}"

    def _end(self, now: Monotonic) -> None:
        listener, failure = self._listener, self._failure
        if self.phase == OVER or listener is None:
            return
        if failure is None:
            while self.said < self.completion and self.first_at < math.inf:
                self._token(now)  # at one instant with the end
            self.station.served(self, now)  # type: ignore[arg-type]  # stands for a call
            self._over(now)
            self._whole(listener)
        else:
            self.station.failed(self, failure, now)  # type: ignore[arg-type]  # the same
            self._over(now)
            self._say(listener, failure)

    def _over(self, now: Monotonic) -> None:
        self.phase = OVER
        self._listener = None
        if self.held:
            self.held = False
            self.station.leave(now)

    def _whole(self, listener: EngineCall) -> None:
        usage = {"prompt_tokens": self.prompt, "completion_tokens": self.completion}
        if self.request.stream:
            listener.body(event({"delta": {}, "finish_reason": "stop"}, usage=usage) + b"data: [DONE]\n\n")
        else:
            message = {"role": "assistant", "content": "well"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            body = msgspec.json.encode({"id": "x", "choices": [choice], "usage": usage})
            listener.whole(200, head_of(*HEADERS, *self._rates()), body)
            return
        listener.end()

    def _rates(self) -> list[tuple[bytes, bytes]]:
        """What the station tells of its limits, in OpenAI's words."""
        return [
            (f"x-ratelimit-{field}-{rate.name}".encode(), f"{value:.3f}{unit}".encode())
            for rate in self.rates
            for field, value, unit in (
                ("limit", rate.limit, ""),
                ("remaining", rate.remaining, ""),
                ("reset", rate.reset, "s"),
            )
        ]

    def _say(self, listener: UpstreamListener, failure: Failure) -> None:
        kind = failure.kind
        if kind in STATUSES:
            status, code = STATUSES[kind]
            hint = [] if failure.retry_after is None else [(b"retry-after", repr(failure.retry_after).encode())]
            listener.head(status, head_of(*HEADERS, *hint, *self._rates()))
            listener.body(msgspec.json.encode({"error": {"message": "rehearsed", "code": code, "type": code}}))
            listener.end()
        elif kind is _K.EMPTY_REPLY:
            listener.head(200, head_of(*(STREAM if self.request.stream else HEADERS), *self._rates()))
            if not self.request.stream:
                listener.body(b'{"id": "x", "choices": []}')
            listener.end()
        elif kind is _K.INVALID_REPLY:
            listener.head(200, head_of((b"content-type", b"text/html"), *self._rates()))
            listener.body(b"<html>Welcome</html>")
            listener.end()
        else:
            listener.lost(failure)


def event(choice: Mapping[str, object], **fields: object) -> bytes:
    """One chunk of a streamed answer."""
    chunk = {"id": "x", "object": "chat.completion.chunk", "choices": [{"index": 0, **choice}], **fields}
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


class Wires:
    """Stands where the gateway's upstream client does.

    Args:
        world: virtual time.
        stations: the upstreams, by the host of their base URL.
        request_of: who asks, found by the call that is sent for it.
        alike: how far a repetition reads the same.
    """

    def __init__(
        self,
        world: World,
        stations: Mapping[str, Station],
        request_of: Callable[[EngineCall], Request],
        alike: Divergence,
    ) -> None:
        self._world = world
        self._stations = stations
        self._request_of = request_of
        self._alike = alike

    def send(  # noqa: PLR0917 - the client's
        self,
        origin: Origin,
        request: bytes,
        listener: EngineCall,
        connect_timeout: float,
        tls_timeout: float,
        whole: WholeAnswer | None,
    ) -> Performance:
        """A request goes out."""
        del request, connect_timeout, tls_timeout, whole  # the listener is known to hear whole answers
        performance = Performance(self._stations[origin.host], self._request_of(listener), listener, self._alike)
        performance.station.take(performance, self._world.now)  # type: ignore[arg-type]  # stands for a call
        return performance

    async def close(self) -> None:
        """Nothing is held."""


class Loop:
    """The running loop of the gateway's watch: its timer goes off at the instants of the rehearsal's watch.

    When a real watch looks first is chance; here it looks at the same instants as the rehearsed one.
    """

    def __init__(self, world: World, tick: float) -> None:
        self._world = world
        self._tick = tick
        self.errors: list[dict[str, Any]] = []

    def call_later(self, delay: float, callback: Callable[[], None]) -> "Loop":
        """At the next instant of the grid."""
        assert delay == self._tick
        at = (math.floor(self._world.now / self._tick) + 1) * self._tick
        self._world.at(at, lambda _now: callback())
        return self

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """A request's deadline failed."""
        self.errors.append(context)

    def cancel(self) -> None:
        """The play is over anyway."""


class Ordered(list[Any]):
    """A set that is walked through in an order: `by` gives an item's place."""

    def __init__(self, by: Callable[[Any], object] = lambda _item: 0, items: Sequence[Any] = ()) -> None:
        super().__init__(items)
        self._by = by

    def add(self, item: Any) -> None:
        """Once only."""
        if item not in self:
            self.append(item)

    def discard(self, item: Any) -> None:
        """If it is there."""
        if item in self:
            self.remove(item)

    def __iter__(self) -> Any:
        return iter(sorted(super().__iter__(), key=self._by))  # type: ignore[arg-type]
