"""The rest of a broken stream, from another attempt that was asked to go on with it.

The client keeps the stream that it has: no second beginning, the ids and the model's name of the first attempt, then
the new text, the new finish and the tokens of both. Two things stand between the old text and the new:

* Blanks at the end of the old text are left out of the request (`Heard.start`): several servers refuse or remove them.
  If the new text begins with them, they are swallowed.
* A server may say the old text again: some repeat what they were given before they go on, and one that does not
  understand what is asked of it begins anew. As long as the new text equals the old one nothing is given; when all of
  it has been said again, what follows is the rest. One that differs after `SAME` characters is another answer, and has
  failed. So nothing is told twice, and no two answers are put together. (Another answer in other words from the start
  cannot be told from a rest: that is why nobody is asked to go on who is not known to be able to.)
"""

from typing import Final

from standfast.canon.chat import Finished, StreamEvent, TextDelta, UsageReport
from standfast.canon.usage import Usage
from standfast.formats._heard import Heard
from standfast.formats._translate import TranslatingRelay
from standfast.formats.base import Format

SAME: Final = 32
"""So many characters equal to the beginning of an answer are no coincidence: it begins again."""

SHORT: Final = 8
"""An answer of fewer characters so far may well go on with the same ones: "ha" with "ha"."""


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

    __slots__ = ("_again", "_before", "_blank", "_doubtful")

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
        self._again = told.start if len(told.start) >= SHORT else ""
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
                self._differs(self._doubtful)
            super()._take(event)

    def _hear(self, piece: str) -> None:
        again = self._again
        if not again:
            self._give(piece)
            return
        heard = self._doubtful + piece
        if heard.startswith(again):
            self._again = self._doubtful = ""
            self._give(heard[len(again) :])
        elif again.startswith(heard):
            self._doubtful = heard
        else:
            self._differs(heard)

    def _differs(self, heard: str) -> None:
        """It is not the old text again, or not all of it."""
        if _alike(heard, self._again) >= SAME:
            self.malformed = "it begins another answer"
            return
        self._again = self._doubtful = ""
        self._give(heard)

    def _give(self, piece: str) -> None:
        blank = self._blank
        if blank:
            same = _alike(blank, piece)
            self._blank = blank[same:] if same == len(piece) else ""
            piece = piece[same:]
        if piece:
            super()._take(TextDelta(piece))

    def _begin(self) -> None:
        """The stream has begun long ago."""
        self.content = True


def _alike(one: str, other: str) -> int:
    """Characters at the beginning that are the same."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (left, right) in enumerate(pairs) if left != right), min(len(one), len(other)))
