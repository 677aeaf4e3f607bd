"""Tells the hooks what happened, and unplugs one that raises.

All hooks hear the same in the same order. A hook may react, for instance force a breaker: what comes of that waits
until everybody has heard what it reacts to.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable

from standfast.canon.record import Change, RequestRecord
from standfast.hooks.base import Hook, WatchfulHook

log = logging.getLogger("standfast")

BROKEN = (Exception, asyncio.CancelledError)
"""What a hook may raise without harm to anybody. No task waits for a hook, so nothing is cancelled by the latter."""

ROUNDS = 100
"""Reactions to reactions, after which a hook goes round in circles; it is told so, as by a recursion."""


class Bus:
    """All hooks of one gateway. Costs nothing while there are none."""

    __slots__ = ("_hooks", "_round", "_waiting", "_watchful")

    def __init__(self, hooks: Iterable[Hook] = ()) -> None:
        self._hooks: list[Hook] = []
        self._watchful: list[WatchfulHook] = []
        for hook in hooks:
            self.plug(hook)
        self._round = 0  # 0 while nothing is being told, 1 for what happened, 2 for what a hook did about it ...
        self._waiting: deque[tuple[int, RequestRecord | Change]] = deque()  # each with its round

    def plug(self, hook: Hook) -> None:
        """Add a listener."""
        self._hooks.append(hook)
        if isinstance(hook, WatchfulHook):
            self._watchful.append(hook)

    def request_ended(self, record: RequestRecord) -> None:
        """A request got its one outcome."""
        if self._round:
            self._append((record,))
            return
        self._round = 1
        try:
            for hook in self._hooks:  # `_tell_ended`; this is every request's, and a call more would be, too
                try:
                    hook.request_ended(record)
                except BROKEN as error:
                    self._unplug(hook, error)
            if record.code or record.fallback or record.source or len(record.attempts) > 1:
                self._tell_unusual(record)
            if self._waiting:
                self._tell()
        finally:
            self._round = 0

    def changed(self, changes: Iterable[Change]) -> None:
        """States changed."""
        self._append(changes)
        if self._round or not self._waiting:
            return
        try:
            self._tell()
        finally:
            self._round = 0

    def close(self) -> None:
        """Close every hook, the last one plugged first."""
        for hook in reversed(self._hooks):
            try:
                hook.close()
            except BROKEN:
                log.exception("hook %s failed while closing", type(hook).__name__)
        self._hooks = []
        self._watchful = []

    def _append(self, events: Iterable[RequestRecord | Change]) -> None:
        """Let events wait until those before them have been told.

        Raises:
            RecursionError: a hook answers, and answers its answers; it is meant for that hook.
        """
        if self._round > ROUNDS:
            raise RecursionError(f"a hook has reacted to its own reactions {ROUNDS} times")
        self._waiting += [(self._round + 1, event) for event in events]

    def _tell(self) -> None:
        waiting = self._waiting
        while waiting:
            self._round, event = waiting.popleft()
            if not isinstance(event, Change):
                self._tell_ended(event)
                continue
            for hook in self._hooks:
                try:
                    hook.changed(event)
                except BROKEN as error:
                    self._unplug(hook, error)

    def _tell_ended(self, record: RequestRecord) -> None:
        for hook in self._hooks:
            try:
                hook.request_ended(record)
            except BROKEN as error:
                self._unplug(hook, error)
        if record.code or record.fallback or record.source or len(record.attempts) > 1:
            self._tell_unusual(record)

    def _tell_unusual(self, record: RequestRecord) -> None:
        for hook in self._watchful:
            try:
                hook.request_unusual(record)
            except BROKEN as error:
                self._unplug(hook, error)

    def _unplug(self, hook: Hook, error: BaseException) -> None:
        self._hooks = [other for other in self._hooks if other is not hook]
        self._watchful = [other for other in self._watchful if other is not hook]
        log.error("hook %s raised and is unplugged; requests go on", type(hook).__name__, exc_info=error)
