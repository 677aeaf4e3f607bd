"""The OpenAI wire of the lab: chat completions, embeddings, models; also DeepSeek's habits."""

import base64
import hashlib
import struct

from standfast.lab.ask import (
    CREATED,
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

DIMENSIONS = 8
DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"


def key(request: Request) -> str:
    """The bearer token, or the empty string."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.headers.get("api-key", "")


def read(request: Request) -> Ask:
    """What `POST /v1/chat/completions` or `/v1/embeddings` asks for.

    Raises:
        Refusal: model or messages are missing, or `stream_options` stands without `stream`.
    """
    fields = read_object(request.body)
    model, fault = model_and_fault(fields.get("model"))
    tokens = estimate(request.body)
    if request.path.endswith("/embeddings"):
        inputs = _inputs(fields.get("input"))
        return Ask("openai", model, fault, False, "", tokens, inputs=inputs, base64=_is_base64(fields))
    prompt = last_user(fields.get("messages"), "content")
    options = fields.get("stream_options")
    stream = fields.get("stream") is True
    if options is not None and not stream:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise Refusal("bad_request", message)
    return Ask(
        "openai",
        model,
        fault,
        stream,
        prompt,
        tokens,
        whole(fields.get("max_completion_tokens")) or whole(fields.get("max_tokens")),
        isinstance(options, dict) and options.get("include_usage") is True,
        min(whole(fields.get("n")) or 1, 16),
        begun=_begun(fields),
    )


def _begun(fields: dict[str, Json]) -> str:
    """The answer so far, where the request says in the words of vLLM, Mistral or DeepSeek to go on with it."""
    if fields.get("continue_final_message") is True and fields.get("add_generation_prompt") is False:
        return begun(fields.get("messages"), "content")
    return begun(fields.get("messages"), "content", "prefix")


def body(ask: Ask, reply: Reply, *, usage: bool, dialect: str) -> Body:
    """The whole answer. DeepSeek sends its keep-alive blank line before the JSON."""
    if ask.inputs:
        return Body(200, "application/json", _embeddings(ask))
    reason = "length" if reply.cut else "stop"
    answer: dict[str, Json] = {
        "id": f"chatcmpl-{reply.id}",
        "object": "chat.completion",
        "created": CREATED,
        "model": ask.model,
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": reply.text, "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": reason,
            }
            for index in range(ask.choices)
        ],
        "service_tier": "default",
        "system_fingerprint": "fp_lab",
    }
    if usage:
        answer["usage"] = _usage(ask, reply, dialect)
    blank = b"\n" if dialect == "deepseek" else b""
    return Body(200, "application/json", blank + encode(answer))


def stream(ask: Ask, reply: Reply, *, usage: bool, dialect: str) -> Stream:
    """The chunks: role, one for each token, finish, usage if asked for, `[DONE]`.

    DeepSeek puts usage on the finish chunk without being asked, and comments before the first token.
    """
    deepseek = dialect == "deepseek"
    extra = usage and ask.include_usage and not deepseek
    everyone = range(ask.choices)
    reason = "length" if reply.cut else "stop"
    own = _usage(ask, reply, dialect)
    role: dict[str, Json] = {"role": "assistant", "content": "", "refusal": None}
    finish = [
        _chunk(ask, reply, i, {}, reason, nulls=extra, usage=own if deepseek and usage else None) for i in everyone
    ]
    if extra:
        finish.append(_event({**_shell(ask, reply), "choices": [], "usage": own}))
    comments = (KEEP_ALIVE, KEEP_ALIVE) if deepseek else ()
    return Stream(
        (*comments, *(_chunk(ask, reply, i, role, None, nulls=extra) for i in everyone)),
        tuple(_chunk(ask, reply, i, {"content": p}, None, nulls=extra) for p in reply.pieces for i in everyone),
        tuple(finish),
        DONE,
        _chunk(ask, reply, 0, {}, "content_filter", nulls=extra),
        _event(error("server_error", None, "The server had an error while processing your request.")),
        KEEP_ALIVE,
    )


def error(kind: str, code: Json, message: str, param: str | None = None) -> dict[str, Json]:
    """An error body; `code` and `param` may be null."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def models(names: tuple[str, ...]) -> bytes:
    """The models list."""
    data: list[Json] = [{"id": name, "object": "model", "created": CREATED, "owned_by": "lab"} for name in names]
    return encode({"object": "list", "data": data})


def _shell(ask: Ask, reply: Reply) -> dict[str, Json]:
    return {
        "id": f"chatcmpl-{reply.id}",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": ask.model,
        "service_tier": "default",
        "system_fingerprint": "fp_lab",
    }


def _chunk(
    ask: Ask,
    reply: Reply,
    index: int,
    delta: dict[str, Json],
    reason: str | None,
    *,
    nulls: bool,
    usage: dict[str, Json] | None = None,
) -> bytes:
    """One chunk; with `include_usage` all but the last carry `usage: null`."""
    choice: Json = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
    chunk = {**_shell(ask, reply), "choices": [choice]}
    if nulls or usage:
        chunk["usage"] = usage
    return _event(chunk)


def _event(value: dict[str, Json]) -> bytes:
    return b"data: " + encode(value) + b"\n\n"


def _usage(ask: Ask, reply: Reply, dialect: str) -> dict[str, Json]:
    completion = reply.billed * ask.choices
    usage: dict[str, Json] = {
        "prompt_tokens": ask.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": ask.prompt_tokens + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }
    if dialect == "deepseek":
        usage |= {"prompt_cache_hit_tokens": 0, "prompt_cache_miss_tokens": ask.prompt_tokens}
    return usage


def _is_base64(fields: dict[str, Json]) -> bool:
    return fields.get("encoding_format") == "base64"


def _inputs(value: Json) -> tuple[str, ...]:
    """The inputs of an embeddings request: a text, texts, token ids, or lists of token ids."""
    if isinstance(value, str) and value:
        return (value,)
    if isinstance(value, list) and value:
        if all(isinstance(item, int) for item in value):
            return (repr(value),)
        return tuple(item if isinstance(item, str) else repr(item) for item in value)
    raise Refusal("bad_request", "'input' is a required property")


def _embeddings(ask: Ask) -> bytes:
    data: list[Json] = []
    for index, text in enumerate(ask.inputs):
        digest = hashlib.sha256(f"{ask.model}\n{text}".encode(errors="replace")).digest()
        vector = [byte / 256 - 0.5 for byte in digest[:DIMENSIONS]]
        packed = base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": packed if ask.base64 else [*vector]})
    usage: Json = {"prompt_tokens": ask.prompt_tokens, "total_tokens": ask.prompt_tokens}
    return encode({"object": "list", "data": data, "model": ask.model, "usage": usage})
