"""The other processes of the port: what they are told of this one, and what is heard of them.

    here ── call(FEED) ──▶ there        one line for each other process, while somebody looks here
    here ◀── a snapshot, then parts and events, one JSON text a line ── there

Each process tells of itself alone; whoever has readers puts everything together (`whole`). A process that is gone is
left out and called again each second: the call waits until the next one of its number takes it. One that says nothing
for some seconds (it says something each second) is taken for gone.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar, cast

import msgspec

from standfast.console.feed import Feed, Reader
from standfast.console.merge import Origin, merged_minutes
from standfast.console.messages import Events, Sample, Session, Snapshot, Tick
from standfast.console.parts import FEED, HISTORY, SNAPSHOT, Line, Minutes, Part, read, took
from standfast.console.sampler import Durations
from standfast.console.whole import Told, Whole

log = logging.getLogger("standfast")

AGAIN: Final = 1.0
"""Seconds until a process that is gone is called again."""

SILENCE: Final = 5.0
"""Seconds without a word after which a process is taken for gone; it says something each second."""

PATIENCE: Final = 1.0
"""Seconds that somebody who looks waits for the other processes before he is told of those that are there."""

LONGEST: Final = 2**27
"""Bytes of one line: a snapshot of 1,000 targets that all answered in each of 900 seconds takes 20 MB."""

_LINE: Final = cast("type[Snapshot | Part | Events]", Line)
_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class Lines(Protocol):
    """How the processes reach each other; see `server.lines`."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def listen(self, number: int, called: Callable[[str, socket.socket], None]) -> Callable[[], None]:
        """Be process `number` (from 0): each call comes with its wish; what is returned ends it."""
        ...

    def call(self, number: int, wish: str) -> socket.socket:
        """Call another one.

        Raises:
            OSError: it cannot be called now.
        """
        ...


@dataclass(frozen=True, slots=True)
class Own:
    """What there is of this process.

    Attributes:
        number: which one it is, from 0.
        view: everything, now.
        minutes: of the last day.
        text: a message as one line of JSON, free of secrets.
        say: tells those who look here; they are told of all processes.
    """

    number: int
    view: Callable[[], Snapshot]
    minutes: Callable[[], tuple[Sample, ...]]
    text: Callable[[object], str]
    say: Callable[[Told], None]


class Peers:
    """Tells the others, and hears them while somebody looks here.

    Args:
        lines: to them.
        own: this process.
    """

    def __init__(self, lines: Lines, own: Own) -> None:
        self._lines = lines
        self._own = own
        self._others = [number for number in range(len(lines)) if number != own.number]
        self._listeners = Feed()
        self._whole: Whole | None = None
        self._complete = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()  # that tell
        self._ears: list[asyncio.Task[None]] = []
        self._deaf: Callable[[], None] | None = None

    @property
    def listening(self) -> bool:
        """Does another process want to be told?"""
        return bool(self._listeners)

    def start(self) -> None:
        """Take calls, in the running loop."""
        self._deaf = self._lines.listen(self._own.number, self._called)

    async def stop(self) -> None:
        """Tell no more and hear no more."""
        if self._deaf is not None:
            self._deaf()
            self._deaf = None
        tasks = [*self._tasks, *self._ears]
        self.ignore()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the lines that were cut are closed by the loop

    # ---- what is heard ----

    def hear(self) -> None:
        """Somebody looks: hear all the others, from now on."""
        if self._whole is not None:
            return
        self._complete = asyncio.Event()
        self._whole = whole = Whole(self._own.number, len(self._lines))
        whole.hear(self._own.number, self._own.view())
        self._ears = [asyncio.create_task(self._follow(whole, number)) for number in self._others]

    def ignore(self) -> None:
        """Nobody looks any more."""
        self._whole = None
        for ear in self._ears:
            ear.cancel()
        self._ears = []

    async def complete(self) -> None:
        """Wait until all are heard, or for a moment."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._complete.wait()
        self._complete.set()  # whoever looks next does not wait for one that is gone

    def snapshot(self, at: float, session: Session) -> Snapshot:
        """Everything of everybody, as those who look know it."""
        whole = self._whole
        if whole is None:  # nobody looks
            whole = Whole(self._own.number, len(self._lines))
            whole.hear(self._own.number, self._own.view())
        return whole.snapshot(at, session)

    async def everything(self, session: Session) -> Snapshot:
        """Everything of everybody, asked for now. Who does not answer soon is left out."""
        found = await self._ask(SNAPSHOT, Snapshot)
        whole = Whole(self._own.number, len(self._lines))
        own = self._own.view()
        whole.hear(self._own.number, own)
        for number, line in found.items():
            whole.hear(number, line)
        whole.settle()
        return whole.snapshot(own.at, session)

    async def minutes(self) -> tuple[Sample, ...]:
        """The last day of all of them. Who does not answer soon is left out."""
        found = await self._ask(HISTORY, Minutes)
        days = {Origin(number, 0.0): line.minutes for number, line in found.items()}
        return merged_minutes({**days, Origin(self._own.number, 0.0): self._own.minutes()})

    async def _ask(self, wish: str, kind: type[_Struct]) -> dict[int, _Struct]:
        """What the others answer; one line of each."""

        async def ask(number: int) -> _Struct | None:
            try:
                async with asyncio.timeout(PATIENCE), self._line(number, wish) as reader:
                    return read(await reader.readline(), kind)
            except (OSError, TimeoutError, ValueError, msgspec.MsgspecError):
                return None

        answers = await asyncio.gather(*(ask(number) for number in self._others))
        return {number: answer for number, answer in zip(self._others, answers, strict=True) if answer is not None}

    async def _follow(self, whole: Whole, number: int) -> None:
        """Hear one process, and whichever takes its place, until nobody looks."""
        while self._whole is whole:
            try:
                async with self._line(number, FEED) as reader:
                    wait = None  # for the first word: the process may be about to start
                    while text := await _line_of(reader, wait):
                        self._own.say(whole.hear(number, read(text, _LINE)))
                        wait = SILENCE
                        if whole.seen == whole.count:
                            self._complete.set()
            except (OSError, TimeoutError):
                pass
            except Exception:  # as in a window's tick: one word that cannot be understood must not be the last
                log.exception("console: worker %d said what cannot be understood", number + 1)
            if whole.lose(number):
                self._own.say(None)
            await asyncio.sleep(AGAIN)

    @contextlib.asynccontextmanager
    async def _line(self, number: int, wish: str) -> AsyncIterator[asyncio.StreamReader]:
        reader, writer = await _opened(self._lines.call(number, wish))
        try:
            yield reader
        finally:
            writer.transport.abort()

    # ---- what is told ----

    def tell(self, message: Tick | Events, durations: Durations) -> None:
        """This process has something to tell: to the other processes, and to those who look here."""
        line = Part(message, took(durations)) if isinstance(message, Tick) else message
        if self._listeners:
            self._listeners.tell(self._own.text(line))
        if self._whole is not None:
            self._own.say(self._whole.hear(self._own.number, line))

    def renew(self) -> None:
        """What is known of this process is no longer of use: tell everybody everything."""
        self._listeners.renew()
        if self._whole is not None:
            self._own.say(self._whole.hear(self._own.number, self._own.view()))

    def _called(self, wish: str, line: socket.socket) -> None:
        task = asyncio.create_task(self._answer(wish, line))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, wish: str, line: socket.socket) -> None:
        """Tell one process what it wishes."""
        reader, writer = await _opened(line)
        try:
            if wish == FEED:
                await self._tell_on(reader, writer)
            elif wish in (SNAPSHOT, HISTORY):
                message = self._own.view() if wish == SNAPSHOT else Minutes(self._own.minutes())
                writer.write(self._own.text(message).encode() + b"\n")
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except OSError:  # it went while it was told
            pass
        finally:
            writer.transport.abort()

    async def _tell_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Everything, then what happens, until the other one goes. One that does not read loses ticks, not sight."""
        listener = self._listeners.join()
        works = [asyncio.create_task(self._write(listener, writer)), asyncio.create_task(_gone(reader))]
        try:
            await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._listeners.leave(listener)
            for work in works:
                work.cancel()
            await asyncio.gather(*works, return_exceptions=True)

    async def _write(self, listener: Reader, writer: asyncio.StreamWriter) -> None:
        while True:
            text = await listener.next()
            if text is None:
                listener.told()
                text = self._own.text(self._own.view())
            writer.write(text.encode() + b"\n")
            await writer.drain()


async def _opened(line: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A line, to be read from and written to; closed if that cannot be had."""
    try:
        return await asyncio.open_unix_connection(sock=line, limit=LONGEST)
    except BaseException:
        line.close()
        raise


async def _line_of(reader: asyncio.StreamReader, wait: float | None) -> bytes:
    """The next line; nothing if the other one has gone, be it in the middle of one.

    Raises:
        TimeoutError: it took longer than so many seconds.
    """
    async with asyncio.timeout(wait):
        text = await reader.readline()
    return text if text.endswith(b"\n") else b""


async def _gone(reader: asyncio.StreamReader) -> None:
    """Wait until who listens goes; it has nothing to say."""
    await reader.read()
