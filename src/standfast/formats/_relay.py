r"""What every stream relay has in common: what is held back, and when it is let go.

    held  --first content-->  flowing  --last choice finished-->  finishing  --terminator-->  complete
      \______________________________ error, malformed ______________________________________/

* `held`: nothing has content yet; events wait, so that a failed attempt leaves no trace at the client.
* `flowing`: each event is passed on as it came, and never half of it.
* `finishing`: every choice has its finish reason; events wait again, because a finish without the provider's own
  terminator must not look like success. An answer that finishes without content is let go by the terminator.
* `complete`, `error`, `malformed`: final. Late input is ignored.

What is held is bounded by the limit of one event. Comments and blank lines between events are dropped: the gateway
sends its own heartbeats.
"""

from abc import ABC, abstractmethod

from standfast.canon.usage import Usage
from standfast.framing import sse


class HoldingRelay(ABC):
    """Base of the relays: feeds the decoder, keeps the states, leaves the judgement of an event to `_take`."""

    __slots__ = (
        "_decoder",
        "_held",
        "_held_bytes",
        "_limit",
        "_out",
        "complete",
        "content",
        "error",
        "finishing",
        "malformed",
        "usage",
    )

    def __init__(self, max_event_bytes: int) -> None:
        self.content = False
        self.finishing = False
        self.complete = False
        self.error: bytes | None = None
        self.malformed = ""
        self.usage: Usage | None = None
        self._decoder = sse.Decoder(max_event_bytes)
        self._limit = max_event_bytes
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._out: list[bytes] = []

    @property
    def _over(self) -> bool:
        return self.complete or self.error is not None or bool(self.malformed)

    def shape(self, data: bytes) -> tuple[bytes, bytes] | None:
        """See `base.StreamRelay`; a format that knows no quick answer has none."""
        del data
        return None

    def feed(self, data: bytes) -> bytes:
        """Take upstream body bytes; return what may go to the client now."""
        if self._over:
            return b""
        excess = ""
        try:
            events = self._decoder.feed(data)
        except sse.EventTooLarge as error:
            events, excess = error.before, str(error)
        self._take_all(events)
        if excess and not self._over:
            self.malformed = excess
        return self._flush()

    def close(self) -> bytes:
        """The body ended well-formed: `complete` if the stream is whole by the format's rule."""
        if self._over:
            return b""
        self._take_all(self._decoder.close())
        if not self._over:
            self._ended()
        return self._flush()

    def _take_all(self, events: list[sse.Event]) -> None:
        for event in events:
            self._take(event)
            if self._over:
                break

    @abstractmethod
    def _take(self, event: sse.Event) -> None:
        """Judge one event and `_pass`, `_hold` or drop it, or end the stream."""

    @abstractmethod
    def _ended(self) -> None:
        """The body is over and no terminator was seen: `_release` if the format forgives that."""

    def _begin(self) -> None:
        """The first content is here: what was held before it goes first."""
        self.content = True
        self._out += self._held
        self._held.clear()
        self._held_bytes = 0

    def _pass(self, raw: bytes) -> None:
        """To the client now, unless the state holds things back."""
        if self.content and not self.finishing:
            self._out.append(raw)
        else:
            self._hold(raw)

    def _hold(self, raw: bytes) -> None:
        self._held.append(raw)
        self._held_bytes += len(raw)
        if self._held_bytes > self._limit:
            self.malformed = f"more than {self._limit} bytes of events without content"
            self._held.clear()

    def _release(self, last: bytes) -> None:
        """The terminator is here: everything goes, the answer is whole."""
        self._begin()
        self._out.append(last)
        self.complete = True

    def _flush(self) -> bytes:
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data
