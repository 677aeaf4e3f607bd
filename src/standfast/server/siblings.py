"""A word from one serving process to the others that share its port.

One datagram socket for each process, made before they are forked, so that a process that is started anew finds its own
again. A word is a small JSON object; it is handed on at once or not at all (a full socket drops it, and says so), and
nobody waits.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

log = logging.getLogger("standfast")

LARGEST: Final = 8_192
"""Bytes of one word."""

Word = Mapping[str, str | None]


class Siblings:
    """The sockets of all processes; every process holds all of them, and listens to its own.

    Args:
        count: of processes.
    """

    def __init__(self, count: int) -> None:
        self._pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(count)] if count > 1 else []
        for pair in self._pairs:
            for end in pair:
                end.setblocking(False)
        self._number = 0

    def __len__(self) -> int:
        return max(1, len(self._pairs))

    @property
    def number(self) -> int:
        """Which process this is, from 1."""
        return self._number + 1

    def listen(self, number: int, hear: Callable[[Word], None]) -> None:
        """This is process `number` (from 0): call `hear` with each word of the others, in the running loop."""
        self._number = number
        if not self._pairs:
            return
        ear = self._pairs[number][0]

        def ready() -> None:
            with contextlib.suppress(BlockingIOError, InterruptedError):
                while True:
                    data = ear.recv(LARGEST)
                    try:
                        hear(msgspec.json.decode(data, type=dict[str, str | None]))
                    except Exception:  # a word that cannot be obeyed here must not stop the next one
                        log.exception("worker %d could not do what another one said", self.number)

        asyncio.get_running_loop().add_reader(ear, ready)

    def tell(self, word: Word) -> None:
        """Tell all the others."""
        data = msgspec.json.encode(word)
        for number, (_, mouth) in enumerate(self._pairs):
            if number == self._number:
                continue
            try:
                mouth.send(data)
            except OSError as error:
                log.error("worker %d was not told: %s", number + 1, error.strerror)  # noqa: TRY400 - nothing to trace

    def close(self) -> None:
        """Hold no sockets any more."""
        for pair in self._pairs:
            for end in pair:
                end.close()
        self._pairs = []
