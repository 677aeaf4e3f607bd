"""Requests that are not the data plane's: uvicorn's own protocol takes the connection over, message by message.

Theory: uvicorn's protocol is a guest on our connection. It gets the connection at the beginning of a request that is
not ours, and gives it back as soon as its last answer is complete and its parser stands between two messages. So every
request line is read, and every head deadline kept, in one place (`server.py`), whoever answers.

Two connections stay with uvicorn: one that became a WebSocket, and one that asked for any other upgrade (llhttp cannot
say where such a message ends). A data-plane request that arrives in the same segment behind a guest's request reaches
the ASGI application instead; it needs a route for it.
"""

import asyncio
from typing import Protocol

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState


class Host(Protocol):
    """The connection's owner, which lends it to uvicorn."""

    def take_back(self, *, write_paused: bool) -> None:
        """The guest has finished; the next bytes are the host's."""
        ...

    def released(self) -> None:
        """The connection is lost or has become a WebSocket: it will not come back."""
        ...


class GuestProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which gives the connection back between messages.

    Args:
        host: who gets it back.
        config: uvicorn's.
        server_state: uvicorn's.
        app_state: the lifespan's state.
        loop: the event loop.
    """

    def __init__(
        self,
        host: Host,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        super().__init__(config=config, server_state=server_state, app_state=app_state, _loop=loop)
        self._host: Host | None = host
        self._made = False
        self._feeding = False
        self._message_open = False
        self._unanswered = 0
        self._stays = False

    def take(self, transport: asyncio.Transport, data: bytes) -> None:
        """Take the connection over, with bytes that begin a request. The host has left `server_state.connections`."""
        if self._made:
            self.connections.add(self)
        else:
            self._made = True
            self.connection_made(transport)
        transport.set_protocol(self)
        self.data_received(data)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; the connection is given back only between two segments."""
        self._feeding = True
        try:
            super().data_received(data)
        finally:
            self._feeding = False
        self._give_back()

    def on_message_begin(self) -> None:
        """Called by llhttp."""
        self._message_open = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Called by llhttp."""
        self._unanswered += 1
        if self.parser.should_upgrade():
            self._stays = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Called by llhttp."""
        self._message_open = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Called when an answer's last bytes are written."""
        self._unanswered -= 1
        super().on_response_complete()
        self._give_back()

    def handle_websocket_upgrade(self) -> None:
        """From here on the connection is the WebSocket protocol's."""
        super().handle_websocket_upgrade()
        self._release()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        super().connection_lost(exc)
        self._release()

    def dismiss(self) -> None:
        """The host has lost the connection; drop what refers to it."""
        self._host = None
        self.parser = None  # type: ignore[assignment] # as uvicorn's own connection_lost does
        self._unset_keepalive_if_required()

    def _release(self) -> None:
        host, self._host = self._host, None
        if host is not None:
            host.released()

    def _give_back(self) -> None:
        if self._host is None or self._stays or self._feeding or self._message_open or self._unanswered:
            return
        if self not in self.connections or self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self.connections.discard(self)
        paused = self.flow.write_paused
        self.flow.resume_writing()
        self._host.take_back(write_paused=paused)
