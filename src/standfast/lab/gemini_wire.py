"""The Gemini wire of the lab: generateContent, streamGenerateContent and models, under `/v1beta` and `/v1`."""

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

COMMENT = b": keep-alive\r\n\r\n"
"""Gemini sends no pings; a comment is what an intermediary would add."""


def key(request: Request) -> str:
    """The value of `x-goog-api-key` or of `?key=`, or the empty string."""
    return request.headers.get("x-goog-api-key", "") or request.query.get("key", "")


def read(request: Request) -> Ask:
    """What `POST /v1beta/models/{m}:generateContent` or `:streamGenerateContent?alt=sse` asks for.

    Raises:
        Refusal: contents are missing, the method is unknown, or a stream is asked for without `alt=sse`.
    """
    name, _, method = request.path.rpartition("/models/")[2].rpartition(":")
    model, fault = model_and_fault(name)
    if method not in ("generateContent", "streamGenerateContent"):
        raise Refusal("model_not_found", f"models/{model} is not found for API version v1beta")
    streaming = method == "streamGenerateContent"
    if streaming and request.query.get("alt") != "sse":
        raise Refusal("bad_request", "the lab streams with alt=sse only")
    fields = read_object(request.body)
    prompt = last_user(fields.get("contents"), "parts")
    config = fields.get("generationConfig")
    limit = whole(config.get("maxOutputTokens")) if isinstance(config, dict) else 0
    start = begun(fields.get("contents"), "parts")
    return Ask("gemini", model, fault, streaming, prompt, estimate(request.body), limit, begun=start)


def body(ask: Ask, reply: Reply, *, usage: bool, dialect: str) -> Body:
    """The whole answer."""
    del dialect  # only the OpenAI wire has any
    answer = _answer(ask, reply, reply.text, _reason(reply), reply.billed, usage=usage)
    return Body(200, "application/json; charset=UTF-8", encode(answer))


def stream(ask: Ask, reply: Reply, *, usage: bool, dialect: str) -> Stream:
    """The events: CRLF, no names, running usage, no terminator; the last piece rides on the finish."""
    del dialect
    last = reply.billed
    pieces = enumerate(reply.pieces[:-1], 1)
    rest = reply.pieces[-1] if reply.pieces else ""
    fault = error(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")
    return Stream(
        (),
        tuple(_event(_answer(ask, reply, piece, None, done, usage=usage)) for done, piece in pieces),
        (_event(_answer(ask, reply, rest, _reason(reply), last, usage=usage)),),
        b"",
        _event(_answer(ask, reply, "", "SAFETY", last, usage=usage)),
        _event(fault),
        COMMENT,
    )


def error(code: int, status: str, message: str, details: list[Json] | None = None) -> dict[str, Json]:
    """An error body; `code` is the HTTP status."""
    inner: dict[str, Json] = {"code": code, "message": message, "status": status}
    if details:
        inner["details"] = details
    return {"error": inner}


def models(names: tuple[str, ...]) -> bytes:
    """The models list."""
    methods: list[Json] = ["generateContent", "countTokens"]
    data: list[Json] = [
        {
            "name": f"models/{name}",
            "version": "001",
            "displayName": name,
            "inputTokenLimit": 1_048_576,
            "outputTokenLimit": 65_536,
            "supportedGenerationMethods": methods,
        }
        for name in names
    ]
    return encode({"models": data})


def _reason(reply: Reply) -> str:
    return "MAX_TOKENS" if reply.cut else "STOP"


def _answer(ask: Ask, reply: Reply, text: str, reason: str | None, done: int, *, usage: bool) -> dict[str, Json]:
    candidate: dict[str, Json] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if reason:
        candidate["finishReason"] = reason
    answer: dict[str, Json] = {"candidates": [candidate]}
    if usage:
        answer["usageMetadata"] = {
            "promptTokenCount": ask.prompt_tokens,
            "candidatesTokenCount": done,
            "totalTokenCount": ask.prompt_tokens + done,
        }
    return {**answer, "modelVersion": ask.model, "responseId": reply.id}


def _event(value: dict[str, Json]) -> bytes:
    return b"data: " + encode(value) + b"\r\n\r\n"
