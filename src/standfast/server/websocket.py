"""uvicorn's protocol of a websocket, without its patience for who has stopped reading.

Where the other end takes nothing (a machine that was closed over an open page) there are bytes that nobody will take,
and closing politely waits for them. There are two cases:

* While it serves, the limit `write_timeout` holds, as it does for answers: without progress for so long it is cut off.
* Once it is being closed - at the end of the process, or because no ping was answered - there is a second for the rest.
"""

import asyncio
from typing import Final

from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

FAREWELL: Final = 1.0
"""Seconds in which the last bytes must be taken."""


class Socket(WebSocketsSansIOProtocol):
    """One websocket.

    Args:
        config: uvicorn's.
        server_state: uvicorn's.
        app_state: the lifespan's state.
        patience: seconds without progress after which who does not read is cut off.
    """

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, object], *, patience: float
    ) -> None:
        super().__init__(config=config, server_state=server_state, app_state=app_state)
        self._patience = patience
        self._left = 0
        self._look: asyncio.TimerHandle | None = None
        self._end: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """Called by the transport: more waits than it likes."""
        super().pause_writing()
        self._left = self.transport.get_write_buffer_size()
        self._look = self.loop.call_later(self._patience, self._late)

    def resume_writing(self) -> None:
        """Called by the transport: the other end has caught up."""
        super().resume_writing()
        self._forget()

    def shutdown(self) -> None:
        """Called by uvicorn when it drains."""
        super().shutdown()
        self._see_off()

    def keepalive_timeout(self) -> None:
        """Called when a ping was not answered."""
        super().keepalive_timeout()
        self._see_off()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._forget()
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)

    def _late(self) -> None:
        left = self.transport.get_write_buffer_size()
        if left >= self._left:
            self.transport.abort()
            return
        self._left = left
        self._look = self.loop.call_later(self._patience, self._late)

    def _forget(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def _see_off(self) -> None:
        if self._end is None:
            self._end = self.loop.call_later(FAREWELL, self.transport.abort)
