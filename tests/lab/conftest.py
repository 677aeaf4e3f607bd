"""Raw sockets against the lab: what comes over the wire, byte for byte."""

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import pytest

from standfast.lab import Lab, LabSettings

KEY = "sk-test-canary-1234"
AUTH = {
    "openai": {"authorization": f"Bearer {KEY}"},
    "anthropic": {"x-api-key": KEY, "anthropic-version": "2023-06-01"},
    "gemini": {"x-goog-api-key": KEY},
}


class Heard(NamedTuple):
    """All that came until the end: raw bytes, and whether the end was a reset."""

    raw: bytes
    reset: bool

    @property
    def status(self) -> int:
        """The status of the first head."""
        return int(self.raw.split(b" ", 2)[1])

    @property
    def head(self) -> bytes:
        """The first head."""
        return self.raw.partition(b"\r\n\r\n")[0]

    @property
    def rest(self) -> bytes:
        """What follows the first head."""
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def json(self) -> object:
        """The body as JSON."""
        return json.loads(self.rest)

    @property
    def complete(self) -> bool:
        """A chunked body ended as RFC 9112 asks."""
        return self.rest.endswith(b"0\r\n\r\n")

    def body(self) -> bytes:
        """The chunked body without its framing, as far as it came."""
        found, rest = b"", self.rest
        while rest:
            size, mark, rest = rest.partition(b"\r\n")
            if not mark or not size or int(size, 16) == 0:
                break
            found += rest[: int(size, 16)]
            rest = rest[int(size, 16) + 2 :]
        return found


def ask(
    wire: str,
    *,
    stream: bool = False,
    model: str = "m-1",
    text: str = "hi \u2603",
    headers: dict[str, str] | None = None,
) -> bytes:
    """The raw request of a chat; the connection is closed after the answer."""
    message: dict[str, object] = {"role": "user", "content": text}
    body: dict[str, object] = {"model": model, "messages": [message]}
    path = "/v1/chat/completions"
    if wire == "anthropic":
        path, body["max_tokens"] = "/v1/messages", 100
    if wire == "gemini":
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        path, body = f"/v1beta/models/{model}:{method}", {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    elif stream:
        body["stream"] = True
    return request("POST", path, {**AUTH[wire], **(headers or {})}, json.dumps(body).encode())


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """A raw request that asks to close the connection."""
    lines = [f"{method} {path} HTTP/1.1", "host: lab", "connection: close", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def send(port: int, data: bytes, *, until: bytes = b"") -> Heard:
    """Send and read to the end, or until `until` was heard, and then close."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard, reset = b"", False
    try:
        writer.write(data)
        async with asyncio.timeout(5):
            while piece := await reader.read(2**16):
                heard += piece
                if until and until in heard:
                    break
    except ConnectionResetError:
        reset = True
    finally:
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionError:
            reset = True
    return Heard(heard, reset)


async def settled(lab: Lab) -> None:
    """Wait until no request is open at the lab."""
    async with asyncio.timeout(5):
        while any(provider.counters.open_requests for provider in lab.providers.values()):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.002)


Body = Callable[[Lab], Awaitable[None]]


@pytest.fixture
def run() -> Callable[..., None]:
    """Run a coroutine function with a started lab."""

    def start(
        body: Body,
        settings: LabSettings | None = None,
        now: Callable[[], float] | None = None,
        loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> None:
        async def whole() -> None:
            async with Lab(settings, now=now) as lab:
                await body(lab)

        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(whole())

    return start


def inflate(data: bytes, limit: int) -> tuple[bytes, int]:
    """The tail of an inflated gzip body, and its size; at most `limit` bytes are ever held."""
    machine, size, tail = zlib.decompressobj(31), 0, b""
    while data:
        piece = machine.decompress(data, limit)
        size, tail = size + len(piece), (tail + piece)[-4096:]
        data = machine.unconsumed_tail
    assert machine.eof
    return tail, size


class Tools(NamedTuple):
    """The helpers above for test modules (importlib mode imports no neighbours)."""

    ask: Callable[..., bytes] = ask
    request: Callable[..., bytes] = request
    send: Callable[..., Awaitable[Heard]] = send
    settled: Callable[[Lab], Awaitable[None]] = settled
    inflate: Callable[[bytes, int], tuple[bytes, int]] = inflate
    key: str = KEY


@pytest.fixture
def t() -> Tools:
    """Raw-socket helpers."""
    return Tools()
