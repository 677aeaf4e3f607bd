"""In memory, with a SQLite file behind it: a restart forgets nothing.

Look-ups are answered from memory and never wait. A thread of the store's own reads the file once, when the store is
first used, and writes behind: what was kept in the last moments before a kill may be lost. A file that cannot be used
is said once in the log; the store then is one of memory alone. Several processes may share the file: each reads it when
it begins, and does not see what the others add after that.
"""

import asyncio
import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple

from standfast.canon.instants import Monotonic, Wall
from standfast.clock import Clock
from standfast.stores.base import AnswerStore, AnswerStoreSettings, KeptAnswer
from standfast.stores.memory import MemoryAnswers

log = logging.getLogger("standfast")

VERSION = 1
"""Of the table; a file of another version is emptied."""

_BATCH = 64
"""Rows that are written in one transaction, or brought into memory by one look-up."""

_WAITING = 10_000
"""Orders that may wait for the disk; further ones are dropped."""

_PATIENCE = 10.0
"""Seconds that closing waits for the last writes."""

_SCHEMA = (
    "drop table if exists answers",
    """create table answers (
        key blob primary key, body blob not null, provider text not null, model text not null,
        fallback integer not null, stored real not null, gone real not null
    )""",
    "create index answers_gone on answers (gone)",
    f"pragma user_version = {VERSION}",
)


class _Row(NamedTuple):
    """A kept answer as the file has it; times are wall times, because monotonic ones mean nothing after a restart."""

    key: bytes
    body: bytes
    provider: str
    model: str
    fallback: int
    stored: Wall
    gone: Wall


class SqliteAnswers:
    """See `base.AnswerStore`.

    Args:
        settings: the bounds and the path.
        clock: to write wall times.

    Attributes:
        loaded: set when the file has been read (or cannot be used).
    """

    def __init__(self, settings: AnswerStoreSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._memory = MemoryAnswers(settings)
        self._forgotten: list[bytes] = []
        self._memory.forgotten = self._forgotten
        self._orders: SimpleQueue[_Row | bytes | None] = SimpleQueue()  # keep this, forget this key, end
        self._read: SimpleQueue[list[_Row]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._broken = False
        self.loaded = threading.Event()
        self._dropped = 0  # counted on the caller's thread
        self._failed = 0  # counted on the store's

    @property
    def lost(self) -> int:
        """Orders that the disk was too slow for, or failed to carry out."""
        return self._dropped + self._failed

    def __len__(self) -> int:
        """How many answers are kept in memory."""
        return len(self._memory)

    def get(self, key: bytes, now: Monotonic) -> KeptAnswer | None:
        """The answer kept under a key."""
        self._begin(now)
        answer = self._memory.get(key, now)
        self._forget()
        return answer

    def put(self, key: bytes, answer: KeptAnswer, now: Monotonic) -> None:
        """Keep an answer, here at once and in the file soon."""
        self._begin(now)
        self._memory.put(key, answer, now)
        self._forget()
        if key in self._memory:
            offset = self._clock.wall() - now
            stored, gone = Wall(answer.stored + offset), Wall(answer.gone + offset)
            self._order(_Row(key, answer.body, answer.provider, answer.model, answer.fallback, stored, gone))

    async def close(self) -> None:
        """Write what waits."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._orders.put(None)
            await asyncio.to_thread(thread.join, _PATIENCE)
        await self._memory.close()

    # on the caller's thread

    def _begin(self, now: Monotonic) -> None:
        """Start the thread with the first use, so that a process may fork before; take in what it has read."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="kept-answers", daemon=True)
            self._thread.start()
        try:
            rows = self._read.get_nowait()
        except Empty:
            return
        wall = self._clock.wall()
        for row in rows:
            age = max(0.0, wall - row.stored)  # a wall clock that was set back makes nothing last longer
            stored, gone = Monotonic(now - age), Monotonic(now - age + row.gone - row.stored)
            answer = KeptAnswer(row.body, row.provider, row.model, bool(row.fallback), stored, gone)
            if not self._memory.restore(row.key, answer, now) and row.key not in self._memory:
                self._order(row.key)

    def _forget(self) -> None:
        for key in self._forgotten:
            self._order(key)
        self._forgotten.clear()

    def _order(self, order: _Row | bytes) -> None:
        if self._broken or self._orders.qsize() >= _WAITING:
            self._dropped += 1
        else:
            self._orders.put(order)

    # on the thread

    def _work(self) -> None:
        try:
            with contextlib.closing(_opened(self._settings.path)) as file:
                for rows in _rows(file, self._clock.wall(), self._settings):
                    self._read.put(rows)
                self.loaded.set()
                self._write(file)
        except (sqlite3.Error, OSError) as error:
            self._broken = True
            log.warning("kept answers stay in memory alone, %s cannot be used: %s", self._settings.path, error)
        finally:
            self.loaded.set()

    def _write(self, file: sqlite3.Connection) -> None:
        while (orders := self._next_orders())[0] is not None:
            try:
                with file:
                    for order in orders:
                        if isinstance(order, _Row):
                            file.execute("insert or replace into answers values (?, ?, ?, ?, ?, ?, ?)", order)
                        elif order is not None:
                            file.execute("delete from answers where key = ?", (order,))
                    file.execute("delete from answers where gone <= ?", (self._clock.wall(),))
            except sqlite3.Error as error:
                if not self._failed:
                    log.warning("kept answers could not be written to %s: %s", self._settings.path, error)
                self._failed += sum(order is not None for order in orders)
            if orders[-1] is None:
                return

    def _next_orders(self) -> list[_Row | bytes | None]:
        """Wait for an order; take those that wait behind it too. None is the last."""
        orders = [self._orders.get()]
        while orders[-1] is not None and len(orders) < _BATCH and not self._orders.empty():
            orders.append(self._orders.get())
        return orders


def _opened(path: str) -> sqlite3.Connection:
    """The file, made for its owner alone if it is not there.

    Raises:
        OSError, sqlite3.Error: it cannot be used.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    file = sqlite3.connect(path)
    try:
        file.execute("pragma journal_mode = wal")
        file.execute("pragma synchronous = normal")
        file.execute("pragma secure_delete = on")  # what is forgotten is overwritten
        with file:
            file.execute("begin immediate")  # of several processes one makes the table
            if file.execute("pragma user_version").fetchone()[0] != VERSION:
                for statement in _SCHEMA:
                    file.execute(statement)
    except sqlite3.Error:
        file.close()
        raise
    return file


def _rows(file: sqlite3.Connection, wall: Wall, settings: AnswerStoreSettings) -> Iterator[list[_Row]]:
    """What still lasts, newest first, as much as memory may hold; the rest is deleted."""
    with file:
        file.execute("delete from answers where gone <= ?", (wall,))
        newest = "select key from answers order by stored desc limit ?"
        file.execute(f"delete from answers where key not in ({newest})", (settings.max_entries,))  # noqa: S608 - fixed
    found = file.execute("select * from answers order by stored desc")
    size = 0
    while rows := [_Row(*row) for row in found.fetchmany(_BATCH)]:
        yield rows
        size += sum(len(row.body) for row in rows)
        if size > settings.max_bytes:
            return


def path_problem(settings: AnswerStoreSettings) -> str:
    """There must be a file, or a directory to make it in."""
    if not settings.path:
        return "is needed: `store: sqlite` keeps answers in this file"
    path = Path(settings.path)
    if path.is_dir():
        return "is a directory, not a file"
    return "" if path.parent.is_dir() else "lies in a directory that does not exist"


def open_answers(settings: AnswerStoreSettings, clock: Clock) -> AnswerStore:
    """A store whose file is read when it is first used."""
    return SqliteAnswers(settings, clock)
