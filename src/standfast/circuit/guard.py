"""A lock that nobody waits for inside of itself.

While a thread holds a breaker's lock, Python may run other code on it: the collector finishes a generator that nobody
needs any more, and with it a `with breaker:` in its middle; a signal's handler is called. A plain lock would be waited
for there for ever. So it may be taken again by the thread that has it, and what would change the state in the midst of
another change comes right after it (`do`).
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Self


class Guard:
    """Use it as a lock, or hand it what is to be done under it."""

    __slots__ = ("_busy", "_late", "_lock")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._busy = 0  # how often it is taken; seen and changed by the thread that has the lock alone
        self._late: deque[Callable[[], None]] = deque()

    def do(self, work: Callable[[], None]) -> None:
        """Do it under the lock; right after what this thread is doing under it already, if it is."""
        with self._lock:
            if self._busy:
                self._late.append(work)
                return
            with self:
                work()

    def __enter__(self) -> Self:
        self._lock.acquire()
        self._busy += 1
        return self

    def __exit__(self, *_: object) -> None:
        try:
            while self._busy == 1:
                while self._late:
                    self._late.popleft()()
                self._busy = 0
                if self._late:  # it came after the look and before the line above
                    self._busy = 1
        finally:
            self._busy = max(0, self._busy - 1)
            self._lock.release()
