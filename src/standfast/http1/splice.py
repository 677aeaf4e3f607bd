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

import asyncio
import re
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

import msgspec

from standfast.http1.gather import Gathering

if TYPE_CHECKING:
    from standfast.http1.answer import Answer
    from standfast.http1.upstream_connection import Connection

Shape: TypeAlias = tuple[bytes, bytes]
"""What whole events begin and end with that change nothing, whatever the JSON string between says; two times nothing if
they are plain, and have no such string."""

_CRLF = b"\r\n"
_LINES = (*(b"%x\r\n" % size for size in range(1024)),)
"""Size lines of chunks that a few tokens fit into. What upstreams write otherwise (upper case) is read the long way."""
_TWO_DIGITS = 2 + 2 + 0xFF + 2
_LONGEST = len(_LINES) + 3 + 2 + 2
_telling = re.compile(rb'["\\\x00-\x1f]').search
"""What does not stand for itself in a JSON string."""
_plain: dict[bytes, bytes] = {}
"""Texts without it, to themselves. Models write much of what they write with few tokens: to find one here touches less
than a search does, and the one that is remembered is the same for all streams."""
_MOST_PLAIN = 4096
_LONGEST_PLAIN = 32
_joined = b"".join
_forget: Callable[[bytes], None] = deque[bytes](maxlen=0).append
_BOUNDLESS = 1 << 60
_UNSURE = -1


class Run(NamedTuple):
    """Events of one shape, one after another.

    Attributes:
        begin, end: of each.
        texts: what was between.
    """

    begin: bytes
    end: bytes
    texts: list[bytes]


class Tape(msgspec.Struct, eq=False):
    """What a client was told, so that it can be compared with a second attempt.

    Attributes:
        room: bytes that may still be remembered; below 0 nothing is remembered any more.
        pieces: whole events, in order; empty once there is no room.
    """

    room: int
    pieces: list[bytes | Run] = []

    def add(self, events: bytes) -> None:
        """The client has been told this."""
        if self.room >= 0:
            self.pieces.append(events)
            self.left(self.room - len(events))

    def left(self, room: int) -> None:
        """So much room is left now."""
        self.room = room
        if room < 0:
            self.pieces.clear()

    def told(self) -> list[bytes]:
        """Whole events, in order."""
        told: list[bytes] = []
        for piece in self.pieces:
            if isinstance(piece, Run):
                told += [piece.begin + text + piece.end for text in piece.texts]
            else:
                told.append(piece)
        return told


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


def _stands_for_itself(text: bytes) -> bytes | None:
    """The same if this is a piece of a JSON string that means what it says."""
    if _telling(text) is not None:
        return None
    if len(text) <= _LONGEST_PLAIN and len(_plain) < _MOST_PLAIN:
        _plain[text] = text
    return text


class Splice(asyncio.Protocol):
    """Both ends of a stream, tied together.

    As soon as it knows a shape it is the protocol of the upstream's transport, in place of the connection, to which it
    hands on whatever it does not take.

    Args:
        answer: the client's side; its head has left, in chunks.
        transport: where that writes.
        flow: the stream.
    """

    __slots__ = (
        "_answer",
        "_begin",
        "_begin_size",
        "_connection",
        "_end",
        "_end_at",
        "_mark",
        "_room",
        "_run",
        "_shape",
        "_tape",
        "_tell",
        "_transport",
        "_turns",
        "_write",
    )

    def __init__(self, answer: "Answer", transport: Gathering, flow: Flow) -> None:
        self._answer = answer
        self._transport = transport
        self._write = transport.real.write
        self._shape, self._mark, self._turns, self._tape = flow
        self._begin = self._end = b""
        self._begin_size = self._end_at = 0
        self._room = _UNSURE  # as the tape's, while it is sure
        self._run: Run | None = None  # the tape's last piece
        self._tell = _forget
        self._connection: Connection | None = None

    # The upstream's transport calls ----------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Pass on what came between two chunks if it is one of the known shape.

        What is not taken may change the stream; the shape is used again when `learn` has seen something plain.
        """
        size = len(data)
        if size < _LONGEST:
            start = 4 if size <= _TWO_DIGITS else 5  # of the events, behind the size line
            size -= start
            text = data[start + self._begin_size : self._end_at]
            room = self._room - size
            if (
                room >= 0
                and _joined((_LINES[size - 2], self._begin, text, self._end)) == data
                and (known := _plain.get(text) or _stands_for_itself(text)) is not None
            ):
                tell, write = self._tell, self._write  # called as `self._tell()` a slot is found the slow way
                self._room = room
                tell(known)
                self._mark.touched = self._turns.turn
                try:
                    write(data)
                except RuntimeError:  # closed, and its protocol does not know yet
                    pass
                else:
                    return
        self.doubt()
        if self._connection is not None:
            self._connection.data_received(data)

    def eof_received(self) -> None:
        """The connection's to judge."""
        if self._connection is not None:
            self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection's to judge."""
        if self._connection is not None:
            self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        """The connection's to know."""
        if self._connection is not None:
            self._connection.pause_writing()

    def resume_writing(self) -> None:
        """The connection's to know."""
        if self._connection is not None:
            self._connection.resume_writing()

    def doubt(self) -> None:
        """Take nothing until something plain has been learnt: the client reads too slowly, or its answer is over."""
        room, self._room = self._room, _UNSURE
        if self._tape is not None and 0 <= room <= self._tape.room:
            self._tape.left(room)

    # The connection calls --------------------------------------------------------------------------------------------

    def learn(self, connection: "Connection", chunk: bytes, body: bytes) -> bool:
        """Pass on a whole chunk if it is plain, and remember its shape; without one the last is as good as it was."""
        shape = self._shape(body)
        if shape is None or not self._pass(chunk):
            return False
        self._record(shape, body)
        if shape[0]:
            self._begin, end = shape
            self._end = end + _CRLF
            self._begin_size, self._end_at = len(self._begin), -len(self._end)
        if self._begin:
            self._be_sure(connection)
        return True

    def over(self) -> None:
        """The upstream's answer is; the transport is the connection's again."""
        self.doubt()
        if self._connection is not None:
            self._connection.transport.real.set_protocol(self._connection)
            self._connection = None

    def _pass(self, chunk: bytes) -> bool:
        owner, transport = self._answer.owner, self._transport
        if owner is None or owner.write_paused or transport.parts or transport.real.is_closing():
            return False
        self._mark.touched = self._turns.turn
        self._write(chunk)
        return True

    def _record(self, shape: Shape, body: bytes) -> None:
        tape, run = self._tape, self._run
        if tape is None or tape.room < 0:
            return
        if run is not None and tape.pieces[-1] is run and (run.begin, run.end) == shape:
            run.texts.append(body[len(run.begin) : len(body) - len(run.end)])
            tape.left(tape.room - len(body))
        else:
            tape.add(body)

    def _be_sure(self, connection: "Connection") -> None:
        """From the next chunk on."""
        tape = self._tape
        if tape is None or tape.room < 0:
            self._tell, self._room = _forget, _BOUNDLESS
        else:
            if tape.pieces[-1] is not self._run:
                self._run = Run(self._begin, self._end[: -len(_CRLF)], [])
                tape.pieces.append(self._run)
                self._tell = self._run.texts.append
            self._room = tape.room
        if self._connection is None:
            self._connection = connection
            connection.transport.real.set_protocol(self)
