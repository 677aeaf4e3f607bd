"""The rest of a broken stream, from another attempt that was asked to go on with it.

The client keeps the stream that it has: no second beginning, the ids and the model's name of the first attempt, then
the new text, the new finish and the tokens of both. Two things stand between the old text and the new:

* Blanks at the end of the old text are left out of the request (`Heard.start`): several servers refuse or remove them.
  If the new text begins with them, they are swallowed.
* A server that does not understand what is asked of it begins a new answer. As long as the new text equals the
  beginning of the old one nothing is given; after `SAME` characters the attempt counts as failed. So an answer is never
  told twice. (A new answer in other words cannot be told from a rest: that is why nobody is asked to go on who is not
  known to be able to.)
"""

from typing import Final

from standfast.canon.chat import Finished, StreamEvent, TextDelta, UsageReport
from standfast.canon.usage import Usage
from standfast.formats._heard import Heard
from standfast.formats._translate import TranslatingRelay
from standfast.formats.base import Format

SAME: Final = 32
"""So many characters equal to the beginning of an answer are no coincidence: it begins again."""


class ResumeRelay(TranslatingRelay):
    """A `base.StreamRelay` for an attempt that was asked for the rest of a stream.

    Args:
        upstream: the format of the attempt.
        client: the client's.
        told: what the client has.
        before: tokens of the attempts that gave it, as far as they were reported.
        include_usage: the client asked for usage in the stream.
        max_event_bytes: limit of one event.
    """

    __slots__ = ("_before", "_blank", "_doubtful", "_first")

    def __init__(
        self,
        upstream: Format,
        client: Format,
        told: Heard,
        before: Usage | None = None,
        *,
        include_usage: bool,
        max_event_bytes: int,
    ) -> None:
        writer = client.writer(include_usage=include_usage, created=told.created)
        writer.write(told.opened)
        writer.write(TextDelta(told.text))
        super().__init__(upstream.reader(), writer, max_event_bytes)
        self._before = before
        self._blank = told.text[len(told.start) :]
        self._first = told.text[:SAME] if len(told.text) >= SAME else ""
        self._doubtful = ""

    def _take(self, event: StreamEvent) -> None:
        if isinstance(event, TextDelta) and not self.finishing:
            self._hear(event.text)
        elif isinstance(event, UsageReport):
            self.usage = event.usage
            counted = event if self._before is None else UsageReport(self._before + event.usage)
            self._out.append(self._writer.write(counted))
        else:
            if isinstance(event, Finished) and self._doubtful:
                rest, self._first, self._doubtful = self._doubtful, "", ""
                self._give(rest)
            super()._take(event)

    def _hear(self, piece: str) -> None:
        first = self._first
        if first:
            piece = self._doubtful + piece
            if piece.startswith(first):
                self.malformed = "it begins the answer again"
                return
            if first.startswith(piece):
                self._doubtful = piece
                return
            self._first = self._doubtful = ""
        self._give(piece)

    def _give(self, piece: str) -> None:
        blank = self._blank
        if blank:
            same = next((at for at, pair in enumerate(zip(blank, piece, strict=False)) if pair[0] != pair[1]), None)
            if same is None:
                same = min(len(blank), len(piece))
            self._blank = blank[same:] if same == len(piece) else ""
            piece = piece[same:]
        if piece:
            super()._take(TextDelta(piece))

    def _begin(self) -> None:
        """The stream has begun long ago."""
        self.content = True
