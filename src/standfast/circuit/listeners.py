"""Who is told what a breaker does: everybody the same, in the order in which it happened.

Changes are noted while the breaker's lock is held, and told when it is not. Only one thread tells at a time, and to
the end; whoever has something to tell meanwhile, another thread or a listener that moves the breaker, leaves it to it.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence

from standfast.canon.record import Change

log = logging.getLogger("standfast")

Listener = Callable[[Change], None]


class Listeners:
    """The listeners of one breaker, and what they have not been told yet.

    Args:
        name: the breaker's.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._all: list[Listener] = []
        self._queue: deque[tuple[Listener, Change]] = deque()
        self._telling = threading.Lock()

    def add(self, listener: Listener) -> Callable[[], None]:
        """One more; the answer ends it.

        Raises:
            TypeError: it cannot be called.
        """
        if not callable(listener):
            raise TypeError(f"a listener is called with each change: {listener!r} cannot be called")
        self._all.append(listener)
        return lambda: self._forget(listener)

    def note(self, changes: Sequence[Change]) -> None:
        """What is to be told; the breaker's lock is held."""
        self._queue.extend((listener, change) for change in changes for listener in self._all)

    def tell(self) -> None:
        """Tell what was noted, unless somebody does so already. A listener that raises is unplugged."""
        while self._queue and self._telling.acquire(blocking=False):
            try:
                self._tell_all()
            finally:
                self._telling.release()

    def _tell_all(self) -> None:
        while self._queue:
            listener, change = self._queue.popleft()
            if listener not in self._all:
                continue
            try:
                listener(change)
            except Exception:
                self._forget(listener)
                log.exception("a listener of circuit breaker %r raised and is unplugged", self._name)

    def _forget(self, listener: Listener) -> None:
        if listener in self._all:
            self._all.remove(listener)
