"""The public circuit breaker: any callable, sync and async, from many threads."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from standfast import CircuitBreaker, CircuitOpen, ManualClock
from standfast.canon.record import Change


class Made:
    """A breaker with a clock of the test's, and what its listener heard."""

    def __init__(self, **settings: object) -> None:
        self.clock = ManualClock()
        self.heard: list[Change] = []
        self.breaker = CircuitBreaker("b", clock=self.clock, on_change=self.heard.append, **settings)  # type: ignore[arg-type]  # settings by name

    def states(self) -> list[tuple[str, str]]:
        """What changed, in order."""
        return [(change.before, change.after) for change in self.heard]


def fail() -> int:
    """A call that fails."""
    raise OSError("down")


def failing(made: Made, times: int) -> None:
    """So many failures in a row."""
    for _ in range(times):
        with pytest.raises(OSError, match="down"):
            made.breaker.call(fail)


def test_its_life() -> None:
    """Failures in a row open it, time makes it half-open, enough successes close it; each change is told once."""
    made = Made(consecutive=3, open=10.0, half_open_successes=2)
    failing(made, 3)
    with pytest.raises(CircuitOpen) as caught:
        made.breaker.call(lambda: 1)
    assert caught.value.retry_after is not None
    assert 5.0 <= caught.value.retry_after <= 10.0
    assert "'b' is open" in str(caught.value)
    made.clock.advance(10.0)
    assert made.breaker.state == "half_open"
    assert [made.breaker.call(lambda: 1) for _ in range(2)] == [1, 1]
    assert made.breaker.state == "closed"
    assert made.states() == [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]
    assert made.heard[0].reason == "OSError"


def test_a_fallback_stands_in_for_failures_and_for_an_open_circuit() -> None:
    """The fallback is given the exception; what is not recorded is raised all the same."""
    made = Made(consecutive=1, recorded=(OSError,))
    seen: list[Exception] = []

    def instead(error: Exception) -> int:
        seen.append(error)
        return 7

    assert [made.breaker.call(fail, fallback=instead) for _ in range(2)] == [7, 7]
    assert [type(error) for error in seen] == [OSError, CircuitOpen]
    made.breaker.release()
    with pytest.raises(ZeroDivisionError):
        CircuitBreaker(recorded=(OSError,)).call(lambda: 1 // 0, fallback=instead)


def test_excluded_exceptions_are_successes_and_foreign_ones_say_nothing() -> None:
    """A KeyError of a look-up shows that the other side answers; an exception that is not recorded is no evidence."""
    made = Made(consecutive=2, recorded=(LookupError,), excluded=(KeyError,))

    def look(error: type[Exception]) -> None:
        with pytest.raises(error):
            made.breaker.call(raising, error)

    def raising(error: type[Exception]) -> None:
        raise error

    look(IndexError)
    look(KeyError)  # the row is broken
    look(IndexError)
    look(ValueError)  # says nothing, so the row goes on
    assert made.breaker.state == "closed"
    look(IndexError)
    assert made.breaker.state == "open"


def test_decorators_and_blocks() -> None:
    """One breaker guards functions, coroutine functions and blocks, nested too."""
    made = Made(consecutive=3)

    @made.breaker
    def plain(number: int) -> int:
        """Keeps its name and its words."""
        return 10 // number

    @made.breaker
    async def coroutine(number: int) -> int:
        return 10 // number

    assert (plain(5), plain.__doc__) == (2, "Keeps its name and its words.")

    async def scenario() -> None:
        assert await coroutine(2) == 5
        assert await made.breaker.acall(coroutine, 2) == 5
        with pytest.raises(ZeroDivisionError):
            await coroutine(0)
        async with made.breaker:
            with made.breaker:
                pass

    asyncio.run(scenario())
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            plain(0)
    with pytest.raises(CircuitOpen), made.breaker:
        raise AssertionError("the block must not run")


def test_generators_are_refused() -> None:
    """A generator function has done nothing when it returns."""
    made = Made()

    def numbers() -> Iterator[int]:
        yield 1

    with pytest.raises(TypeError, match="with breaker"):
        made.breaker(numbers)


def test_cancellation_says_nothing() -> None:
    """A cancelled call gives its permit back, and is neither success nor failure."""
    made = Made(consecutive=1, half_open_permits=1, open=1.0)

    async def scenario() -> None:
        task = asyncio.create_task(made.breaker.acall(asyncio.sleep, 3600))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert made.breaker.recent() == (0, 0)
    failing(made, 1)
    made.clock.advance(1.0)
    asyncio.run(scenario())
    assert made.breaker.call(lambda: 1) == 1  # the one trial permit is free again


def test_forcing() -> None:
    """An operator's word holds whatever happens, until it is taken back."""
    made = Made(consecutive=1, open=1.0)
    made.breaker.force_open()
    made.clock.advance(1000.0)
    with pytest.raises(CircuitOpen, match="until it is released"):
        made.breaker.call(lambda: 1)
    made.breaker.force_closed()
    failing(made, 5)
    assert made.breaker.state == "forced_closed"
    made.breaker.release()
    assert made.breaker.state == "closed"
    failing(made, 1)
    assert made.states() == [
        ("closed", "forced_open"),
        ("forced_open", "forced_closed"),
        ("forced_closed", "closed"),
        ("closed", "open"),
    ]


def test_a_listener_that_raises_is_unplugged(caplog: pytest.LogCaptureFixture) -> None:
    """It is told to the log once, and never breaks a call; one that was taken away hears nothing."""
    made = Made(consecutive=1)

    def broken(change: Change) -> None:
        raise RuntimeError(change.name)

    made.breaker.listen(broken)
    more: list[Change] = []
    forget = made.breaker.listen(more.append)
    failing(made, 1)
    forget()
    made.breaker.release()
    made.breaker.force_open()
    assert len(made.heard) == 2
    assert len(more) == 1
    assert sum("is unplugged" in record.message for record in caplog.records) == 1


def test_settings_are_checked() -> None:
    """An unknown or impossible setting is an error that names it; durations may be written with units."""
    with pytest.raises(ValidationError, match="consecutif"):
        CircuitBreaker(consecutif=3)
    with pytest.raises(ValidationError, match="rate"):
        CircuitBreaker(rate=2)
    CircuitBreaker(open="30s")


def test_threads_share_it() -> None:
    """Four threads at once: no permit is lost or counted twice, and never more trials run than are allowed."""
    made = Made(consecutive=10_000, min_calls=100_000)
    running, most, guard = 0, 0, threading.Lock()

    def work(ok: bool) -> None:
        nonlocal running, most
        with guard:
            running += 1
            most = max(most, running)
        with guard:
            running -= 1
        if not ok:
            raise OSError("down")

    def many(seed: int) -> None:
        for number in range(500):
            made.breaker.call(work, (number + seed) % 3 > 0, fallback=lambda _: None)

    threads = [threading.Thread(target=many, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    calls, failures = made.breaker.recent()
    expected = sum((number + seed) % 3 == 0 for seed in range(4) for number in range(500))
    assert (calls, failures) == (2000, expected)
    assert made.breaker._books._breaker._out == 0


def test_trials_are_bounded_across_threads() -> None:
    """While half-open no more than `half_open_permits` calls run at the same time."""
    made = Made(consecutive=1, open=1.0, half_open_permits=2, half_open_successes=100)
    failing(made, 1)
    made.clock.advance(1.0)
    inside, refused = threading.Barrier(3), []

    def trial() -> None:
        with made.breaker:
            inside.wait(5)
            inside.wait(5)

    threads = [threading.Thread(target=trial) for _ in range(2)]
    for thread in threads:
        thread.start()
    inside.wait(5)
    try:
        made.breaker.call(lambda: 1)
    except CircuitOpen as error:
        refused.append(error)
    inside.wait(5)
    for thread in threads:
        thread.join()
    assert len(refused) == 1


def test_slow_calls_open_it_too() -> None:
    """Half of the calls take longer than `slow_after`; a slow trial opens it again, and without it none is slow."""
    made = Made(slow_after=1.0, min_calls=4, open=2.0, half_open_successes=1)

    def take(seconds: float) -> int:
        made.clock.advance(seconds)
        return 7

    def call(seconds: float) -> int:
        return made.breaker.call(take, seconds)

    assert [call(seconds) for seconds in (0.5, 1.0, 1.1, 1.1)] == [7] * 4
    assert made.breaker.state == "open"
    assert made.heard[-1].reason == "slow"
    made.clock.advance(2.0)
    call(1.1)
    assert made.breaker.state == "open"
    made.clock.advance(4.0)
    call(0.5)
    assert made.states() == [
        ("closed", "open"),
        ("open", "half_open"),
        ("half_open", "open"),
        ("open", "half_open"),
        ("half_open", "closed"),
    ]
    plain = Made(min_calls=4)
    for _ in range(10):
        plain.breaker.call(plain.clock.advance, 100.0)
    assert plain.breaker.state == "closed"


def test_a_window_of_calls() -> None:
    """The last calls count, however long ago they were."""
    made = Made(window={"calls": 4}, min_calls=4, consecutive=100)
    for outcome in (False, True, False):
        if outcome:
            made.breaker.call(lambda: 1)
        else:
            failing(made, 1)
        made.clock.advance(10_000.0)
    made.breaker.call(lambda: 1)
    assert made.breaker.recent() == (4, 2)
    failing(made, 1)
    assert made.breaker.state == "open"


def test_whoever_looks_tells_that_the_open_time_is_over() -> None:
    """Told once and in order, whether a call or a look met it first; then there is no ramp: all are let through."""
    made = Made(consecutive=1, open=1.0, half_open_successes=1)
    for look in (lambda: made.breaker.state, lambda: made.breaker.call(lambda: 1)):
        failing(made, 1)
        made.clock.advance(1.0)
        look()
        assert made.states()[:2] == [("closed", "open"), ("open", "half_open")]
        made.breaker.call(lambda: 1)
        assert made.states() == [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]
        assert [made.breaker.call(lambda: 1) for _ in range(20)] == [1] * 20
        made.heard.clear()
