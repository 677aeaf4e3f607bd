"""Embeddings: routed and passed on, never translated."""

import json

import pytest

from standfast.canon.chat import ChatReply, ChatRequest, Finish
from standfast.canon.usage import Usage
from standfast.errors import InvalidRequest, Untranslatable
from standfast.formats.openai_embeddings import FORMAT


@pytest.mark.parametrize("given", ["text", ["a", "b"], [1, 2], [[1], [2]]])
def test_read_and_splice(given: object) -> None:
    """All forms of input are routed; the body changes only where it must, base64 included (quirk 15)."""
    body = json.dumps({"model": "m", "input": given, "encoding_format": "base64", "user": "u"}).encode()
    envelope = FORMAT.read(body)
    assert (envelope.model, envelope.user, envelope.stream) == ("m", "u", False)
    assert FORMAT.splice(envelope, "m", {}) is body
    spliced = json.loads(FORMAT.splice(envelope, "n", {"dimensions": 8}))
    assert spliced == {**json.loads(body), "model": "n", "dimensions": 8}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{}", "model"),
        (b'{"model":"m"}', "input"),
        (b'{"model":"m","input":[]}', "input"),
        (b'{"model":"m","input":123456}', "input"),
        (b"[]", None),
    ],
)
def test_read_refuses(body: bytes, param: str | None) -> None:
    """A missing model or input is the client's 400."""
    with pytest.raises(InvalidRequest) as caught:
        FORMAT.read(body)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("body", "empty", "error", "malformed"),
    [
        (b'{"data":[{"embedding":"AAAA"}]}', False, False, False),
        (b'{"data":[{"embedding":"AAAA"}],"usage":5}', False, False, False),
        (b'{"data":[]}', True, False, False),
        (b'{"error":{"message":"x"}}', False, True, False),
        (b"{}", False, False, True),
        (b"<html>", False, False, True),
        (b"", True, False, True),
    ],
)
def test_inspect(body: bytes, empty: bool, error: bool, malformed: bool) -> None:
    """B15, B16, B17 for embeddings."""
    facts = FORMAT.inspect_reply(body)
    assert (facts.empty, facts.error is not None, bool(facts.malformed)) == (empty, error, malformed)


def test_usage() -> None:
    """Embeddings count prompt tokens only."""
    usage = {"prompt_tokens": 7, "total_tokens": 7}
    body = json.dumps({"data": [{"embedding": [0.1]}], "usage": usage}).encode()
    assert FORMAT.inspect_reply(body).usage == Usage(7, 0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: FORMAT.parse_request(b"{}"),
        lambda: FORMAT.write_request(ChatRequest(()), "m", {}),
        lambda: FORMAT.parse_reply(b"{}"),
        lambda: FORMAT.write_reply(ChatReply("", "", "", Finish.STOP, None), created=0),
        lambda: FORMAT.relay(include_usage=False, max_event_bytes=1),
        FORMAT.reader,
        lambda: FORMAT.writer(include_usage=False, created=0),
    ],
)
def test_never_translated(call: object) -> None:
    """Vectors of two models cannot be mixed, so there is no way into another format."""
    assert callable(call)
    with pytest.raises(Untranslatable, match="same model and format only"):
        call()
