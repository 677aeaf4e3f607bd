"""Everybody who looks: one backlog each, so that a slow reader delays nobody and costs bounded memory."""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Final

BACKLOG: Final = 64
"""Messages that may wait for one reader, about a minute of them; then they are dropped and everything is told anew."""

SHOWN: Final = 25
"""Requests told in one tick; nobody reads more."""

FIRST_EVENTS: Final = 300
FIRST_REQUESTS: Final = 100
"""What a reader is told first."""


class Reader:
    """One of them.

    Attributes:
        lost: messages were dropped; what comes next must be everything.
    """

    __slots__ = ("_texts", "_wake", "lost")

    def __init__(self) -> None:
        self._texts: deque[str] = deque()
        self._wake = asyncio.Event()
        self.lost = True  # it has been told nothing yet
        self._wake.set()

    def put(self, text: str) -> None:
        """One message more; of no use to who must be told everything anyway."""
        if self.lost:
            return
        if len(self._texts) >= BACKLOG:
            self.lose()
            return
        self._texts.append(text)
        self._wake.set()

    def lose(self) -> None:
        """What it knows is no longer of use: tell it everything."""
        self._texts.clear()
        self.lost = True
        self._wake.set()

    async def next(self) -> str | None:
        """The next message, waited for; None if everything must be told (then call `told` at once)."""
        while not self._texts and not self.lost:
            self._wake.clear()
            await self._wake.wait()
        return None if self.lost else self._texts.popleft()

    def told(self) -> None:
        """It was told everything, up to this instant."""
        self.lost = False


class Feed:
    """The readers."""

    __slots__ = ("_readers",)

    def __init__(self) -> None:
        self._readers: set[Reader] = set()

    def __bool__(self) -> bool:
        return bool(self._readers)

    def __len__(self) -> int:
        return len(self._readers)

    def __iter__(self) -> Iterator[Reader]:
        return iter(self._readers)

    def join(self) -> Reader:
        """Somebody begins to look."""
        reader = Reader()
        self._readers.add(reader)
        return reader

    def leave(self, reader: Reader) -> None:
        """Somebody looks no more."""
        self._readers.discard(reader)

    def tell(self, text: str) -> None:
        """The same for everybody."""
        for reader in self._readers:
            reader.put(text)

    def renew(self) -> None:
        """Tell everybody everything."""
        for reader in self._readers:
            reader.lose()
