"""A breaker's lock is taken again by the thread that has it: what runs in between (the collector) need not wait."""

import threading
from collections.abc import Callable, Generator
from contextvars import copy_context

import pytest

from standfast import CircuitBreaker, ManualClock
from standfast.canon.instants import Monotonic
from standfast.circuit.guard import Guard


class Interrupting(ManualClock):
    """A clock that is read while the lock is held, and runs something then, once: as the collector may at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.then: Callable[[], object] | None = None

    def now(self) -> Monotonic:
        """The instant; first what was to be run."""
        then, self.then = self.then, None
        if then is not None:
            then()
        return super().now()


def in_time(work: Callable[[], None]) -> None:
    """Do it on a thread of its own: it must end."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(5.0)
    assert not thread.is_alive(), "it waits for itself"


def block(breaker: CircuitBreaker, error: type[Exception] | None = None) -> Generator[None]:
    """A generator with a block in its middle."""
    with breaker:
        try:
            yield
        except GeneratorExit:
            if error is not None:
                raise error from None
            raise


def test_a_generator_that_is_closed_while_the_lock_is_held() -> None:
    """Its block is left without waiting, and its permit is given back: the next trial is not short of it."""
    clock = Interrupting()
    breaker = CircuitBreaker("b", clock=clock, consecutive=1, open=5, half_open_permits=1, half_open_successes=1)

    def work() -> None:
        with pytest.raises(OSError, match="down"):
            breaker.call(_fail)
        clock.advance(6)
        trial = block(breaker)
        next(trial)
        clock.then = trial.close
        assert breaker.state == "half_open"
        assert breaker.call(lambda: 1) == 1  # the permit of the trial was given back, as saying nothing
        assert breaker.state == "closed"

    in_time(work)


def test_what_it_said_counts_right_after() -> None:
    """A failure that is learnt in the midst of another change is counted after it, not lost and not in between."""
    clock = Interrupting()
    changes: list[tuple[str, str]] = []
    breaker = CircuitBreaker(
        "b", clock=clock, consecutive=2, on_change=lambda change: changes.append((change.before, change.after))
    )

    def work() -> None:
        broken = block(breaker, OSError)
        copy_context().run(next, broken)  # in another context, so that the call below is none of its parts

        def close() -> None:
            with pytest.raises(OSError):  # noqa: PT011 - whatever it says
                broken.close()

        def fail() -> None:
            clock.then = close
            raise OSError("down")

        with pytest.raises(OSError, match="down"):
            breaker.call(fail)
        assert breaker.recent() == (0, 0)  # it is open: both were counted
        assert changes == [("closed", "open")]

    in_time(work)


def test_late_work_is_done_in_order_and_once() -> None:
    """What comes while the guard is busy is done when it has been left, also after one that raised."""
    guard, done = Guard(), list[str]()

    def note(what: str) -> Callable[[], None]:
        return lambda: done.append(what)

    def busy() -> None:
        guard.do(note("a"))
        guard.do(lambda: guard.do(note("c")))
        guard.do(note("b"))
        assert done == []

    def broken() -> None:
        guard.do(note("d"))
        raise ValueError("broken")

    def work() -> None:
        guard.do(busy)
        guard.catch_up()
        assert done == ["a", "b", "c"]
        with pytest.raises(ValueError, match="broken"):
            guard.do(broken)
        guard.catch_up()
        guard.catch_up()
        assert done == ["a", "b", "c", "d"]

    in_time(work)


def test_other_threads_wait() -> None:
    """It is a lock all the same: of two threads one is inside at a time."""
    guard, inside, most = Guard(), [0], [0]

    def work() -> None:
        for _ in range(2_000):
            with guard.lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10.0)
    assert (most[0], inside[0]) == (1, 0)


def _fail() -> int:
    raise OSError("down")
