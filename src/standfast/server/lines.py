"""A line from one serving process to another that shares its port, to be told things at length.

`siblings` carries short words to everybody; here one process asks another one and listens to the answer. Who calls
makes a pair of connected stream sockets and hands one end over, with its wish, through a datagram socket of the other
one's. Those are made before the fork, so that a process that is started anew finds its own again, with the calls that
came meanwhile. Nothing of it has a name in the file system or in the network: nobody else can call, so no key is asked,
and nothing is left behind however the processes end.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import Final

LONGEST: Final = 64
"""Bytes of a wish."""

Called = Callable[[str, socket.socket], None]


class Lines:
    """The ears of all processes; every process holds all of them, and listens to its own.

    Args:
        count: of processes.
    """

    def __init__(self, count: int) -> None:
        self._pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(count)]
        for pair in self._pairs:
            for end in pair:
                end.setblocking(False)

    def __len__(self) -> int:
        return len(self._pairs)

    def listen(self, number: int, called: Callable[[str, socket.socket], None]) -> Callable[[], None]:
        """This is process `number` (from 0): hand each call to `called`, in the running loop.

        Returns:
            Ends it; who calls then waits for the next process of this number.
        """
        ear = self._pairs[number][0]
        loop = asyncio.get_running_loop()

        def ready() -> None:
            with contextlib.suppress(BlockingIOError, InterruptedError):
                while True:
                    wish, ends, _, _ = socket.recv_fds(ear, LONGEST, 1)
                    for end in ends:
                        os.set_inheritable(end, False)
                        line = socket.socket(fileno=end)
                        line.setblocking(False)
                        called(wish.decode("ascii", "replace"), line)

        loop.add_reader(ear, ready)
        return lambda: _deaf(loop, ear)

    def call(self, number: int, wish: str) -> socket.socket:
        """Call process `number` (from 0); what it answers comes through the socket, when it does.

        Raises:
            OSError: too many calls wait there already, or there are no descriptors left.
        """
        mine, yours = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        mine.setblocking(False)
        with yours:
            try:
                socket.send_fds(self._pairs[number][1], [wish.encode("ascii")], [yours.fileno()])
            except OSError:
                mine.close()
                raise
        return mine

    def close(self) -> None:
        """Hold no sockets any more."""
        for pair in self._pairs:
            for end in pair:
                end.close()
        self._pairs = []


def _deaf(loop: asyncio.AbstractEventLoop, ear: socket.socket) -> None:
    if ear.fileno() >= 0:
        loop.remove_reader(ear)
