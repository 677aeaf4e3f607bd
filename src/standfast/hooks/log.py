"""The access log: one line for each request and each change of state, written off the hot path.

`request_ended` only appends to a bounded queue: the line of a usual request (`_quick`), or the record. A thread of its
own builds and redacts the other lines and writes all of them in batches, so that a slow or broken sink (a full pipe, a
full disk) never blocks a request: the queue then drops its oldest and counts what it dropped.

Lines that follow each other are joined where they are made: so the memory of a line serves the next ones while it is in
the processor's cache, and the thread, for whose every step the loop must stand still, has little left to do: it neither
counts nor copies them.
"""

import threading
from collections import deque
from pathlib import Path
from typing import Literal, NamedTuple, TextIO, TypeAlias

from standfast.canon.record import Change, RequestRecord
from standfast.clock import Clock, SystemClock
from standfast.hooks._lines import json_line, text_line
from standfast.hooks._quick import QuickLines
from standfast.hooks._sink import TornError, open_sink
from standfast.redact import Redactor

CAPACITY = 10_000
"""Lines and records that may wait (and `RUN` more): about half a second at full speed, some 20 MB at most."""

RUN = 64
"""Lines that are joined."""

PERIOD = 0.1
"""Seconds that a line waits for others."""

BATCH = 256
"""Entries of the queue in one write."""

CLOSE_WITHIN = 2.0
"""Seconds that `close` waits for a slow sink."""


class _Run(NamedTuple):
    """Lines that are joined."""

    lines: bytes
    number: int


_Entry: TypeAlias = bytes | _Run | tuple[RequestRecord | Change, float]
"""A line, several, or what becomes one and when it was seen. Lines end with their line feed."""


class LogHook:
    """See `hooks.base.Hook`.

    Args:
        target: an open text stream, or the path of a file (appended to; `-` is standard error).
        redactor: the choke point through which every line goes.
        capacity: records that may wait; beyond it the oldest is dropped.
        format: `json` for machines, `text` for people.
        clock: gives changes their time.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(
        self,
        target: TextIO | Path | str,
        redactor: Redactor,
        *,
        capacity: int = CAPACITY,
        format: Literal["json", "text"] = "json",  # noqa: A002 - the configuration's word
        clock: Clock | None = None,
    ) -> None:
        self._sink = open_sink(target)
        self._redactor = redactor
        self._clock = clock or SystemClock()
        self._line = json_line if format == "json" else text_line
        self._capacity = capacity
        self._quick = QuickLines(redactor).line if format == "json" else None
        self._queue: deque[_Entry] = deque()
        self._loose = 0  # lines at its end that are not joined yet, unless the writer has taken them
        self._put = 0  # lines and records that are not loose; written by the caller's thread alone, as what is above
        self._overflowed = 0  # the same
        self._taken = 0  # written by the writer's thread alone
        self._lost = 0  # written by the writer's thread alone
        self._torn = False
        self._closed = False
        self._awake = False  # the writer knows that there is something to write
        self._wake = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="standfast-log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines that were not written: the queue was full, the sink was broken, or it was too late."""
        return self._overflowed + self._lost

    def request_ended(self, record: RequestRecord) -> None:
        """Queue one line."""
        if self._closed:
            self._overflowed += 1
            return
        line = self._quick(record) if self._quick is not None else None
        if line is None:
            self._enqueue((record, 0.0))
            return
        self._queue.append(line)
        if not self._awake:
            self._rouse()
        self._loose = loose = self._loose + 1
        if loose == RUN:
            self._join()

    def changed(self, change: Change) -> None:
        """Queue one line."""
        if self._closed:
            self._overflowed += 1
        else:
            self._enqueue((change, self._clock.wall()))

    def _enqueue(self, entry: _Entry) -> None:
        if self._loose:
            self._join()
        self._queue.append(entry)
        if not self._awake:
            self._rouse()
        self._put += 1
        self._make_room()

    def _rouse(self) -> None:
        self._awake = True
        self._wake.set()

    def _join(self) -> None:
        """Make one of the loose lines. The writer may take some of them meanwhile, the oldest first."""
        queue, lines, loose = self._queue, list[_Entry](), self._loose
        self._loose = 0
        self._put += loose
        take, keep = queue.pop, lines.append
        try:
            for _ in range(loose):
                keep(take())
        except IndexError:
            pass
        lines.reverse()
        if lines:
            queue.append(_Run(b"".join(lines), len(lines)))  # type: ignore[arg-type]  # loose lines are bytes
        self._make_room()

    def _make_room(self) -> None:
        """Drop the oldest that are too many."""
        while self._put - self._taken - self._overflowed > self._capacity:
            try:
                self._overflowed += _count(self._queue.popleft())
            except IndexError:  # they are in the writer's hands
                return

    def close(self) -> None:
        """Write what waits, for at most two seconds; what is then left is counted as dropped."""
        if self._closed:
            return
        self._closed = True
        self._over.set()
        self._wake.set()
        self._thread.join(CLOSE_WITHIN)
        if self._thread.is_alive():  # it hangs in the sink and may never return; the sink stays open for it
            self._overflowed += sum(map(_count, self._queue))
            self._queue.clear()
        else:
            self._sink.close()

    def _run(self) -> None:
        while not self._over.is_set():
            self._wake.wait()
            self._wake.clear()
            self._over.wait(PERIOD)  # for more
            self._awake = False  # first: what comes from now on rouses it again
            self._drain()

    def _drain(self) -> None:
        while batch := self._batch():
            count = sum(map(_count, batch))
            self._taken += count
            built = [self._built(entry) for entry in batch]
            parts = [lines for lines in built if lines]
            unbuilt = len(batch) - len(parts)
            self._lost += unbuilt
            if parts:
                self._write(parts, count - unbuilt)

    def _batch(self) -> list[_Entry]:
        queue, batch = self._queue, list[_Entry]()
        try:
            while len(batch) < BATCH:
                batch.append(queue.popleft())
        except IndexError:
            pass
        return batch

    def _built(self, entry: _Entry) -> bytes:
        """The lines, redacted; empty if the record cannot be told (an absurd time, for instance)."""
        if isinstance(entry, bytes):
            return entry
        if isinstance(entry, _Run):
            return entry.lines
        try:
            return self._redactor.text(self._line(*entry)).encode("utf-8", "replace") + b"\n"
        except (ValueError, TypeError, OverflowError, OSError):
            return b""

    def _write(self, parts: list[bytes], count: int) -> None:
        try:
            self._sink.write([b"\n", *parts] if self._torn else parts)
        except TornError:
            self._torn = True
            self._lost += count
        except (OSError, ValueError):  # ValueError: the stream was closed under us
            self._lost += count
        else:
            self._torn = False


def _count(entry: _Entry) -> int:
    """How many lines it is."""
    return entry.number if isinstance(entry, _Run) else 1
