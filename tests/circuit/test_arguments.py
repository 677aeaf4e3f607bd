"""What a circuit breaker is given: what is wrong is an error at once, and counts as nothing."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from standfast import CircuitBreaker, CircuitOpen, ManualClock


async def coroutine() -> int:
    """A coroutine function."""
    return 7


async def refused() -> int:
    """One that fails."""
    raise OSError("down")


def numbers() -> Iterator[int]:
    """A generator function."""
    yield 1


async def stream() -> AsyncIterator[int]:
    """An asynchronous one."""
    yield 1


def fail() -> int:
    """A function that fails."""
    raise OSError("down")


class Called:
    """Objects that are called like a coroutine function."""

    async def __call__(self) -> int:  # noqa: D102 - as the class says
        return 7


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (coroutine, "acall"),
        (functools.partial(coroutine), "acall"),
        (lambda: coroutine(), "acall"),  # noqa: PLW0108 - no coroutine function
        (Called(), "acall"),
        (numbers, "with breaker"),
        (stream, "with breaker"),
    ],
)
def test_what_has_done_nothing_yet_is_refused(fn: Callable[[], Any], message: str) -> None:
    """It counts as nothing, no fallback hides it, the coroutine is closed, and the permit is back."""
    breaker = CircuitBreaker(consecutive=1)
    with pytest.raises(TypeError, match=message):
        breaker.call(fn, fallback=lambda _: 0)
    assert (breaker.state, breaker.recent(), breaker._books._breaker._out) == ("closed", (0, 0), 0)


def test_a_decorated_function_that_gives_back_an_awaitable_is_refused() -> None:
    """Only a coroutine function can be seen to be one; objects that are called like one are decorated as such."""
    breaker = CircuitBreaker(consecutive=1)
    with pytest.raises(TypeError, match="acall"):
        breaker(lambda: coroutine())()  # noqa: PLW0108 - no coroutine function
    assert breaker.recent() == (0, 0)
    plain: Callable[[], Any] = Called()
    assert asyncio.run(breaker(functools.update_wrapper(plain, coroutine))()) == 7
    with pytest.raises(TypeError, match="cannot be called"):
        breaker("name")  # type: ignore[arg-type]


def test_a_decorated_function_keeps_its_keywords() -> None:
    """Also those that mean something to `call`."""
    breaker = CircuitBreaker()

    @breaker
    def keywords(fn: int, fallback: int) -> int:
        return fn + fallback

    assert keywords(fn=3, fallback=4) == 7
    assert breaker.call(lambda fn: fn, fn=7) == 7


def test_a_function_may_give_back_a_generator() -> None:
    """It has done its part when it returns, unlike a generator function."""
    assert list(CircuitBreaker().call(lambda: numbers())) == [1]  # noqa: PLW0108 - no generator function


def test_acall_takes_plain_functions_too() -> None:
    """What is no awaitable is the value itself; a fallback may be a coroutine function."""
    breaker = CircuitBreaker(consecutive=1)

    async def scenario() -> None:
        assert await breaker.acall(lambda: 7) == 7
        assert breaker.recent() == (1, 0)
        with pytest.raises(TypeError, match="with breaker"):
            await breaker.acall(stream)
        assert breaker.recent() == (1, 0)
        assert await breaker.acall(refused, fallback=lambda _: coroutine()) == 7
        assert await breaker.acall(refused, fallback=lambda error: len(str(error)) * 0) == 0

    asyncio.run(scenario())
    with pytest.raises(TypeError, match="acall"):
        breaker.call(fail, fallback=lambda _: coroutine())


@pytest.mark.parametrize("given", [[OSError], (OSError,), {OSError}, OSError, iter([OSError])])
def test_exceptions_are_one_class_or_several(given: Any) -> None:
    """However they are listed."""
    breaker = CircuitBreaker(recorded=given, consecutive=1)
    assert [breaker.call(fail, fallback=lambda _: 0) for _ in range(2)] == [0, 0]
    assert breaker.state == "open"


@pytest.mark.parametrize("given", ["OSError", ["OSError"], BaseException, KeyboardInterrupt, [int], OSError(), None, 3])
@pytest.mark.parametrize("name", ["recorded", "excluded"])
def test_what_is_no_exception_is_refused_at_once(name: str, given: Any) -> None:
    """Cancellation never counts, so only subclasses of Exception can be meant."""
    with pytest.raises(TypeError, match=f"`{name}` takes subclasses of Exception"):
        CircuitBreaker(**{name: given})


def test_what_cannot_be_called_is_refused_at_once() -> None:
    """Not when it is needed for the first time."""
    breaker = CircuitBreaker()
    for wrong in (3, "name"):
        given: Any = wrong
        with pytest.raises(TypeError, match="cannot be called"):
            CircuitBreaker(on_change=given)
        with pytest.raises(TypeError, match="cannot be called"):
            breaker.listen(given)
        with pytest.raises(TypeError, match="cannot be called"):
            breaker.call(lambda: 1, fallback=given)
        with pytest.raises(TypeError, match="cannot be called"):
            asyncio.run(breaker.acall(coroutine, fallback=given))
    assert breaker.recent() == (0, 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"open": 10, "open_cap": 2}, "`open_cap` .2 s. is below `open` .10 s."),
        ({"open": "10m"}, "`open_cap` .300 s. is below `open` .600 s."),
        ({"open_cap": 1}, "`open_cap` .1 s. is below `open` .5 s."),
        ({"window": {"calls": 5}}, "never holds"),
        ({"slow_rate": 0.2}, "`slow_rate` says nothing without `slow_after`"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], message: str) -> None:
    """As the configuration file refuses them."""
    with pytest.raises(ValidationError, match=message):
        CircuitBreaker(**settings)


def test_settings_that_go_together() -> None:
    """Equal is enough; who wants no slow calls may say so."""
    CircuitBreaker(open=10, open_cap=10)
    CircuitBreaker(slow_rate=None)
    CircuitBreaker(slow_rate=0.2, slow_after=1)


@pytest.mark.parametrize(
    ("window", "place"),
    [("soon", "window"), (0, "window"), ([1], "window"), ({"calls": 0}, "window.calls"), ({"call": 3}, "window.call")],
)
def test_a_wrong_window_is_told_in_plain_words(window: object, place: str) -> None:
    """Of the two things that it can be only the one that was meant is spoken of, and no validator's name."""
    with pytest.raises(ValidationError) as caught:
        CircuitBreaker(window=window)
    assert place in {".".join(map(str, each["loc"])) for each in caught.value.errors()}
    assert "function-" not in str(caught.value)


def test_a_refusal_says_which_state_it_is() -> None:
    """Not that it is open while it is on trial, or has just recovered."""
    clock = ManualClock()
    breaker = CircuitBreaker("b", clock=clock, consecutive=1, open=1, ramp=10, half_open_permits=1)

    def refusal() -> CircuitOpen:
        with pytest.raises(CircuitOpen) as caught:
            breaker.call(lambda: 1)
        return caught.value

    breaker.call(fail, fallback=lambda _: 0)
    assert (refusal().state, "is open for another" in str(refusal())) == ("open", True)
    clock.advance(1.0)
    with breaker:
        error = asyncio.run(_elsewhere(refusal))
    assert (error.state, error.retry_after) == ("half_open", 1.0)
    assert "on trial" in str(error)
    assert "open for" not in str(error)
    breaker.call(lambda: 1)
    error = refusal()
    assert (error.state, error.retry_after) == ("closed", 0.0)
    assert "just recovered" in str(error)
    breaker.force_open()
    assert (refusal().state, refusal().retry_after) == ("forced_open", None)


async def _elsewhere(ask: Callable[[], CircuitOpen]) -> CircuitOpen:
    """Ask in a thread that knows nothing of the calls under way here."""
    return await asyncio.get_running_loop().run_in_executor(None, ask)


def test_releasing_what_nobody_forced_changes_nothing() -> None:
    """Forcing it closed first closes one that opened by itself, with clean counts."""
    breaker = CircuitBreaker(consecutive=1)
    breaker.call(fail, fallback=lambda _: 0)
    breaker.release()
    assert breaker.state == "open"
    breaker.force_closed()
    breaker.release()
    assert (breaker.state, breaker.recent()) == ("closed", (0, 0))
