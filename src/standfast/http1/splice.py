r"""Chunks of a stream on their shortest way: from the upstream's connection to the client's, as they came.

The body of a chunk that changes nothing reaches the client byte for byte, so its frame (`1a4\r\n ... \r\n`) may as
well. Everything else (the stream's end, half events, a client that reads too slowly, bytes that wait before it) is not
taken, and goes the long way.

Theory. The chunks of one stream differ in a piece of text and in little else. Once the format has found a chunk plain,
it says where that text begins and ends. A next chunk that begins and ends with the same bytes, and has between them
only characters that stand for themselves in a JSON string, is the same JSON but for one string's value: it is as plain,
and need not be read. Between two chunks of a stream the processor's caches are somebody else's, so what counts is how
little code and data a chunk touches, more than how fast that is when it is warm.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

import msgspec

from standfast.http1.gather import Gathering

if TYPE_CHECKING:
    from standfast.http1.answer import Answer

Shape: TypeAlias = tuple[bytes, bytes]
"""What whole events begin and end with that change nothing, whatever the JSON string between says; two times nothing if
they are plain, and have no such string."""

_LINES = (*(b"%x\r\n" % size for size in range(1024)),)
"""Size lines of chunks that a few tokens fit into. What upstreams write otherwise (upper case) is read the long way."""
_TWO_DIGITS = 2 + 2 + 0xFF + 2
_LONGEST = len(_LINES) + 3 + 2 + 2
_telling = re.compile(rb'["\\\x00-\x1f]').search
"""What does not stand for itself in a JSON string."""


class Tape(msgspec.Struct, eq=False):
    """What a client was told, so that it can be compared with a second attempt.

    Attributes:
        room: bytes that may still be remembered; below 0 nothing is remembered any more.
        pieces: whole events, in order; empty once there is no room.
    """

    room: int
    pieces: list[bytes] = []

    def add(self, events: bytes) -> None:
        """The client has been told this."""
        if self.room >= 0:
            self.room -= len(events)
            self.pieces.append(events)
            if self.room < 0:
                self.pieces.clear()


class Touched(Protocol):
    """Where a piece of content leaves its mark: the number of the turn after which it came."""

    touched: int


class Turns(Protocol):
    """Whoever counts the turns."""

    turn: int


class Flow(NamedTuple):
    """A stream under way, as a splice must know it.

    Attributes:
        shape: the shape of these bytes; None unless they are whole events that change nothing in the stream so far.
        mark: gets a mark for each piece of content.
        turns: what the mark says.
        tape: remembers what the client was told; None if nobody does.
    """

    shape: Callable[[bytes], Shape | None]
    mark: Touched
    turns: Turns
    tape: Tape | None


class Splice:
    """Both ends of a stream, tied together.

    Args:
        answer: the client's side; its head has left, in chunks.
        transport: where that writes.
        flow: the stream.
    """

    __slots__ = (
        "_answer",
        "_begin",
        "_begin_size",
        "_end",
        "_end_size",
        "_mark",
        "_shape",
        "_sure",
        "_tape",
        "_transport",
        "_turns",
    )

    def __init__(self, answer: "Answer", transport: Gathering, flow: Flow) -> None:
        self._answer = answer
        self._transport = transport
        self._shape, self._mark, self._turns, self._tape = flow
        self._begin = self._end = b""
        self._begin_size = self._end_size = 0
        self._sure = False

    def take(self, data: bytes) -> bool:
        """Pass on what came between two chunks if it is one of the known shape.

        What is not taken may change the stream; the shape is used again when `learn` has seen something plain.
        """
        if not self._sure:
            return False
        size = len(data)
        start = 4 if size <= _TWO_DIGITS else 5  # of the events, behind the size line
        text, stop = start + self._begin_size, size - self._end_size
        if (
            size < _LONGEST
            and text <= stop
            and data.startswith(_LINES[size - start - 2])
            and data.startswith(self._begin, start)
            and data.endswith(self._end)
            and _telling(data, text, stop) is None
        ):  # and now what `_pass` does: a call more for each chunk is felt
            owner, transport = self._answer.owner, self._transport
            if owner is not None and not owner.write_paused and not transport.parts:
                real = transport.real
                if not real.is_closing():
                    tape = self._tape
                    if tape is not None and tape.room >= 0:
                        tape.add(data[start:-2])
                    self._mark.touched = self._turns.turn
                    real.write(data)
                    return True
        self._sure = False
        return False

    def learn(self, chunk: bytes, body: bytes) -> bool:
        """Pass on a whole chunk if it is plain, and remember its shape; without one the last is as good as it was."""
        shape = self._shape(body)
        if shape is None or not self._pass(chunk, body):
            return False
        begin, end = shape
        if begin:
            self._begin, self._end = begin, end + b"\r\n"
            self._begin_size, self._end_size = len(begin), len(end) + 2
        self._sure = bool(self._begin)
        return True

    def _pass(self, chunk: bytes, body: bytes) -> bool:
        owner, transport = self._answer.owner, self._transport
        if owner is None or owner.write_paused or transport.parts:
            return False
        real, tape = transport.real, self._tape
        if real.is_closing():
            return False
        if tape is not None and tape.room >= 0:
            tape.add(body)
        self._mark.touched = self._turns.turn
        real.write(chunk)
        return True
