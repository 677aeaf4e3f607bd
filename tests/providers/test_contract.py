"""What every provider file must keep; finds them by itself."""

import json
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast import plugins
from standfast.canon.deployment import Operation
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Wall
from standfast.providers.base import CLASSIFIED_BODY_BYTES, Answer, Provider

K = FailureKind
NAMES = plugins.names("providers")
FORMATS = {"openai_chat", "openai_embeddings", "anthropic_messages", "gemini"}
KEY = "sk-canary-0123456789abcdefABCDEF"
HTML = b"<!DOCTYPE html>\n<html><head><title>Bad gateway</title></head><body>cf-ray</body></html>"

GARBAGE = [
    b"",
    b" \r\n\r\n ",
    b"null",
    b"true",
    b"17",
    b'"text"',
    b"[]",
    b"[1, [2]]",
    b"[" * 60_000,
    b'{"error":' * 10_000,
    b'{"error":null}',
    b'{"error":[]}',
    b'{"error":"text"}',
    b'{"error":{"message":{"detail":[{"loc":["body"],"msg":"field required","type":"missing"}]}}}',
    b'{"error":{"message":null,"type":7,"code":true,"details":"x","status":[]}}',
    b'{"error":{"message":"m","details":[null,{"@type":3},{"@type":"a.RetryInfo","retryDelay":{}}]}}',
    b'{"error":{"message":"m","details":[{"@type":"a.QuotaFailure","violations":[1,{"quotaId":[]}]}]}}',
    b'{"error":{"message":"m","details":[{"@type":"a.ErrorInfo","reason":[],"metadata":[]}]}}',
    b'{"error":{"code":NaN,"message":"\\ud800 lone"}}',
    b'{"error":{"code":' + b"9" * 10_000 + b"}}",
    b'{"error":{"code":1e999}}',
    b'{"error":{"message":"cut',
    b"\xff\xfe\x00\x01",
    b"\xef\xbb\xbf" + b'{"error":{"type":"x"}}',
    b"404 page not found\n",
    b'{"detail":"Not Found"}',
    HTML,
    b"x" * CLASSIFIED_BODY_BYTES,
]


@pytest.fixture(params=NAMES)
def provider(request: pytest.FixtureRequest) -> Provider:
    """Each provider in turn."""
    found: Provider = plugins.load("providers", request.param).PROVIDER
    return found


def classify(
    provider: Provider, status: int, body: object = b"", headers: tuple[tuple[bytes, bytes], ...] = ()
) -> Failure:
    """Classify an answer and check the failure's form."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    failure = provider.classify(Answer(status, headers, data, Wall(1_760_000_000.0)))
    check(failure, status)
    return failure


def check(failure: Failure, status: int) -> None:
    """The form of every failure: a kind of the table, one printable line, a sane wait, the status that came."""
    assert isinstance(failure.kind, FailureKind)
    assert failure.status == status
    assert failure.detail.isprintable()
    assert 0 < len(failure.detail) <= 200
    assert re.fullmatch(r"[A-Za-z0-9_.-]{0,64}", failure.code)
    assert failure.retry_after is None or (math.isfinite(failure.retry_after) and 0 < failure.retry_after <= 86400)


def test_the_room_is_complete() -> None:
    """The provider files of the plan are found by their names."""
    assert set(NAMES) >= {"openai", "anthropic", "gemini", "deepseek", "holysheep", "openai_like"}


def test_name_address_and_formats(provider: Provider) -> None:
    """A provider is called as its file, has an https address or none, and names formats that exist."""
    assert provider.name in NAMES
    assert provider.base_url == "" or re.fullmatch(r"https://[a-z.]+(/[a-z0-9]+)*", provider.base_url)
    assert bool(provider.base_url) == bool(provider.key_variable)
    assert provider.formats[Operation.CHAT]
    assert set(provider.formats.values()) <= FORMATS


@pytest.mark.parametrize("model", ["gpt-4.1", "meta/llama 3", "../../x?y#z", "m\u00fc\r\nhost: evil"])
def test_paths_are_safe(provider: Provider, model: str) -> None:
    """A path begins with a slash and holds only what may stand in a request line, whatever the model is called."""
    for operation in provider.formats:
        for stream in (False, True):
            assert re.fullmatch(r"/[A-Za-z0-9/_.:%?=-]+", provider.path(operation, model, stream=stream))
    assert re.fullmatch(r"/[A-Za-z0-9/_.?=]+", provider.ping())


def test_headers_carry_the_key_exactly_once(provider: Provider) -> None:
    """The key stands in one header, names are lower case, and without a key there is no authorization at all."""
    with_key = provider.headers(KEY + "\n")
    assert sum(KEY in value for _, value in with_key) == 1
    assert all(name == name.lower() and value == value.strip() for name, value in with_key)
    for nothing in ("", "none", " "):
        names = {name for name, _ in provider.headers(nothing)}
        assert not names & {"authorization", "x-api-key", "x-goog-api-key", "api-key"}


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
@pytest.mark.parametrize("status", [200, 302, 400, 404, 429, 500])
def test_garbage_never_raises(provider: Provider, body: bytes, status: int) -> None:
    """B18: a body of any shape is classified, and its failure has the form of all others."""
    failure = classify(provider, status, body)
    if status in (200, 302, 500):
        assert failure.kind is K.SERVER_ERROR


BY_STATUS = {
    301: K.SERVER_ERROR,
    307: K.SERVER_ERROR,
    400: K.INVALID_REQUEST,
    401: K.AUTH_FAILED,
    402: K.QUOTA_EXHAUSTED,
    403: K.FORBIDDEN,
    405: K.INVALID_REQUEST,
    408: K.SERVER_ERROR,
    409: K.SERVER_ERROR,
    413: K.PAYLOAD_TOO_LARGE,
    422: K.INVALID_REQUEST,
    425: K.SERVER_ERROR,
    429: K.RATE_LIMITED,
    499: K.SERVER_ERROR,
    500: K.SERVER_ERROR,
    502: K.SERVER_ERROR,
    503: K.OVERLOADED,
    504: K.SERVER_ERROR,
    **dict.fromkeys(range(520, 527), K.SERVER_ERROR),
    529: K.OVERLOADED,
}


@pytest.mark.parametrize(("status", "kind"), BY_STATUS.items())
@pytest.mark.parametrize("body", [b"", HTML, b'{"error":{"message":"something"}}'], ids=["empty", "html", "plain"])
def test_a_status_without_a_telling_body(provider: Provider, status: int, kind: FailureKind, body: bytes) -> None:
    """B3, B6, B14: where the body says nothing, the status decides - also when a proxy sent a web page."""
    assert classify(provider, status, body).kind is kind


@pytest.mark.parametrize("body", [HTML, b"404 page not found", b"", b'{"detail":"Not Found"}'])
def test_a_wrong_address_is_no_missing_model(provider: Provider, body: bytes) -> None:
    """B8: a 404 that does not come from a model API is a server error that says what to check."""
    failure = classify(provider, 404, body)
    assert failure.kind is K.SERVER_ERROR
    assert "check base_url" in failure.detail


def test_a_page_with_status_200_is_a_server_error(provider: Provider) -> None:
    """B15: HTML with status 200 is no answer."""
    failure = classify(provider, 200, HTML)
    assert (failure.kind, failure.detail) == (K.SERVER_ERROR, "HTML with status 200: check base_url")


def test_redirects_are_refused(provider: Provider) -> None:
    """A11: a redirect is a server error, whatever its body claims."""
    failure = classify(
        provider, 307, {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "type": "rate_limit_error"}}
    )
    assert failure.kind is K.SERVER_ERROR
    assert "redirect refused" in failure.detail


def test_an_unknown_status_may_be_called_retryable(provider: Provider) -> None:
    """x-should-retry moves only a status that no table knows."""
    retry = ((b"x-should-retry", b"true"),)
    assert classify(provider, 418, b"", retry).kind is K.SERVER_ERROR
    assert classify(provider, 400, b"", retry).kind is K.INVALID_REQUEST


def test_hints_reach_the_failure(provider: Provider) -> None:
    """B10: rates and overload carry the provider's hint, a refused key does not."""
    later = ((b"retry-after", b"7"),)
    assert [classify(provider, status, b"", later).retry_after for status in (429, 503, 529, 401, 400)] == [
        7.0,
        7.0,
        7.0,
        None,
        None,
    ]


CANARIES = (
    KEY,
    "sk-XG6GW***wlmi",
    "AIzaSyCANARY-0123456789abcdefghijklmno",
    "org-Canary0123456789",
    "Zm9vYmFyYmF6cXV4Q0FOQVJZMDEyMzQ1Njc4OQ==",
)


@pytest.mark.parametrize("status", [200, 400, 401, 402, 403, 404, 413, 422, 429, 500, 503])
@pytest.mark.parametrize("canary", CANARIES)
def test_details_hold_no_secrets(provider: Provider, status: int, canary: str) -> None:
    """E13: no key, organisation or encoded run of an upstream's answer gets into a failure, wherever it stands."""
    message = f"Incorrect key provided: {canary}, Bearer {canary}.\r\n\x1b[31m organisation {canary}"
    for error in (
        {"message": message, "type": canary, "code": canary},
        {"message": {"detail": message}, "status": canary, "details": [{"@type": "x.ErrorInfo", "reason": canary}]},
    ):
        failure = classify(provider, status, {"type": "error", "error": error})
        assert canary not in failure.detail + failure.code


def test_only_the_clients_own_faults_quote_the_upstream(provider: Provider) -> None:
    """A message is passed on where it helps the client (400), and nowhere else."""
    body = {"error": {"message": "temperature must be between 0 and 2", "type": "some_error"}}
    assert "temperature must be" in classify(provider, 400, body).detail
    for status in (401, 403, 404, 429, 500, 503):
        assert "temperature" not in classify(provider, status, body).detail


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "type", "code", "status", "details", "@type", "detail", "retryDelay"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=60) | _JSON.map(lambda value: json.dumps(value).encode()), status=st.integers(200, 599))
def test_any_body_with_any_status(body: bytes, status: int) -> None:
    """B18: mutated bodies of every shape never break a provider."""
    for name in NAMES:
        classify(plugins.load("providers", name).PROVIDER, status, body)
