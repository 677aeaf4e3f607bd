"""OpenAI's chat stream to and from canonical events."""

from standfast.canon.chat import Completed, Finish, Finished, InBandError, Opened, StreamEvent, TextDelta, UsageReport
from standfast.canon.usage import Usage
from standfast.formats._json import encode, items, loose_object, obj, text
from standfast.formats._openai_reply import failed, read_body
from standfast.formats._openai_wire import FAILED, interrupted, loose_usage, usage_object, usage_of

_FINISH = {"length": Finish.LENGTH, "model_length": Finish.LENGTH, "content_filter": Finish.CONTENT_FILTER}
_DONE = b"data: [DONE]\n\n"


class ToolCalls(ValueError):
    """An answer calls tools where plain text is read."""


def finish_of(reason: str) -> Finish:
    """OpenAI's enum and Mistral's `model_length`; what is unknown counts as `stop`.

    Tool calls cannot end an answer whose request had no tools.
    """
    return _FINISH.get(reason, Finish.STOP)


def answer_text(held: dict[str, object]) -> str:
    """The answer in a message or delta: content (a string, or Mistral's list of chunks), else the refusal.

    Reasoning is no answer text and has no place in the canonical form yet.

    Raises:
        ValueError: it has tool calls, though none can have been asked for.
    """
    if held.get("tool_calls") or held.get("function_call"):
        raise ToolCalls("tool calls in an answer whose request had no tools")
    content = held.get("content")
    if isinstance(content, list):
        parts = [obj(part) for part in content]
        return "".join(text(part.get("text")) for part in parts if part.get("type") == "text")
    return text(content) or text(held.get("refusal"))


class OpenAIReader:
    """See `base.StreamReader`. Only choice 0 is read: translated requests ask for one."""

    __slots__ = ("_completed", "_finished", "_opened")

    def __init__(self) -> None:
        self._opened = False
        self._finished = False
        self._completed = False

    def feed(self, event: str, data: bytes) -> list[StreamEvent]:
        """One event.

        Raises:
            ValueError: it is no chunk, or `[DONE]` came before a finish reason.
        """
        if self._completed or not data:
            return []
        if data.startswith(b"[DONE]"):
            if not self._finished:
                raise ValueError("ended without finish_reason")
            self._completed = True
            return [Completed()]
        wire = read_body(data)
        if failed(wire) or (event == "error" and not wire.choices):
            return [InBandError(data)]
        body = loose_object(data)
        found: list[StreamEvent] = []
        if not self._opened and (body.get("id") or wire.choices):  # not for Azure's nameless first chunk
            self._opened = True
            found.append(Opened(text(body.get("id")), text(body.get("model"))))
        for item in items(body.get("choices")):
            choice = obj(item)
            if choice.get("index") in (0, None) and not self._finished:
                self._choice(choice, found)
        usage = loose_usage(body.get("usage"))
        if usage is not None:
            found.append(UsageReport(usage_of(usage)))
        return found

    def _choice(self, choice: dict[str, object], found: list[StreamEvent]) -> None:
        piece = answer_text(obj(choice.get("delta")))
        reason = text(choice.get("finish_reason"))
        if reason in FAILED:
            found.append(InBandError(interrupted(reason)))
            return
        if piece:
            found.append(TextDelta(piece))
        if reason:
            self._finished = True
            found.append(Finished(finish_of(reason)))

    def close(self) -> list[StreamEvent]:
        """A missing `[DONE]` is forgiven once the answer has finished."""
        if self._finished and not self._completed:
            self._completed = True
            return [Completed()]
        return []


class OpenAIWriter:
    """See `base.StreamWriter`. The constant part of the chunks is encoded once, when the stream opens."""

    __slots__ = ("_created", "_head", "_id", "_include_usage", "_model", "_tail", "_usage")

    def __init__(self, *, include_usage: bool, created: int) -> None:
        self._include_usage = include_usage
        self._created = created
        self._usage: Usage | None = None
        # With include_usage every chunk but the last carries `usage: null`.
        self._tail = b',"usage":null}\n\n' if include_usage else b"}\n\n"
        self._head = self._prefix("", "")

    def _prefix(self, name: str, model: str) -> bytes:
        chunk = {
            "id": name or f"chatcmpl-{self._created}",
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": model,
        }
        return b"data: " + encode(chunk)[:-1] + b',"choices":['

    def write(self, event: StreamEvent) -> bytes:
        """The event as chunks; errors are the caller's to write (`write_stream_error`)."""
        match event:
            case TextDelta(text=piece):
                return self._chunk(b'{"content":' + encode(piece) + b"}", b"null")
            case Opened(id=name, model=model):
                self._head = self._prefix(name, model)
                return self._chunk(b'{"role":"assistant","content":""}', b"null")
            case Finished(reason=reason):
                return self._chunk(b"{}", encode(reason.value))
            case UsageReport(usage=usage):
                self._usage = usage
                return b""
            case Completed():
                return self._final_usage() + _DONE
            case InBandError():
                return b""

    def _chunk(self, delta: bytes, finish: bytes) -> bytes:
        choice = b'{"index":0,"delta":' + delta + b',"logprobs":null,"finish_reason":' + finish + b"}]"
        return self._head + choice + self._tail

    def _final_usage(self) -> bytes:
        if not self._include_usage or self._usage is None:
            return b""
        return self._head + b'],"usage":' + encode(usage_object(self._usage)) + b"}\n\n"
