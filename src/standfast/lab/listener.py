"""A listening port that can be closed and opened again without losing its number.

While closed, a bound socket that does not listen holds the port: a connect is refused, and nobody else gets it.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable

BACKLOG = 4096
BATCH = 128
FILLERS = 4


class Listener:
    """Accepts connections of one port for a protocol factory."""

    def __init__(self, factory: Callable[[], asyncio.Protocol]) -> None:
        self._factory = factory
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._tasks: set[asyncio.Task[object]] = set()
        self._listening = False
        self._fillers: list[socket.socket] = []
        self._address = ("127.0.0.1", 0)

    def bind(self, host: str, port: int) -> int:
        """Hold the port (0 for a free one) and return its number.

        Raises:
            OSError: the port is taken.
        """
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setblocking(False)
            sock.bind((host, port))
        except OSError:
            sock.close()
            raise
        self._socket = sock
        self._address = (host, sock.getsockname()[1])
        return self._address[1]

    def open(self) -> None:
        """Listen."""
        while self._fillers:
            self._fillers.pop().close()
        if self._socket is not None and not self._listening:
            self._socket.listen(BACKLOG)
            self._loop.add_reader(self._socket.fileno(), self._accept)
            self._listening = True

    def refuse(self) -> None:
        """Stop listening; connects are refused from now on."""
        if self._listening or self._fillers:
            self.close()
            self.bind(*self._address)

    def deafen(self) -> None:
        """Neither accept nor refuse from now on: the queue of the port is full, and the system drops handshakes.

        With a backlog of 0 Linux queues one connection; those that fill it are our own.
        """
        if self._socket is None or self._fillers:
            return
        if self._listening:
            self._loop.remove_reader(self._socket.fileno())
            self._listening = False
        self._socket.listen(0)
        for _ in range(FILLERS):
            filler = socket.socket(self._socket.family, socket.SOCK_STREAM)
            filler.setblocking(False)
            filler.connect_ex(self._address)
            self._fillers.append(filler)

    def close(self) -> None:
        """Give the port up."""
        while self._fillers:
            self._fillers.pop().close()
        if self._socket is not None:
            if self._listening:
                self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
        self._listening = False

    def _accept(self) -> None:
        for _ in range(BATCH):
            if self._socket is None:
                return
            try:
                sock, _address = self._socket.accept()
            except OSError:  # nobody waits, or no descriptors are left: the reader calls again
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = self._loop.create_task(self._serve(sock))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the peer went away while it was accepted
            await self._loop.connect_accepted_socket(self._factory, sock)
