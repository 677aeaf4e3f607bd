"""Open many streams at once, count what arrives, and time the first token.

Two kinds of load. *Closed*: `--streams N` keeps N streams open; one that ends is followed by the next on the same
connection. *Open*: `--rate R` starts R streams a second whatever happens; the time to the first token runs from the
instant at which a stream was due, so that a slow server cannot hide by slowing the load down. What the timer itself is
late, up to 2 ms, is not counted.

Prints JSON lines: from `--settle` seconds on, twice a second, how many streams are open, the chunks that have come, how
many streams have begun and ended, and the CPU seconds that this process has used; and one with the result at the end.
"""

import argparse
import asyncio
import json
import re
import sys
from dataclasses import dataclass, field
from time import perf_counter, process_time
from typing import cast

import uvloop

EVENT = b"data: "
END = b"\r\n0\r\n\r\n"
FIRST = re.compile(rb'"content":"[^"]')
GRACE = 1.0  # seconds in which streams that were started last may still bring their first token
REPORT_EVERY = 0.5
TIMER = 0.002  # seconds by which a timer may be late by itself: uvloop counts in milliseconds
SPREAD = 1.0  # seconds over which a closed load starts, so that its chunks do not arrive in step


@dataclass(slots=True)
class Tally:
    """What came. `first_tokens` are seconds, of streams that were due after the settling time."""

    chunks: int = 0
    begun: int = 0
    ended: int = 0
    errors: int = 0
    open: int = 0
    first_tokens: list[float] = field(default_factory=list)


def request(host: str, model: str, key: str) -> bytes:
    """The bytes of a request for a stream."""
    question = "Which habits keep a service answering while the ones behind it fail?"
    message = {"role": "user", "content": question}
    body = json.dumps({"model": model, "messages": [message], "max_tokens": 128, "stream": True}, separators=(",", ":"))
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


class Stream(asyncio.Protocol):
    """One connection that carries one stream after another."""

    __slots__ = ("active", "due", "head", "load", "tail", "transport", "waiting")

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.transport: asyncio.Transport | None = None
        self.active = self.waiting = False
        self.due = 0.0
        self.head = self.tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but ancestry

    def begin(self, due: float) -> None:
        """Send a request whose clock has run since `due`."""
        if self.transport is None or self.transport.is_closing():
            self.load.connect(due)
            return
        self.active = self.waiting = True
        self.due, self.head, self.tail = due, b"", b""
        self.load.tally.begun += 1
        self.load.tally.open += 1
        self.transport.write(self.load.request)

    def data_received(self, data: bytes) -> None:
        """Count events; look for the first token while it is outstanding, and for the end."""
        if not self.active:
            return
        window = self.tail + data
        self.load.tally.chunks += window.count(EVENT) - self.tail.count(EVENT)
        self.tail = window[1 - len(END) :]
        if self.waiting:
            self.head += data
            if not self.head.startswith(b"HTTP/1.1 200 "[: len(self.head)]):
                self.fail()
                return
            if FIRST.search(self.head):
                self.waiting = False
                self.load.first_token(self.due)
        if window.endswith(END):
            self.active = False
            self.load.tally.open -= 1
            self.load.tally.ended += 1
            self.load.finished(self)

    def fail(self) -> None:
        """An answer that is no stream, or a broken one."""
        self.active = self.waiting = False
        self.load.tally.open -= 1
        self.load.tally.errors += 1
        if self.transport is not None:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """A stream that was under way is broken."""
        self.transport = None
        if self.active and not self.load.over:
            self.fail()


class Load:
    """The whole load against one port."""

    def __init__(self, options: argparse.Namespace, loop: asyncio.AbstractEventLoop) -> None:
        self.options = options
        self.loop = loop
        self.request = request(f"127.0.0.1:{options.port}", options.model, options.key)
        self.tally = Tally()
        self.idle: list[Stream] = []
        self.all: list[Stream] = []
        self.dialling: set[asyncio.Task[None]] = set()
        self.over = False
        self.started = perf_counter()
        self.number = 0

    def connect(self, due: float) -> None:
        """A new connection for a stream."""
        task = self.loop.create_task(self._connect(due))
        self.dialling.add(task)
        task.add_done_callback(self.dialling.discard)

    async def _connect(self, due: float) -> None:
        try:
            _, stream = await self.loop.create_connection(lambda: Stream(self), "127.0.0.1", self.options.port)
        except OSError:
            self.tally.errors += 1
            return
        self.all.append(stream)
        stream.begin(due)

    def first_token(self, due: float) -> None:
        """A stream brought its first token."""
        if due - self.started >= self.options.settle:
            self.tally.first_tokens.append(perf_counter() - due)

    def finished(self, stream: Stream) -> None:
        """A stream is whole; in a closed load the next one follows at once."""
        if self.options.rate:
            self.idle.append(stream)
        elif not self.over:
            stream.begin(perf_counter())

    def due_now(self) -> None:
        """Start every stream of an open load that is due, then sleep until the next one is."""
        now = perf_counter()
        while not self.over:
            due = self.started + self.number / self.options.rate
            if due > now:
                self.loop.call_later(due - now, self.due_now)
                return
            if now - due < TIMER:
                due = now
            self.number += 1
            if due - self.started > self.options.seconds:
                return
            if self.idle:
                self.idle.pop().begin(due)
            else:
                self.connect(due)

    def so_far(self) -> dict[str, object]:
        """A line about a load under way."""
        tally = self.tally
        turns = tally.begun + tally.ended
        return {"open": tally.open, "chunks": tally.chunks, "turns": turns, "cpu": process_time()}

    async def run(self) -> Tally:
        """Load for the time asked, then cut every connection."""
        if self.options.rate:
            self.due_now()
        else:
            for number in range(self.options.streams):
                self.loop.call_later(SPREAD * number / self.options.streams, self.connect, self.started)
        await asyncio.sleep(self.options.settle)
        end = self.started + self.options.seconds
        while (left := end - perf_counter()) > 0:
            emit(self.so_far())
            await asyncio.sleep(min(left, REPORT_EVERY))
        if self.options.rate:
            await asyncio.sleep(GRACE)
        self.over = True
        self.tally.errors += sum(stream.waiting for stream in self.all) if self.options.rate else 0
        for stream in self.all:
            if stream.transport is not None:
                stream.transport.abort()
        for task in tuple(self.dialling):
            task.cancel()
        return self.tally


def emit(line: dict[str, object]) -> None:
    """One line of JSON, at once."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def amain(options: argparse.Namespace) -> None:
    """Run the load and print what came."""
    tally = await Load(options, asyncio.get_running_loop()).run()
    emit(
        {
            "chunks": tally.chunks,
            "begun": tally.begun,
            "ended": tally.ended,
            "errors": tally.errors,
            "first_tokens": tally.first_tokens,
        }
    )


def main() -> None:
    """Read the options and load."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--streams", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--settle", type=float, default=0.0)
    options = parser.parse_args()
    if bool(options.streams) == bool(options.rate):
        parser.error("give --streams or --rate, one of them")
    uvloop.run(amain(options))


if __name__ == "__main__":
    main()
