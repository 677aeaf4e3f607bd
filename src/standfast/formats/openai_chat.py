"""OpenAI chat completions: the format of the front door, and of most upstreams.

`read` and `splice` see only what routing needs; everything else passes byte for byte. The `params` of a target are set
as top-level fields (None removes one).
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from standfast.canon.chat import ChatReply, ChatRequest
from standfast.canon.prefill import Prefill
from standfast.errors import InvalidRequest, StandfastError
from standfast.formats import _openai_request as requests
from standfast.formats._json import (
    ABSENT,
    JSON_ERRORS,
    Object,
    check_utf8,
    encode,
    items,
    kind,
    loose_object,
    non_empty_list,
    obj,
    present,
    refused,
    replace,
    text,
)
from standfast.formats._openai_relay import OpenAIRelay
from standfast.formats._openai_reply import inspect
from standfast.formats._openai_stream import OpenAIReader, OpenAIWriter, answer_text, finish_of
from standfast.formats._openai_wire import error_body, error_event, loose_usage, usage_object, usage_of
from standfast.formats.base import Envelope

_MAX_TOKENS: Final = 1 << 31

_RIGHT: Final = {
    "model": 'a string that names a model, for instance "gpt-4.1"',
    "messages": "a non-empty list of messages",
    "stream": "true or false",
    "stream_options": 'an object, for instance {"include_usage": true}',
    "stream_options.include_usage": "true or false",
    "max_tokens": "a positive integer",
    "max_completion_tokens": "a positive integer",
    "reasoning_effort": 'a string, for instance "low"',
    "standfast": "an object with the gateway's own controls",
    "user": "a string",
}


class _StreamOptions(msgspec.Struct, gc=False):
    include_usage: bool | None = None


class _Outside(msgspec.Struct, gc=False):
    model: str = ""
    messages: msgspec.Raw = ABSENT
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    reasoning_effort: str | None = None
    reasoning: msgspec.Raw = ABSENT
    standfast: dict[str, object] | None = None
    user: str | None = None


_outside = msgspec.json.Decoder(_Outside).decode
_NO_CONTROLS: Final[Mapping[str, object]] = {}


def _senseless(name: str) -> InvalidRequest:
    return InvalidRequest(f"'{name}' must be {_RIGHT[name]}.", param=name)


class OpenAIChat:
    """See `base.Format`."""

    name = "openai_chat"

    def read(self, body: bytes) -> Envelope:
        """Read the outside of a client's request."""
        if not body.isascii():
            check_utf8(body)
        try:
            outside = _outside(body)
        except JSON_ERRORS as error:
            raise refused(error, _RIGHT) from None
        if not outside.model:
            raise InvalidRequest(f"'model' must be {_RIGHT['model']}.", param="model")
        if not non_empty_list(outside.messages):
            raise InvalidRequest(f"'messages' must be {_RIGHT['messages']}.", param="messages")
        limit, name = outside.max_completion_tokens, "max_completion_tokens"
        if limit is None:
            limit, name = outside.max_tokens, "max_tokens"
        if limit is not None and not 0 < limit < _MAX_TOKENS:
            raise _senseless(name)
        options = outside.stream_options
        return Envelope(
            body,
            outside.model,
            outside.stream is True,
            options is not None and options.include_usage is True,
            limit or 0,
            outside.reasoning_effort not in (None, "none")
            or (outside.reasoning is not ABSENT and present(outside.reasoning)),
            outside.standfast or _NO_CONTROLS,
            outside.user or "",
        )

    def splice(self, envelope: Envelope, model: str, params: Mapping[str, object]) -> bytes:
        """The same request for an upstream: model, `params`, no `standfast`; every other value keeps its bytes.

        A body that names `model` twice is written anew too, so that no two parsers can disagree about it.
        """
        body = envelope.body
        # `in` first takes the needle for a number, and makes an exception of it
        controls = body.find(b'"standfast"') >= 0 or envelope.controls
        if not params and not controls and envelope.model == model and body.count(b'"model"') == 1:
            return body
        return replace(body, {**requests.with_twins(params), "model": model, "standfast": None})

    inspect_reply = staticmethod(inspect)

    def relay(self, *, include_usage: bool, max_event_bytes: int) -> OpenAIRelay:
        """A relay for a stream whose client speaks the same format."""
        return OpenAIRelay(include_usage=include_usage, max_event_bytes=max_event_bytes)

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
        choices = items(reply.get("choices"))
        if not choices:
            raise ValueError("a reply without choices")
        choice = obj(choices[0])
        if not isinstance(choice.get("message"), dict):
            raise ValueError(f"choices[0].message must be an object, not {kind(choice.get('message'))}")  # noqa: TRY004 - callers catch one class for all unusable data
        usage = loose_usage(reply.get("usage"))
        return ChatReply(
            id=text(reply.get("id")),
            model=text(reply.get("model")),
            text=answer_text(obj(choice.get("message"))),
            finish=finish_of(text(choice.get("finish_reason"))),
            usage=None if usage is None else usage_of(usage),
        )

    def write_reply(self, reply: ChatReply, *, created: int) -> bytes:
        """A complete reply for a client of this format."""
        message: Object = {"role": "assistant", "content": reply.text, "refusal": None}
        choice: Object = {"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish.value}
        body: Object = {
            "id": reply.id or f"chatcmpl-{created}",
            "object": "chat.completion",
            "created": created,
            "model": reply.model,
            "choices": [choice],
        }
        if reply.usage is not None:
            body["usage"] = usage_object(reply.usage)
        return encode(body)

    def reader(self) -> OpenAIReader:
        """A reader for a stream of this format."""
        return OpenAIReader()

    def writer(self, *, include_usage: bool, created: int) -> OpenAIWriter:
        """A writer for a client of this format."""
        return OpenAIWriter(include_usage=include_usage, created=created)

    def write_error(self, error: StandfastError) -> bytes:
        """`{"error": {"message", "type", "param", "code"}}`."""
        return error_body(error)

    def write_stream_error(self, error: StandfastError) -> bytes:
        """An error chunk; no `[DONE]` follows."""
        return error_event(error)


FORMAT = OpenAIChat()
