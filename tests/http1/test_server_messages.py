"""Messages of the server's side: framing, order, limits, refusals. Without a network."""

# ruff: noqa: D103 - small helpers

import re
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

HOST = b"Host: a\r\n"
OK_END = b"\r\n\r\n"


def post(path: bytes = b"/v1/x", body: bytes = b"hi", extra: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n%b" % (path, HOST, extra, len(body), body)


def chunked(*parts: bytes, extra: bytes = b"") -> bytes:
    coded = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"POST /v1/c HTTP/1.1\r\n%b%bTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % (HOST, extra, coded)


def statuses(output: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d\d\d) ", output)]


def test_a_reply_is_one_write_with_date_and_length(wire: SimpleNamespace) -> None:
    """The usual request costs one write that holds head and body."""
    transport = wire.Bench().exchange(post())
    (data,) = transport.written
    assert data.startswith(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ndate: ")
    assert data.endswith(b" GMT\r\ncontent-length: 15\r\n\r\nPOST|/v1/x||hi\r\n"[:-2].replace(b"15", b"14"))
    assert not transport.closed


def test_the_date_is_renewed_every_second(wire: SimpleNamespace) -> None:
    """The date header follows the wall clock."""
    bench = wire.Bench()
    first = bench.exchange(post()).written[0]
    bench.clock.advance(2)
    second = bench.exchange(post()).written[0]
    dates = [re.search(rb"date: ([^\r]*)", data) for data in (first, second)]
    assert [found[1] for found in dates if found] == [
        b"Thu, 09 Oct 2025 08:53:20 GMT",
        b"Thu, 09 Oct 2025 08:53:22 GMT",
    ]


def test_the_request_arrives_as_sent(wire: SimpleNamespace) -> None:
    """Percent-encoding is untouched, the query is split off, repeated headers are joined, the length is left out."""
    bench = wire.Bench()
    bench.exchange(post(b"/v1/a%2Fb?x=%20&y=?", b"b", b"X-A: 1\r\nx-a:  2 \t\r\nX-Empty:\r\n"))
    request = bench.application.works[0].request
    assert (request.method, request.path, request.query, request.body) == (b"POST", b"/v1/a%2Fb", b"x=%20&y=?", b"b")
    assert request.headers == {b"host": b"a", b"x-a": b"1, 2", b"x-empty": b""}
    assert request.peer == "127.0.0.1"


@pytest.mark.parametrize("target", [b"http://h/v1/x?q=1", b"HTTPS://h:8000/v1/x?q=1"])
def test_absolute_form_gives_the_path_of_the_url(wire: SimpleNamespace, target: bytes) -> None:
    """E6: an absolute-form target is the same request as its origin form."""
    bench = wire.Bench()
    transport = bench.exchange(post(target))
    assert transport.output.endswith(b"POST|/v1/x|q=1|hi")


SEQUENCE = (
    post(b"/v1/a", b"x" * 300),
    b"\r\n" + chunked(b"hello ", b"wor", b"ld"),
    b"GET /v1/g?q=1 HTTP/1.1\r\nHost: a\r\n\r\n",
    post(b"/v1/stream", b""),
    post(b"/v1/secret", b"no"),
    chunked(b"z" * 40),
    post(b"/v1/end", b"bye", b"Connection: close\r\n"),
)


@settings(deadline=None)
@given(st.lists(st.integers(0, sum(map(len, SEQUENCE))), max_size=12))
def test_any_slicing_gives_the_same_answers(wire: SimpleNamespace, cuts: list[int]) -> None:
    """C6: several requests in any slicing are answered as if they had come in one piece."""
    data = b"".join(SEQUENCE)
    expected = wire.Bench().exchange(data)
    assert statuses(expected.output) == [200, 200, 200, 200, 401, 200, 200]
    edges = sorted({0, len(data), *cuts})
    # A refusal ends the connection if its body is not here yet; keep that message in one piece.
    start = len(b"".join(SEQUENCE[:4]))
    edges = [edge for edge in edges if not start < edge < start + len(SEQUENCE[4])]
    pieces = [data[a:b] for a, b in pairwise(edges)]
    transport = wire.Bench().exchange(*pieces)
    assert transport.output == expected.output
    assert transport.closed


def test_one_byte_at_a_time(wire: SimpleNamespace) -> None:
    """C6: single bytes give the same answers (but for the refusal, which does not wait for its body)."""
    data = b"".join(SEQUENCE[:4])
    transport = wire.Bench().exchange(*(data[index : index + 1] for index in range(len(data))))
    assert transport.output == wire.Bench().exchange(data).output
    assert statuses(transport.output) == [200] * 4


def test_pipelined_requests_are_answered_in_order(wire: SimpleNamespace) -> None:
    """E7: while an answer is under way nothing else is begun; later requests wait their turn."""
    bench = wire.Bench()
    transport = bench.exchange(post(b"/v1/later") + post(b"/v1/later", b"2") + post(b"/v1/3"))
    assert [work.request.body for work in bench.application.works] == [b"hi"]
    bench.application.works[0].out.reply(200, b"", b"first")
    assert len(bench.application.works) == 2
    bench.application.works[1].out.reply(200, b"", b"second")
    assert re.findall(rb"first|second|/v1/3", transport.output) == [b"first", b"second", b"/v1/3"]
    assert bench.state.total_requests == 3


def test_thousands_of_pipelined_requests_do_not_recurse(wire: SimpleNamespace) -> None:
    """E7: answers given at once are worked off in a loop."""
    transport = wire.Bench().exchange(b"GET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n" * 5000)
    assert len(transport.written) == 5000


def test_pipelined_bytes_are_bounded(wire: SimpleNamespace) -> None:
    """E7: reading pauses when too much waits behind an answer, and goes on after it."""
    bench = wire.Bench()
    protocol, transport = bench.connect()
    protocol.data_received(post(b"/v1/later"))
    protocol.data_received(post(body=b"y" * 70_000))
    assert transport.paused
    bench.application.works[0].out.reply(200, b"", b"")
    assert not transport.paused
    assert statuses(transport.output) == [200, 200]


def test_an_ended_answer_does_nothing(wire: SimpleNamespace) -> None:
    """An answer that has ended cannot write into the next one."""
    bench = wire.Bench()
    transport = bench.exchange(post(b"/v1/later") + post(b"/v1/later"))
    old = bench.application.works[0].out
    old.reply(200, b"", b"one")
    for call in (old.end, old.abort):
        call()
    old.begin(200, b"")
    old.write(b"stray")
    old.reply(200, b"", b"stray")
    bench.application.works[1].out.reply(200, b"", b"two")
    assert b"stray" not in transport.output
    assert not transport.closed


def test_a_stream_leaves_head_and_first_chunk_together(wire: SimpleNamespace) -> None:
    """`begin` is held back until the first `write`; each write is one chunk in one transport write."""
    transport = wire.Bench().exchange(post(b"/v1/stream"))
    first, second, last = transport.written
    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    assert first.endswith(b"transfer-encoding: chunked\r\n\r\n3\r\none\r\n")
    assert (second, last) == (b"3\r\ntwo\r\n", b"0\r\n\r\n")


def test_a_begun_stream_may_still_become_a_reply(wire: SimpleNamespace) -> None:
    """Before the first write nothing has left: another answer may take its place; an empty stream has length 0."""
    bench = wire.Bench()
    transport = bench.exchange(post(b"/v1/later") + post(b"/v1/later"))
    bench.application.works[0].out.begin(200, b"")
    bench.application.works[0].out.reply(502, b"", b"no")
    bench.application.works[1].out.begin(204, b"")
    bench.application.works[1].out.end()
    assert statuses(transport.output) == [502, 204]
    assert transport.output.endswith(b"HTTP/1.1 204 No Content\r\n\r\n")


def test_http_1_0_streams_end_with_the_connection(wire: SimpleNamespace) -> None:
    """HTTP/1.0 knows no chunks: a stream is delimited by the close; keep-alive only if asked for."""
    bench = wire.Bench()
    stream = bench.exchange(b"POST /v1/stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert stream.output.endswith(b"connection: close\r\n\r\nonetwo")
    assert stream.closed
    kept = bench.exchange(b"GET /v1/x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert b"connection: keep-alive\r\n" in kept.output
    assert not kept.closed
    plain = bench.exchange(b"GET /v1/x HTTP/1.0\r\n\r\n")
    assert b"connection: close\r\n" in plain.output
    assert plain.closed


def test_head_is_safe_if_owned_after_all(wire: SimpleNamespace) -> None:
    """A HEAD request never gets a body, replied or streamed."""
    bench = wire.Bench()
    bench.application.owns = lambda *_: True
    transport = bench.exchange(b"HEAD /v1/x HTTP/1.1\r\nHost: a\r\n\r\nHEAD /v1/stream HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b"one" not in transport.output
    assert b"HEAD|" not in transport.output
    assert statuses(transport.output) == [200, 200]


def test_abort_breaks_the_answer(wire: SimpleNamespace) -> None:
    """`abort` closes without the last chunk, and the responder that asked for it hears nothing."""
    bench = wire.Bench()
    protocol, transport = bench.connect()
    protocol.data_received(post(b"/v1/later"))
    work = bench.application.works[0]
    work.out.begin(200, b"")
    work.out.write(b"part")
    work.out.abort()
    protocol.connection_lost(None)
    assert transport.aborted
    assert work.heard == []
    assert not transport.output.endswith(b"0\r\n\r\n")


def test_upgrade_wishes_are_ignored(wire: SimpleNamespace) -> None:
    """A data-plane request that offers an upgrade is served in HTTP/1.1, body and boundary right."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
    data = post(b"/v1/u", b"body", offer) + chunked(b"ch", extra=offer) + post()
    transport = wire.Bench().exchange(data)
    assert re.findall(rb"\|\|(body|ch|hi)", transport.output) == [b"body", b"ch", b"hi"]


BAD = {
    "CL and TE": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE and CL": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two CL": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "two equal CL": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\na",
    "CL list": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na",
    "CL plus": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
    "CL minus": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\na",
    "CL hex": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\na",
    "CL underscore": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\na",
    "CL inner space": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1 0\r\n\r\na",
    "CL empty": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
    "CL overlong": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "CL long zeros": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 00000000000000000001\r\n\r\na",
    "TE twice": b"POST /v1/x HTTP/1.1\r\nHost: a\r\n" + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
    "TE list": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "TE identity": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "TE xchunked": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "TE empty": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n",
    "TE comma": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
    "TE quoted": b'POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "TE vertical tab": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "TE space colon": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "TE folded": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "TE in 1.0": b"POST /v1/x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare LF head": b"POST /v1/x HTTP/1.1\nHost: a\n\n",
    "bare LF line": b"POST /v1/x HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    "bare CR line": b"POST /v1/x HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
    "bare CR end": b"POST /v1/x HTTP/1.1\r\nHost: a\r\n\r\r\n\r\n",
    "obs-fold": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n",
    "first line folded": b"POST /v1/x HTTP/1.1\r\n X: b\r\nHost: a\r\n\r\n",
    "space before colon": b"POST /v1/x HTTP/1.1\r\nHost : a\r\n\r\n",
    "header without colon": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n",
    "empty header name": b"POST /v1/x HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
    "header name (": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nX(y: x\r\n\r\n",
    "NUL in value": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
    "DEL in value": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n",
    "NUL in name": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nX\x00: b\r\n\r\n",
    "control in target": b"POST /v1/x\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
    "tab in target": b"POST /v1/x\ty HTTP/1.1\r\nHost: a\r\n\r\n",
    "high byte in target": b"POST /v1/x\xff HTTP/1.1\r\nHost: a\r\n\r\n",
    "fragment": b"POST /v1/x#y HTTP/1.1\r\nHost: a\r\n\r\n",
    "two spaces": b"POST  /v1/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "space in target": b"POST /v1/x y HTTP/1.1\r\nHost: a\r\n\r\n",
    "no Host": b"POST /v1/x HTTP/1.1\r\n\r\n",
    "two Hosts": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two equal Hosts": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
    "Host list": b"POST /v1/x HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "Host with path": b"POST /v1/x HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "HTTP/0.9": b"GET /v1/x\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.2": b"GET /v1/x HTTP/1.2\r\nHost: a\r\n\r\n",
    "http/1.1": b"GET /v1/x http/1.1\r\nHost: a\r\n\r\n",
    "unknown method": b"FROB /v1/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00",
    "lower-case start": b"post /v1/x HTTP/1.1\r\n",
    "many empty lines": b"\r\n" * 5,
    "chunk garbage": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5z\r\nabcde\r\n0\r\n\r\n",
    "chunk size space": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nabcde\r\n0\r\n\r\n",
    "chunk size 0x": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nabcde\r\n0\r\n\r\n",
    "chunk size minus": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabcde\r\n0\r\n\r\n",
    "chunk too long": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcde\r\n0\r\n\r\n",
    "chunk bare LF": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nabcde\n0\n\n",
    "chunk extension": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;"
    + b"x" * 1500
    + b"\r\n",
    "trailer garbage": b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx y\r\n\r\n",
}
SMUGGLED = b"GET /v1/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("sliced", [False, True])
def test_ambiguous_requests_are_refused(wire: SimpleNamespace, name: str, sliced: bool) -> None:
    """E6: 400 and close, nothing behind it is looked at, and the application never sees it; sliced or not."""
    bench = wire.Bench()
    data = BAD[name] + SMUGGLED
    transport = bench.exchange(*((data[i : i + 1] for i in range(len(data))) if sliced else (data,)))
    assert statuses(transport.output) == [400]
    assert b"connection: close\r\n" in transport.output
    assert bench.application.works == []
    assert transport.eof


def test_the_readings_must_agree_on_the_end(wire: SimpleNamespace) -> None:
    """E6: a message whose end the two parsers see in different places is refused."""
    for position, data in ((0, post(body=b"")), (1, post(body=b"abc")), (2, chunked(b"abc"))):
        bench = wire.Bench()
        protocol, transport = bench.connect()
        parser = protocol._reader._parser

        class Deaf:
            """An llhttp that never sees an end, or sees it at once."""

            def __init__(self, real: Any, early: bool, parser: Any) -> None:
                self.real, self.early, self.parser = real, early, parser

            def feed_data(self, piece: bytes) -> None:
                self.real.feed_data(piece)
                self.parser.complete = int(self.early)

        parser._parser = Deaf(parser._parser, early=position > 0, parser=parser)
        protocol.data_received(data)
        assert statuses(transport.output) == [400]
        assert b"do not agree" in transport.output


@pytest.mark.parametrize(
    ("data", "setting"),
    [
        (b"GET /v1/x HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 5000, b"limits.header_bytes"),
        (b"GET /v1/x HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 5000 + b"\r\n\r\n", b"limits.header_bytes"),
        (b"GET /" + b"x" * 5000, b"limits.header_bytes"),
        (b"GET /v1/x HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 30 + b"\r\n", b"limits.header_count"),
    ],
)
def test_header_bombs(wire: SimpleNamespace, data: bytes, setting: bytes) -> None:
    """E2: too many header bytes or lines give 431, name the setting, and end the connection."""
    transport = wire.Bench(header_bytes=1000, header_count=20).exchange(data)
    assert statuses(transport.output) == [431]
    assert setting in transport.output
    assert transport.eof


def test_a_huge_announced_body_is_refused_before_it_is_read(wire: SimpleNamespace) -> None:
    """E1: 413 at the head, also with Expect, which is not answered with 100."""
    head = b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1073741824\r\nExpect: 100-continue\r\n\r\n"
    bench = wire.Bench()
    transport = bench.exchange(head)
    assert statuses(transport.output) == [413]
    assert b"limits.body_bytes" in transport.output
    assert bench.application.works == []


def test_an_endless_chunked_body_is_stopped(wire: SimpleNamespace) -> None:
    """E1: a chunked body is refused as soon as it goes beyond the limit; what follows is thrown away, not kept."""
    bench = wire.Bench(body_bytes=1000)
    protocol, transport = bench.connect()
    protocol.data_received(b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(20):
        protocol.data_received(b"64\r\n" + b"x" * 100 + b"\r\n")
    assert statuses(transport.output) == [413]
    assert protocol._reader.pending == 0
    assert bench.application.works == []


def test_a_refusal_keeps_the_connection_only_with_the_body_here(wire: SimpleNamespace) -> None:
    """A refusal is given at once; the connection survives it if the body has been read."""
    bench = wire.Bench()
    kept = bench.exchange(post(b"/v1/secret") + post())
    assert statuses(kept.output) == [401, 200]
    assert not kept.closed
    early = bench.exchange(b"POST /v1/secret HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
    assert statuses(early.output) == [401]
    assert b"connection: close\r\n" in early.output
    assert early.eof
    coded = bench.exchange(chunked(b"a").replace(b"/v1/c", b"/v1/secret") + post())
    assert statuses(coded.output) == [401, 200]


def test_expect_100_continue(wire: SimpleNamespace) -> None:
    """100 is sent when the request is admitted and no body byte is here yet, and only then."""
    head = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n"
    bench = wire.Bench()
    assert statuses(bench.exchange(head % b"/v1/x", b"hi").output) == [100, 200]
    assert statuses(bench.exchange(head % b"/v1/x" + b"h", b"i").output) == [200]
    assert statuses(bench.exchange(head % b"/v1/secret").output) == [401]
    other = bench.exchange((head % b"/v1/x").replace(b"100-Continue", b"200-maybe") + b"hi")
    assert statuses(other.output) == [417]
    old = bench.exchange((head % b"/v1/x").replace(b"HTTP/1.1", b"HTTP/1.0"), b"hi")
    assert statuses(old.output) == [200]


@pytest.mark.parametrize("path", [b"/v1/admit-raises", b"/v1/respond-raises"])
def test_what_the_application_raises_becomes_a_500(wire: SimpleNamespace, path: bytes) -> None:
    """An exception of the application is reported and answered."""
    bench = wire.Bench()
    bench.application.raising.add(path)
    transport = bench.exchange(post(path) + SMUGGLED)
    assert statuses(transport.output) == [500]
    assert len(bench.errors) == 1
    assert transport.eof


def test_a_failing_refusal_still_gives_an_answer(wire: SimpleNamespace) -> None:
    """Even an application that cannot word an error leaves no client without an answer."""
    bench = wire.Bench()

    def broken(*_: object) -> None:
        raise RuntimeError("refuse")

    bench.application.refuse = broken
    assert statuses(bench.exchange(b"nonsense").output) == [500]
    assert len(bench.errors) == 1


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from([*SEQUENCE, *BAD.values()]),
    st.lists(
        st.tuples(
            st.integers(0, 400), st.sampled_from([b"", b"\r", b"\n", b"\r\n", b" ", b":", b"\x00", b"0", b"\xff"])
        )
    ),
)
def test_mutations_never_break_the_connection(
    wire: SimpleNamespace, data: bytes, edits: list[tuple[int, bytes]]
) -> None:
    """E6: whatever arrives is answered, refused or waited for; nothing is raised; slices are judged alike."""
    for place, put in edits:
        data = data[:place] + put + data[place + 1 :]
    data = data.replace(b"/v1/secret", b"/v1/s")
    bench, other = wire.Bench(), wire.Bench()
    for one in (bench, other):
        one.application.owns = lambda *_: True
    transport = bench.exchange(data)
    sliced = other.exchange(*(data[index : index + 1] for index in range(len(data))))
    found, found_sliced = statuses(transport.output), statuses(sliced.output)
    assert bench.errors == other.errors == []
    assert set(found) <= {200, 400, 413, 417, 431}
    # Read at once or byte by byte: the same requests are answered. A refusal may come earlier in one of them.
    assert found == found_sliced or (
        found[:-1] == found_sliced[:-1] and {found[-1], found_sliced[-1]} <= {400, 417, 431}
    )


def test_reading_goes_on_when_enough_was_worked_off(wire: SimpleNamespace) -> None:
    """C10: with few bytes waiting, reading is never paused, so that the end of the client is noticed."""
    bench = wire.Bench()
    protocol, transport = bench.connect()
    protocol.data_received(post(b"/v1/later"))
    protocol.data_received(post(body=b"y" * 70_000) + post(b"/v1/later"))
    assert transport.paused
    bench.application.works[0].out.reply(200, b"", b"")
    assert len(bench.application.works) == 3
    assert not transport.paused
