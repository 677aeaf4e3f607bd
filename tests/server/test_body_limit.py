"""What is read of a body by routes that need no key: a megabyte, told or counted."""

import asyncio

import pytest

from support.chat import run
from support.http import Response, read_response, request_bytes
from support.stack import Stack, stack

MODELS = {"m": ["openai/gpt-4.1"]}
PATH = "/admin/api/session"


async def send(s: Stack, data: bytes) -> Response:
    """Raw bytes, and the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", s.port)
    try:
        writer.write(data)
        return await read_response(reader)
    finally:
        writer.close()


def chunked(path: str, size: int, piece: int = 65_536) -> bytes:
    """A request whose body does not tell its length."""
    lines = (f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", "Transfer-Encoding: chunked")
    head = "\r\n".join((*lines, "", ""))
    pieces = [b"%x\r\n%b\r\n" % (piece, b"a" * piece) for _ in range(size // piece)]
    return head.encode() + b"".join(pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("size", [2_000_000, 50_000_000])
def test_a_body_that_tells_its_length(size: int) -> None:
    """It is refused by its head: nothing of it needs to have come."""

    async def scenario() -> None:
        async with stack(MODELS, window=True) as s:
            head = request_bytes(PATH, b"", {"host": "127.0.0.1"}).replace(
                b"Content-Length: 0", b"Content-Length: %d" % size
            )
            answer = await send(s, head)
            assert (answer.status, answer.json()["error"]["code"]) == (413, "payload_too_large")  # type: ignore[index]

    run(scenario)


def test_a_body_that_does_not() -> None:
    """It is refused when too much has come."""

    async def scenario() -> None:
        async with stack(MODELS, window=True) as s:
            answer = await send(s, chunked(PATH, 3_000_000))
            assert (answer.status, answer.json()["error"]["code"]) == (413, "payload_too_large")  # type: ignore[index]

    run(scenario)


def test_what_is_smaller_is_read() -> None:
    """Up to the limit nothing changes; what is wrong is named without a word of what was sent."""

    async def scenario() -> None:
        async with stack(MODELS, window=True) as s:
            body = b'{"key": "%b"}' % (b"secret-" * 1_000)
            answer = await send(s, request_bytes(PATH, body, {"host": "127.0.0.1"}))
            assert answer.status == 400
            assert answer.body.startswith(b'{"error":{"message":"body.key: String should have at most 1000 characters"')
            assert b"secret" not in answer.body

    run(scenario)
