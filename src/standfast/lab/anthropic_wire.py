"""The Anthropic wire of the lab: messages and models."""

from standfast.lab.ask import (
    Ask,
    Body,
    Json,
    Refusal,
    Reply,
    Request,
    Stream,
    begun,
    encode,
    estimate,
    last_user,
    model_and_fault,
    read_object,
    whole,
)

PING = b'event: ping\ndata: {"type":"ping"}\n\n'
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
REQUEST_ID = "req_lab"


def key(request: Request) -> str:
    """The value of `x-api-key`, or a bearer token, or the empty string."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return request.headers.get("x-api-key", "") or (token.strip() if scheme.lower() == "bearer" else "")


def read(request: Request) -> Ask:
    """What `POST /v1/messages` asks for.

    Raises:
        Refusal: version header, model, messages or max_tokens are missing.
    """
    if not request.headers.get("anthropic-version"):
        raise Refusal("bad_request", "anthropic-version: header is required")
    fields = read_object(request.body)
    model, fault = model_and_fault(fields.get("model"))
    prompt = last_user(fields.get("messages"), "content")
    start = begun(fields.get("messages"), "content")
    if start != start.rstrip():
        raise Refusal("bad_request", "messages: final assistant content cannot end with trailing whitespace")
    limit = whole(fields.get("max_tokens"))
    if not limit:
        raise Refusal("bad_request", "max_tokens: Field required")
    stream = fields.get("stream") is True
    return Ask("anthropic", model, fault, stream, prompt, estimate(request.body), limit, begun=start)


def body(ask: Ask, reply: Reply, *, usage: bool, dialect: str) -> Body:
    """The whole message."""
    del dialect  # only the OpenAI wire has any
    content: list[Json] = [{"type": "text", "text": reply.text, "citations": None}]
    message = _message(ask, reply, content, _reason(reply))
    if usage:
        message["usage"] = _usage(ask, reply.billed)
    return Body(200, "application/json", encode(message))


def stream(ask: Ask, reply: Reply, *, usage: bool, dialect: str) -> Stream:
    """The events from message_start to message_stop, with a ping before the first token."""
    del dialect
    opened = _message(ask, reply, [], None)
    if usage:
        opened["usage"] = _usage(ask, 1)
    block: Json = {"type": "text", "text": ""}
    return Stream(
        (
            _event("message_start", {"message": opened}),
            _event("content_block_start", {"index": 0, "content_block": block}),
            PING,
        ),
        tuple(
            _event("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": piece}})
            for piece in reply.pieces
        ),
        (_event("content_block_stop", {"index": 0}), _finish(reply, _reason(reply), usage=usage)),
        STOP,
        _finish(reply, "refusal", usage=usage),
        _event("error", {"error": {"type": "overloaded_error", "message": "Overloaded"}}),
        PING,
    )


def error(kind: str, code: Json, message: str) -> dict[str, Json]:
    """An error body; `code` goes to `error.details.error_code` where there is one."""
    inner: dict[str, Json] = {"type": kind, "message": message}
    if code is not None:
        inner["details"] = {"error_code": code}
    return {"type": "error", "error": inner, "request_id": REQUEST_ID}


def models(names: tuple[str, ...]) -> bytes:
    """The models list."""
    when = "2025-10-09T08:53:20Z"
    data: list[Json] = [{"type": "model", "id": name, "display_name": name, "created_at": when} for name in names]
    first, last = (names[0], names[-1]) if names else (None, None)
    return encode({"data": data, "has_more": False, "first_id": first, "last_id": last})


def _reason(reply: Reply) -> str:
    return "max_tokens" if reply.cut else "end_turn"


def _message(ask: Ask, reply: Reply, content: list[Json], reason: str | None) -> dict[str, Json]:
    return {
        "id": f"msg_{reply.id}",
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
    }


def _usage(ask: Ask, output: int) -> dict[str, Json]:
    return {
        "input_tokens": ask.prompt_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output,
        "service_tier": "standard",
    }


def _finish(reply: Reply, reason: str, *, usage: bool) -> bytes:
    fields: dict[str, Json] = {"delta": {"stop_reason": reason, "stop_sequence": None}}
    if usage:
        fields["usage"] = {"output_tokens": reply.billed}
    return _event("message_delta", fields)


def _event(kind: str, fields: dict[str, Json]) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + encode({"type": kind, **fields}) + b"\n\n"
