"""uvicorn's server, as this house runs it."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn

DATE_LASTS = 1.0
"""Seconds after which uvicorn's own answers get another date."""


class Server(uvicorn.Server):
    """uvicorn's server, ending with exit code 0 after a drain, and telling when it listens and drains."""

    def __init__(
        self, config: uvicorn.Config, *, on_listening: Callable[[], None], on_drain: Callable[[], None]
    ) -> None:
        self._exits = False
        self._told: Callable[[], object] | None = None
        super().__init__(config)
        self._on_listening = on_listening
        self._on_drain = on_drain

    @property
    def should_exit(self) -> bool:
        """It is to end; may be set from any thread."""
        return self._exits

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self._exits = value
        if value and self._told is not None:
            with contextlib.suppress(RuntimeError):  # its loop is closed: it has ended
                self._told()

    async def main_loop(self) -> None:
        """Until it is to end. uvicorn looks ten times a second, which idle gateways can do without."""
        told, loop = asyncio.Event(), asyncio.get_running_loop()
        self._told = lambda: loop.call_soon_threadsafe(told.set)
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DATE_LASTS):
                    await told.wait()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        self._on_listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, let what is under way finish."""
        self._on_drain()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT begin the drain, a second SIGINT ends it; neither is raised again afterwards."""
        loop = asyncio.get_running_loop()
        handled: tuple[int, ...] = (signal.SIGTERM, signal.SIGINT)
        try:
            for number in handled:
                loop.add_signal_handler(number, self.handle_exit, number, None)
        except (NotImplementedError, RuntimeError):  # not the main thread: the embedder stops us
            handled = ()
        try:
            yield
        finally:
            for number in handled:
                loop.remove_signal_handler(number)
