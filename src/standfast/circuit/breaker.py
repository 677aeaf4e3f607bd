"""The public circuit breaker.

House rules of this file:

* An exception of `recorded` is a failure, one of `excluded` is a success (the other side answered: a `KeyError` from a
  look-up shows that it works; gobreaker's `IsSuccessful`). Any other exception says nothing, and cancellation
  (`CancelledError`, `KeyboardInterrupt`, `GeneratorExit`, `SystemExit`) never does. Nor does a `CircuitOpen` of this
  breaker itself: nobody was asked.
* With `slow_after` a call that succeeds and takes longer counts as slow; a share of slow calls (`slow_rate`) opens it
  as a share of failures does.
* Of calls inside of each other (`circuit.calls`) the first failure settles the permit that they share, so that one that
  the outer call hides is known too; otherwise the end of the outermost does.
* The permit of a block is kept here; a context only says which one is innermost, and where it says nothing, the newest
  block is left.
* The lock is held for the bookkeeping alone, never during a call or a listener. A listener that raises is unplugged and
  told to the log; it never breaks a call.
* What nothing can be learnt from is refused by a TypeError, and counts as nothing: a generator function, which has done
  nothing when it returns, and in `call` whatever gives back an awaitable.
"""

import random
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast

from standfast.canon.attempt import Outcome
from standfast.circuit import arguments, calls
from standfast.circuit.arguments import CircuitSettings, Errors
from standfast.circuit.books import Books
from standfast.circuit.calls import Call
from standfast.circuit.listeners import Listener
from standfast.clock import Clock, SystemClock
from standfast.errors import CircuitOpen
from standfast.policy.breaker import Breaker, State

P = ParamSpec("P")
T = TypeVar("T")


class CircuitBreaker:
    """Leaves alone what fails, and tries it again carefully. Safe to use from several threads and tasks.

    So many failures in a row open it as are no chance (`consecutive` at least, and more of them where failures are
    frequent anyway: 12 in a row where 30 % fail), or a share of failures. Cancelling says nothing, so a timeout belongs
    inside of the call, where it is an exception: `asyncio.timeout` around the call cancels it.

    A call inside of another one in the same context, as when a decorated function calls itself, is part of it: it takes
    no permit of its own, and of all of them one counts, the first failure or else the outermost success.

    Args:
        name: stands for it in changes and errors.
        recorded: exceptions that count as failures: subclasses of Exception, one or several.
        excluded: exceptions among them that show that the other side works; they count as successes.
        on_change: told of every change of state; see `listen`.
        clock: where time comes from.
        rng: jitter of the open time.
        settings: fields of `BreakerSettings`: `consecutive`, `rate`, `slow_rate`, `slow_after`, `min_calls`, `window`
            (a duration or `{"calls": 100}`), `open`, `open_cap` (not below `open`), `half_open_permits`,
            `half_open_successes`. Durations are seconds or text such as `"30s"`. Without `slow_after` no call is slow,
            and `slow_rate` is refused; there is no `ramp` unless it is given: a circuit has no elsewhere.

    Raises:
        pydantic.ValidationError: a setting is unknown, out of its range, or contradicts another one.
        TypeError: `recorded` or `excluded` are no exceptions, or `on_change` cannot be called.
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
        self._recorded = arguments.errors_of("recorded", recorded)
        self._excluded = arguments.errors_of("excluded", excluded)
        limits = CircuitSettings.model_validate(settings)
        slow_after = limits.slow_after if "slow_after" in settings else None
        rng = rng or random.Random()  # noqa: S311 - jitter, no secret
        self._books = Books(name, Breaker(limits, name), slow_after, clock or SystemClock(), rng)
        if on_change is not None:
            self._books.listeners.add(on_change)
        self._blocks: dict[Call, None] = {}  # not left yet, the newest last

    # calling

    def call(
        self, fn: Callable[..., T], /, *args: object, fallback: Callable[[Exception], T] | None = None, **kwargs: object
    ) -> T:
        """Call a function through the breaker.

        Args:
            fn: what to call. For a coroutine function use `acall`.
            *args: its arguments.
            **kwargs: its keywords; one named `fallback` cannot be passed.
            fallback: gives the value in place of an open circuit's `CircuitOpen`, or of a recorded exception.

        Raises:
            CircuitOpen: no call is let through now, and there is no fallback.
            TypeError: `fn` gives back an awaitable or is a generator function, or `fallback` is no such thing.
            Exception: whatever `fn` raises, if there is no fallback for it.
        """
        arguments.check_fallback(fallback)
        try:
            value, wrong = self._run(fn, args, kwargs)
        except Exception as error:
            if fallback is None or not self._covers(error):
                raise
            value = fallback(error)
            wrong = arguments.awaitable_error(fallback, value)
        if wrong is not None:
            raise wrong
        return value

    async def acall(
        self,
        fn: Callable[..., Awaitable[T]],
        /,
        *args: object,
        fallback: Callable[[Exception], Awaitable[T] | T] | None = None,
        **kwargs: object,
    ) -> T:
        """Call a coroutine function through the breaker; arguments and errors as `call`. Cancelling says nothing.

        What `fn` and `fallback` give back is awaited only if it can be, so plain functions will do.
        """
        arguments.check_fallback(fallback)
        try:
            value, wrong = await self._run_async(fn, args, kwargs)
        except Exception as error:
            if fallback is None or not self._covers(error):
                raise
            instead = fallback(error)
            return cast("T", await instead if arguments.is_awaitable(instead) else instead)
        if wrong is not None:
            raise wrong
        return cast("T", value)

    def __call__(self, fn: Callable[P, T]) -> Callable[P, T]:
        """Decorate a function or a coroutine function.

        Raises:
            TypeError: a generator function; put `with breaker:` around its use. Or what can not be called. When called,
                a plain function that gives back an awaitable; decorate the coroutine function under it.
        """
        if not callable(fn):
            raise TypeError(f"{fn!r} cannot be called, so it cannot be decorated")
        if arguments.is_generator_function(fn):
            raise arguments.unlearnable(fn)
        if arguments.is_coroutine_function(fn):

            @wraps(fn)
            async def guarded_async(*args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401 - the function's own
                return (await self._run_async(fn, args, kwargs))[0]

            return cast("Callable[P, T]", guarded_async)

        @wraps(fn)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            value, wrong = self._run(fn, args, kwargs)
            if wrong is not None:
                raise wrong
            return value

        return guarded

    def __enter__(self) -> Self:
        call = self._books.enter()
        with self._books.guard.lock:
            self._blocks[call] = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._books.guard.lock:
            call = calls.innermost(self._books.own, self._blocks) or next(reversed(self._blocks), None)
            if call is None:
                return  # never entered
            self._blocks.pop(call, None)
        self._leave(call, error)

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
        return self._books.state().value

    def recent(self) -> tuple[int, int]:
        """Calls and failures in the window."""
        return self._books.recent()

    def force_open(self) -> None:
        """Let nothing through until `release`."""
        self._books.force(State.FORCED_OPEN)

    def force_closed(self) -> None:
        """Let everything through until `release`; nothing counts meanwhile."""
        self._books.force(State.FORCED_CLOSED)

    def release(self) -> None:
        """Take back `force_open` or `force_closed`: it is closed, with clean counts, and left to itself again.

        One that nobody has forced stays as it is. To close one that has opened by itself, force it closed first.
        """
        self._books.force(None)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Be told of every change of state; the answer is a function that ends it.

        All listeners are told of all changes in the order in which they happened, one at a time: if several threads
        move it at once, or a listener does, whoever tells already tells that too.

        Raises:
            TypeError: it cannot be called.
        """
        return self._books.listeners.add(listener)

    # inside

    def _run(
        self, fn: Callable[..., T], args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> tuple[T, TypeError | None]:
        """The value, or why it is none."""
        call = self._books.enter()
        try:
            value = fn(*args, **kwargs)
        except BaseException as error:
            self._leave(call, error)
            raise
        wrong = arguments.awaitable_error(fn, value) or arguments.generator_error(fn, value)
        self._leave(call, wrong, void=wrong is not None)
        return value, wrong

    async def _run_async(
        self, fn: Callable[..., object], args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> tuple[object, TypeError | None]:
        """The value, or why it is none."""
        call = self._books.enter()
        try:
            value = fn(*args, **kwargs)
            if arguments.is_awaitable(value):
                value = await value
        except BaseException as error:
            self._leave(call, error)
            raise
        wrong = arguments.generator_error(fn, value)
        self._leave(call, wrong, void=wrong is not None)
        return value, wrong

    def _leave(self, call: Call, error: BaseException | None, *, void: bool = False) -> None:
        """A call has ended; `void` if nothing can be learnt from that."""
        calls.end(call)
        outcome = Outcome.CANCELLED if void else self._outcome(error)
        if call.permit is call or outcome is Outcome.FAILURE:
            self._books.settle(call.permit, outcome, "success" if error is None else type(error).__name__)

    def _outcome(self, error: BaseException | None) -> Outcome:
        if isinstance(error, CircuitOpen) and error.circuit is self._books.own:
            return Outcome.CANCELLED
        if error is None or isinstance(error, self._excluded):
            return Outcome.SUCCESS
        return Outcome.FAILURE if isinstance(error, self._recorded) else Outcome.CANCELLED

    def _covers(self, error: Exception) -> bool:
        return isinstance(error, CircuitOpen) or self._outcome(error) is Outcome.FAILURE
