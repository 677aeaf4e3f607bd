"""A lock that nobody waits for inside of itself.

While a thread holds a breaker's lock, Python may run other code on it: the collector finishes a generator that nobody
needs any more, and with it a `with breaker:` in its middle; a signal's handler is called. A plain lock would be waited
for there for ever. So the thread that has it may take it again, and what would change the state in the midst of another
change is kept until that is over (`do`, `catch_up`).
"""

import threading
from collections import deque
from collections.abc import Callable


class Guard:
    """The lock, and what came while it was held.

    Attributes:
        lock: held for everything; the thread that has it may take it again.
        busy: the state is being changed or read; set and looked at under the lock alone.
    """

    __slots__ = ("_late", "busy", "lock")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.busy = False
        self._late: deque[Callable[[], None]] = deque()

    def do(self, work: Callable[[], None]) -> None:
        """Do it under the lock; later, if this thread is in the midst of something there."""
        with self.lock:
            if self.busy:
                self._late.append(work)
                return
            self.busy = True
            try:
                work()
            finally:
                self.busy = False

    def catch_up(self) -> None:
        """Do what came meanwhile, to be called when the lock was left; who is busy now does it, and then calls this."""
        while self._late and not self.busy:
            try:
                work = self._late.popleft()
            except IndexError:  # another thread was faster
                return
            self.do(work)
