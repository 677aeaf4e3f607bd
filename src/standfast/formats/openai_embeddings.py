"""OpenAI embeddings: served by the same model and format only, because vectors of two models cannot be mixed."""

# ruff: noqa: ARG002 - methods that refuse keep the parameters of the contract

from collections.abc import Mapping
from typing import Final

import msgspec

from standfast.canon.chat import ChatReply, ChatRequest
from standfast.canon.prefill import Prefill
from standfast.errors import InvalidRequest, StandfastError, Untranslatable
from standfast.formats._json import ABSENT, JSON_ERRORS, check_utf8, items, loose, obj, present, refused, replace
from standfast.formats._openai_wire import WireUsage, error_body, error_event, loose_usage, usage_of
from standfast.formats.base import Envelope, ReplyFacts, StreamReader, StreamRelay, StreamWriter

_RIGHT: Final = {
    "model": 'a string that names a model, for instance "text-embedding-3-small"',
    "input": "a string, a list of strings, or a list of tokens",
    "standfast": "an object with the gateway's own controls",
    "user": "a string",
}


class _Outside(msgspec.Struct, gc=False):
    model: str = ""
    input: msgspec.Raw = ABSENT
    standfast: dict[str, object] | None = None
    user: str | None = None


class _Reply(msgspec.Struct, gc=False):
    data: msgspec.Raw = ABSENT
    usage: WireUsage | None = None
    error: msgspec.Raw = ABSENT


_outside = msgspec.json.Decoder(_Outside).decode
_reply = msgspec.json.Decoder(_Reply).decode


def _never() -> Untranslatable:
    return Untranslatable(
        "Embeddings are served by the same model and format only. Choose a model whose target speaks this format."
    )


class OpenAIEmbeddings:
    """See `base.Format`."""

    name = "openai_embeddings"

    def read(self, body: bytes) -> Envelope:
        """Read the outside of a client's request."""
        check_utf8(body)
        try:
            outside = _outside(body)
        except JSON_ERRORS as error:
            raise refused(error, _RIGHT) from None
        if not outside.model:
            raise InvalidRequest(f"'model' must be {_RIGHT['model']}.", param="model")
        if not present(outside.input) or bytes(memoryview(outside.input)[:1]) not in (b'"', b"["):
            raise InvalidRequest(f"'input' must be {_RIGHT['input']}.", param="input")
        return Envelope(body, outside.model, controls=outside.standfast or {}, user=outside.user or "")

    def splice(self, envelope: Envelope, model: str, params: Mapping[str, object]) -> bytes:
        """The same request for an upstream: model, `params`, no `standfast`; every other value keeps its bytes."""
        body = envelope.body
        controls = b'"standfast"' in body or bool(envelope.controls)
        if not params and not controls and envelope.model == model and body.count(b'"model"') == 1:
            return body
        return replace(body, {**params, "model": model, "standfast": None})

    def inspect_reply(self, body: bytes) -> ReplyFacts:
        """The facts of a complete reply; the vectors are not decoded."""
        if not body.strip():
            return ReplyFacts(empty=True, malformed="empty body")
        try:
            reply = _reply(body)
        except JSON_ERRORS:
            return _inspect_loose(body)
        usage = None if reply.usage is None else usage_of(reply.usage)
        if present(reply.error):
            return ReplyFacts(usage=usage, error=body)
        if not memoryview(reply.data).nbytes:
            return ReplyFacts(usage=usage, malformed="no `data`")
        return ReplyFacts(usage=usage, empty=not present(reply.data))

    def relay(self, *, include_usage: bool, max_event_bytes: int) -> StreamRelay:
        """There are no streams of embeddings."""
        raise _never()

    def parse_request(self, body: bytes) -> ChatRequest:
        """There is no canonical form."""
        raise _never()

    def write_request(self, request: ChatRequest, model: str, params: Mapping[str, object]) -> bytes:
        """There is no canonical form."""
        raise _never()

    def go_on(self, request: bytes, said: str, prefill: Prefill) -> bytes:
        """Vectors have no rest."""
        raise _never()

    def parse_reply(self, body: bytes) -> ChatReply:
        """There is no canonical form."""
        raise _never()

    def write_reply(self, reply: ChatReply, *, created: int) -> bytes:
        """There is no canonical form."""
        raise _never()

    def reader(self) -> StreamReader:
        """There are no streams of embeddings."""
        raise _never()

    def writer(self, *, include_usage: bool, created: int) -> StreamWriter:
        """There are no streams of embeddings."""
        raise _never()

    def write_error(self, error: StandfastError) -> bytes:
        """`{"error": {"message", "type", "param", "code"}}`."""
        return error_body(error)

    def write_stream_error(self, error: StandfastError) -> bytes:
        """As an error chunk of the chat format."""
        return error_event(error)


def _inspect_loose(body: bytes) -> ReplyFacts:
    try:
        value = loose(body)
    except JSON_ERRORS:
        return ReplyFacts(malformed="no JSON, or cut short")
    first = value[0] if isinstance(value, list) and value else value
    reply = obj(first)
    wire = loose_usage(reply.get("usage"))
    usage = None if wire is None else usage_of(wire)
    if reply.get("error"):
        return ReplyFacts(usage=usage, error=body)
    if not isinstance(value, dict) or "data" not in value:
        return ReplyFacts(usage=usage, malformed="no `data`")
    return ReplyFacts(usage=usage, empty=not items(value["data"]))


FORMAT = OpenAIEmbeddings()
