"""The contract of a hook.

A hook is told what happened, after it happened. It must return quickly (work belongs on its own thread); the engine
unplugs one that raises and says so once. A broken hook never breaks a request. All hooks hear the same in the same
order: what a hook itself sets off, by forcing a breaker say, is told to all after what it reacts to.
"""

from typing import Protocol, runtime_checkable

from standfast.canon.record import Change, RequestRecord


class Hook(Protocol):
    """One listener."""

    def request_ended(self, record: RequestRecord) -> None:
        """A request got its one outcome."""
        ...

    def changed(self, change: Change) -> None:
        """A breaker, cooldown or quarantine changed state."""
        ...

    def close(self) -> None:
        """Flush and release what is held; called once, last."""
        ...


@runtime_checkable
class WatchfulHook(Hook, Protocol):
    """A listener that does next to nothing for most requests, and is told once more of those that it cares for."""

    def request_unusual(self, record: RequestRecord) -> None:
        """After `request_ended`: it got an error, more than one attempt, not its first choice, or a kept answer."""
        ...
