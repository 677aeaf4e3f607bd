"""The structs of a request under way are set as other objects are, and the garbage collector sees them all the same."""

import gc
import weakref

import msgspec
import pytest

from standfast.canon.structs import plain_stores
from standfast.engine import attempts, call, delivery, drive, lifeline, repeat
from standfast.http1 import answer, base, client
from standfast.policy import effort, exchange, places, running

HOT = (
    attempts.Attempts,
    call.Call,
    delivery.Delivery,
    drive.Drive,
    lifeline.Lifeline,
    repeat.RepeatCall,
    repeat.ResumeCall,
    answer.Answer,
    base.HttpRequest,
    client.Call,
    effort.Run,
    exchange.Exchange,
    places.Permit,
    running.Running,
)


@pytest.mark.parametrize("struct", HOT)
def test_every_hot_struct_has_them(struct: type) -> None:
    """A subclass that forgets the decorator would be as slow as before, without a sign."""
    assert (struct.__setattr__, struct.__delattr__) == (object.__setattr__, object.__delattr__)


def test_fields_are_set_and_nothing_else() -> None:
    """What a struct has is set and read; what it does not have is an error, as it was."""

    @plain_stores
    class Point(msgspec.Struct):
        x: int
        near: list[int]

    point = Point(1, [])
    point.x, point.near = 2, [3]
    assert (point, point.near) == (Point(2, [3]), [3])
    with pytest.raises(AttributeError):
        point.y = 1  # type: ignore[attr-defined]


def test_the_collector_finds_their_cycles() -> None:
    """Made with something that it sees, such a struct is seen from the beginning, whatever it is given later."""

    @plain_stores
    class Node(msgspec.Struct, weakref=True):
        others: list["Node"]
        next: "Node | None" = None

    node = Node([])
    assert gc.is_tracked(node)
    node.next = node
    seen = weakref.ref(node)
    del node
    assert seen() is not None
    gc.collect()
    assert seen() is None
