"""A mock upstream that costs less than any gateway: `asyncio.Protocol`, httptools, uvloop; every byte prepared once.

`python -m bench.mock --whole 19402 --drip 19403:200:20` answers chat completions on 127.0.0.1 and 127.0.0.2. A request
with `stream` gets server-sent events, on a `whole` port in one write, on a `drip` port one chunk per write; any other
gets one JSON answer with usage.
"""

import argparse
import asyncio
import contextlib
import json
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import httptools
import uvloop

ADDRESSES = ("127.0.0.1", "127.0.0.2")
STREAM_MARKS = (b'"stream":true', b'"stream": true')
USAGE_MARKS = (b'"include_usage":true', b'"include_usage": true')
SENTENCE = "The door stays open because every answer has more than one way to come in ."
WORDS = SENTENCE.split(" ")
COMMON = {"id": "chatcmpl-bench00000000000000000000", "created": 1760000000, "model": "bench-model-2026-01-01"}


def compact(value: object) -> bytes:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":")).encode()


def usage(completion: int) -> dict[str, int]:
    """Token counts of an answer."""
    return {"prompt_tokens": 62, "completion_tokens": completion, "total_tokens": 62 + completion}


def chat_answer() -> bytes:
    """The body of a complete answer, some 600 bytes."""
    text = " ".join(WORDS * 3)
    message: dict[str, object] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = {**COMMON, "object": "chat.completion", "choices": [choice], "usage": usage(48)}
    return compact({**body, "service_tier": "default", "system_fingerprint": "fp_bench"})


MODELS = compact({"object": "list", "data": [{"id": "bench", "object": "model", "created": 1, "owned_by": "bench"}]})


def whole(body: bytes) -> bytes:
    """A complete HTTP answer."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def sse(data: bytes) -> bytes:
    """One event in its own HTTP chunk."""
    line = b"data: " + data + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(line), line)


def _event(delta: dict[str, object], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    body = {**COMMON, "object": "chat.completion.chunk", "system_fingerprint": "fp_bench", "choices": [choice]}
    return sse(compact(body))


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def stream_writes(chunks: int, *, include_usage: bool) -> list[bytes]:
    """What a stream of `chunks` content events consists of, one item for each write.

    The head, the event that names the role and the first content go together, so that the first write already holds
    a first token; the finish, the usage if it is wanted and `[DONE]` go together too.
    """
    contents = [_event({"content": WORDS[number % len(WORDS)] + " "}) for number in range(chunks)]
    first = STREAM_HEAD + _event({"role": "assistant", "content": "", "refusal": None}) + contents[0]
    end = _event({}, "stop")
    if include_usage:
        end += sse(compact({**COMMON, "object": "chat.completion.chunk", "choices": [], "usage": usage(chunks)}))
    return [first, *contents[1:], end + sse(b"[DONE]") + b"0\r\n\r\n"]


@dataclass(frozen=True, slots=True)
class Mode:
    """How a port streams. `delay` is in seconds between writes; 0 sends everything in one write."""

    plain: tuple[bytes, ...]
    counted: tuple[bytes, ...]
    delay: float


def mode(chunks: int, delay: float) -> Mode:
    """Prepare the bytes of a port."""
    plain, counted = stream_writes(chunks, include_usage=False), stream_writes(chunks, include_usage=True)
    if not delay:
        plain, counted = [b"".join(plain)], [b"".join(counted)]
    return Mode(tuple(plain), tuple(counted), delay)


CHAT = whole(chat_answer())
LIST = whole(MODELS)


class Mock(asyncio.Protocol):
    """One connection; requests on it come one after another."""

    __slots__ = ("body", "left", "loop", "mode", "parser", "transport", "url", "writes")

    def __init__(self, mode: Mode, loop: asyncio.AbstractEventLoop) -> None:
        self.mode = mode
        self.loop = loop
        self.parser = httptools.HttpRequestParser(self)
        self.transport: asyncio.Transport | None = None
        self.url = self.body = b""
        self.writes: tuple[bytes, ...] = ()
        self.left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but ancestry

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Drop it; a pending drip sees that."""
        self.transport = None

    def data_received(self, data: bytes) -> None:
        """Feed the parser; a client that speaks no HTTP is cut off."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            if self.transport is not None:
                self.transport.abort()

    def on_url(self, url: bytes) -> None:
        """Part of the request target."""
        self.url += url

    def on_body(self, body: bytes) -> None:
        """Part of the body."""
        self.body += body

    def on_message_complete(self) -> None:
        """Answer."""
        url, body, self.url, self.body = self.url, self.body, b"", b""
        if self.transport is None:
            return
        if not url.startswith(b"/v1/chat/completions"):
            self.transport.write(LIST)
        elif any(mark in body for mark in STREAM_MARKS):
            counted = any(mark in body for mark in USAGE_MARKS)
            self.writes = self.mode.counted if counted else self.mode.plain
            self.left = len(self.writes)
            self.drip()
        else:
            self.transport.write(CHAT)

    def drip(self) -> None:
        """Write the next piece and ask to be called for the one after it."""
        if self.transport is None:
            return
        self.transport.write(self.writes[-self.left])
        self.left -= 1
        if self.left:
            self.loop.call_later(self.mode.delay, self.drip)


async def serve(ports: Sequence[tuple[int, Mode]]) -> None:
    """Serve until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as servers:
        for port, how in ports:
            server = await loop.create_server(partial(Mock, how, loop), ADDRESSES, port, backlog=4096)
            servers.callback(server.close)
        await stop.wait()


def drip_port(text: str) -> tuple[int, Mode]:
    """`PORT:CHUNKS:MILLISECONDS`."""
    port, chunks, milliseconds = text.split(":")
    return int(port), mode(int(chunks), float(milliseconds) / 1000)


def main() -> None:
    """Read the ports and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whole", type=int, action="append", default=[], metavar="PORT")
    parser.add_argument("--chunks", type=int, default=50, help="content events of a stream on a --whole port")
    parser.add_argument("--drip", type=drip_port, action="append", default=[], metavar="PORT:CHUNKS:MILLISECONDS")
    options = parser.parse_args()
    ports = [(port, mode(options.chunks, 0.0)) for port in options.whole] + options.drip
    uvloop.run(serve(ports))


if __name__ == "__main__":
    main()
