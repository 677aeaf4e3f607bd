"""Asking the gateway of a `stack`, and judging what came back."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from standfast.canon.record import RequestRecord
from standfast.lab.ask import Ask, reply_to
from standfast.lab.journal import Entry
from support.http import Response, call, read_head, request_bytes
from support.stack import Stack

CHAT_PATH = "/v1/chat/completions"
SOON: dict[str, object] = {"backoff": {"base": "2ms", "cap": "2ms"}}
"""Retry settings whose quick retry is quick enough for a test."""

WIRES = {
    "openai": ("openai/gpt-4.1", "twin/gpt-4.1"),
    "anthropic": ("anthropic/claude-sonnet-4-5", "anthropic_twin/claude-sonnet-4-5"),
    "gemini": ("gemini/gemini-2.5-flash", "gemini_twin/gemini-2.5-flash"),
}
"""Upstream wire -> a target, and the same model elsewhere."""


def run(scenario: Callable[[], Coroutine[Any, Any, None]], limit: float = 20.0) -> None:
    """Play a scenario; it must end at all."""

    async def bounded() -> None:
        async with asyncio.timeout(limit):
            await scenario()

    asyncio.run(bounded())


def chat(model: str = "m", *, stream: bool = False, prompt: str = "hello", **fields: object) -> dict[str, object]:
    """The body of a chat request."""
    body: dict[str, object] = {"model": model, "messages": [{"role": "user", "content": prompt}], **fields}
    if stream:
        body["stream"] = True
    return body


async def ask(
    s: Stack,
    model: str = "m",
    *,
    stream: bool = False,
    prompt: str = "hello",
    headers: dict[str, str] | None = None,
    **fields: object,
) -> Response:
    """One chat request on a connection of its own."""
    return await call(s.port, CHAT_PATH, chat(model, stream=stream, prompt=prompt, **fields), headers)


def answer_of(model: str, prompt: str = "hello", tokens: int = 0) -> str:
    """What the lab's model answers."""
    return reply_to(Ask("", model, prompt=prompt), tokens).text


def finished(response: Response) -> bool:
    """Does the answer look complete to a client?"""
    if response.status != 200 or not response.complete:
        return False
    if "event-stream" in response.headers.get("content-type", ""):
        return bool(response.events) and response.events[-1] == "[DONE]" and not errors_in(response)
    return "choices" in response.json()


def errors_in(response: Response) -> list[dict[str, Any]]:
    """The error events of a stream."""
    pieces = [json.loads(data) for data in response.events if data != "[DONE]"]
    return [piece["error"] for piece in pieces if piece.get("error")]


def finish_reasons(response: Response) -> list[str]:
    """All finish reasons of a stream."""
    pieces = [json.loads(data) for data in response.events if data != "[DONE]"]
    return [
        choice["finish_reason"]
        for piece in pieces
        for choice in piece.get("choices", ())
        if choice.get("finish_reason")
    ]


def error_of(response: Response) -> dict[str, Any]:
    """The error object of a refusal."""
    error: dict[str, Any] = json.loads(response.body)["error"]
    return error


def attempts(response: Response) -> int:
    """Upstream attempts, as the reply says."""
    return int(response.headers["x-standfast-attempts"])


def kinds(record: RequestRecord) -> list[str]:
    """How each attempt ended: a failure's kind, or the outcome."""
    return [attempt.failure.kind.value if attempt.failure else attempt.outcome.value for attempt in record.attempts]


def targets(record: RequestRecord) -> list[str]:
    """Where each attempt went."""
    return [attempt.deployment for attempt in record.attempts]


def entries(s: Stack, provider: str = "") -> list[Entry]:
    """What the stand-ins saw, oldest first."""
    return s.lab.journal.of(provider) if provider else list(s.lab.journal)


async def until(condition: Callable[[], object], limit: float = 5.0) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(limit):
        while not condition():  # noqa: ASYNC110 - what is awaited has no event
            await asyncio.sleep(0.005)


def at_rest(s: Stack) -> bool:
    """Nothing is under way: no request, no permit, no upstream connection but idle ones."""
    gateway, client = s.gateway, s.gateway.services.client
    fleet, budget = gateway.snapshot.fleet, gateway.services.budget
    return (
        not gateway.in_flight
        and not any(fleet.in_flight(deployment) for deployment in fleet.deployments())
        and not budget.in_flight
        and not budget.retrying
        and client.open_connections == sum(len(pool) for pool in client._idle.values())
    )


@dataclass
class Talk:
    """A client that reads an answer bit by bit."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int = 0
    headers: dict[str, str] | None = None

    @classmethod
    async def begin(cls, s: Stack, body: object, headers: dict[str, str] | None = None) -> "Talk":
        """Send a request."""
        reader, writer = await asyncio.open_connection("127.0.0.1", s.port)
        writer.write(request_bytes(CHAT_PATH, body, headers))
        await writer.drain()
        return cls(reader, writer)

    async def head(self) -> int:
        """Read status and headers."""
        self.status, self.headers = await read_head(self.reader)
        return self.status

    async def until(self, text: bytes) -> bytes:
        """Read on to a text."""
        return await self.reader.readuntil(text)

    async def rest(self) -> bytes:
        """Read to the end of the connection."""
        return await self.reader.read()

    def reset(self) -> None:
        """Close at once."""
        self.writer.transport.abort()

    async def close(self) -> None:
        """Close."""
        self.writer.close()
        await self.writer.wait_closed()
