"""Tells the hooks what happened, and unplugs one that raises."""

import logging
from collections.abc import Iterable

from standfast.canon.record import Change, RequestRecord
from standfast.hooks.base import Hook

log = logging.getLogger("standfast")


class Bus:
    """All hooks of one gateway. Costs nothing while there are none."""

    __slots__ = ("_hooks",)

    def __init__(self, hooks: Iterable[Hook] = ()) -> None:
        self._hooks = list(hooks)

    def plug(self, hook: Hook) -> None:
        """Add a listener."""
        self._hooks.append(hook)

    def request_ended(self, record: RequestRecord) -> None:
        """A request got its one outcome."""
        for hook in self._hooks:
            try:
                hook.request_ended(record)
            except Exception as error:  # noqa: BLE001 - foreign code; it must not break a request
                self._unplug(hook, error)

    def changed(self, changes: Iterable[Change]) -> None:
        """States changed."""
        for change in changes:
            for hook in self._hooks:
                try:
                    hook.changed(change)
                except Exception as error:  # noqa: BLE001 - foreign code; it must not break a request
                    self._unplug(hook, error)

    def close(self) -> None:
        """Close every hook, the last one plugged first."""
        for hook in reversed(self._hooks):
            try:
                hook.close()
            except Exception:
                log.exception("hook %s failed while closing", type(hook).__name__)
        self._hooks = []

    def _unplug(self, hook: Hook, error: Exception) -> None:
        self._hooks = [other for other in self._hooks if other is not hook]
        log.error("hook %s raised and is unplugged; requests go on", type(hook).__name__, exc_info=error)
