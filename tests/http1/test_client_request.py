"""Request heads: prepared once, refused at configuration time when they could break the framing."""

import pytest

from standfast.http1.base import Origin
from standfast.http1.client_request import RequestHead, build_request

ORIGIN = Origin("https", "api.example.test", 443)


def test_request_is_complete() -> None:
    """A request has everything that HTTP/1.1 needs, and asks for an uncoded answer."""
    head = build_request("POST", ORIGIN, "/v1/chat?x=1", [("authorization", "Bearer k")])
    lines = head.request(b"{}").split(b"\r\n")
    assert lines[0] == b"POST /v1/chat?x=1 HTTP/1.1"
    assert b"host: api.example.test" in lines
    assert b"accept-encoding: identity" in lines
    assert b"authorization: Bearer k" in lines
    assert b"content-type: application/json" in lines
    assert any(line.startswith(b"user-agent: standfast/") for line in lines)
    assert lines[-3:] == [b"content-length: 2", b"", b"{}"]


def test_get_announces_no_body() -> None:
    """A GET without a body has neither length nor type."""
    request = RequestHead("GET", ORIGIN, "/v1/models").request()
    assert request.endswith(b"\r\n\r\n")
    assert b"content-" not in request


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (Origin("http", "h", 80), b"host: h\r\n"),
        (Origin("http", "h", 443), b"host: h:443\r\n"),
        (Origin("https", "::1", 8443), b"host: [::1]:8443\r\n"),
    ],
)
def test_host_header(origin: Origin, host: bytes) -> None:
    """The Host header names the port unless it is the scheme's own, and brackets IPv6."""
    assert host in RequestHead("POST", origin, "/").request()


def test_given_headers_replace_defaults() -> None:
    """A configured user-agent or content-type stands alone."""
    request = RequestHead("POST", ORIGIN, "/", [("User-Agent", "me"), ("Content-Type", "text/plain")]).request(b"x")
    assert request.lower().count(b"user-agent") == request.lower().count(b"content-type") == 1


@pytest.mark.parametrize("value", ["sk-secret\r\nx: y", "sk-secret\n", "sk-secret\0", "sk-secret\u20ac", "sk-\x7f"])
def test_bad_values_name_the_header_only(value: str) -> None:
    """A value that would break the framing is refused, and the message never shows it: it may be a key."""
    with pytest.raises(ValueError, match="authorization") as caught:
        RequestHead("POST", ORIGIN, "/", [("authorization", value)])
    assert "sk-" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "a\r\nb", "a:", "\u00e9", "Content-Length", "transfer-encoding", "host"])
def test_bad_names(name: str) -> None:
    """A name that is no token, or that the wire itself owns, is refused."""
    with pytest.raises(ValueError, match="header"):
        RequestHead("POST", ORIGIN, "/", [(name, "sk-secret")])


@pytest.mark.parametrize("path", ["", "v1", "/a b", "/a\r\nb", "/\u00e9"])
def test_bad_paths(path: str) -> None:
    """A path that would end the request line early is refused."""
    with pytest.raises(ValueError, match="path"):
        RequestHead("POST", ORIGIN, path)


@pytest.mark.parametrize("host", ["", "a b", "a\r\nb", "b\u00fccher.test", "a/b"])
def test_bad_hosts(host: str) -> None:
    """A host that would break the Host header is refused."""
    with pytest.raises(ValueError, match="host"):
        RequestHead("POST", Origin("http", host, 80), "/")


def test_head_does_not_show_its_key() -> None:
    """A head may stand in a log or traceback; its key may not."""
    assert "sk-secret" not in repr(RequestHead("POST", ORIGIN, "/", [("authorization", "sk-secret")]))
