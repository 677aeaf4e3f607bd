"""Calls and blocks inside of each other, and blocks that are left elsewhere than they were entered."""

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator
from contextvars import Context, copy_context

import pytest

from standfast import CircuitBreaker, CircuitOpen, ManualClock
from standfast.canon.record import Change


def half_open(**settings: object) -> tuple[CircuitBreaker, ManualClock]:
    """A breaker on trial."""
    clock = ManualClock()
    breaker = CircuitBreaker("b", clock=clock, consecutive=1, open=1.0, **settings)  # type: ignore[arg-type]  # by name
    with pytest.raises(OSError, match="down"):
        breaker.call(fail)
    clock.advance(1.0)
    assert breaker.state == "half_open"
    return breaker, clock


def fail() -> int:
    """A call that fails."""
    raise OSError("down")


def test_a_block_may_be_left_in_another_context() -> None:
    """As a dependency with `yield` is: the caller's own error is kept, it counts, and no permit is lost."""
    breaker, clock = half_open(half_open_permits=1, half_open_successes=1)
    copy_context().run(breaker.__enter__)
    with pytest.raises(CircuitOpen):
        breaker.call(lambda: 1)
    Context().run(breaker.__exit__, None, None, None)
    assert breaker.state == "closed"
    copy_context().run(breaker.__enter__)
    Context().run(breaker.__exit__, OSError, OSError("down"), None)
    assert breaker.state == "open"
    clock.advance(1.0)
    with breaker:
        pass
    assert breaker.state == "closed"
    assert not breaker._blocks


def test_a_generator_that_several_tasks_drive_keeps_its_block() -> None:
    """Each step of an asynchronous generator runs in the context of the task that asks for it."""
    breaker, _ = half_open(half_open_permits=1, half_open_successes=1)

    async def numbers() -> AsyncIterator[int]:
        async with breaker:
            yield 1
            raise LookupError("mine")

    async def scenario() -> None:
        stream = numbers()

        async def step() -> int:
            return await anext(stream)

        assert await asyncio.create_task(step()) == 1
        with pytest.raises(LookupError, match="mine"):
            await asyncio.create_task(step())

    asyncio.run(scenario())
    assert breaker.state == "open"


def test_a_foreign_exit_takes_the_newest_block_of_its_own_breaker() -> None:
    """Blocks of other breakers, and those that this context knows, are not touched."""
    one, two = CircuitBreaker("one"), CircuitBreaker("two")
    with one, two:
        copy_context().run(one.__enter__)
        assert [len(each._blocks) for each in (one, two)] == [2, 1]
        Context().run(one.__exit__, None, None, None)
        assert [len(each._blocks) for each in (one, two)] == [1, 1]
    assert [each.recent() for each in (one, two)] == [(1, 0), (1, 0)]
    one.__exit__(None, None, None)  # never entered: nothing happens


def test_a_dropped_breaker_is_collected() -> None:
    """Neither a context nor a block that was never left keeps it alive, and a context holds one variable for all."""
    with CircuitBreaker():
        before = len(copy_context())
    for _ in range(10):
        with CircuitBreaker():
            pass
    assert len(copy_context()) == before
    breaker = CircuitBreaker()
    gone = weakref.ref(breaker)
    breaker.call(lambda: 1)
    breaker.__enter__()
    del breaker
    gc.collect()
    assert gone() is None


def test_an_interrupt_from_a_listener_gives_the_permit_back() -> None:
    """The call has not begun, so nobody else would."""
    breaker, clock = half_open(half_open_permits=1, half_open_successes=1)
    with pytest.raises(OSError, match="down"):
        breaker.call(fail)
    clock.advance(2.0)

    def interrupt(_: Change) -> None:
        forget()
        raise KeyboardInterrupt

    forget = breaker.listen(interrupt)
    with pytest.raises(KeyboardInterrupt):
        breaker.call(lambda: 1)
    assert breaker.call(lambda: 1) == 1
    assert breaker.state == "closed"


def test_a_function_that_calls_itself_passes_a_trial() -> None:
    """The inner calls are part of the outer one: they need no permit, and count as one call."""
    breaker, _ = half_open(half_open_permits=1, half_open_successes=2)

    @breaker
    def down(depth: int) -> int:
        return down(depth - 1) if depth else 7

    @breaker
    async def down_async(depth: int) -> int:
        with breaker:
            return await down_async(depth - 1) if depth else 7

    assert down(3) == 7
    assert breaker.state == "half_open"
    assert asyncio.run(down_async(3)) == 7
    assert breaker.state == "closed"
    down(3)
    assert breaker.recent() == (1, 0)


def test_a_failure_inside_counts_once_and_also_if_it_is_hidden() -> None:
    """What passes through two calls is one failure; one that the outer call handles is one too, and each retry is."""
    breaker = CircuitBreaker(consecutive=100, min_calls=100)
    with pytest.raises(OSError, match="down"):
        breaker.call(lambda: breaker.call(fail))
    assert breaker.recent() == (1, 1)

    @breaker
    def retries() -> int:
        for _ in range(2):
            breaker.call(fail, fallback=lambda _: 0)
        return breaker.call(lambda: 7)

    assert retries() == 7
    assert breaker.recent() == (4, 3)


def test_what_outlives_its_outer_call_has_a_permit_of_its_own() -> None:
    """A task copies the context of its parent; when that call is over, it is inside of nothing."""
    breaker = CircuitBreaker(consecutive=100, min_calls=100)

    async def scenario() -> None:
        over = asyncio.Event()

        async def later() -> None:
            await over.wait()
            breaker.call(fail, fallback=lambda _: 0)

        async def start() -> asyncio.Task[None]:
            return asyncio.create_task(later())

        task = await breaker.acall(start)
        assert breaker.recent() == (1, 0)
        over.set()
        await task

    asyncio.run(scenario())
    assert breaker.recent() == (2, 1)


def test_its_own_refusal_is_no_failure() -> None:
    """Another thread knows nothing of the outer call and is refused; that says nothing of the other side."""
    breaker, _ = half_open(half_open_permits=1, half_open_successes=1)
    refused: list[CircuitOpen] = []

    def ask() -> None:
        try:
            breaker.call(lambda: 1)
        except CircuitOpen as error:
            refused.append(error)

    def outer() -> None:
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        raise refused[0]

    with pytest.raises(CircuitOpen):
        breaker.call(outer)
    assert breaker.state == "half_open"
    other = CircuitBreaker("b", consecutive=1)
    with pytest.raises(CircuitOpen):
        other.call(outer)
    assert other.state == "open", "the refusal of another circuit is a failure like any other"
