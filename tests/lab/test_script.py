"""Each fault does on the wire what its name says, asserted on raw bytes."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from standfast.lab import Fault, Lab, LabSettings, ProviderSettings
from standfast.lab.ask import Body, Request
from standfast.lab.script import Act, bomb, play

WIRES = ("openai", "anthropic", "gemini")
CONTENT = {"openai": b'"content":"\xe2\x9c\x93"', "anthropic": b'"text_delta"', "gemini": b'"candidates"'}
FINISH = {"openai": b'"finish_reason":"stop"', "anthropic": b'"end_turn"', "gemini": b'"STOP"'}
PING = b'event: ping\ndata: {"type":"ping"}\n\n'
PINGS = (b"23\r\n" + PING + b"\r\n") * 3  # each in a chunk of its own
TERMINATOR = {"openai": b"data: [DONE]", "anthropic": b"event: message_stop", "gemini": b""}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_cut_answer_ends_early_and_in_its_manner(
    run: Callable[..., None], t: Any, wire: str, stream: bool, how: str
) -> None:
    """C2: a close falls inside a chunk or body, a reset is an RST; neither ends the HTTP message."""

    async def body(lab: Lab) -> None:
        lab[wire].fail(Fault(cut_after_chunks=2, how=how))
        heard = await t.send(lab[wire].port, t.ask(wire, stream=stream))
        assert heard.status == 200
        assert heard.reset == (how == "reset")
        if stream:
            assert FINISH[wire] not in heard.raw
            assert CONTENT[wire] in heard.raw
            assert not heard.complete
        else:
            announced = int(heard.head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            assert len(heard.rest) < announced
        await t.settled(lab)
        assert lab.journal[-1].outcome == ("reset" if how == "reset" else "cut")
        assert not lab.journal[-1].peer_closed
        assert not stream or lab.journal[-1].output_tokens == 2

    run(body)


@pytest.mark.parametrize("wire", WIRES)
def test_a_clean_end_is_well_formed_http_without_the_terminator(run: Callable[..., None], t: Any, wire: str) -> None:
    """C2: the third form of a premature end raises nothing in HTTP clients; only the missing terminator shows it."""

    async def body(lab: Lab) -> None:
        lab[wire].fail("cut_after_chunks=1,how=clean_end")
        heard = await t.send(lab[wire].port, t.ask(wire, stream=True))
        assert heard.complete
        assert FINISH[wire] not in heard.raw
        assert not TERMINATOR[wire] or TERMINATOR[wire] not in heard.raw
        whole = await t.send(lab[wire].port, t.ask(wire))
        assert f"content-length: {len(whole.rest)}".encode() in whole.head
        with pytest.raises(json.JSONDecodeError):
            json.loads(whole.rest)

    run(body)


@pytest.mark.parametrize("wire", WIRES)
def test_a_break_past_the_end_still_breaks(run: Callable[..., None], t: Any, wire: str) -> None:
    """A position past the answer means after the last token and before the finish."""

    async def body(lab: Lab) -> None:
        lab[wire].fail(Fault(cut_after_chunks=10_000, how="clean_end"))
        heard = await t.send(lab[wire].port, t.ask(wire, stream=True))
        assert heard.complete
        assert FINISH[wire] not in heard.raw

    run(body)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("after", [0, 2])
def test_an_in_band_error_replaces_the_rest(run: Callable[..., None], t: Any, wire: str, after: int) -> None:
    """C3, C4: the error event comes after that many tokens; nothing follows it."""

    async def body(lab: Lab) -> None:
        lab[wire].fail(Fault(error_event_after_chunks=after, no_preamble=after == 0))
        heard = await t.send(lab[wire].port, t.ask(wire, stream=True))
        events = heard.body().replace(b"\r\n", b"\n").strip().split(b"\n\n")
        assert b'"error"' in events[-1]
        assert (CONTENT[wire] in heard.raw) == (after > 0)
        assert heard.complete
        assert not TERMINATOR[wire] or TERMINATOR[wire] not in heard.raw
        assert lab.journal[-1].output_tokens == after

    run(body)


def test_done_may_follow_an_error_as_with_vllm(run: Callable[..., None], t: Any) -> None:
    """C5: an error event and then `[DONE]`."""

    async def body(lab: Lab) -> None:
        lab.openai.fail(Fault(error_event_after_chunks=1, done_after_error=True))
        heard = await t.send(lab.openai.port, t.ask("openai", stream=True))
        assert heard.body().index(b'"error"') < heard.body().index(b"[DONE]")

    run(body)


@pytest.mark.parametrize("wire", WIRES)
def test_stall_keeps_the_connection_and_the_journal_sees_the_peer_leave(
    run: Callable[..., None], t: Any, wire: str
) -> None:
    """C1, C10: after so many chunks silence; the peer's close and its instant are journalled."""

    async def body(lab: Lab) -> None:
        lab[wire].fail(Fault(stall_after_chunks=1))
        heard = await t.send(lab[wire].port, t.ask(wire, stream=True), until=CONTENT[wire])
        assert FINISH[wire] not in heard.raw
        await t.settled(lab)
        entry = lab.journal[-1]
        assert (entry.outcome, entry.peer_closed, entry.output_tokens) == ("peer_closed", True, 1)
        assert entry.closed_after is not None
        assert entry.closed_after >= 0

    run(body)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("size", [1, 3])
def test_sliced_writes_carry_the_same_bytes(run: Callable[..., None], t: Any, wire: str, size: int) -> None:
    """C6: slices split CRLF and UTF-8 anywhere and change no byte."""

    async def body(lab: Lab) -> None:
        plain = await t.send(lab[wire].port, t.ask(wire, stream=True))
        lab[wire].fail(Fault(slice_bytes=size))
        sliced = await t.send(lab[wire].port, t.ask(wire, stream=True))
        assert sliced.body() == plain.body()
        assert "\u2603".encode() in sliced.body()

    run(body)


def test_a_slice_is_one_write_of_its_own(run: Callable[..., None]) -> None:
    """C6: a reader that is fast enough sees one byte at a time."""

    async def body(lab: Lab) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", lab.openai.port)
        writer.write(b"GET /health HTTP/1.1\r\nx-lab-fault: slice_bytes=1\r\n\r\n")
        first = await reader.read(1000)
        writer.close()
        await writer.wait_closed()
        assert first[:1] == b"H"
        assert len(first) < 40

    run(body)


def test_reset_hang_and_garbage_never_answer(run: Callable[..., None], t: Any) -> None:
    """A6: RST after the request was read; a hang answers nothing; garbage is not HTTP."""

    async def body(lab: Lab) -> None:
        gone = await t.send(lab.openai.port, t.ask("openai", model="m!reset,billed"))
        assert gone == (b"", True)
        assert (lab.journal[-1].outcome, lab.journal[-1].output_tokens > 0) == ("reset", True)
        noise = await t.send(lab.openai.port, t.ask("openai", model="m!garbage=7"))
        assert len(noise.raw) == 7
        assert not noise.raw.startswith(b"HTTP")
        _reader, writer = await asyncio.open_connection("127.0.0.1", lab.openai.port)
        writer.write(t.ask("openai", model="m!hang"))
        async with asyncio.timeout(5):
            while len(lab.journal) < 3:  # noqa: ASYNC110 - the lab has no event to wait for
                await asyncio.sleep(0.001)
        writer.close()
        await writer.wait_closed()
        await t.settled(lab)
        assert (lab.journal[-1].outcome, lab.journal[-1].sent) == ("peer_closed", 0)

    run(body)


def test_heads_break_in_the_ways_asked_for(run: Callable[..., None], t: Any) -> None:
    """B20, B21: informational answers first, a huge header, many headers, a folded line, a redirect, own headers."""

    async def body(lab: Lab) -> None:
        async def head(text: str) -> bytes:
            return (await t.send(lab.openai.port, t.ask("openai", headers={"x-lab-fault": text}))).raw

        assert (await head("informational")).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n")
        assert b"x-huge: " + b"h" * 1000 in await head("huge_header=1000")
        assert (await head("many_headers=500")).count(b"\r\nx-filler-") == 500
        assert b"\r\nx-folded: one\r\n two\r\n" in await head("obs_fold")
        moved = await head("redirect=http://127.0.0.1:9/x")
        assert moved.startswith(b"HTTP/1.1 307 ")
        assert b"\r\nlocation: http://127.0.0.1:9/x\r\n" in moved
        limited = await head("status=429,retry-after=7,x-should-retry=false")
        assert limited.startswith(b"HTTP/1.1 429 ")
        assert b"\r\nretry-after: 7\r\n" in limited
        assert b"\r\ncontent-type: text/odd\r\n" in await head("content_type=text/odd")

    run(body)


@pytest.mark.parametrize("stream", [False, True])
def test_bodies_lie_about_length_and_encoding(run: Callable[..., None], t: Any, stream: bool) -> None:
    """B16: a wrong Content-Length, bytes that are not gzip, and a bomb that inflates to the size asked for."""

    async def body(lab: Lab) -> None:
        lab.openai.fail(Fault(wrong_content_length=5))
        heard = await t.send(lab.openai.port, t.ask("openai", stream=stream))
        assert f"content-length: {len(heard.rest) + 5}".encode() in heard.head
        lab.openai.fail(Fault(bad_gzip=True))
        heard = await t.send(lab.openai.port, t.ask("openai", stream=stream))
        assert b"content-encoding: gzip" in heard.head
        assert heard.rest.startswith(b"\x1f\x8b\x08\0")
        lab.openai.fail(Fault(gzip_bomb=5_000_001))
        heard = await t.send(lab.openai.port, t.ask("openai", stream=stream))
        tail, size = t.inflate(heard.rest, 2**16)
        assert len(heard.rest) < 20_000
        assert size > 5_000_001
        assert tail.rstrip().endswith(b"data: [DONE]" if stream else b"}}}")

    run(body)


def test_a_bomb_of_equal_blocks_is_one_valid_gzip_member(t: Any) -> None:
    """B16: the repeated block and the trailer check out (CRC-32 and length, RFC 1952)."""
    for size in (0, 1, 2**20, 3 * 2**20 + 17):
        assert t.inflate(bomb(size, b"{}"), 2**20) == ((b" " * size + b"{}")[-4096:], size + 2)


def test_streams_end_in_unusual_ways(run: Callable[..., None], t: Any) -> None:
    """C8, C9: no `[DONE]`, late chunks, two finishes, no usage."""

    async def body(lab: Lab) -> None:
        async def heard(text: str) -> bytes:
            found = await t.send(lab.openai.port, t.ask("openai", stream=True, headers={"x-lab-fault": text}))
            assert found.complete
            return found.body()

        done = await heard("no_done")
        assert FINISH["openai"] in done
        assert b"[DONE]" not in done
        late = await heard("late_chunks=2")
        assert late.split(FINISH["openai"])[1].count(b'"delta":{"content"') == 2
        assert b'"finish_reason":"content_filter"' in (await heard("two_finish_reasons")).split(FINISH["openai"])[1]
        lab.anthropic.fail(Fault(usage_missing=True))
        silent = await t.send(lab.anthropic.port, t.ask("anthropic", stream=True))
        assert b"usage" not in silent.body()

    run(body)


def test_comments_fill_the_silence(run: Callable[..., None], t: Any) -> None:
    """B2: comments come while the first token does not; a whole body has blank lines before its JSON."""

    async def body(lab: Lab) -> None:
        lab.openai.fail(Fault(first_token_delay=0.05, comments_every=0.01))
        heard = await t.send(lab.openai.port, t.ask("openai", stream=True))
        before = heard.body().split(CONTENT["openai"])[0]
        assert before.count(b": keep-alive\n\n") == 4
        whole = (await t.send(lab.openai.port, t.ask("openai"))).body()
        assert whole.startswith(b"\n\n\n\n{")
        lab.anthropic.fail(Fault(pings_only=True, comments_every=0.001))
        pings = await t.send(lab.anthropic.port, t.ask("anthropic", stream=True), until=PINGS)
        assert PINGS in pings.raw
        assert CONTENT["anthropic"] not in pings.raw

    run(body)


def test_floods_of_one_line_and_of_tiny_events(run: Callable[..., None], t: Any) -> None:
    """C7: a line without end, and very many events, both bounded by what the peer reads."""

    async def body(lab: Lab) -> None:
        big = await t.send(lab.openai.port, t.ask("openai", stream=True, model="m!huge_event=3000000"))
        assert b"data: " + b"x" * 3_000_000 in big.body()
        tiny = await t.send(lab.openai.port, t.ask("openai", stream=True, model="m!tiny_events=50000"))
        assert tiny.body().count(b":\n\n") == 50_000
        reader, writer = await asyncio.open_connection("127.0.0.1", lab.openai.port)
        writer.write(t.ask("openai", stream=True, model="m!huge_event=10000000000"))
        await reader.read(1000)
        await asyncio.sleep(0.05)
        writer.transport.abort()
        await t.settled(lab)
        assert lab.journal[-1].sent < 50_000_000

    run(body)


def test_hundreds_of_streams_at_once(run: Callable[..., None], t: Any) -> None:
    """Concurrent streams with 50 ms between chunks all complete."""

    async def body(lab: Lab) -> None:
        lab.openai.fail(Fault(chunk_delay=0.05))
        asked = t.ask("openai", stream=True)
        answers = await asyncio.gather(*(t.send(lab.openai.port, asked) for _ in range(300)))
        assert all(each.complete and b"[DONE]" in each.raw for each in answers)
        assert lab.openai.counters.outcomes["answered"] == 300

    run(body)


def test_bandwidth_meters_the_bytes() -> None:
    """The pauses add up to bytes / bandwidth, and no byte is lost."""
    steps = list(play(Body(200, "text/plain", b"x" * 5000), {}, Fault(bandwidth=1000), 7))
    data = b"".join(step.data for step in steps)
    assert data.endswith(b"x" * 5000)
    assert sum(step.delay for step in steps) == pytest.approx(len(data) / 1000)
    assert max(len(step.data) for step in steps) == 50
    assert [step.act for step in steps].index(Act.FINISH) == len(steps) - 1
    assert sum(step.tokens for step in steps) == 7


def test_a_healthy_pace_delays_a_whole_answer_before_its_head(run: Callable[..., None], t: Any) -> None:
    """A provider's pace applies to generation: a whole answer waits for all its tokens, a models list for nothing."""
    settings = ProviderSettings(first_token_delay="30ms", chunk_delay="10ms", tokens=4)

    async def body(lab: Lab) -> None:
        def waits(method: str, path: str, sent: bytes) -> list[float]:
            request = Request(method, path, {}, {"authorization": f"Bearer {t.key}"}, sent)
            entry = lab.journal.open("p", 0.0, method, path, [], sent)
            return [step.delay for step in lab["p"].answer(request, entry).steps if step.delay]

        chat = b'{"model":"m","messages":[{"role":"user","content":"x"}],"stream":false}'
        assert waits("POST", "/v1/chat/completions", chat) == [pytest.approx(0.07)]
        streamed = chat.replace(b"false", b"true")
        assert waits("POST", "/v1/chat/completions", streamed) == [0.03, 0.01, 0.01, 0.01, 0.01]
        assert waits("GET", "/v1/models", b"") == []

    run(body, LabSettings(providers={"p": settings}))
