"""Virtual time."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.canon.instants import Monotonic
from standfast.sim.world import START, TICK, World, noticed


@given(st.lists(st.floats(min_value=0, max_value=1e6), max_size=60), st.integers(1, 7))
def test_time_never_runs_backwards(delays: list[float], limit: int) -> None:
    """Whatever is announced, and from wherever, happens in order."""
    world = World()
    seen: list[float] = []

    def happen(now: Monotonic) -> None:
        seen.append(now)
        if len(seen) < 100:
            world.at(now + delays[len(seen) % len(delays)], happen)

    for delay in delays:
        world.at(START + delay, happen)
    while world.run(limit):
        pass
    assert seen == sorted(seen)
    assert world.handled == len(seen)


def test_the_past_cannot_be_announced() -> None:
    """Neither an earlier instant nor one that is no number."""
    world = World()
    for instant in (START - 1e-9, math.nan):
        with pytest.raises(ValueError, match="backwards"):
            world.at(instant, print)


def test_equal_instants_keep_the_order_of_announcement() -> None:
    """A run depends on its seed alone, not on how a heap breaks ties."""
    world = World()
    seen: list[int] = []
    for number in range(50):
        world.at(START + 1, lambda _, number=number: seen.append(number))
    world.run(100)
    assert seen == list(range(50))


@given(st.floats(min_value=1_000, max_value=1e7))
def test_the_watch_finds_what_is_due_at_its_next_look(instant: float) -> None:
    """Never before it is due, at most a tick later."""
    found = noticed(instant)
    assert instant - 1e-6 <= found <= instant + TICK + 1e-6
    assert abs(found / TICK - round(found / TICK)) < 1e-3


def test_never_is_never_noticed() -> None:
    """A deadline that does not come does not come."""
    assert noticed(math.inf) == math.inf
