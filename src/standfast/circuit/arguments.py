"""What a circuit breaker is given: its settings, the exceptions that count, and what can be called through it."""

import inspect
from collections.abc import Awaitable, Callable, Iterable
from types import AsyncGeneratorType, GeneratorType
from typing import Annotated, Any, Self, TypeGuard

from pydantic import Field, model_validator

from standfast.canon.settings import Seconds
from standfast.policy.breaker_settings import BreakerSettings

_GENERATORS = (GeneratorType, AsyncGeneratorType)

Errors = type[Exception] | Iterable[type[Exception]]


class CircuitSettings(BreakerSettings):
    """Settings of a breaker that stands alone: nothing else is laid over them, and it has no elsewhere.

    Attributes:
        ramp: as `BreakerSettings.ramp`; none unless it is given.
    """

    ramp: Annotated[Seconds, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.contradiction:
            raise ValueError(self.contradiction)
        if self.slow_rate is not None and self.model_fields_set & {"slow_rate", "slow_after"} == {"slow_rate"}:
            raise ValueError("`slow_rate` says nothing without `slow_after`: say from when on a call is slow")
        return self


def errors_of(name: str, given: Errors) -> tuple[type[Exception], ...]:
    """The classes of exceptions that an argument names.

    Raises:
        TypeError: it names something else.
    """
    found: list[type[Exception]] = []
    several: object = given
    for each in several if isinstance(several, Iterable) and not isinstance(several, type | str) else (several,):
        if not (isinstance(each, type) and issubclass(each, Exception)):
            raise TypeError(f"`{name}` takes subclasses of Exception such as (OSError, TimeoutError), not {each!r}")
        found.append(each)
    return tuple(found)


def check_fallback(fallback: object) -> None:
    """A fallback can be called, or is None.

    Raises:
        TypeError: neither.
    """
    if fallback is not None and not callable(fallback):
        raise TypeError(
            f"`fallback` is called with the exception, as `lambda error: 0` is; {fallback!r} cannot be called"
        )


def is_awaitable(value: object) -> TypeGuard[Awaitable[Any]]:
    """Is it something to wait for? Quicker than `inspect.isawaitable` for what is not."""
    return hasattr(type(value), "__await__") or (isinstance(value, GeneratorType) and inspect.isawaitable(value))


def is_coroutine_function(fn: Callable[..., object]) -> bool:
    """Is it a coroutine function, or an object that is called like one?"""
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(type(fn), "__call__", None))  # noqa: B004 - not whether, but how


def is_generator_function(fn: Callable[..., object]) -> bool:
    """Is it a generator function, or an object that is called like one? It has done nothing when it returns."""
    either = (fn, getattr(type(fn), "__call__", None))  # noqa: B004 - not whether, but how
    return any(inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each) for each in either)


def unlearnable(fn: object) -> TypeError:
    """Why a generator function cannot be called through a breaker."""
    return TypeError(f"{fn!r} is a generator function: nothing can be learnt from its return; use `with breaker:`")


def generator_error(fn: Callable[..., object], value: object) -> TypeError | None:
    """What is wrong if a call has given back a generator that has not begun; a plain function may give one back."""
    return unlearnable(fn) if isinstance(value, _GENERATORS) and is_generator_function(fn) else None


def awaitable_error(fn: Callable[..., object], value: object) -> TypeError | None:
    """What is wrong if a call has given back an awaitable. A coroutine is closed."""
    if not is_awaitable(value):
        return None
    if inspect.iscoroutine(value):
        value.close()
    return TypeError(f"{fn!r} gave back an awaitable, and nothing has been done yet: use `await breaker.acall(...)`")
