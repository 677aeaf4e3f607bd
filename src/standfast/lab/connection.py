"""One connection of a stand-in provider: reads requests, plays the steps of their answers, keeps the journal."""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import httptools

from standfast.lab.ask import Body, Request
from standfast.lab.faults import NONE
from standfast.lab.journal import Entry, Journal
from standfast.lab.performing import Performance
from standfast.lab.provider import Provider
from standfast.lab.script import Act, Step, play

CONTROL = "/lab/"
LINGER_0 = struct.pack("ii", 1, 0)  # close() sends RST (SO_LINGER with a timeout of 0)


class Deps(NamedTuple):
    """What a connection needs from its lab."""

    provider: Provider
    journal: Journal
    control: Callable[[Provider, Request], Body]
    now: Callable[[], float]
    body_bytes: int


class _Heard(NamedTuple):
    request: Request
    headers: list[tuple[str, str]]
    keep_alive: bool


class Connection(asyncio.Protocol):
    """Requests are answered one after the other, pipelined ones in their order."""

    def __init__(self, deps: Deps, live: "set[Connection]") -> None:
        self._deps = deps
        self._live = live
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._heard: deque[_Heard] = deque()
        self._url = b""
        self._headers: list[tuple[str, str]] = []
        self._body = bytearray()
        self._steps: Iterator[Step] | None = None
        self._step: Step | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._entry: Entry | None = None
        self._performance: Performance | None = None
        self._input_tokens = 0
        self._keep_alive = True
        self._paused = False
        self._ended = False

    @property
    def busy(self) -> bool:
        """A request is being answered."""
        return self._steps is not None

    def drop(self) -> None:
        """Close now, whatever is being sent."""
        self._end(Act.CLOSE)

    def abort(self) -> None:
        """Close at once; bytes not yet sent are lost. The journal says `cut`."""
        self._settle("cut")
        self._ended = True
        if self._transport is not None:
            self._transport.abort()

    # -- transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._live.add(self)
        self._deps.provider.counters.connections += 1
        self._deps.provider.counters.open_connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Note in the journal how the peer closed, if an answer was not complete."""
        self._live.discard(self)
        self._deps.provider.counters.open_connections -= 1
        if self._timer is not None:
            self._timer.cancel()
        self._steps = self._step = None
        entry = self._entry
        if entry is not None:
            entry.peer_closed = True
            entry.closed_how = "eof" if exc is None else "reset"
            entry.closed_after = self._deps.now() - (entry.arrived if entry.head_at is None else entry.head_at)
            self._settle("peer_closed")

    def data_received(self, data: bytes) -> None:
        """Feed the parser; what is not HTTP is answered 400."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return
        except httptools.HttpParserError:
            if self._transport is not None:
                self._transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self._end(Act.CLOSE)

    def pause_writing(self) -> None:
        """The peer does not read: play stops."""
        self._paused = True

    def resume_writing(self) -> None:
        """The peer reads again: play goes on."""
        self._paused = False
        if self._steps is not None and self._timer is None:
            self._advance()

    # -- httptools

    def on_message_begin(self) -> None:
        """A new request."""
        self._url = b""
        self._headers = []
        self._body = bytearray()

    def on_url(self, url: bytes) -> None:
        """A part of the request target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line."""
        self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """Let a waiting client send its body (RFC 9110, section 10.1.1)."""
        if ("expect", "100-continue") in self._headers and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        """A part of the body; 413 above the limit."""
        self._body += data
        if len(self._body) > self._deps.body_bytes and self._transport is not None and not self._ended:
            self._transport.write(
                b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            )
            self._end(Act.CLOSE)

    def on_message_complete(self) -> None:
        """Answer it, or queue it behind the one being answered."""
        parts = urlsplit(self._url.decode("latin-1"))
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        method = self._parser.get_method().decode("latin-1")
        request = Request(method, unquote(parts.path), query, dict(self._headers), bytes(self._body))
        self._heard.append(_Heard(request, self._headers, self._parser.should_keep_alive()))
        if self._steps is None:
            self._next()

    # -- play

    def _next(self) -> None:
        if not self._heard or self._ended:
            return
        request, headers, self._keep_alive = self._heard.popleft()
        provider = self._deps.provider
        self._steps = iter(())  # busy from here on: a control call may close this very port
        if request.path.startswith(CONTROL):
            self._steps = play(self._deps.control(provider, request), {}, NONE, 0)
        else:
            entry = self._deps.journal.open(
                provider.name, self._deps.now(), request.method, request.path, headers, request.body
            )
            provider.counters.requests += 1
            provider.counters.open_requests += 1
            self._entry = entry
            answer = provider.answer(request, entry)
            self._steps, self._input_tokens = answer.steps, answer.input_tokens
            if answer.performance is not None:
                self._performance = performance = answer.performance
                self._keep_alive = self._keep_alive and not performance.closes
                self._steps = performance.steps(self._wake)
        self._advance()

    def _wake(self) -> None:
        """What was waited for is known."""
        self._loop.call_soon(self._advance)

    def _advance(self) -> None:
        """Play until a step has to wait, the peer has to read, or the answer ends."""
        self._timer = None
        while self._steps is not None and not self._paused:
            if self._step is not None:
                step, self._step = self._step, None
            else:
                step = next(self._steps, Step(0.0, b"", Act.HANG))
                if step.delay > 0:
                    self._step = step
                    self._timer = self._loop.call_later(step.delay, self._advance)
                    return
            self._perform(step)
            if step.act in (Act.HANG, Act.WAIT):
                return
            if step.act is not Act.GO_ON:
                self._end(step.act)

    def _perform(self, step: Step) -> None:
        entry = self._entry
        if step.data and self._transport is not None:
            self._transport.write(step.data)
            if entry is not None:
                if entry.head_at is None:
                    entry.head_at = self._deps.now()
                entry.sent += len(step.data)
        if step.tokens and entry is not None:
            entry.input_tokens = self._input_tokens
            entry.output_tokens += step.tokens

    def _end(self, act: Act) -> None:
        """The answer is over: with the connection, or with the next request."""
        failed = self._entry is not None and self._entry.status >= 400  # noqa: PLR2004 - errors begin here
        self._settle({Act.FINISH: "refused" if failed else "answered", Act.RESET: "reset"}.get(act, "cut"))
        self._steps = self._step = None
        transport = self._transport
        if transport is None or self._ended:
            return
        if act is Act.FINISH and self._keep_alive and not self._deps.provider.refusing:
            self._loop.call_soon(self._resume_requests)
            return
        self._ended = True
        if act is Act.RESET:
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
            transport.abort()
        else:
            transport.close()

    def _resume_requests(self) -> None:
        if self._steps is None:
            self._next()

    def _settle(self, outcome: str) -> None:
        performance, self._performance = self._performance, None
        if performance is not None:
            performance.over()
        entry, self._entry = self._entry, None
        if entry is None:
            return
        entry.outcome = outcome
        counters = self._deps.provider.counters
        counters.open_requests -= 1
        counters.outcomes[outcome] += 1
        counters.statuses[entry.status] += 1
        counters.input_tokens += entry.input_tokens
        counters.output_tokens += entry.output_tokens
