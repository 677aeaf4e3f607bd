"""A websocket whose other end has stopped reading: it costs a bounded time, in service and at the end."""

import asyncio
import socket

import pytest

from console.looking import window_of
from standfast.server import websocket
from support.chat import run, until
from support.stack import Stack, stack

MODELS = {"m": ["openai/gpt-4.1"]}
HANDSHAKE = (
    "GET /admin/ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
TOO_MUCH = "x" * 16_000_000
"""More than two kernels keep for anybody."""


async def deaf(s: Stack) -> socket.socket:
    """A reader that was let in, and reads nothing of what it is told."""
    loop = asyncio.get_running_loop()
    reader = socket.socket()
    reader.setblocking(False)
    await loop.sock_connect(reader, ("127.0.0.1", s.port))
    await loop.sock_sendall(reader, HANDSHAKE.format(port=s.port).encode())
    await until(lambda: any(not each.lost for each in window_of(s).feed))
    window_of(s).feed.tell(TOO_MUCH)
    return reader


def test_who_does_not_read_is_cut_off() -> None:
    """After `write_timeout` without progress the connection is gone, and nobody keeps anything for it."""

    async def scenario() -> None:
        limits = {"limits": {"write_timeout": "100ms"}}
        async with stack(MODELS, window=True, server=limits) as s:
            with await deaf(s):
                assert len(window_of(s).feed) == 1
                await until(lambda: not window_of(s).feed)
                assert not s.server.server_state.connections

    run(scenario)


def test_the_end_does_not_wait_for_who_does_not_read(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At the end of the process the last bytes have a second, not the whole drain: no task is left to cancel."""
    monkeypatch.setattr(websocket, "FAREWELL", 0.05)

    async def scenario() -> None:
        async with stack(MODELS, window=True) as s:
            reader = await deaf(s)
        with reader:
            assert not s.server.server_state.connections

    run(scenario)
    assert "Cancel" not in caplog.text
