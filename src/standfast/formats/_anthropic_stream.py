"""Anthropic's stream: relayed to a client of the same format, read, and written.

Whole only with `message_stop`. A stop reason (in `message_delta`) is the first sign of the finish; what follows it is
held until then. Pings before the first content are dropped, unknown events pass.
"""

from typing import Final

from standfast.canon.chat import Completed, Finish, Finished, InBandError, Opened, StreamEvent, TextDelta, UsageReport
from standfast.canon.usage import Usage
from standfast.formats._anthropic_wire import STOP_REASON, finish_of, merged_usage, usage_object, usage_of
from standfast.formats._json import Object, encode, loose_object, obj, text
from standfast.formats._relay import HoldingRelay
from standfast.framing import sse

_LATE: Final = frozenset({"content_block_start", "content_block_delta"})
_DELTA_CONTENT: Final = ("text", "partial_json", "thinking", "citation")


def _is_error(event: str, body: Object) -> bool:
    return bool(body.get("error")) or event == "error" or body.get("type") == "error"


class AnthropicRelay(HoldingRelay):
    """See the module and `_relay`."""

    __slots__ = ("_counts",)

    def __init__(self, *, max_event_bytes: int) -> None:
        super().__init__(max_event_bytes)
        self._counts: Object = {}

    def _take(self, event: sse.Event) -> None:
        if not event.data:
            return
        try:
            body = loose_object(event.data)
        except ValueError as error:
            self.malformed = f"an event is {error}"
            return
        if _is_error(event.name, body):
            self.error = event.data
            return
        if event.bare:
            self.malformed = "JSON in place of server-sent events"
            return
        form = text(body.get("type"))
        if form == "message_stop":
            self.finishing = True
            self._release(event.raw)
        elif form == "ping" and not self.content:
            return
        elif not (self.finishing and form in _LATE):
            self._facts(form, body)
            self._pass(event.raw)

    def _facts(self, form: str, body: Object) -> None:
        match form:
            case "message_start":
                self._count(obj(body.get("message")).get("usage"))
            case "message_delta":
                self._count(body.get("usage"))
                self.finishing = self.finishing or bool(obj(body.get("delta")).get("stop_reason"))
            case "content_block_start":
                block = obj(body.get("content_block"))
                if block.get("text") or block.get("type") not in ("text", "thinking"):
                    self._start()
            case "content_block_delta":
                delta = obj(body.get("delta"))
                if any(delta.get(name) for name in _DELTA_CONTENT):
                    self._start()

    def _start(self) -> None:
        if not self.content:
            self._begin()

    def _count(self, usage: object) -> None:
        if isinstance(usage, dict):
            self._counts = merged_usage(self._counts, usage)
            self.usage = usage_of(self._counts)

    def _ended(self) -> None:
        """Nothing replaces `message_stop`."""


class AnthropicReader:
    """See `base.StreamReader`."""

    __slots__ = ("_counts", "_finished")

    def __init__(self) -> None:
        self._counts: Object = {}
        self._finished = False

    def feed(self, event: str, data: bytes) -> list[StreamEvent]:  # noqa: PLR0911 - one return per event type
        """One event.

        Raises:
            ValueError: it is none of this format, or begins a tool call.
        """
        if not data:
            return []
        body = loose_object(data)
        if _is_error(event, body):
            return [InBandError(data)]
        match text(body.get("type")):
            case "message_start":
                message = obj(body.get("message"))
                opened = Opened(text(message.get("id")), text(message.get("model")))
                return [opened, *self._count(message.get("usage"))]
            case "content_block_start":
                return self._block(obj(body.get("content_block")))
            case "content_block_delta":
                piece = text(obj(body.get("delta")).get("text"))
                return [TextDelta(piece)] if piece else []
            case "message_delta":
                return self._finish(obj(body.get("delta")), body.get("usage"))
            case "message_stop":
                return [Completed()]  # without a stop reason before it that is not the end of an answer
            case _:
                return []

    def _block(self, block: Object) -> list[StreamEvent]:
        form = text(block.get("type"))
        if form.endswith("tool_use"):
            raise ValueError("a tool call in an answer whose request had no tools")
        piece = text(block.get("text"))
        return [TextDelta(piece)] if piece and form == "text" else []

    def _finish(self, delta: Object, usage: object) -> list[StreamEvent]:
        found = self._count(usage)
        reason = text(delta.get("stop_reason"))
        if reason and not self._finished:
            self._finished = True
            found.append(Finished(finish_of(reason)))
        return found

    def _count(self, usage: object) -> list[StreamEvent]:
        if not isinstance(usage, dict):
            return []
        self._counts = merged_usage(self._counts, usage)
        return [UsageReport(usage_of(self._counts))]

    def close(self) -> list[StreamEvent]:
        """Nothing replaces `message_stop`."""
        return []


class AnthropicWriter:
    """See `base.StreamWriter`. One text block; the counts so far stand in `message_start`, the last in the end."""

    __slots__ = ("_block_open", "_reason", "_usage")

    def __init__(self) -> None:
        self._block_open = False
        self._reason = Finish.STOP
        self._usage: Usage | None = None

    def write(self, event: StreamEvent) -> bytes:
        """The event as events of this format; errors are the caller's to write (`write_stream_error`)."""
        match event:
            case TextDelta(text=piece):
                return self._open_block() + _event(
                    "content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": piece}}
                )
            case Opened(id=name, model=model):
                return self._start(name, model)
            case UsageReport(usage=usage):
                self._usage = usage
            case Finished(reason=reason):
                self._reason = reason
            case Completed():
                return self._end()
            case InBandError():
                pass
        return b""

    def _start(self, name: str, model: str) -> bytes:
        message: Object = {
            "id": name or "msg_standfast",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_object(self._usage),
        }
        return _event("message_start", {"message": message})

    def _open_block(self) -> bytes:
        if self._block_open:
            return b""
        self._block_open = True
        return _event("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}})

    def _end(self) -> bytes:
        stop = _event("content_block_stop", {"index": 0}) if self._block_open else b""
        delta = {"stop_reason": STOP_REASON[self._reason], "stop_sequence": None}
        end = _event("message_delta", {"delta": delta, "usage": usage_object(self._usage)})
        return stop + end + _event("message_stop", {})


def _event(name: str, body: Object) -> bytes:
    return sse.encode(encode({"type": name, **body}), name)
