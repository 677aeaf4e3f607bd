"""The circuit breaker for any Python callable: the gateway's own machine with a lock, a clock and listeners.

    breaker = CircuitBreaker("billing", consecutive=3, open=10.0)

    total = breaker.call(fetch_total, user, fallback=lambda error: 0)     # a function
    total = await breaker.acall(fetch_total_async, user)                  # a coroutine function

    @breaker                                                              # either, as a decorator
    def fetch(): ...

    with breaker: ...                                                     # a block; `async with` likewise

House rules of this file:

* An exception of `recorded` is a failure, one of `excluded` is a success (the other side answered: a `KeyError` from a
  look-up shows that it works; gobreaker's `IsSuccessful`). Any other exception says nothing, and cancellation
  (`CancelledError`, `KeyboardInterrupt`, `GeneratorExit`, `SystemExit`) never does.
* With `slow_after` a call that succeeds and takes longer counts as slow; a share of slow calls (`slow_rate`) opens it
  as a share of failures does.
* The lock is held for the bookkeeping alone, never during a call or a listener.
* A listener that raises is unplugged and told to the log; it never breaks a call.
* A generator function is refused as a decorator's subject: it has done nothing when it returns, so nothing could be
  learnt from it.
"""

import inspect
import logging
import random
import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast

from standfast.canon.attempt import Outcome
from standfast.canon.instants import NEVER, Monotonic
from standfast.canon.record import Change
from standfast.clock import Clock, SystemClock
from standfast.errors import CircuitOpen
from standfast.policy.breaker import SLOW, Breaker, BreakerSettings, State

log = logging.getLogger("standfast")

P = ParamSpec("P")
T = TypeVar("T")
_Permit = tuple[int, Monotonic]
"""Ticket, and when it was given."""

Errors = tuple[type[Exception], ...]
Listener = Callable[[Change], None]


class CircuitBreaker:
    """Leaves alone what fails, and tries it again carefully. Safe to use from several threads and tasks.

    Args:
        name: stands for it in changes and errors.
        recorded: exceptions that count as failures.
        excluded: exceptions among them that show that the other side works; they count as successes.
        on_change: told of every change of state; see `listen`.
        clock: where time comes from.
        rng: jitter of the open time.
        settings: fields of `BreakerSettings`: `consecutive`, `rate`, `slow_rate`, `slow_after`, `min_calls`, `window`
            (a duration or `{"calls": 100}`), `open`, `open_cap`, `half_open_permits`, `half_open_successes`. Durations
            are seconds or text such as `"30s"`. Without `slow_after` no call is slow; there is no `ramp` unless it is
            given: a circuit has no elsewhere.

    Raises:
        pydantic.ValidationError: a setting is unknown or out of its range.
    """

    def __init__(
        self,
        name: str = "circuit",
        *,
        recorded: Errors = (Exception,),
        excluded: Errors = (),
        on_change: Listener | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        **settings: object,
    ) -> None:
        self.name = name
        self._recorded = recorded
        self._excluded = excluded
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()  # noqa: S311 - jitter, no secret
        limits = BreakerSettings.model_validate({"ramp": 0.0, **settings})
        self._breaker = Breaker(limits, name)
        self._slow_after = limits.slow_after if "slow_after" in settings else None
        self._listeners: list[Listener] = [] if on_change is None else [on_change]
        self._lock = threading.Lock()
        self._permits: ContextVar[tuple[_Permit, ...]] = ContextVar(f"circuit:{name}", default=())

    # calling

    def call(
        self, fn: Callable[..., T], *args: object, fallback: Callable[[Exception], T] | None = None, **kwargs: object
    ) -> T:
        """Call a function through the breaker.

        Args:
            fn: what to call. For a coroutine function use `acall`.
            *args: its arguments.
            **kwargs: its keywords; one named `fallback` cannot be passed.
            fallback: gives the value in place of an open circuit's `CircuitOpen`, or of a recorded exception.

        Raises:
            CircuitOpen: no call is let through now, and there is no fallback.
            Exception: whatever `fn` raises, if there is no fallback for it.
        """
        try:
            permit = self._enter()
            try:
                value = fn(*args, **kwargs)
            except BaseException as error:
                self._leave(permit, error)
                raise
            self._leave(permit, None)
        except Exception as error:
            if fallback is None or not self._covers(error):
                raise
            return fallback(error)
        return value

    async def acall(
        self,
        fn: Callable[..., Awaitable[T]],
        *args: object,
        fallback: Callable[[Exception], T] | None = None,
        **kwargs: object,
    ) -> T:
        """Call a coroutine function through the breaker; arguments and errors as `call`. Cancelling says nothing."""
        try:
            permit = self._enter()
            try:
                value = await fn(*args, **kwargs)
            except BaseException as error:
                self._leave(permit, error)
                raise
            self._leave(permit, None)
        except Exception as error:
            if fallback is None or not self._covers(error):
                raise
            return fallback(error)
        return value

    def __call__(self, fn: Callable[P, T]) -> Callable[P, T]:
        """Decorate a function or a coroutine function.

        Raises:
            TypeError: a generator function; put `with breaker:` around its use.
        """
        if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
            raise TypeError(
                f"{fn!r} is a generator function: nothing can be learnt from its return; use `with breaker:`"
            )
        if inspect.iscoroutinefunction(fn):
            coroutine = cast("Callable[P, Awaitable[Any]]", fn)

            @wraps(fn)
            async def guarded_async(*args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401 - the function's own
                async with self:
                    return await coroutine(*args, **kwargs)

            return cast("Callable[P, T]", guarded_async)

        @wraps(fn)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            with self:
                return fn(*args, **kwargs)

        return guarded

    def __enter__(self) -> Self:
        self._permits.set((*self._permits.get(), self._enter()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        *outer, permit = self._permits.get()
        self._permits.set(tuple(outer))
        self._leave(permit, error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    # looking and forcing

    @property
    def state(self) -> str:
        """`closed`, `open`, `half_open`, `forced_open` or `forced_closed`."""
        with self._lock:
            state, changes = self._breaker.state(self._clock.now()), self._changes()
        self._tell(changes)
        return state.value

    def recent(self) -> tuple[int, int]:
        """Calls and failures in the window."""
        with self._lock:
            return self._breaker.recent(self._clock.now())

    def force_open(self) -> None:
        """Let nothing through until `release`."""
        self._force(State.FORCED_OPEN)

    def force_closed(self) -> None:
        """Let everything through until `release`; nothing counts meanwhile."""
        self._force(State.FORCED_CLOSED)

    def release(self) -> None:
        """Leave it to itself again: closed, with clean counts."""
        self._force(None)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Be told of every change of state; the answer is a function that ends it."""
        self._listeners.append(listener)

        def forget() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return forget

    # inside

    def _enter(self) -> _Permit:
        with self._lock:
            now = self._clock.now()
            ticket = self._breaker.admit(now)
            retry_at = self._breaker.retry_at(now)
            changes = self._changes()
        self._tell(changes)
        if ticket is None:
            raise CircuitOpen(self.name, None if retry_at == NEVER else retry_at - now)
        return ticket, now

    def _leave(self, permit: _Permit, error: BaseException | None) -> None:
        outcome = self._outcome(error)
        ticket, since = permit
        breaker, rng = self._breaker, self._rng
        with self._lock:
            now = self._clock.now()
            slow = outcome is Outcome.SUCCESS and self._slow_after is not None and now - since > self._slow_after
            changes = self._changes(breaker.lag(ticket, now, rng), SLOW) if slow else []
            moved = breaker.settle(ticket, outcome, now, rng, slow=slow)
            changes += self._changes(moved, "success" if error is None else type(error).__name__)
        self._tell(changes)

    def _outcome(self, error: BaseException | None) -> Outcome:
        if error is None or isinstance(error, self._excluded):
            return Outcome.SUCCESS
        return Outcome.FAILURE if isinstance(error, self._recorded) else Outcome.CANCELLED

    def _covers(self, error: Exception) -> bool:
        return isinstance(error, CircuitOpen) or self._outcome(error) is Outcome.FAILURE

    def _force(self, state: State | None) -> None:
        with self._lock:
            changes = self._changes(self._breaker.force(state, self._clock.now()), "an operator's word")
        self._tell(changes)

    def _changes(self, moved: tuple[State, State] | None = None, reason: str = "") -> list[Change]:
        """What time has changed, and then what a call or an operator has moved; the lock is held."""
        changes = self._breaker.news[:]
        self._breaker.news.clear()
        if moved is not None:
            before, after = moved
            now = self._clock.now()
            until = self._breaker.retry_at(now) - now if after is State.OPEN else None
            changes.append(Change("breaker", self.name, before.value, after.value, reason, until))
        return changes

    def _tell(self, changes: list[Change]) -> None:
        for change in changes:
            for listener in tuple(self._listeners):
                try:
                    listener(change)
                except Exception:
                    if listener in self._listeners:
                        self._listeners.remove(listener)
                    log.exception("a listener of circuit breaker %r raised and is unplugged", self.name)
