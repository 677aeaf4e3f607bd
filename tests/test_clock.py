"""Where time comes from."""

import time

import pytest

from standfast.clock import Clock, ManualClock, SystemClock


def test_the_system_clock_only_grows() -> None:
    """Monotonic readings never go back, also within one tick."""
    clock = SystemClock()
    readings = [clock.now() for _ in range(1000)]
    assert readings == sorted(readings)


def test_monotonic_time_cannot_be_taken_for_wall_time() -> None:
    """Its epoch is the machine's start, so whoever mixes the two is decades off and notices at once."""
    clock = SystemClock()
    assert 0 < clock.now() < clock.wall() / 2


def test_the_wall_clock_is_the_machines() -> None:
    """Ledger entries bear the machine's own date."""
    before = time.time()  # noqa: TID251 - what it is compared with
    wall = SystemClock().wall()
    assert before <= wall <= time.time()  # noqa: TID251 - what it is compared with


def test_the_manual_clock_moves_only_when_told() -> None:
    """Virtual time: both readings stand still, then move together."""
    clock = ManualClock(now=5.0, wall=100.0)
    assert [clock.now(), clock.now(), clock.wall()] == [5.0, 5.0, 100.0]
    assert clock.advance(2.5) == 7.5
    assert (clock.now(), clock.wall()) == (7.5, 102.5)


def test_time_does_not_run_backwards() -> None:
    """A negative step is the test's mistake; the clock stays where it was."""
    clock = ManualClock(now=5.0)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-0.001)
    assert clock.advance(0.0) == 5.0


@pytest.mark.parametrize("clock", [SystemClock(), ManualClock()])
def test_both_are_clocks(clock: Clock) -> None:
    """The gateway and the simulator can take either."""
    assert isinstance(clock.now(), float)
    assert isinstance(clock.wall(), float)
