"""Canned bodies: what each provider really answers when it refuses, by name and wire.

`ERRORS` at the bottom is the table: name -> wire -> (status, the wire's own type, code, message). Where a provider has
no such error, the wire's row is the nearest that it has. `REPLIES` are broken or unusual answers with status 200.
"""

from collections.abc import Mapping
from types import MappingProxyType

from standfast.lab import anthropic_wire, gemini_wire, openai_wire
from standfast.lab.ask import CREATED, Body, Json, encode

JSON = "application/json"
HTML = (
    b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\n"
    b"<body><center><h1>502 Bad Gateway</h1></center><hr><center>cloudflare</center></body></html>\n"
)
LIMIT, LONG = 8192, 8200
_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
_MINUTE = "GenerateRequestsPerMinutePerProjectPerModel"


def names() -> tuple[str, ...]:
    """All canned bodies, sorted."""
    return tuple(sorted({*ERRORS, *REPLIES, *FOREIGN, "html"}))


def canned(name: str, wire: str, *, status: int | None = None, message: str = "", dialect: str = "") -> Body:
    """The canned body of a name, as the wire's provider words it.

    Args:
        name: one of `names()`.
        wire: `openai`, `anthropic` or `gemini`.
        status: instead of the usual one.
        message: instead of the usual one.
        dialect: DeepSeek labels its JSON errors as octet-stream.

    Raises:
        KeyError: there is no such body.
    """
    if name == "html":
        return Body(status or 502, "text/html", HTML)
    if name in FOREIGN:
        usual, foreign = FOREIGN[name]
        return Body(status or usual, JSON, encode(foreign))
    if name in REPLIES:
        return Body(status or 200, JSON, REPLIES[name].get(wire, REPLIES[name]["openai"]))
    row = ERRORS[name][wire]
    shown = status or row[0]
    content_type = "application/octet-stream" if dialect == "deepseek" else JSON
    return Body(shown, content_type, encode(_error(name, wire, shown, (*row[:3], message or row[3]))))


def in_band(name: str, wire: str) -> bytes:
    """The same error as an event of a stream whose status said that all is well."""
    named = b"event: error\n" if wire == "anthropic" else b""
    return named + b"data: " + canned(name, wire).data + b"\n\n"


def _error(name: str, wire: str, status: int, row: "_Row") -> dict[str, Json]:
    _, kind, code, message = row
    if wire == "openai":
        param = {"context_too_long": "messages", "content_filter": "prompt"}.get(name)
        return openai_wire.error(kind, code, message, param)
    if wire == "anthropic":
        return anthropic_wire.error(kind, code, message)
    return gemini_wire.error(status, kind, message, _details(name))


def _details(name: str) -> list[Json]:
    """Google's typed details of an error."""
    prefix = "type.googleapis.com/google.rpc."
    if name in ("rate_limit", "daily_quota", "insufficient_quota"):
        quota = _MINUTE if name == "rate_limit" else _DAY
        violation: Json = {"quotaMetric": "generativelanguage.googleapis.com/requests", "quotaId": quota}
        retry = "2s" if name == "rate_limit" else "65205s"
        return [
            {"@type": prefix + "QuotaFailure", "violations": [violation]},
            {"@type": prefix + "RetryInfo", "retryDelay": retry},
        ]
    if name == "invalid_key":
        info: Json = {
            "@type": prefix + "ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
            "metadata": {"service": "generativelanguage.googleapis.com"},
        }
        return [info]
    return []


def _openai_reply(**changes: Json) -> bytes:
    choice: Json = {"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}
    usage: Json = {"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 9}
    whole: dict[str, Json] = {"id": "chatcmpl-lab", "object": "chat.completion", "created": CREATED, "model": "lab"}
    return encode({**whole, "choices": [choice], "usage": usage, **changes})


def _anthropic_reply(**changes: Json) -> bytes:
    whole: dict[str, Json] = {"id": "msg_lab", "type": "message", "role": "assistant", "model": "lab", "content": []}
    usage: Json = {"input_tokens": 9, "output_tokens": 0}
    return encode({**whole, "stop_reason": "end_turn", "stop_sequence": None, "usage": usage, **changes})


def _gemini_reply(**changes: Json) -> bytes:
    whole: dict[str, Json] = {"modelVersion": "lab", "responseId": "lab"}
    return encode({**whole, "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9}, **changes})


_REFUSAL: Json = {"type": "refusal", "category": "cyber", "explanation": "declined"}
_QUIET: Json = {"content": {"parts": [], "role": "model"}, "finishReason": "STOP", "index": 0}
_DUPLICATE = b'{"id":"a","id":"b","choices":[],"choices":[{"index":0,"message":{"role":"assistant","content":"twice"},'
_WRONG: Json = [{"index": "zero", "message": ["no"], "finish_reason": 7}]

REPLIES: Mapping[str, Mapping[str, bytes]] = MappingProxyType(
    {
        "empty": {"openai": b""},
        "empty_choices": {
            "openai": _openai_reply(choices=[]),
            "anthropic": _anthropic_reply(content=[], stop_reason=None),
            "gemini": _gemini_reply(candidates=[]),
        },
        "empty_completion": {
            "openai": _openai_reply(),
            "anthropic": _anthropic_reply(),
            "gemini": _gemini_reply(candidates=[_QUIET]),
        },
        "refusal": {
            "openai": _openai_reply(
                choices=[
                    {"index": 0, "message": {"role": "assistant", "content": None}, "finish_reason": "content_filter"}
                ]
            ),
            "anthropic": _anthropic_reply(stop_reason="refusal", stop_details=_REFUSAL),
            "gemini": _gemini_reply(promptFeedback={"blockReason": "PROHIBITED_CONTENT"}),
        },
        "truncated_json": {
            "openai": _openai_reply()[:97],
            "anthropic": _anthropic_reply()[:97],
            "gemini": _gemini_reply(candidates=[_QUIET])[:97],
        },
        "wrong_types": {
            "openai": _openai_reply(choices=_WRONG, usage="many"),
            "anthropic": _anthropic_reply(content="text", usage=[1, 2]),
            "gemini": _gemini_reply(candidates={"0": "no"}, usageMetadata=3),
        },
        "not_an_object": {"openai": b'["not", "an", "object"]'},
        "nan": {"openai": b'{"id":"nan","choices":[],"usage":{"prompt_tokens":NaN,"completion_tokens":Infinity}}'},
        "huge_int": {"openai": b'{"id":"int","choices":[],"created":' + b"9" * 5000 + b"}"},
        "duplicate_keys": {"openai": _DUPLICATE + b'"finish_reason":"stop"}]}'},
        "lone_surrogate": {"openai": _openai_reply().replace(b'"content":""', b'"content":"\\ud83d"')},
    }
)
"""Answers with status 200; a wire without its own row sends OpenAI's."""

FOREIGN: Mapping[str, tuple[int, Json]] = MappingProxyType(
    {
        "mistral_invalid_model": (
            400,
            {"object": "error", "message": "Invalid model: x", "type": "invalid_model", "param": None, "code": "1500"},
        ),
        "mistral_validation": (
            422,
            {
                "object": "error",
                "message": {"detail": [{"loc": ["body", "n"], "msg": "extra", "type": "extra_forbidden"}]},
            },
        ),
        "mistral_capacity": (
            429,
            {
                "object": "error",
                "message": "Service tier capacity exceeded for this model",
                "type": "request_tier_capacity_exceeded",
                "param": None,
                "code": "3505",
            },
        ),
        "gemini_compat": (400, [{"error": {"code": 400, "message": "Bad request", "status": "INVALID_ARGUMENT"}}]),
        "ollama_busy": (503, {"error": "server busy, please try again. maximum pending requests exceeded"}),
        "deployment_not_found": (
            404,
            {
                "error": {
                    "code": "DeploymentNotFound",
                    "message": "The API deployment for this resource does not exist.",
                }
            },
        ),
    }
)
"""Other providers' words, the same on every wire."""

_Row = tuple[int, str, Json, str]


def _rows(openai: _Row, anthropic: _Row, gemini: _Row) -> Mapping[str, _Row]:
    return {"openai": openai, "anthropic": anthropic, "gemini": gemini}


_INVALID, _ANTHROPIC_MONEY = "invalid_request_error", "Your credit balance is too low to access the Anthropic API."
_SPEND = "You have reached your specified API usage limits."
_TOO_LONG = f"This model's maximum context length is {LIMIT} tokens. However, your messages resulted in {LONG} tokens."
_GEMINI_LONG = f"The input token count ({LONG}) exceeds the maximum number of tokens allowed ({LIMIT})."
_FILTERED = "The response was filtered due to the prompt triggering the content management policy."
_RATE = "You exceeded your current quota. Please retry in 2s."
_NO_QUOTA = "You exceeded your current quota, please check your plan and billing details."
_BUSY = "The server is currently overloaded. Please try again later."
_BAD_KEY = "Incorrect API key provided: sk-lab***beef."
_BAD = "Invalid value for a parameter."

ERRORS: Mapping[str, Mapping[str, _Row]] = MappingProxyType(
    {
        "bad_request": _rows(
            (400, _INVALID, "invalid_value", _BAD), (400, _INVALID, None, _BAD), (400, "INVALID_ARGUMENT", None, _BAD)
        ),
        "context_too_long": _rows(
            (400, _INVALID, "context_length_exceeded", _TOO_LONG),
            (400, _INVALID, None, f"prompt is too long: {LONG} tokens > {LIMIT} maximum"),
            (400, "INVALID_ARGUMENT", None, _GEMINI_LONG),
        ),
        "content_filter": _rows(
            (400, _INVALID, "content_filter", _FILTERED),
            (400, _INVALID, None, "Output blocked by content filtering policy"),
            (400, "INVALID_ARGUMENT", None, _FILTERED),
        ),
        "invalid_key": _rows(
            (401, _INVALID, "invalid_api_key", _BAD_KEY),
            (401, "authentication_error", None, "invalid x-api-key"),
            (400, "INVALID_ARGUMENT", None, "API key not valid. Please pass a valid API key."),
        ),
        "missing_key": _rows(
            (401, _INVALID, None, "You didn't provide an API key."),
            (401, "authentication_error", None, "x-api-key header is required"),
            (403, "PERMISSION_DENIED", None, "Method doesn't allow unregistered callers."),
        ),
        "billing": _rows(
            (402, "invalid_request_error", "insufficient_balance", "Insufficient Balance"),
            (402, "billing_error", None, "There is a problem with your billing."),
            (402, "FAILED_PRECONDITION", None, "Billing is not enabled for this project."),
        ),
        "forbidden": _rows(
            (403, _INVALID, "unsupported_country_region_territory", "Country, region, or territory not supported"),
            (403, "permission_error", None, "Your API key does not have permission to use this resource."),
            (403, "PERMISSION_DENIED", None, "The caller does not have permission"),
        ),
        "model_not_found": _rows(
            (404, _INVALID, "model_not_found", "The model does not exist or you do not have access to it."),
            (404, "not_found_error", None, "model: lab"),
            (404, "NOT_FOUND", None, "models/lab is not found for API version v1beta"),
        ),
        "too_large": _rows(
            (413, _INVALID, None, "Request too large."),
            (413, "request_too_large", None, "Request exceeds the maximum size"),
            (413, "INVALID_ARGUMENT", None, "Request payload size exceeds the limit."),
        ),
        "timeout": _rows(
            (408, _INVALID, None, "Request timed out."),
            (504, "timeout_error", None, "Request timed out."),
            (504, "DEADLINE_EXCEEDED", None, "Deadline expired before operation could complete."),
        ),
        "rate_limit": _rows(
            (429, "requests", "rate_limit_exceeded", "Rate limit reached for requests. Please try again in 2s."),
            (429, "rate_limit_error", None, "This request would exceed your rate limit."),
            (429, "RESOURCE_EXHAUSTED", None, _RATE),
        ),
        "insufficient_quota": _rows(
            (429, "insufficient_quota", "insufficient_quota", _NO_QUOTA),
            (400, _INVALID, None, _ANTHROPIC_MONEY),
            (429, "RESOURCE_EXHAUSTED", None, f"{_NO_QUOTA} Quota exceeded, limit: 0"),
        ),
        "daily_quota": _rows(
            (429, "requests", "organization_usage_limit_exceeded", "You reached your organization's usage limit."),
            (400, _INVALID, None, _SPEND),
            (429, "RESOURCE_EXHAUSTED", None, _NO_QUOTA),
        ),
        "spend_limit": _rows(
            (429, "insufficient_quota", "organization_spend_limit_exceeded", "You reached your spend limit."),
            (429, "rate_limit_error", "enforced_spend_limit_reached", _SPEND),
            (402, "FAILED_PRECONDITION", None, "Spend limit reached."),
        ),
        "overloaded": _rows(
            (503, "service_unavailable_error", "server_is_overloaded", _BUSY),
            (529, "overloaded_error", None, "Overloaded"),
            (503, "UNAVAILABLE", None, "The model is overloaded. Please try again later."),
        ),
        "server_error": _rows(
            (500, "server_error", None, "The server had an error while processing your request."),
            (500, "api_error", None, "Internal server error"),
            (500, "INTERNAL", None, "An internal error has occurred."),
        ),
    }
)
