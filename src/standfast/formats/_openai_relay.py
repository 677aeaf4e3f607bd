"""A stream from an OpenAI upstream to an OpenAI client, event by event and byte for byte.

The hot path of the gateway. Once content flows, a slice that consists of whole `data: {...}` events is only checked by
msgspec against the type of a chunk that changes nothing (no finish, usage, error or further choice) and is passed on
as the same object. Decoding costs less than byte searches would (0.4 us for 300 bytes) and finds broken JSON too.

Which chunk means what:

* content: text, tool call, function call, refusal, reasoning or audio that is not empty, in any choice.
* `choices: []` with usage: for the client only if it asked (`include_usage`); without usage (Azure's prompt filter
  results) it is passed on.
* With several choices each one finishes for itself. A chunk that only finishes a choice is held to the end, the
  others flow on. `finishing` means that all choices seen so far have finished.
* After that, content of those choices is late and dropped; the next new choice (`n` > 1, sent one after the other)
  opens the stream again.
* `[DONE]` completes only a stream that is finishing. Missing, it is supplied by `close`.
"""

from typing import Final, Literal

import msgspec

from standfast.formats._openai_reply import Body, Choice, failed, read_body
from standfast.formats._openai_wire import FAILED, interrupted, usage_of
from standfast.formats._relay import HoldingRelay
from standfast.framing import sse

_DONE: Final = b"data: [DONE]\n\n"
_OPEN, _SEPARATOR, _END = b"data: {", b"\n\ndata: {", b"}\n\n"
_FIELD = len(b"data: ")
_LINES = 2  # of one event
_CONTENT = b'"content":"'


class _QuickChoice(msgspec.Struct, gc=False):
    index: Literal[0] = 0
    finish_reason: None = None


class _Quick(msgspec.Struct, gc=False):
    """A chunk that changes nothing: one choice, number 0, that goes on. Any other does not decode."""

    choices: tuple[_QuickChoice]
    usage: None = None
    error: None = None


_quick = msgspec.json.Decoder(_Quick).decode
_quick_lines = msgspec.json.Decoder(_Quick).decode_lines


def _changes_nothing(chunk: bytes) -> bool:
    try:
        _quick(chunk)
    except (ValueError, RecursionError):
        return False
    return True


class OpenAIRelay(HoldingRelay):
    """See the module."""

    __slots__ = ("_fast", "_finished", "_include_usage", "_unfinished")

    def __init__(self, *, include_usage: bool, max_event_bytes: int) -> None:
        super().__init__(max_event_bytes)
        self._include_usage = include_usage
        self._unfinished: set[int] = set()
        self._finished: set[int] = set()
        self._fast = False  # choice 0 flows and no part of an event is held

    def feed(self, data: bytes) -> bytes:
        """Take upstream body bytes; return what may go to the client now."""
        if self._fast and self._plain(data):
            return data
        out = super().feed(data)
        self._fast = self.content and 0 in self._unfinished and not self._over and not self._decoder.pending
        return out

    def shape(self, data: bytes) -> tuple[bytes, bytes] | None:
        """See `base.StreamRelay`: one event's shape is what stands around its content."""
        if not (self._fast and self._plain(data)):
            return None
        start = data.find(_CONTENT) + len(_CONTENT)
        end = data.find(b'"', start)
        if start < len(_CONTENT) or b"\\" in data[start:end] or data.count(b"\n") != _LINES:
            return b"", b""
        return data[:start], data[end:]

    def _plain(self, data: bytes) -> bool:
        """The slice is whole events with LF line ends, none of which changes the state."""
        if not (data.startswith(_OPEN) and data.endswith(_END)) or b"\r" in data or len(data) > self._limit:
            return False
        newlines = data.count(b"\n")
        try:
            if newlines == _LINES:
                _quick(data[_FIELD:])
            elif newlines == 2 * data.count(_SEPARATOR) + 2:
                _quick_lines(data[_FIELD:].replace(b"\n\ndata: ", b"\n"))
            else:
                return False
        except (ValueError, RecursionError):
            return False  # the slow path reads with forbearance
        return True

    def _take(self, event: sse.Event) -> None:
        data = event.data
        if not data:
            return
        if self.content and 0 in self._unfinished and not event.name and not event.bare and _changes_nothing(data):
            self._out.append(event.raw)
            return
        if data.startswith(b"[DONE]"):
            if self.finishing:
                self._release(event.raw)
            else:
                self.malformed = "ended without finish_reason"
            return
        try:
            chunk = read_body(data)
        except ValueError as error:
            self.malformed = f"an event is {error}"
            return
        if failed(chunk) or (event.name == "error" and not chunk.choices):
            self.error = data
        elif event.bare:
            self.malformed = "JSON in place of server-sent events"
        else:
            self._chunk(chunk, event.raw)

    def _chunk(self, chunk: Body, raw: bytes) -> None:
        if chunk.usage is not None:
            self.usage = usage_of(chunk.usage)
        if chunk.choices:
            self._choices(chunk.choices, raw, has_usage=chunk.usage is not None)
        elif chunk.usage is None or self._include_usage:
            self._pass(raw)

    def _choices(self, choices: list[Choice], raw: bytes, *, has_usage: bool) -> None:
        content = finished = went_on = False
        for choice in choices:
            reason = choice.finish_reason
            if choice.index in self._finished or (self.finishing and choice.index != len(self._finished)):
                continue
            if reason in FAILED:
                self.error = interrupted(reason or "")
                return
            content = content or choice.has_content
            if reason:
                finished = True
                self._finished.add(choice.index)
                self._unfinished.discard(choice.index)
            else:
                went_on = True
                self._unfinished.add(choice.index)
        if not (finished or went_on):
            silent = not any(choice.has_content or choice.finish_reason for choice in choices)
            if has_usage and self._include_usage and silent:
                self._hold(raw)  # OpenRouter's usage chunk: a choice with an empty delta, after the finish
            return
        self.finishing = not self._unfinished
        if content and not self.content:
            self._begin()
        if finished and not went_on:
            self._hold(raw)
        else:
            self._pass(raw)

    def _ended(self) -> None:
        if self.finishing:
            self._release(_DONE)
