"""Anthropic messages, version 2023-06-01. The `params` of a target are set as top-level fields (None removes one)."""

from collections.abc import Mapping
from typing import Final

import msgspec

from standfast.canon.chat import ChatReply, ChatRequest
from standfast.canon.prefill import Prefill
from standfast.errors import InvalidRequest, StandfastError
from standfast.formats import _anthropic_request as requests
from standfast.formats import _anthropic_wire as wire
from standfast.formats._anthropic_stream import AnthropicReader, AnthropicRelay, AnthropicWriter
from standfast.formats._json import (
    ABSENT,
    JSON_ERRORS,
    Object,
    check_utf8,
    encode,
    items,
    loose_object,
    non_empty_list,
    obj,
    refused,
    replace,
    text,
)
from standfast.formats.base import Envelope, ReplyFacts
from standfast.framing import sse

_RIGHT: Final = {
    "model": 'a string that names a model, for instance "claude-sonnet-4-5"',
    "messages": "a non-empty list of messages",
    "stream": "true or false",
    "max_tokens": "a positive integer",
    "thinking": "an object",
    "metadata": "an object",
    "metadata.user_id": "a string",
    "standfast": "an object with the gateway's own controls",
}


class _Thinking(msgspec.Struct, gc=False):
    type: str | None = None


class _Metadata(msgspec.Struct, gc=False):
    user_id: str | None = None


class _Outside(msgspec.Struct, gc=False):
    model: str = ""
    messages: msgspec.Raw = ABSENT
    stream: bool | None = None
    max_tokens: int | None = None
    thinking: _Thinking | None = None
    metadata: _Metadata | None = None
    standfast: dict[str, object] | None = None


_outside = msgspec.json.Decoder(_Outside).decode


class AnthropicMessages:
    """See `base.Format`."""

    name = "anthropic_messages"

    def read(self, body: bytes) -> Envelope:
        """Read the outside of a client's request. `include_usage` is set: this format always reports usage."""
        check_utf8(body)
        try:
            outside = _outside(body)
        except JSON_ERRORS as error:
            raise refused(error, _RIGHT) from None
        if not outside.model:
            raise InvalidRequest(f"'model' must be {_RIGHT['model']}.", param="model")
        if not non_empty_list(outside.messages):
            raise InvalidRequest(f"'messages' must be {_RIGHT['messages']}.", param="messages")
        limit = outside.max_tokens or 0
        if not 0 <= limit < 1 << 31:
            raise InvalidRequest(f"'max_tokens' must be {_RIGHT['max_tokens']}.", param="max_tokens")
        thinking, metadata = outside.thinking, outside.metadata
        return Envelope(
            body,
            outside.model,
            stream=outside.stream is True,
            include_usage=True,
            max_tokens=limit,
            reasoning=thinking is not None and thinking.type in ("enabled", "adaptive"),
            controls=outside.standfast or {},
            user=(metadata and metadata.user_id) or "",
        )

    def splice(self, envelope: Envelope, model: str, params: Mapping[str, object]) -> bytes:
        """The same request for an upstream: model, `params`, no `standfast`; every other value keeps its bytes."""
        body = envelope.body
        controls = b'"standfast"' in body or bool(envelope.controls)
        if not params and not controls and envelope.model == model and body.count(b'"model"') == 1:
            return body
        return replace(body, {**params, "model": model, "standfast": None})

    def inspect_reply(self, body: bytes) -> ReplyFacts:
        """The facts of a complete reply; `error` is the whole body that holds it."""
        if not body.strip():
            return ReplyFacts(empty=True, malformed="empty body")
        try:
            reply = loose_object(body)
        except ValueError as error:
            return ReplyFacts(malformed=str(error))
        counts = reply.get("usage")
        usage = wire.usage_of(counts) if isinstance(counts, dict) else None
        if reply.get("error") or reply.get("type") == "error":
            return ReplyFacts(usage=usage, error=body)
        content = reply.get("content")
        if not isinstance(content, list):
            return ReplyFacts(usage=usage, malformed="no `content`")
        finish = text(reply.get("stop_reason"))
        return ReplyFacts(usage=usage, finish=finish, empty=not content and not finish)

    def relay(self, *, include_usage: bool, max_event_bytes: int) -> AnthropicRelay:
        """A relay for a stream whose client speaks the same format; usage is always part of it."""
        del include_usage
        return AnthropicRelay(max_event_bytes=max_event_bytes)

    def parse_request(self, body: bytes) -> ChatRequest:
        """A client's request in canonical form."""
        return requests.parse(body)

    def write_request(self, request: ChatRequest, model: str, params: Mapping[str, object]) -> bytes:
        """The request for an upstream of this format."""
        return requests.write(request, model, params)

    def go_on(self, request: bytes, said: str, prefill: Prefill) -> bytes:
        """A request of this format that asks for the rest of the answer that begins with `said`."""
        return requests.go_on(request, said, prefill)

    def parse_reply(self, body: bytes) -> ChatReply:
        """A provider's complete reply in canonical form."""
        reply = loose_object(body)
        if not isinstance(reply.get("content"), list):
            raise ValueError("a reply without `content`")  # noqa: TRY004 - callers catch one class for all unusable data
        counts = reply.get("usage")
        return ChatReply(
            id=text(reply.get("id")),
            model=text(reply.get("model")),
            text=wire.text_of(items(reply["content"])),
            finish=wire.finish_of(text(reply.get("stop_reason"))),
            usage=wire.usage_of(obj(counts)) if counts else None,
        )

    def write_reply(self, reply: ChatReply, *, created: int) -> bytes:
        """A complete reply for a client of this format, which knows no time of creation."""
        body: Object = {
            "id": reply.id or f"msg_{created}",
            "type": "message",
            "role": "assistant",
            "model": reply.model,
            "content": [{"type": "text", "text": reply.text}] if reply.text else [],
            "stop_reason": wire.STOP_REASON[reply.finish],
            "stop_sequence": None,
            "usage": wire.usage_object(reply.usage),
        }
        return encode(body)

    def reader(self) -> AnthropicReader:
        """A reader for a stream of this format."""
        return AnthropicReader()

    def writer(self, *, include_usage: bool, created: int) -> AnthropicWriter:
        """A writer for a client of this format, which always has usage and no time of creation."""
        del include_usage, created
        return AnthropicWriter()

    def write_error(self, error: StandfastError) -> bytes:
        """`{"type": "error", "error": {"type", "message", "code"}}`."""
        return wire.error_body(error)

    def write_stream_error(self, error: StandfastError) -> bytes:
        """An `error` event; no `message_stop` follows."""
        return sse.encode(wire.error_body(error), "error")


FORMAT = AnthropicMessages()
