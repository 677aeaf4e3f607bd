"""Small writes of one turn of the event loop leave together, at its end.

A write wakes whoever waits at the other end, and waking a sleeping process costs more system time than the write.
When a turn serves many connections, their writes in a row find the other side awake. Measured on two cores with 32
connections and the access log off, two runs each, one after the other: system time per request 29 to 31 us without and
15 us with it, user time 50 to 61 us and 42 to 46 us. With one connection the order of things is the same as without:
the turn's end comes right after its only event.

All bytes of a transport go through its `Gathering`, so their order is kept; what closes or measures the transport lets
them out first.
"""

import asyncio
from typing import Any, Final

_SMALL: Final = 16 * 1024
"""Bytes up to which writes are gathered; larger ones gain nothing by waiting."""


class Turn:
    """The transports that have something to write when this turn of the loop ends."""

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: list[Gathering] = []

    def begin(self) -> bool:
        """See to it that the turn has an end; False if no loop runs, so that there is no turn."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        loop.call_soon(self._end)
        return True

    def _end(self) -> None:
        waiting, self.waiting = self.waiting, []
        for transport in waiting:
            parts = transport.parts
            if len(parts) == 1:
                data = parts.pop()  # before it is written: that may call back
                if not transport.real.is_closing():
                    transport.real.write(data)
            else:
                transport.flush()


class Gathering(asyncio.Transport):
    """A transport that gathers small writes.

    Args:
        real: where they go.
        turn: when.

    Attributes:
        parts: what waits for the end of the turn.
    """

    __slots__ = ("_turn", "parts", "real")

    def __init__(self, real: asyncio.Transport, turn: Turn) -> None:
        self.real = real
        self._turn = turn
        self.parts: list[bytes] = []

    def write(self, data: bytes) -> None:  # type: ignore[override]  # the house writes bytes, nothing else
        """Write at the end of the turn; at once if it is much."""
        parts, turn = self.parts, self._turn
        if len(data) > _SMALL or (parts and len(data) + sum(map(len, parts)) > _SMALL):
            self.flush()
            self._write(data)
        elif parts:
            parts.append(data)
        elif turn.waiting or turn.begin():
            turn.waiting.append(self)
            parts.append(data)
        else:
            self._write(data)

    def _write(self, data: bytes) -> None:
        """Not to one that closes: that would raise (uvloop) or be counted (asyncio)."""
        if not self.real.is_closing():
            self.real.write(data)

    def flush(self) -> None:
        """Write now what waits."""
        parts = self.parts
        if parts:
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
            self._write(data)

    def abort(self) -> None:
        """Close at once; what waits is lost."""
        self.parts.clear()
        self.real.abort()

    def close(self) -> None:
        """Close when everything is written."""
        self.flush()
        self.real.close()

    def write_eof(self) -> None:
        """Shut our side down when everything is written."""
        self.flush()
        self.real.write_eof()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the transport to another protocol, which may write to the real one."""
        self.flush()
        self.real.set_protocol(protocol)

    def get_write_buffer_size(self) -> int:
        """Bytes that are not written yet."""
        return sum(map(len, self.parts)) + self.real.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """See `asyncio.WriteTransport`."""
        if low is None:
            self.real.set_write_buffer_limits(high=high)
        else:
            self.real.set_write_buffer_limits(high=high, low=low)

    def is_closing(self) -> bool:
        """See `asyncio.BaseTransport`."""
        return self.real.is_closing()

    def can_write_eof(self) -> bool:
        """See `asyncio.WriteTransport`."""
        return self.real.can_write_eof()

    def pause_reading(self) -> None:
        """See `asyncio.ReadTransport`."""
        self.real.pause_reading()

    def resume_reading(self) -> None:
        """See `asyncio.ReadTransport`."""
        self.real.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - asyncio's own signature
        """See `asyncio.BaseTransport`."""
        found = self.real.get_extra_info(name)
        return default if found is None else found

    def get_protocol(self) -> asyncio.BaseProtocol:
        """See `asyncio.BaseTransport`."""
        return self.real.get_protocol()
