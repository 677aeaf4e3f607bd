"""Gemini's stream: relayed to a client of the same format, read, and written.

There is no terminator: the answer is whole when every candidate has a finish reason (or the prompt was blocked) and
the body then ends well-formed. Usage is running; chunks with usage alone may follow the finish. An error may come as
bare JSON of several lines, which the decoder gives as one `bare` event.
"""

from standfast.canon.chat import Completed, Finish, Finished, InBandError, Opened, StreamEvent, TextDelta, UsageReport
from standfast.canon.usage import Usage
from standfast.formats import _gemini_wire as wire
from standfast.formats._json import Object, encode
from standfast.formats._relay import HoldingRelay
from standfast.framing import sse


class GeminiRelay(HoldingRelay):
    """See the module and `_relay`."""

    __slots__ = ("_finished", "_unfinished")

    def __init__(self, *, max_event_bytes: int) -> None:
        super().__init__(max_event_bytes)
        self._finished: set[int] = set()
        self._unfinished: set[int] = set()

    def _take(self, event: sse.Event) -> None:
        if not event.data:
            return
        try:
            chunk = wire.read(event.data)
        except ValueError as error:
            self.malformed = f"an event is {error}"
            return
        if chunk.error:
            self.error = event.data
        elif event.bare:
            self.malformed = "JSON in place of server-sent events"
        else:
            self._chunk(chunk, event.raw)

    def _chunk(self, chunk: wire.Chunk, raw: bytes) -> None:
        self.usage = chunk.usage or self.usage
        late = self.finishing
        content = False
        for candidate in chunk.candidates:
            if candidate.finish in wire.FAILED:
                self.error = wire.interrupted(candidate.finish)
                return
            content = content or candidate.content
            if late or candidate.index in self._finished:
                continue
            if candidate.finish:
                self._finished.add(candidate.index)
                self._unfinished.discard(candidate.index)
            else:
                self._unfinished.add(candidate.index)
        if late and content:
            return
        if content and not self.content:
            self._begin()
        if chunk.blocked or (self._finished and not self._unfinished):
            self.finishing = True
        self._pass(raw)

    def _ended(self) -> None:
        if self.finishing:
            self._release(b"")


class GeminiReader:
    """See `base.StreamReader`. Only candidate 0 is read: translated requests ask for one."""

    __slots__ = ("_finished", "_opened")

    def __init__(self) -> None:
        self._finished = False
        self._opened = False

    def feed(self, event: str, data: bytes) -> list[StreamEvent]:
        """One event; this format names none.

        Raises:
            ValueError: it is no chunk, or holds a function call.
        """
        del event
        if not data:
            return []
        chunk = wire.read(data)
        if chunk.error:
            return [InBandError(data)]
        found: list[StreamEvent] = []
        if not self._opened:
            self._opened = True
            found.append(Opened(chunk.id, chunk.model))
        for candidate in chunk.candidates:
            if candidate.index == 0 and not self._finished:
                self._candidate(candidate, found)
        if chunk.blocked and not self._finished:
            self._finished = True
            found.append(Finished(Finish.CONTENT_FILTER))
        if chunk.usage is not None:
            found.append(UsageReport(chunk.usage))
        return found

    def _candidate(self, candidate: wire.Candidate, found: list[StreamEvent]) -> None:
        if candidate.tool_call:
            raise ValueError("a function call in an answer whose request had no tools")
        if candidate.finish in wire.FAILED:
            found.append(InBandError(wire.interrupted(candidate.finish)))
            return
        if candidate.text:
            found.append(TextDelta(candidate.text))
        if candidate.finish:
            self._finished = True
            found.append(Finished(wire.finish_of(candidate.finish)))

    def close(self) -> list[StreamEvent]:
        """The end of the body is this format's terminator, once the answer has finished."""
        return [Completed()] if self._finished else []


class GeminiWriter:
    """See `base.StreamWriter`. The finish goes out with the last usage, when the answer is complete."""

    __slots__ = ("_id", "_model", "_reason", "_usage")

    def __init__(self) -> None:
        self._id = ""
        self._model = ""
        self._reason = Finish.STOP
        self._usage: Usage | None = None

    def write(self, event: StreamEvent) -> bytes:
        """The event as chunks; errors are the caller's to write (`write_stream_error`)."""
        match event:
            case TextDelta(text=piece):
                return self._chunk(piece, None)
            case Opened(id=name, model=model):
                self._id, self._model = name, model
            case UsageReport(usage=usage):
                self._usage = usage
            case Finished(reason=reason):
                self._reason = reason
            case Completed():
                return self._chunk("", self._reason)
            case InBandError():
                pass
        return b""

    def _chunk(self, piece: str, reason: Finish | None) -> bytes:
        return frame(encode(reply_object(piece, reason, self._usage, self._id, self._model)))


def reply_object(piece: str, reason: Finish | None, usage: Usage | None, name: str, model: str) -> Object:
    """A chunk, or a whole reply; the reason is None in all chunks but the last."""
    candidate: Object = {"content": {"role": "model", "parts": [{"text": piece}]}, "index": 0}
    if reason is not None:
        candidate["finishReason"] = wire.FINISH_REASON[reason]
    body: Object = {"candidates": [candidate]}
    if usage is not None:
        body["usageMetadata"] = wire.usage_object(usage)
    body["modelVersion"] = model
    if name:
        body["responseId"] = name
    return body


def frame(data: bytes) -> bytes:
    """One event with CRLF line ends, as Gemini sends them."""
    return b"data: " + data + b"\r\n\r\n"
