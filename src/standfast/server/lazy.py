"""The control plane is imported after the data plane listens: FastAPI costs half a second that no request waits for."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias, cast

import uvicorn

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def websocket_protocol(patience: float) -> type[asyncio.Protocol]:
    """What uvicorn makes for a connection that becomes a websocket: `server.websocket`, imported for the first one.

    Args:
        patience: seconds without progress after which who does not read is cut off.
    """

    def make(config: uvicorn.Config, **rest: Any) -> asyncio.Protocol:  # noqa: ANN401 - handed on
        from standfast.server.websocket import Socket  # noqa: PLC0415

        return Socket(config=config, patience=patience, **rest)

    return cast("type[asyncio.Protocol]", make)


class LazyApplication:
    """An ASGI application that is built on a thread; requests that come before wait for it.

    Args:
        build: imports and makes the application.
    """

    def __init__(self, build: Callable[[], Application]) -> None:
        self._build = build
        self._built: asyncio.Future[Application] | None = None

    def start(self) -> None:
        """Begin to build; called once the port listens."""
        if self._built is None:
            self._built = asyncio.get_running_loop().run_in_executor(None, self._build)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        self.start()
        assert self._built is not None  # noqa: S101 - started above
        app = await self._built
        await app(scope, receive, send)
