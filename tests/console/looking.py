"""Looking through the window of a `stack`: its admin API and its feed."""

import asyncio
import json
from types import TracebackType
from typing import Any, Self

import websockets
from websockets.asyncio.client import ClientConnection, connect

from standfast.canon.attempt import Attempt, Outcome
from standfast.canon.deployment import Operation
from standfast.canon.record import RequestRecord
from standfast.console.window import Window
from support.http import Response, call
from support.stack import Stack

OPERATOR, VIEWER = "operator-0123456789", "viewer-0123456789ab"
KEYS: dict[str, object] = {
    "keys": [
        {"name": "ann", "key": OPERATOR},
        {"name": "wall", "key": VIEWER, "role": "viewer"},
    ]
}
"""A console with one key of each role."""


def record(**told: object) -> RequestRecord:
    """A request that was answered in 0.2 s by its first choice, but for what is told otherwise."""
    answer = Attempt("openai/gpt-4.1", 0, Outcome.SUCCESS, None, 0.0, 0.1, 0.2)
    usual: dict[str, Any] = {
        "id": "req_1",
        "received": 1_000.0,
        "caller": "",
        "model": "m",
        "operation": Operation.CHAT,
        "stream": True,
        "status": 200,
        "code": "",
        "deployment": "openai/gpt-4.1",
        "fallback": False,
        "attempts": (answer,),
        "first_token": 0.1,
        "total": 0.2,
        "upstream": 0.2,
        "usage": None,
    }
    return RequestRecord(**{**usual, **told})


def window_of(s: Stack) -> Window:
    """The stack's window."""
    assert s.window is not None
    return s.window


def bearer(key: str) -> dict[str, str]:
    """A header with a key."""
    return {"authorization": f"Bearer {key}"}


async def api(
    s: Stack, method: str, path: str, body: object = None, *, key: str = "", headers: dict[str, str] | None = None
) -> Response:
    """One call of the admin API, as a program on this machine makes it."""
    sent = {"host": f"127.0.0.1:{s.port}", **(bearer(key) if key else {}), **(headers or {})}
    return await call(s.port, f"/admin/api{path}", body, sent, method)


def code(answer: Response) -> tuple[int, str]:
    """Status and error code."""
    error: dict[str, Any] = json.loads(answer.body)["error"]
    return answer.status, str(error["code"])


class Looker:
    """A connection to the feed."""

    def __init__(self, s: Stack, headers: dict[str, str] | None = None) -> None:
        self._connecting = connect(
            f"ws://127.0.0.1:{s.port}/admin/ws",
            additional_headers=headers or {},
            max_size=None,
            proxy=None,
            compression=None,
        )
        self.socket: ClientConnection

    async def __aenter__(self) -> Self:
        self.socket = await self._connecting
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.socket.close()

    async def next(self) -> dict[str, Any]:
        """The next message."""
        async with asyncio.timeout(10):
            told: dict[str, Any] = json.loads(await self.socket.recv())
        return told

    async def until(self, kind: str) -> dict[str, Any]:
        """The next message of a type."""
        while (told := await self.next())["type"] != kind:
            pass
        return told

    async def closed(self) -> int:
        """The code with which it is closed."""
        async with asyncio.timeout(10):
            try:
                while True:
                    await self.socket.recv()
            except websockets.ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd is not None else 1006
