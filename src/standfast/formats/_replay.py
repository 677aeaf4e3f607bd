"""A broken stream given again: the second attempt's text is swallowed while it equals what the client has.

The client has been told some text (`_heard`); what is compared is text and not bytes (escapes, slices and names may
differ). Then

* as long as the second attempt repeats that text, nothing goes to the client;
* what goes beyond it is written in the client's format, in the middle of the stream that has begun: the writer is first
  given what the client has, and its words for that are thrown away, so every format's own order is kept;
* at the first difference (also an end before the client's text is repeated, or a tool call) `diverged` says so, and
  nothing more is given. Two answers are never spliced.
"""

from typing import Final

from standfast.canon.chat import Finished, StreamEvent, TextDelta
from standfast.formats._heard import Heard
from standfast.formats._json import count, items, loose_object, obj
from standfast.formats._openai_stream import ToolCalls
from standfast.formats._translate import TranslatingRelay
from standfast.formats.base import Format
from standfast.framing import sse

_FULL: Final = "openai_chat"


class ReplayRelay(TranslatingRelay):
    """A `base.StreamRelay` for the second attempt at a broken stream.

    Args:
        upstream: the format of the second attempt.
        client: the client's.
        told: what the client has.
        include_usage: the client asked for usage in the stream.
        max_event_bytes: limit of one event.

    Attributes:
        beyond: it has said all that the client has, and more (or exactly that, and is complete): it may take over.
        diverged: why it may not; empty while it still may.
        characters: of text, so far.
    """

    __slots__ = ("_full", "_left", "beyond", "characters", "diverged")

    def __init__(
        self, upstream: Format, client: Format, told: Heard, *, include_usage: bool, max_event_bytes: int
    ) -> None:
        writer = client.writer(include_usage=include_usage, created=told.created)
        writer.write(told.opened)
        writer.write(TextDelta(told.text))
        super().__init__(upstream.reader(), writer, max_event_bytes)
        self._full = upstream.name == _FULL
        self._left = told.text
        self.beyond = False
        self.characters = 0
        self.diverged = ""

    @property
    def _over(self) -> bool:
        return bool(self.diverged) or super()._over

    def _read(self, event: sse.Event) -> list[StreamEvent] | None:
        try:
            found = self._reader.feed(event.name, event.data)
        except ToolCalls:
            self.diverged = "the second attempt calls tools"
            return None
        except ValueError as error:
            self.malformed = f"an event cannot be used: {error}"
            return None
        if self._full and _has_others(event.data):
            self.diverged = "the second attempt has several choices"
            return None
        return found

    def _take(self, event: StreamEvent) -> None:
        if isinstance(event, TextDelta) and not self.finishing:
            self.content = True
            self.characters += len(event.text)
            self._repeat(event.text)
        elif isinstance(event, Finished) and self._left:
            self.diverged = "the second attempt ended before it had said as much"
        else:
            super()._take(event)

    def _repeat(self, piece: str) -> None:
        left = self._left
        same = min(len(piece), len(left))
        if piece[:same] != left[:same]:
            self.diverged = "the second attempt says something else"
            return
        self._left = left[same:]
        if len(piece) > same:
            self.beyond = True
            self._out.append(self._writer.write(TextDelta(piece[same:])))

    def _begin(self) -> None:
        """The stream has begun long ago."""
        self.beyond = True

    def _flush(self) -> bytes:
        return super()._flush() if self.beyond and not self.diverged else b""


def _has_others(data: bytes) -> bool:
    """Is there another choice than the first in a chunk? What the reader took may be no object all the same."""
    try:
        choices = map(obj, items(loose_object(data).get("choices")))
    except ValueError:
        return False
    return any(count(choice.get("index")) for choice in choices)
