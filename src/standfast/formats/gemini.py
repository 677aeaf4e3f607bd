"""Google Gemini, generateContent of v1beta.

Model and stream flag stand in the URL and not in the body: `read` returns them empty and False, `parse_request` returns
`stream=False`, and the caller sets both from the URL. `params` of a target: see `_gemini_request.with_params`.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from standfast.canon.chat import ChatReply, ChatRequest, Finish
from standfast.canon.prefill import Prefill
from standfast.errors import InvalidRequest, StandfastError
from standfast.formats import _gemini_request as requests
from standfast.formats import _gemini_wire as wire
from standfast.formats._gemini_stream import GeminiReader, GeminiRelay, GeminiWriter, frame, reply_object
from standfast.formats._json import (
    ABSENT,
    JSON_ERRORS,
    Object,
    check_utf8,
    encode,
    fields,
    non_empty_list,
    refused,
    text,
)
from standfast.formats.base import Envelope, ReplyFacts

_RIGHT: Final = {
    "contents": "a non-empty list of contents",
    "generationConfig": "an object",
    "generationConfig.maxOutputTokens": "a positive integer",
    "generationConfig.thinkingConfig": "an object",
    "standfast": "an object with the gateway's own controls",
}


class _Config(msgspec.Struct, gc=False, rename="camel"):
    max_output_tokens: int | None = None
    thinking_config: dict[str, object] | None = None


class _Outside(msgspec.Struct, gc=False):
    contents: msgspec.Raw = ABSENT
    generationConfig: _Config | None = None  # noqa: N815 - the wire's name
    standfast: dict[str, object] | None = None
    model: str | None = None
    stream: bool | None = None


_outside = msgspec.json.Decoder(_Outside).decode


class Gemini:
    """See `base.Format`."""

    name = "gemini"

    def read(self, body: bytes) -> Envelope:
        """Read the outside of a client's request; the caller sets `model` and `stream` from the URL."""
        check_utf8(body)
        try:
            outside = _outside(body)
        except JSON_ERRORS as error:
            raise refused(error, _RIGHT) from None
        if not non_empty_list(outside.contents):
            raise InvalidRequest(f"'contents' must be {_RIGHT['contents']}.", param="contents")
        config = outside.generationConfig or _Config()
        limit = config.max_output_tokens or 0
        if not 0 <= limit < 1 << 31:
            raise InvalidRequest(
                "'generationConfig.maxOutputTokens' must be a positive integer.",
                param="generationConfig.maxOutputTokens",
            )
        return Envelope(
            body,
            outside.model or "",
            stream=outside.stream is True,
            include_usage=True,
            max_tokens=limit,
            reasoning=_thinks(config.thinking_config or {}),
            controls=outside.standfast or {},
        )

    def splice(self, envelope: Envelope, model: str, params: Mapping[str, object]) -> bytes:
        """The same request for an upstream: `params` set, `standfast` removed; the model goes into the URL."""
        del model
        body = envelope.body
        if not params and not envelope.controls and b'"standfast"' not in body:
            return body
        members: Object = dict(fields(body))
        members.pop("standfast", None)
        config = members.pop("generation_config", None) or members.get("generationConfig")
        if isinstance(config, msgspec.Raw):
            try:
                members["generationConfig"] = requests.camel(dict(fields(bytes(config))))
            except JSON_ERRORS:
                raise InvalidRequest("'generationConfig' must be an object.", param="generationConfig") from None
        return encode(requests.with_params(members, params))

    def inspect_reply(self, body: bytes) -> ReplyFacts:
        """The facts of a complete reply; `error` is the whole body that holds it."""
        if not body.strip():
            return ReplyFacts(empty=True, malformed="empty body")
        try:
            reply = wire.read(body)
        except ValueError as error:
            return ReplyFacts(malformed=str(error))
        if reply.error:
            return ReplyFacts(usage=reply.usage, error=body)
        finish = reply.blocked
        for candidate in reply.candidates:
            if candidate.finish in wire.FAILED:
                failure = wire.interrupted(candidate.finish)
                return ReplyFacts(usage=reply.usage, finish=candidate.finish, error=failure)
            finish = finish or candidate.finish
        content = any(candidate.content for candidate in reply.candidates)
        return ReplyFacts(usage=reply.usage, finish=finish, empty=not content and not finish)

    def relay(self, *, include_usage: bool, max_event_bytes: int) -> GeminiRelay:
        """A relay for a stream whose client speaks the same format; usage is always part of it."""
        del include_usage
        return GeminiRelay(max_event_bytes=max_event_bytes)

    def parse_request(self, body: bytes) -> ChatRequest:
        """A client's request in canonical form; `stream` is the caller's to set from the URL."""
        return requests.parse(body)

    def write_request(self, request: ChatRequest, model: str, params: Mapping[str, object]) -> bytes:
        """The request for an upstream of this format; model and stream flag go into the URL."""
        del model
        return requests.write(request, params)

    def go_on(self, request: bytes, said: str, prefill: Prefill) -> bytes:
        """A request of this format that asks for the rest of the answer that begins with `said`."""
        return requests.go_on(request, said, prefill)

    def parse_reply(self, body: bytes) -> ChatReply:
        """A provider's complete reply in canonical form."""
        reply = wire.read(body)
        first = reply.candidates[0] if reply.candidates else None
        if first is None and not reply.blocked:
            raise ValueError("a reply without candidates")
        if first is not None and first.tool_call:
            raise ValueError("a function call in an answer whose request had no tools")
        return ChatReply(
            id=reply.id,
            model=reply.model,
            text="" if first is None else first.text,
            finish=Finish.CONTENT_FILTER if first is None else wire.finish_of(first.finish),
            usage=reply.usage,
        )

    def write_reply(self, reply: ChatReply, *, created: int) -> bytes:
        """A complete reply for a client of this format, which knows no time of creation."""
        del created
        return encode(reply_object(reply.text, reply.finish, reply.usage, reply.id, reply.model))

    def reader(self) -> GeminiReader:
        """A reader for a stream of this format."""
        return GeminiReader()

    def writer(self, *, include_usage: bool, created: int) -> GeminiWriter:
        """A writer for a client of this format, which always has usage and no time of creation."""
        del include_usage, created
        return GeminiWriter()

    def write_error(self, error: StandfastError) -> bytes:
        """`{"error": {"code", "message", "status", "details"}}`."""
        return wire.error_body(error)

    def write_stream_error(self, error: StandfastError) -> bytes:
        """An event that holds an error; the stream then ends without a finish reason."""
        return frame(wire.error_body(error))


def _thinks(config: Mapping[str, object]) -> bool:
    """Thinking was asked for: a level, or a budget other than 0."""
    return bool(config.get("thinkingLevel") or config.get("thinkingBudget") or text(config.get("thinking_level")))


FORMAT = Gemini()
