"""Writes that are gathered: when they leave, in which order, and what never waits."""

import asyncio
from collections.abc import Callable

from standfast.http1.gather import Gathering, Turn


class Wire(asyncio.Transport):
    """Keeps what happens to it."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[bytes | str] = []
        self.closing = False

    def write(self, data: bytes) -> None:  # type: ignore[override]
        """Keep it."""
        self.events.append(data)

    def close(self) -> None:
        """Keep it."""
        self.events.append("close")
        self.closing = True

    def abort(self) -> None:
        """Keep it."""
        self.events.append("abort")
        self.closing = True

    def write_eof(self) -> None:
        """Keep it."""
        self.events.append("eof")

    def is_closing(self) -> bool:
        """Closed or aborted."""
        return self.closing

    def get_write_buffer_size(self) -> int:
        """Everything is taken at once."""
        return 0


def played(play: Callable[[Gathering], None]) -> tuple[list[bytes | str], list[bytes | str]]:
    """What a wire saw within the turn, and in all."""

    async def turn() -> tuple[list[bytes | str], list[bytes | str]]:
        wire = Wire()
        play(Gathering(wire, Turn()))
        within = list(wire.events)
        await asyncio.sleep(0)
        return within, wire.events

    return asyncio.run(turn())


def test_small_writes_leave_together_at_the_end_of_the_turn() -> None:
    """One write for all that a turn brought, in order."""

    def play(transport: Gathering) -> None:
        transport.write(b"a")
        transport.write(b"b")
        assert transport.get_write_buffer_size() == 2

    assert played(play) == ([], [b"ab"])


def test_a_large_write_does_not_wait_and_does_not_overtake() -> None:
    """What is large goes at once, behind what was written before it."""
    large = b"x" * 20_000

    def play(transport: Gathering) -> None:
        transport.write(b"a")
        transport.write(large)
        transport.write(b"b")

    assert played(play) == ([b"a", large], [b"a", large, b"b"])


def test_closing_lets_everything_out_first() -> None:
    """A complete answer is never lost to the close that follows it."""

    def play(transport: Gathering) -> None:
        transport.write(b"a")
        transport.write_eof()
        transport.write(b"b")
        transport.close()

    assert played(play) == ([b"a", "eof", b"b", "close"], [b"a", "eof", b"b", "close"])


def test_aborting_drops_what_waits() -> None:
    """A request that is cancelled in its own turn never reaches the upstream."""

    def play(transport: Gathering) -> None:
        transport.write(b"a")
        transport.abort()

    assert played(play) == (["abort"], ["abort"])


def test_a_connection_that_closed_meanwhile_gets_nothing() -> None:
    """Bytes that wait for a transport which the peer has closed are dropped without an error."""

    def play(transport: Gathering) -> None:
        transport.write(b"a")
        transport.real.abort()

    assert played(play) == (["abort"], ["abort"])


def test_several_transports_keep_their_turns() -> None:
    """Each transport writes its own bytes, in the order in which they joined the turn; the next turn begins anew."""

    async def play() -> list[bytes | str]:
        seen: list[bytes | str] = []
        turn = Turn()
        wires = [Wire(), Wire()]
        for wire in wires:
            wire.events = seen
        first, second = (Gathering(wire, turn) for wire in wires)
        second.write(b"2")
        first.write(b"1")
        second.write(b"2")
        await asyncio.sleep(0)
        first.write(b"3")
        await asyncio.sleep(0)
        return seen

    assert asyncio.run(play()) == [b"22", b"1", b"3"]


def test_without_a_loop_a_write_is_at_once() -> None:
    """There is no turn to wait for."""
    wire = Wire()
    Gathering(wire, Turn()).write(b"a")
    assert wire.events == [b"a"]
