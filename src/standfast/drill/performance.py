"""One attempt at a stand-in provider: a station decides its fate, and this says it on the lab's wire.

To the station it is a `Call` like any other; but nobody's deadlines are kept here: the gateway under test has its own.
Words leave in bunches of 50 ms, as from providers that stream in bulk; the first one leaves alone.
"""

import math
import random
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import NEVER, Monotonic
from standfast.drill.way import Way
from standfast.drill.words import Question, answer
from standfast.lab import bodies
from standfast.lab.ask import Ask, Body, Reply, Stream
from standfast.lab.faults import NONE
from standfast.lab.journal import Entry
from standfast.lab.limits import announced
from standfast.lab.provider import WIRES
from standfast.lab.script import LAST, Act, Step, chunk, head, play
from standfast.policy.timeouts import Deadlines
from standfast.sim.call import OVER, Call
from standfast.sim.crowd import Request
from standfast.sim.station import Station

BUNCH = 0.05
"""Seconds of words that leave together."""

SUCCESS = 200

_K = FailureKind
CANNED: Mapping[FailureKind, str] = MappingProxyType(
    {
        _K.SERVER_ERROR: "server_error",
        _K.OVERLOADED: "overloaded",
        _K.RATE_LIMITED: "rate_limit",
        _K.QUOTA_EXHAUSTED: "insufficient_quota",
        _K.AUTH_FAILED: "invalid_key",
        _K.FORBIDDEN: "forbidden",
        _K.MODEL_NOT_FOUND: "model_not_found",
        _K.CONTEXT_TOO_LONG: "context_too_long",
        _K.CONTENT_FILTERED: "content_filter",
        _K.INVALID_REQUEST: "bad_request",
        _K.PAYLOAD_TOO_LARGE: "too_large",
    }
)
"""How a provider says it, where it says it with a status."""

_NO_DEADLINES = Deadlines(0.0, 0.0, NEVER, math.inf, NEVER)


class _Nobody:
    """Hears nothing (`sim.call.Listener`): the wire tells."""

    def first_content(self, call: Call, now: Monotonic) -> None:
        """On the wire."""

    def completed(self, call: Call, now: Monotonic) -> None:
        """On the wire."""

    def failed(self, call: Call, failure: Failure, now: Monotonic) -> None:
        """On the wire."""


class LivePerformance(Call):
    """One exchange of the lab (`lab.performing.Performance`).

    Args:
        station: decides.
        request: what is asked, for the station.
        wanted: the same, for the answer's words.
        ask: the same, as it came.
        entry: the journal's.
        key: position of the upstream key.
        number: of this attempt, among all.
        now: live time, on the scenario's clock.
        rng: how far two answers read alike.
        way: told when the end of an answer was due, and when it was written; None for an attempt of nobody's request.
    """

    __slots__ = ("_ask", "_due", "_entry", "_fate", "_now", "_rng", "_wake", "_wanted", "_way", "closes", "number")

    def __init__(
        self,
        station: Station,
        request: Request,
        wanted: Question,
        ask: Ask,
        entry: Entry,
        *,
        key: int,
        number: int,
        now: Callable[[], Monotonic],
        rng: random.Random,
        closes: bool,
        way: Way | None = None,
    ) -> None:
        super().__init__(station, request, _Nobody(), _NO_DEADLINES, key)
        self.started = now()
        self.closes = closes
        self.number = number
        self._wanted = wanted
        self._ask = ask._replace(prompt_tokens=wanted.prompt)
        self._entry = entry
        self._now = now
        self._rng = rng
        self._way = way
        self._due = math.inf  # the end of an answer that is worked on
        self._fate: tuple[float, float, Failure | None, float] | None = None
        self._wake: Callable[[], None] | None = None

    # what the station tells

    def fails(self, at: float, failure: Failure) -> None:
        """Without content, at this instant."""
        self._decide(math.inf, at, failure, math.inf)

    def answers(self, first_at: float, end: float, failure: Failure | None, silent_at: float = math.inf) -> None:
        """Content from `first_at` until `silent_at`, the end at `end`."""
        self.first_at = first_at
        self._due = end
        self._decide(first_at, end, failure, silent_at)

    def waits(self) -> None:
        """It stands in line: the connection is open, and nothing comes."""

    # what the lab tells

    def over(self) -> None:
        """Played to its end, or the gateway has gone: a place is free."""
        self.stop(self._now())

    def steps(self, wake: Callable[[], None]) -> Iterator[Step]:
        """What to play."""
        self._wake = wake
        while self._fate is None:
            yield Step(0.0, b"", Act.WAIT)
        first_at, end, failure, silent_at = self._fate
        if self._ask.stream and first_at <= end and first_at < math.inf:
            yield from self._speak(first_at, end, failure, silent_at)
        elif end == math.inf:
            self._entry.status = 0
            yield Step(0.0, b"", Act.HANG)
        else:
            yield from self._until(end)
            yield from self._whole(failure)

    # inside

    def _decide(self, first_at: float, end: float, failure: Failure | None, silent_at: float) -> None:
        self._fate = (first_at, end, failure, silent_at)
        self._failure = failure
        if self._wake is not None:
            self._wake()

    def _until(self, at: float) -> Iterator[Step]:
        wait = at - self._now()
        if wait > 0:
            yield Step(wait, b"")

    def _reply(self, bunch: int) -> Reply:
        words = answer(self._wanted, self._ask.model, self.number, self._rng)
        starts = [0, *range(1, len(words), bunch)]
        pieces = [words[start:end] for start, end in zip(starts, [*starts[1:], len(words)], strict=True)]
        text = tuple(("" if at == 0 else " ") + " ".join(piece) for at, piece in enumerate(pieces))
        return Reply(f"{self.number:016x}", text, cut=False, tokens=len(words))

    def _headers(self) -> dict[str, str]:
        headers = {"connection": "close"} if self.closes else {}
        for rate in self.rates or ():
            if rate.limit is not None and rate.reset is not None:
                left, limit = int(rate.remaining), int(rate.limit)
                headers |= announced(self._ask.wire, rate.name, left, limit, rate.reset)
        return headers

    def _speak(self, first_at: float, end: float, failure: Failure | None, silent_at: float) -> Iterator[Step]:
        bunch = max(1, int(BUNCH / self.pace)) if self.pace > 0 else self.completion
        said = WIRES[self._ask.wire].stream(self._ask, self._reply(bunch), usage=True, dialect="plain")
        yield from self._until(first_at)
        headers = {"content-type": "text/event-stream", **self._headers(), "transfer-encoding": "chunked"}
        yield Step(0.0, head(200, headers, NONE) + b"".join(map(chunk, said.preamble)))
        for at, event in enumerate(said.content):
            due = first_at + self.pace * (0 if at == 0 else 1 + (at - 1) * bunch)
            if due > min(end, silent_at):
                break
            yield from self._until(due)
            yield Step(0.0, chunk(event), tokens=1)
        if end == math.inf:
            yield Step(0.0, b"", Act.HANG)
            return
        yield from self._until(end)
        yield from self._last(said, failure)

    def _last(self, said: Stream, failure: Failure | None) -> Iterator[Step]:
        self._conclude(failure)
        if failure is not None:
            half = chunk(said.finish[0])
            yield Step(0.0, half[: len(half) // 2], Act.RESET)
            return
        yield Step(0.0, b"".join(map(chunk, said.finish)))
        yield Step(0.0, (chunk(said.terminator) if said.terminator else b"") + LAST, Act.FINISH)

    def _whole(self, failure: Failure | None) -> Iterator[Step]:
        ask = self._ask
        self._conclude(failure)
        if failure is None:
            body = WIRES[ask.wire].body(ask, self._reply(self.completion), usage=True, dialect="plain")
        elif failure.kind is _K.BROKEN_STREAM:
            body = WIRES[ask.wire].body(ask, self._reply(self.completion), usage=True, dialect="plain")
            kind = {"content-type": body.content_type, "content-length": str(len(body.data))}
            if ask.stream:  # its head has come: cut before any byte it would be repeated by the wire
                kind = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
            cut = b"" if ask.stream else body.data[: len(body.data) // 2]
            yield Step(0.0, head(200, kind, NONE) + cut, Act.RESET)
            return
        elif failure.kind is _K.EMPTY_REPLY:
            body = bodies.canned("empty_choices", ask.wire)
            if ask.stream:
                body = Body(200, "text/event-stream", b"")
        elif failure.kind is _K.INVALID_REPLY:
            body = bodies.canned("html", ask.wire, status=200)
        elif failure.status == SUCCESS:
            yield from self._in_band(CANNED.get(failure.kind, "server_error"))
            return
        else:
            body = bodies.canned(CANNED.get(failure.kind, "server_error"), ask.wire)
            if failure.retry_after is not None:
                body = body._replace(headers={"retry-after": f"{failure.retry_after:.3f}"})
        self._entry.status = body.status
        yield from play(body, self._headers(), NONE, 0)

    def _in_band(self, name: str) -> Iterator[Step]:
        """The status says that all is well, the first event that nothing is."""
        wire = self._ask.wire
        if not self._ask.stream:
            body = Body(SUCCESS, "application/json", bodies.canned(name, wire).data)
            yield from play(body, self._headers(), NONE, 0)
            return
        headers = {"content-type": "text/event-stream", **self._headers(), "transfer-encoding": "chunked"}
        yield Step(0.0, head(SUCCESS, headers, NONE) + chunk(bodies.in_band(name, wire)) + LAST, Act.FINISH)

    def _conclude(self, failure: Failure | None) -> None:
        if self.phase == OVER:
            return
        now = self._now()
        if self._way is not None and self._due < math.inf:
            self._way.ended(self._wanted.number, self._due, now, whole=failure is None)
        if failure is None:
            self.station.served(self, now)
        else:
            self.station.failed(self, failure, now)
        self._over(now)
