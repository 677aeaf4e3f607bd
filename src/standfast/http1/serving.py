"""What all connections of one server share: collaborators, limits, counts, the current date."""

import asyncio
from collections.abc import Callable
from email.utils import formatdate

from standfast.clock import Clock
from standfast.http1.base import Application, Refusal
from standfast.http1.gather import Turn
from standfast.http1.settings import ServerLimits
from standfast.http1.wheel import Wheel

_OVERFLOW = 128
"""Connections above the limit that are told so with a 503; beyond them they are cut without a word."""
_LAST_RESORT = Refusal(500, b"content-type: text/plain\r\n", b"internal error\n")


class Serving:
    """Collaborators of the connections of one server.

    Args:
        application: the data plane.
        limits: what a client may do.
        wheel: for deadlines.
        clock: for deadlines and the date.
        on_error: told what the application raised; without it the event loop's exception handler is.
    """

    __slots__ = (
        "_addresses",
        "_date",
        "_on_error",
        "_second",
        "application",
        "clock",
        "idle_timeout",
        "limits",
        "turn",
        "wheel",
    )

    def __init__(
        self,
        application: Application,
        limits: ServerLimits,
        wheel: Wheel,
        clock: Clock,
        on_error: Callable[[BaseException], None] | None = None,
    ) -> None:
        self.application = application
        self.limits = limits
        self.idle_timeout = limits.idle_timeout  # settings are read through Python; this one for every answer
        self.turn = Turn()
        self.wheel = wheel
        self.clock = clock
        self._on_error = on_error
        self._addresses: dict[str, int] = {}
        self._second = -1
        self._date = b""

    def date_line(self) -> bytes:
        """The date header, renewed every second."""
        now = self.clock.wall()
        if not self._second <= now < self._second + 1:
            self._second = second = int(now)
            self._date = b"date: %b\r\n" % formatdate(second, usegmt=True).encode()
        return self._date

    def enter(self, address: str) -> None:
        """Count a connection of this address (empty: not counted)."""
        if address:
            self._addresses[address] = self._addresses.get(address, 0) + 1

    def leave(self, address: str) -> None:
        """The connection is gone."""
        left = self._addresses.get(address, 0) - 1
        if left > 0:
            self._addresses[address] = left
        else:
            self._addresses.pop(address, None)

    def crowded(self, address: str, connections: int) -> str:
        """Why one more connection is too many, empty if it is not.

        Args:
            address: the client's; already counted by `enter`.
            connections: how many are open besides it.
        """
        if connections >= self.limits.connections:
            return f"{self.limits.connections} connections are open, which is the limit (raise limits.connections)"
        most = self.limits.connections_per_address
        if most and self._addresses.get(address, 0) > most:
            return f"this address has {most} connections open, the limit (raise limits.connections_per_address)"
        return ""

    def overrun(self, address: str, connections: int) -> bool:
        """So far above the limits that not even an answer can be afforded."""
        most = self.limits.connections_per_address
        here = self._addresses.get(address, 0)
        return connections >= self.limits.connections + _OVERFLOW or bool(most and here > most + _OVERFLOW)

    def refusal(self, path: bytes, status: int, code: str, message: str) -> Refusal:
        """The application's wording of an error; a plain one if it fails."""
        try:
            return self.application.refuse(path, status, code, message)
        except Exception as error:  # noqa: BLE001 - the client still gets an answer
            self.report(error)
            return _LAST_RESORT

    def report(self, error: BaseException) -> None:
        """Tell of something that the application raised."""
        if self._on_error is not None:
            self._on_error(error)
            return
        context = {"message": "the application failed on a request", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)
