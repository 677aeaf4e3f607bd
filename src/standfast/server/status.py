"""What the health routes tell of the process itself."""

from dataclasses import dataclass


@dataclass(slots=True)
class Status:
    """Readiness of this process.

    Attributes:
        draining: SIGTERM came; no new requests, those under way finish.
        reload_error: why the last reload was refused; empty if it was not. The old configuration serves on.
        reloads: accepted reloads.
    """

    draining: bool = False
    reload_error: str = ""
    reloads: int = 0
