"""The way out: through the configured proxy, by tunnel or absolute form, and never by the environment's."""

import asyncio
import base64
import ssl
from pathlib import Path

import pytest
import trustme
from pydantic import ValidationError

from standfast.canon.failure import FailureKind
from standfast.http1.base import Origin
from standfast.http1.egress import Egress, read_proxy
from standfast.http1.settings import UpstreamLimits
from support.upstreams import OK, Peer, ask, upstream, upstream_client

BASIC = b"proxy-authorization: Basic " + base64.b64encode(b"us er:p@ss") + b"\r\n"


async def answer(peer: Peer) -> None:
    """An upstream, or a proxy of plain HTTP."""
    while True:
        await peer.request()
        await peer.send(OK)


class Tunnels:
    """A proxy that connects every tunnel to one place."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.heads: list[bytes] = []

    async def __call__(self, peer: Peer) -> None:
        """One tunnel."""
        self.heads.append(await peer.reader.readuntil(b"\r\n\r\n"))
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        peer.writer.write(b"HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n")

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                sink.write(data)
            sink.close()

        try:
            await asyncio.gather(pump(peer.reader, writer), pump(reader, peer.writer))
        finally:
            writer.close()


def test_a_plain_origin_is_asked_in_absolute_form() -> None:
    """The proxy gets the whole URL and the credentials, and nobody is resolved but the proxy."""

    async def main() -> None:
        async with (
            upstream(answer) as proxy,
            upstream_client(proxy=f"http://us%20er:p%40ss@127.0.0.1:{proxy.origin.port}") as client,  # type: ignore[arg-type]  # a URL is no limit
        ):
            origin = Origin("http", "upstream.test", 8080)
            for _ in range(2):
                assert (await ask(client, origin)).status == 200
            assert proxy.accepted == 1
            for request in proxy.requests:
                assert request.startswith(b"POST http://upstream.test:8080/v1/x HTTP/1.1\r\n" + BASIC)
                assert b"host: upstream.test:8080\r\n" in request
                assert request.endswith(b"\r\n\r\n{}")

    asyncio.run(main())


def test_a_tls_origin_is_reached_through_a_tunnel(tmp_path: Path) -> None:
    """A5: the proxy sees the origin's name alone: certificate and host are verified through the tunnel."""
    ca = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("upstream.test").configure_cert(server)
    ca_file = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(ca_file)

    async def main() -> None:
        async with upstream(answer, tls=server) as target:
            tunnels = Tunnels(target.origin.port)
            async with (
                upstream(tunnels) as proxy,
                upstream_client(proxy=f"http://us%20er:p%40ss@127.0.0.1:{proxy.origin.port}") as client,  # type: ignore[arg-type]  # a URL is no limit
            ):
                good = await ask(client, Origin("https", "upstream.test", 443, str(ca_file)))
                assert good.status == 200
                assert target.requests[0].startswith(b"POST /v1/x HTTP/1.1\r\nhost: upstream.test\r\n")
                wrong = await ask(client, Origin("https", "other.test", 443, str(ca_file)))
                assert wrong.failure.kind is FailureKind.CONNECT_FAILED
                assert "certificate refused" in wrong.failure.detail
                assert len(target.requests) == 1
                assert tunnels.heads[0] == (
                    b"CONNECT upstream.test:443 HTTP/1.1\r\nhost: upstream.test:443\r\n" + BASIC + b"\r\n"
                )

    asyncio.run(main())


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "refused the tunnel (407)"),
        (b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 2\r\n\r\nno", "refused the tunnel (502)"),
        (b"SSH-2.0-x\r\n\r\n", "refused the tunnel"),
        (b"HTTP/1.1 200 OK\r\n\r\nsurplus", "bytes that nobody asked for"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 20_000, "gave no answer"),
        (b"", "gave no answer"),
    ],
)
def test_a_proxy_that_does_not_serve_is_a_failed_connect(said: bytes, told: str) -> None:
    """A1: nothing was sent to the origin, so another target may be asked at once; the words name the proxy's part."""

    async def refuse(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        if said:
            await peer.send(said)
        else:
            peer.close()

    async def main() -> None:
        async with (
            upstream(refuse) as proxy,
            upstream_client(proxy=f"http://user:secret@127.0.0.1:{proxy.origin.port}") as client,  # type: ignore[arg-type]  # a URL is no limit
        ):
            heard = await ask(client, Origin("https", "upstream.test", 443))
            assert (heard.failure.kind, heard.failure.sent) == (FailureKind.CONNECT_FAILED, False)
            assert told in heard.failure.detail
            assert "secret" not in heard.failure.detail

    asyncio.run(main())


@pytest.mark.parametrize(
    ("host", "direct"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("corp.example", True),
        ("Models.Corp.Example", True),
        ("notcorp.example", False),
        ("api.openai.com", False),
        ("10.0.0.1", False),
    ],
)
def test_who_is_asked_directly(host: str, *, direct: bool) -> None:
    """Loopback always, and what `no_proxy` names with everything below it."""
    egress = Egress(read_proxy("http://proxy.example"), [".corp.example"])
    assert (egress.proxy(Origin("https", host, 443)) is None) == direct


@pytest.mark.parametrize(
    "url", ["https://p:1", "p:3128", "http://", "http://p:99999", "http://p/x", "socks5://p:1", "x"]
)
def test_a_url_that_is_no_proxy_is_refused(url: str) -> None:
    """The error says what would be right."""
    with pytest.raises(ValidationError, match=r"must be of the form http://\[user:password@\]host"):
        UpstreamLimits.model_validate({"proxy": url})


def test_credentials_are_not_shown() -> None:
    """Neither the setting nor the proxy shows them when printed."""
    limits = UpstreamLimits.model_validate({"proxy": "http://user:hidden@p"})
    proxy = read_proxy(limits.proxy.get_secret_value())
    assert "hidden" not in repr(limits) + repr(proxy)
    assert proxy is not None
    assert (proxy.host, proxy.port) == ("p", 8080)
