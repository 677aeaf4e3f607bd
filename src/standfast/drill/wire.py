"""Asks the gateway one question over a connection of its own, and notes when what came.

It shares no code with the gateway's wire or formats: a witness must not share the faults of whom it watches.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import httptools
import msgspec

CONNECT = 10.0
"""Seconds for a connection to a gateway on this machine."""


class _Delta(msgspec.Struct, frozen=True):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta = _Delta()
    message: _Delta = _Delta()
    finish_reason: str | None = None


class _Error(msgspec.Struct):
    code: str | None = None
    type: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    error: _Error | None = None


_decode = msgspec.json.Decoder(_Chunk).decode


@dataclass(slots=True)
class Heard:
    """What came back.

    Attributes:
        status: of the answer; 0 if none came.
        headers: names in lower case.
        first_at: loop time of the first content; None if none came.
        text: the content.
        code: of the error that was told, empty for none.
        finished: the answer says that it is whole, by status, finish reason and terminator.
        left: we hung up.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    first_at: float | None = None
    text: str = ""
    code: str = ""
    finished: bool = False
    left: bool = False


class Asker(asyncio.Protocol):
    """One request and its answer.

    Args:
        request: head and body.
        stream: events are expected.

    Attributes:
        heard: what has come.
        on_sent: called when the request has been written.
    """

    def __init__(self, request: bytes, *, stream: bool) -> None:
        self.heard = Heard()
        self.on_sent: Callable[[], None] | None = None
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self._loop.create_future()
        self._request = request
        self._stream = stream
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._texts: list[str] = []
        self._reason = ""
        self._terminated = False

    def hang_up(self) -> None:
        """Leave, unless content has come."""
        if self.heard.first_at is None and not self.done.done():
            self.heard.left = True
            self.close()

    def close(self) -> None:
        """Let go of the connection."""
        if self._transport is not None:
            self._transport.abort()
        self._end()

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)
        if self.on_sent is not None:
            self.on_sent()

    def data_received(self, data: bytes) -> None:
        """Listen."""
        with contextlib.suppress(httptools.HttpParserError):
            self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Over, whatever has come."""
        del exc
        self._end()

    # httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self.heard.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The status is known."""
        self.heard.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._rest += data
        if self._stream and self.heard.headers.get("content-type", "").startswith("text/event-stream"):
            *events, self._rest = self._rest.split(b"\n\n")
            for event in events:
                self._event(event)

    def on_message_complete(self) -> None:
        """The body is well-formed to its end."""
        heard = self.heard
        if self._stream and heard.status == 200:  # noqa: PLR2004 - HTTP's success
            heard.finished = self._terminated and self._reason == "stop" and not heard.code
        else:
            self._whole(self._rest)
            heard.finished = heard.status == 200 and self._reason == "stop"  # noqa: PLR2004 - as above
        self._end()

    # inside

    def _event(self, event: bytes) -> None:
        for line in event.split(b"\n"):
            if line == b"data: [DONE]":
                self._terminated = True
            elif line.startswith(b"data: "):
                self._whole(line[6:])

    def _whole(self, data: bytes) -> None:
        try:
            chunk = _decode(data)
        except msgspec.DecodeError:
            self.heard.code = self.heard.code or "unreadable"
            return
        if chunk.error is not None:
            self.heard.code = chunk.error.code or chunk.error.type or "error"
        for choice in chunk.choices:
            text = choice.delta.content or choice.message.content
            if text:
                if self.heard.first_at is None:
                    self.heard.first_at = self._loop.time()
                self._texts.append(text)
            self._reason = choice.finish_reason or self._reason

    def _end(self) -> None:
        if not self.done.done():
            self.heard.text = "".join(self._texts)
            self.done.set_result(None)
        if self._transport is not None:
            self._transport.close()


async def ask(
    host: str, port: int, request: bytes, *, stream: bool, limit: float, started: Callable[[Asker], None]
) -> Heard:
    """One question.

    Args:
        host: of the gateway.
        port: the same.
        request: head and body.
        stream: events are expected.
        limit: seconds after which nobody waits any more, whatever the gateway promised.
        started: told the asker, which can hang up.
    """
    asker = Asker(request, stream=stream)
    started(asker)
    try:
        async with asyncio.timeout(limit):
            await asyncio.get_running_loop().create_connection(lambda: asker, host, port)
            await asker.done
    except (OSError, TimeoutError):
        asker.heard.code = asker.heard.code or "no_answer"
    asker.close()
    return asker.heard
