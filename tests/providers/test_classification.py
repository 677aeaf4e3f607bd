"""Each provider's own words, as the wire facts record them."""

import json

import pytest

from standfast import plugins
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Wall
from standfast.providers.base import Answer

K = FailureKind
OPENAI_SHAPED = ("openai", "deepseek", "holysheep", "openai_like")


def classify(name: str, status: int, body: object, *headers: tuple[bytes, bytes]) -> Failure:
    """One answer of one provider."""
    answer = Answer(status, headers, json.dumps(body).encode(), Wall(1_760_000_000.0))
    failure: Failure = plugins.load("providers", name).PROVIDER.classify(answer)
    return failure


def openai(message: str = "m", type_: str | None = None, code: object = None) -> dict[str, object]:
    """OpenAI's error body."""
    return {"error": {"message": message, "type": type_, "param": None, "code": code}}


def anthropic(type_: str, message: str = "m", **more: object) -> dict[str, object]:
    """Anthropic's error body."""
    return {"type": "error", "error": {"type": type_, "message": message, **more}, "request_id": "req_1"}


def google(code: int, status: str, message: str = "m", *details: dict[str, object]) -> dict[str, object]:
    """Google's error body."""
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def retry_info(delay: str) -> dict[str, object]:
    """A RetryInfo detail."""
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


def quota(name: str) -> dict[str, object]:
    """A QuotaFailure detail."""
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": name}]}


def info(reason: str) -> dict[str, object]:
    """An ErrorInfo detail."""
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}


@pytest.mark.parametrize("name", OPENAI_SHAPED)
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, openai("bad", "invalid_request_error", "unsupported_value"), K.INVALID_REQUEST),
        (400, openai("x", "invalid_request_error", "context_length_exceeded"), K.CONTEXT_TOO_LONG),
        (
            400,
            openai("This model's maximum context length is 8192 tokens.", "BadRequestError", 400),
            K.CONTEXT_TOO_LONG,
        ),
        (400, openai("x", None, "content_filter"), K.CONTENT_FILTERED),
        (400, openai("x", "invalid_request_error", "content_policy_violation"), K.CONTENT_FILTERED),
        (400, openai("x", "invalid_request_error", "invalid_prompt"), K.CONTENT_FILTERED),
        (401, openai("x", "invalid_request_error", "invalid_api_key"), K.AUTH_FAILED),
        (402, openai("Insufficient Balance", "unknown_error", "invalid_request_error"), K.QUOTA_EXHAUSTED),
        (404, openai("x", "invalid_request_error", "model_not_found"), K.MODEL_NOT_FOUND),
        (404, openai("x", None, "DeploymentNotFound"), K.MODEL_NOT_FOUND),
        (404, openai("The model `x` does not exist.", "NotFoundError", 404), K.MODEL_NOT_FOUND),
        (429, openai("x", "tokens", "rate_limit_exceeded"), K.RATE_LIMITED),
        (429, openai("x", "requests", "slow_down"), K.RATE_LIMITED),
        (429, openai("x", "insufficient_quota", None), K.QUOTA_EXHAUSTED),
        (429, openai("x", "insufficient_quota", "insufficient_quota"), K.QUOTA_EXHAUSTED),
        (429, openai("x", None, "credit_balance_exhausted"), K.QUOTA_EXHAUSTED),
        (429, openai("x", None, "organization_spend_limit_exceeded"), K.QUOTA_EXHAUSTED),
        (429, openai("x", None, "project_spend_limit_exceeded"), K.QUOTA_EXHAUSTED),
        (429, openai("x", None, "organization_usage_limit_exceeded"), K.QUOTA_EXHAUSTED),
        (500, openai("x", "server_error", None), K.SERVER_ERROR),
        (503, openai("x", "service_unavailable_error", "server_is_overloaded"), K.OVERLOADED),
        (200, openai("x", "server_error", None), K.SERVER_ERROR),
        (200, openai("x", "InternalServerError", 500), K.SERVER_ERROR),
        (200, openai("x", "BadRequestError", 400), K.INVALID_REQUEST),
        (200, openai("x", None, 503), K.OVERLOADED),
        (200, openai("x", "rate_limit_error", None), K.RATE_LIMITED),
        (200, openai("x", "requests", "rate_limit_exceeded"), K.RATE_LIMITED),
        (200, openai("x", None, "insufficient_quota"), K.QUOTA_EXHAUSTED),
        (200, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, K.OVERLOADED),
        (200, {"error": {"message": "nobody knows"}}, K.SERVER_ERROR),
    ],
)
def test_openais_words(name: str, status: int, body: object, kind: FailureKind) -> None:
    """B3, B4, B6, B8, B12, B14: OpenAI's codes mean the same at everyone who speaks its dialect, in band too."""
    assert classify(name, status, body).kind is kind


@pytest.mark.parametrize("name", ["openai_like", "holysheep"])
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        # Mistral: flat, an unknown model is 400, the message may be an object
        (
            400,
            {"object": "error", "message": "Invalid model: x", "type": "invalid_model", "code": "1500"},
            K.MODEL_NOT_FOUND,
        ),
        (
            429,
            {"object": "error", "message": "x", "type": "request_tier_capacity_exceeded", "code": "3505"},
            K.RATE_LIMITED,
        ),
        (422, {"detail": [{"loc": ["body"], "msg": "field required", "type": "missing"}]}, K.INVALID_REQUEST),
        (422, {"object": "error", "message": {"detail": [{"msg": "field required"}]}}, K.INVALID_REQUEST),
        # Ollama: a plain string, a full queue
        (404, {"error": 'model "x" not found, try pulling it first'}, K.MODEL_NOT_FOUND),
        (404, openai("x", "not_found_error", None), K.MODEL_NOT_FOUND),
        (503, {"error": "server busy, please try again. maximum pending requests exceeded"}, K.OVERLOADED),
        # llama.cpp
        (400, openai("too long", "exceed_context_size_error", 400), K.CONTEXT_TOO_LONG),
        # Azure
        (429, openai("System is experiencing high demand", None, "429"), K.OVERLOADED),
        # Gemini's compatible endpoint: an array
        (400, [google(400, "INVALID_ARGUMENT", "API key not valid. Please pass one.")], K.AUTH_FAILED),
        (400, [google(400, "INVALID_ARGUMENT", "bad")], K.INVALID_REQUEST),
        (429, [google(429, "RESOURCE_EXHAUSTED", "x", quota("GenerateRequestsPerDay"))], K.QUOTA_EXHAUSTED),
        # relays of Anthropic and Gemini
        (
            400,
            openai("prompt is too long: 210000 tokens > 200000 maximum", "invalid_request_error"),
            K.CONTEXT_TOO_LONG,
        ),
        (
            400,
            openai("The input token count (9) exceeds the maximum number of tokens allowed (8)."),
            K.CONTEXT_TOO_LONG,
        ),
    ],
)
def test_dialects_of_openais_shape(name: str, status: int, body: object, kind: FailureKind) -> None:
    """B4, B8, B13, B18: the shapes and wordings of compatible servers are understood."""
    assert classify(name, status, body).kind is kind


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, anthropic("invalid_request_error", "max_tokens: Field required"), K.INVALID_REQUEST),
        (
            400,
            anthropic("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
            K.CONTEXT_TOO_LONG,
        ),
        (
            400,
            anthropic("invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
            K.QUOTA_EXHAUSTED,
        ),
        (
            400,
            anthropic("invalid_request_error", "You have reached your specified workspace API usage limits."),
            K.QUOTA_EXHAUSTED,
        ),
        (
            400,
            anthropic("invalid_request_error", "You have reached your specified API usage limits."),
            K.QUOTA_EXHAUSTED,
        ),
        (401, anthropic("authentication_error"), K.AUTH_FAILED),
        (402, anthropic("billing_error"), K.QUOTA_EXHAUSTED),
        (403, anthropic("permission_error"), K.FORBIDDEN),
        (404, anthropic("not_found_error", "model: claude-x"), K.MODEL_NOT_FOUND),
        (413, anthropic("request_too_large"), K.PAYLOAD_TOO_LARGE),
        (429, anthropic("rate_limit_error"), K.RATE_LIMITED),
        (
            429,
            anthropic("rate_limit_error", details={"error_code": "enforced_spend_limit_reached"}),
            K.QUOTA_EXHAUSTED,
        ),
        (500, anthropic("api_error"), K.SERVER_ERROR),
        (504, anthropic("timeout_error"), K.SERVER_ERROR),
        (529, anthropic("overloaded_error"), K.OVERLOADED),
        (200, anthropic("overloaded_error"), K.OVERLOADED),
        (200, anthropic("rate_limit_error"), K.RATE_LIMITED),
        (200, anthropic("api_error"), K.SERVER_ERROR),
        (200, anthropic("invalid_request_error"), K.INVALID_REQUEST),
        (200, anthropic("something_new"), K.SERVER_ERROR),
    ],
)
def test_anthropics_words(status: int, body: object, kind: FailureKind) -> None:
    """B4, B6, B12, B14: three kinds of bad request are about money or size, and in-band errors map as their status."""
    assert classify("anthropic", status, body).kind is kind


@pytest.mark.parametrize(
    ("status", "body", "kind", "wait"),
    [
        (400, google(400, "INVALID_ARGUMENT"), K.INVALID_REQUEST, None),
        (400, google(400, "INVALID_ARGUMENT", "API key not valid.", info("API_KEY_INVALID")), K.AUTH_FAILED, None),
        (400, google(400, "FAILED_PRECONDITION"), K.FORBIDDEN, None),
        (
            400,
            google(
                400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens allowed (8)"
            ),
            K.CONTEXT_TOO_LONG,
            None,
        ),
        (403, google(403, "PERMISSION_DENIED"), K.FORBIDDEN, None),
        (404, google(404, "NOT_FOUND", "models/x is not found for API version v1beta"), K.MODEL_NOT_FOUND, None),
        (429, google(429, "RESOURCE_EXHAUSTED"), K.RATE_LIMITED, None),
        (429, google(429, "RESOURCE_EXHAUSTED", "m", retry_info("34.074824224s")), K.RATE_LIMITED, 34.074824224),
        (429, google(429, "RESOURCE_EXHAUSTED", "m", retry_info("900ms")), K.RATE_LIMITED, 0.9),
        (429, google(429, "RESOURCE_EXHAUSTED", "Quota exceeded. Please retry in 12.3s."), K.RATE_LIMITED, 12.3),
        (429, google(429, "RESOURCE_EXHAUSTED", "Please retry in 900ms"), K.RATE_LIMITED, 0.9),
        (429, google(429, "RESOURCE_EXHAUSTED", "m", quota("RequestsPerMinutePerProject")), K.RATE_LIMITED, 60.0),
        (
            429,
            google(429, "RESOURCE_EXHAUSTED", "m", quota("RequestsPerMinute"), retry_info("5s")),
            K.RATE_LIMITED,
            5.0,
        ),
        (
            429,
            google(429, "RESOURCE_EXHAUSTED", "m", quota("GenerateRequestsPerDayPerProject"), retry_info("34s")),
            K.QUOTA_EXHAUSTED,
            None,
        ),
        (429, google(429, "RESOURCE_EXHAUSTED", "m", quota("DailyTokens")), K.QUOTA_EXHAUSTED, None),
        (429, google(429, "RESOURCE_EXHAUSTED", "m", retry_info("65205s")), K.QUOTA_EXHAUSTED, 65205.0),
        (429, google(429, "RESOURCE_EXHAUSTED", "m", retry_info("301s")), K.QUOTA_EXHAUSTED, 301.0),
        (429, google(429, "RESOURCE_EXHAUSTED", "m", retry_info("300s")), K.RATE_LIMITED, 300.0),
        (429, google(429, "RESOURCE_EXHAUSTED", "Quota: x, limit: 0, model: y"), K.QUOTA_EXHAUSTED, None),
        (429, google(429, "RESOURCE_EXHAUSTED", "limit: 0."), K.QUOTA_EXHAUSTED, None),
        (429, google(429, "RESOURCE_EXHAUSTED", "limit: 0.5, limit: 10"), K.RATE_LIMITED, None),
        (429, google(429, "RESOURCE_EXHAUSTED", "m", info("MODEL_CAPACITY_EXHAUSTED")), K.OVERLOADED, None),
        (499, google(499, "CANCELLED"), K.SERVER_ERROR, None),
        (500, google(500, "INTERNAL"), K.SERVER_ERROR, None),
        (503, google(503, "UNAVAILABLE"), K.OVERLOADED, None),
        (504, google(504, "DEADLINE_EXCEEDED"), K.SERVER_ERROR, None),
        (200, google(503, "UNAVAILABLE"), K.OVERLOADED, None),
        (200, google(429, "RESOURCE_EXHAUSTED", "m", quota("PerDay")), K.QUOTA_EXHAUSTED, None),
        (200, {"error": {"status": "UNAVAILABLE", "message": "x"}}, K.OVERLOADED, None),
    ],
)
def test_geminis_words(status: int, body: object, kind: FailureKind, wait: float | None) -> None:
    """B6, B13: a bad key is a 400, a daily quota is no rate, and the wait stands in the details or in the text."""
    failure = classify("gemini", status, body)
    assert failure.kind is kind
    assert failure.retry_after == (None if wait is None else pytest.approx(wait))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("openai", "This model's maximum context length is 128000 tokens."),
        ("anthropic", "prompt is too long: 210000 tokens > 200000 maximum"),
        ("gemini", "The input token count (9) exceeds the maximum number of tokens allowed (8)."),
        ("openai_like", "maximum context length is 4096 tokens"),
    ],
)
def test_an_overflow_says_how_far(name: str, message: str) -> None:
    """B4: all wordings are recognised and passed on, for they name the limit."""
    failure = classify(name, 400, {"error": {"message": message, "type": "invalid_request_error"}})
    assert failure.kind is K.CONTEXT_TOO_LONG
    assert failure.detail.endswith(message)


def test_codes_are_the_providers_own() -> None:
    """A failure carries the most precise word: OpenAI's code, Anthropic's type, Google's status or reason."""
    assert classify("openai", 429, openai("x", "tokens", "rate_limit_exceeded")).code == "rate_limit_exceeded"
    assert classify("openai_like", 400, openai("x", "BadRequestError", 400)).code == "BadRequestError"
    assert classify("anthropic", 529, anthropic("overloaded_error")).code == "overloaded_error"
    assert classify("gemini", 503, google(503, "UNAVAILABLE")).code == "UNAVAILABLE"
    assert (
        classify("gemini", 400, google(400, "INVALID_ARGUMENT", "m", info("API_KEY_INVALID"))).code == "API_KEY_INVALID"
    )


def test_a_spent_quota_does_not_come_back_in_seconds() -> None:
    """B12: a short retry-after beside a billing code is ignored, a long one is kept."""
    spent = openai("x", None, "insufficient_quota")
    assert classify("openai", 429, spent, (b"retry-after", b"20")).retry_after is None
    assert classify("openai", 429, spent, (b"retry-after", b"7200")).retry_after == 7200.0


def test_a_json_error_is_read_whatever_its_content_type() -> None:
    """B19: DeepSeek sends JSON as octet-stream, with blank lines before it."""
    body = b"\n\n\n" + json.dumps(openai("x", None, "insufficient_quota")).encode()
    headers = [(b"content-type", b"application/octet-stream")]
    failure = plugins.load("providers", "deepseek").PROVIDER.classify(Answer(429, headers, body, Wall(0.0)))
    assert failure.kind is K.QUOTA_EXHAUSTED


def test_long_messages_are_one_short_line() -> None:
    """A detail is one line of at most 200 characters; a key cut in two by the limit does not show its first half."""
    long = classify("openai", 400, openai("word\r\n" * 500)).detail
    assert (len(long), long.endswith("..."), "\n" in long) == (200, True, False)
    cut = classify("openai", 400, openai(" " * 1995 + "sk-CANARY0123456789")).detail
    assert "sk-" not in cut


def test_addresses_and_headers() -> None:
    """Paths, versions and key headers are those that each API wants."""
    load = lambda name: plugins.load("providers", name).PROVIDER  # noqa: E731 - read as a table below
    chat, embeddings = "chat", "embeddings"
    assert load("openai").path(chat, "m", stream=True) == "/chat/completions"
    assert load("openai").path(embeddings, "m", stream=False) == "/embeddings"
    assert load("anthropic").path(chat, "m", stream=True) == "/v1/messages"
    assert load("gemini").path(chat, "gemini-2.5-flash", stream=False) == "/models/gemini-2.5-flash:generateContent"
    assert load("gemini").path(chat, "models/a/b", stream=True) == "/models/a%2Fb:streamGenerateContent?alt=sse"
    assert load("openai").headers("k") == (("authorization", "Bearer k"),)
    assert load("anthropic").headers("k") == (("x-api-key", "k"), ("anthropic-version", "2023-06-01"))
    assert load("anthropic").headers("") == (("anthropic-version", "2023-06-01"),)
    assert load("gemini").headers("k") == (("x-goog-api-key", "k"),)
