"""The timer wheel: never early, at most one tick late, quiet when empty."""

# ruff: noqa: D102 - doubles of documented contracts

import asyncio
import math
import random
from typing import Any

import pytest

from standfast.clock import ManualClock, SystemClock
from standfast.http1.wheel import Wheel


class Entry:
    """Notes when it was told."""

    def __init__(self, deadline: float, *, fails: bool = False) -> None:
        self.deadline = deadline
        self.fails = fails
        self.told: list[float] = []
        self.event = asyncio.Event()

    def expired(self, now: float) -> None:
        self.told.append(now)
        self.event.set()
        if self.fails:
            raise RuntimeError("expired")


def run(scenario: Any, **kwargs: Any) -> None:
    """Run `scenario(clock, wheel)` inside a loop; time moves only by hand."""

    async def main() -> None:
        clock = ManualClock()
        wheel = Wheel(clock, **kwargs)
        try:
            scenario(clock, wheel)
        finally:
            wheel.close()

    asyncio.run(main())


def test_never_early_and_at_most_one_tick_late() -> None:
    """Every deadline fires in [deadline, deadline + tick], whatever the steps of the clock below one tick."""

    def scenario(clock: ManualClock, wheel: Wheel) -> None:
        rng = random.Random(7)
        entries = [Entry(clock.now() + rng.uniform(0, 3)) for _ in range(300)]
        for entry in entries:
            wheel.watch(entry)
        step = 0.01
        for _ in range(400):
            clock.advance(step)
            wheel._turn()
        for entry in entries:
            (told,) = entry.told
            assert entry.deadline <= told <= entry.deadline + 0.05 + step

    run(scenario, tick=0.05)


def test_later_is_an_assignment() -> None:
    """Moving a deadline later needs no call; it fires once, at the new instant."""

    def scenario(clock: ManualClock, wheel: Wheel) -> None:
        entry = Entry(clock.now() + 1)
        wheel.watch(entry)
        entry.deadline += 1
        clock.advance(1.5)
        wheel._turn()
        assert entry.told == []
        assert len(wheel) == 1
        clock.advance(0.6)
        wheel._turn()
        assert len(entry.told) == 1
        assert len(wheel) == 0

    run(scenario)


def test_earlier_needs_watch() -> None:
    """Moving a deadline earlier works with a second `watch`, and fires once."""

    def scenario(clock: ManualClock, wheel: Wheel) -> None:
        entry = Entry(clock.now() + 100)
        wheel.watch(entry)
        entry.deadline = clock.now() + 1
        wheel.watch(entry)
        assert len(wheel) == 1
        clock.advance(1.1)
        wheel._turn()
        clock.advance(200)
        wheel._turn()
        assert len(entry.told) == 1

    run(scenario)


def test_forget_is_final_even_within_one_slot() -> None:
    """An entry that another of the same slot forgets is not told; forgetting twice is harmless."""

    def scenario(clock: ManualClock, wheel: Wheel) -> None:
        class Killer(Entry):
            def expired(self, now: float) -> None:
                super().expired(now)
                wheel.forget(self.other)

        first, second = Killer(clock.now() + 1), Killer(clock.now() + 1)
        first.other, second.other = second, first  # type: ignore[attr-defined] # test double
        wheel.watch(first)
        wheel.watch(second)
        clock.advance(2)
        wheel._turn()
        assert len(first.told) + len(second.told) == 1
        wheel.forget(first)
        wheel.forget(first)
        assert not wheel._slots

    run(scenario)


def test_a_raising_entry_is_reported_and_stops_nobody() -> None:
    """An entry that raises is reported to the loop; the others of the slot and later ones are told."""

    async def main() -> None:
        reports: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        clock = ManualClock()
        wheel = Wheel(clock)
        entries = [Entry(clock.now() + 1, fails=index == 1) for index in range(3)]
        later = Entry(clock.now() + 5)
        for entry in (*entries, later):
            wheel.watch(entry)
        clock.advance(2)
        wheel._turn()
        clock.advance(4)
        wheel._turn()
        assert [len(entry.told) for entry in (*entries, later)] == [1, 1, 1, 1]
        assert [str(report["exception"]) for report in reports] == ["expired"]
        wheel.close()

    asyncio.run(main())


def test_a_jump_of_years_costs_no_turn_per_tick() -> None:
    """After the clock jumps, only existing slots are visited, and what is due is told in order."""

    def scenario(clock: ManualClock, wheel: Wheel) -> None:
        entries = [Entry(clock.now() + 60 * index) for index in (3, 1, 2)]
        far = Entry(clock.now() + 1e12)
        for entry in (*entries, far):
            wheel.watch(entry)
        clock.advance(1e9)
        wheel._turn()
        assert [len(entry.told) for entry in entries] == [1, 1, 1]
        assert far.told == []

    run(scenario)


def test_never_is_parked() -> None:
    """A deadline of infinity is watched without a tick, and comes alive by `watch`."""

    def scenario(clock: ManualClock, wheel: Wheel) -> None:
        entry = Entry(math.inf)
        wheel.watch(entry)
        assert len(wheel) == 1
        assert wheel._timer is None
        entry.deadline = clock.now() + 1
        wheel.watch(entry)
        entry.deadline = math.inf
        clock.advance(2)
        wheel._turn()
        assert entry.told == []
        entry.deadline = clock.now()
        wheel.watch(entry)
        clock.advance(0.1)
        wheel._turn()
        assert len(entry.told) == 1

    run(scenario)


def test_ticks_only_while_it_holds_entries() -> None:
    """An empty wheel has no timer, a closed one takes no entries."""

    def scenario(clock: ManualClock, wheel: Wheel) -> None:
        assert wheel._timer is None
        entry = Entry(clock.now() + 0.01)
        wheel.watch(entry)
        assert wheel._timer is not None
        clock.advance(1)
        wheel._turn()
        assert wheel._timer is None
        wheel.close()
        wheel.watch(entry)
        assert len(wheel) == 0

    run(scenario)


def test_turns_by_the_loop_and_after_a_pause() -> None:
    """With the system's clock the loop turns the wheel, also when it had been empty for a while."""

    async def main() -> None:
        clock = SystemClock()
        wheel = Wheel(clock, tick=0.005)
        for _ in range(2):
            entry = Entry(clock.now() + 0.01)
            wheel.watch(entry)
            await asyncio.wait_for(entry.event.wait(), 5)
            assert entry.told[0] >= entry.deadline
        wheel.close()

    asyncio.run(main())


def test_tick_must_be_positive() -> None:
    """A wheel that cannot turn is refused."""
    with pytest.raises(ValueError, match="tick"):
        Wheel(ManualClock(), tick=0)
