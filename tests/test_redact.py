"""Secrets stay inside, and a log line stays one line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.redact import REDACTED, Redactor, escape, scrub

SHAPES = [
    "sk-proj-abcDEF123456",
    "sk-ant-api03-abcDEF_123-456",
    "sk-XG6GW***wlmi",
    "AIzaSyA0123456789abcdefghijk",
    "AQ.Ab0123456789abcdefghijk",
    "gsk_0123456789abcdef",
    "hf_0123456789abcdef",
    "xai-0123456789abcdef",
    "ya29.a0123456789",
    "eyJhbGciOiJI.eyJzdWIiOiIx.sig_-0",
    "AKIAABCDEFGHIJKLMNOP",
    "xoxb-0123456789-abc",
]


@pytest.mark.parametrize("key", SHAPES)
def test_key_shapes_are_replaced(key: str) -> None:
    """E13: whatever has the shape of a well-known key is replaced, whoever's it is."""
    assert scrub(f"before {key} after") == f"before {REDACTED} after"
    assert scrub(f'{{"a":"{key}"}}') == f'{{"a":"{REDACTED}"}}'


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer CANARY12",
        "bearer  CANARY12",
        'authorization": "CANARY12"',
        "x-api-key=CANARY12",
        "https://host/v1?alt=sse&key=CANARY12",
        "https://user:CANARY12@host/",
        "Authorization: Basic CANARY12",
    ],
)
def test_places_of_keys_are_replaced(text: str) -> None:
    """E13: what stands where a key stands (header, query, user information) is replaced."""
    assert "CANARY12" not in scrub(text)


@pytest.mark.parametrize(
    "text",
    [
        "task-forces ask-me risk-averse-people",
        "The bearer authentication scheme",
        "openai/gpt-4.1 rate_limited req_0123456789abcdef",
        "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8",
        "the key is wrong, see https://host/docs",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    """Model names, request ids and prose are not mistaken for keys."""
    assert Redactor(["secret-1"]).text(text) == text


def test_known_secrets_go_in_every_look() -> None:
    """E13: a known secret is replaced verbatim, inside JSON and inside a URL; the longer one first; short ones stay."""
    secret = 'pa"ss/wo\\rd'
    redactor = Redactor([secret, "abcdef", "abcdefghi", "dev"])
    assert redactor.text(f"x {secret} y") == f"x {REDACTED} y"
    assert redactor.text(json.dumps({"a": secret})) == f'{{"a": "{REDACTED}"}}'
    assert redactor.text("/p?x=pa%22ss%2Fwo%5Crd") == f"/p?x={REDACTED}"
    assert redactor.text("abcdefghi dev") == f"{REDACTED} dev"
    assert redactor.bytes(b"abcdef \xff") == f"{REDACTED} \ufffd".encode()
    assert secret not in repr(redactor)


def test_log_injection_is_escaped() -> None:
    """E14: line ends, ANSI, C1 controls, separators and direction marks cannot forge or hide a line."""
    evil = "a\r\nb\x1b[31mc\x7f\x85\u2028\u202e\ud800d"
    assert Redactor().text(evil) == r"a\r\nb\u001b[31mc\u007f\u0085\u2028\u202e\ud800d"


@given(st.text())
def test_escaping_keeps_json_what_it_means(text: str) -> None:
    """An escaped text is printable, and a JSON line says the same before and after."""
    line = json.dumps({"v": text}, ensure_ascii=False)
    safe = escape(line)
    assert safe.isprintable()
    assert json.loads(safe) == {"v": text}


@given(st.text(), st.sampled_from(SHAPES))
def test_redaction_keeps_json_json(text: str, key: str) -> None:
    """A JSON line with a key anywhere inside a value is still a JSON line."""
    safe = Redactor(["CANARY-0123"]).text(json.dumps({"v": f"{text} {key} CANARY-0123 {text}"}, ensure_ascii=False))
    assert key not in safe
    assert "CANARY-0123" not in safe
    assert set(json.loads(safe)) == {"v"}
