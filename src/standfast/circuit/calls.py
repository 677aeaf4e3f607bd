"""Which calls are under way in this context, and which of them stands inside of which.

A call inside of another one through the same breaker (a function that calls itself, a block in a block) is part of it:
it shares the permit of the outer one, because a trial of one permit could otherwise never be passed by it.

One variable serves all breakers, since one of its own for each could never be collected. It holds no breaker, only what
stands for it. A context is a hint, no owner: a block may be left in another one than it was entered in (a dependency
with `yield`, an asynchronous generator that several tasks drive), so what is over is marked, and taken out of a stack
whenever that changes.
"""

from collections.abc import Container
from contextvars import ContextVar
from typing import Self

from standfast.canon.instants import Monotonic


class Call:
    """A call, or a block, that is under way.

    Args:
        circuit: stands for the breaker.
        ticket: of the permit.
        since: when it was let through.
        outer: the one whose permit it shares; None if it has its own.

    Attributes:
        circuit, ticket, since: the same.
        permit: the one that holds the permit, perhaps itself.
        settled: the permit has been given back; said of the one that holds it.
        left: it has ended.
    """

    __slots__ = ("circuit", "left", "permit", "settled", "since", "ticket")

    def __init__(self, circuit: object, ticket: int, since: Monotonic, outer: Self | None = None) -> None:
        self.circuit = circuit
        self.ticket = ticket
        self.since = since
        self.permit: Self = self if outer is None else outer
        self.settled = self.left = False


_stack: ContextVar[tuple[Call, ...]] = ContextVar("standfast_circuit_calls", default=())


def innermost(circuit: object, among: Container[Call] | None = None) -> Call | None:
    """The innermost call through this breaker that is under way here, or the innermost one of these."""
    for call in reversed(_stack.get()):
        if call.circuit is circuit and not call.left and (among is None or call in among):
            return call
    return None


def begin(call: Call) -> Call:
    """It is the innermost one here."""
    _stack.set((*(each for each in _stack.get() if not each.left), call))
    return call


def end(call: Call) -> None:
    """It has ended, wherever it began."""
    call.left = True
    if stack := _stack.get():
        _stack.set(tuple(each for each in stack if not each.left))
