"""What bytes when: a fault and an answer become a list of steps that the protocol plays.

A step is: wait `delay` seconds, write `data`, then do `act`. `tokens` are those that the model has produced by then:
the provider bills what was produced, not what arrived. Steps are generated lazily, so that an endless event costs no
memory.

    head -> preamble -> (first_token_delay) -> chunk (chunk_delay) chunk ... -> finish -> terminator -> 0 CR LF CR LF
                                               |
                             stall, cut or in-band error after k chunks
"""

import functools
import zlib
from collections.abc import Iterator, Mapping
from enum import Enum
from http import HTTPStatus
from math import inf
from typing import NamedTuple

from standfast.lab.ask import Body, Stream
from standfast.lab.faults import Fault

PIECE = 64 * 1024
SOON = 1e-6  # the next turn of the event loop: separate writes stay separate packets
TICK = 0.05  # bandwidth is metered in slices of so many seconds
QUARTERS = 4
LAST = b"0\r\n\r\n"


class Act(Enum):
    """What follows a write."""

    GO_ON = "go on"
    FINISH = "finish"  # the answer is complete; the connection may be used again
    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"  # nothing more, with the connection open
    WAIT = "wait"  # more comes when the connection is woken


class Step(NamedTuple):
    """Wait, write, act. `delay` in seconds."""

    delay: float
    data: bytes
    act: Act = Act.GO_ON
    tokens: int = 0


class Break(NamedTuple):
    """Where an answer stops short, and how: `stall`, `error`, `close`, `reset` or `clean_end`."""

    at: int
    how: str


def play(answer: Body | Stream, headers: Mapping[str, str], fault: Fault, tokens: int) -> Iterator[Step]:
    """The steps of one exchange.

    Args:
        answer: the healthy answer, or the canned one.
        headers: the provider's own headers, without framing.
        fault: what goes wrong.
        tokens: output tokens that the whole answer would bill.
    """
    billed = tokens if fault.billed else 0
    if fault.hang:
        return iter((Step(0.0, b"", Act.HANG, billed),))
    if fault.reset:
        return iter((Step(fault.delay, b"", Act.RESET, billed),))
    if fault.garbage:
        return iter((Step(fault.delay, (b"\x16\x03\x01\xff?" * fault.garbage)[: fault.garbage], Act.CLOSE),))
    if isinstance(answer, Stream) and (fault.wrong_content_length or fault.bad_gzip or fault.gzip_bomb):
        answer = Body(200, "text/event-stream", b"".join((*_events(answer), answer.terminator)))
    steps = (
        _whole(answer, headers, fault, tokens) if isinstance(answer, Body) else _stream(answer, headers, fault, tokens)
    )
    if fault.slice_bytes or fault.bandwidth:
        return _sliced(steps, fault.slice_bytes, fault.bandwidth)
    return steps


def chunk(data: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def head(status: int, headers: Mapping[str, str], fault: Fault) -> bytes:
    """Status line and headers, with the fault's own and its malformations."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    fields = {name.lower(): value for name, value in headers.items()}
    if fault.content_type:
        fields["content-type"] = fault.content_type
    if fault.redirect:
        fields["location"] = fault.redirect
    fields |= {name.lower(): value for name, value in fault.headers.items()}
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in fields.items())]
    lines += [f"x-filler-{i}: {i}" for i in range(fault.many_headers)]
    if fault.huge_header:
        lines.append("x-huge: " + "h" * fault.huge_header)
    if fault.obs_fold:
        lines.append("x-folded: one\r\n two")
    early = b""
    if fault.informational:
        early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </lab>; rel=preload\r\n\r\n"
    return early + "\r\n".join([*lines, "", ""]).encode("latin-1", errors="replace")


@functools.lru_cache(maxsize=2)
def bomb(size: int, body: bytes) -> bytes:
    """A gzip body that inflates to `size` blanks and then `body`; one MiB block is deflated once and repeated.

    A full flush ends on a byte boundary and forgets the window, so equal blocks have equal bytes (zlib manual).
    """
    block = b" " * 2**20
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    squeezed = squeeze.compress(block) + squeeze.flush(zlib.Z_FULL_FLUSH)
    blocks, rest = divmod(size, len(block))
    tail = b" " * rest + body
    crc = 0
    for _ in range(blocks):
        crc = zlib.crc32(block, crc)
    crc = zlib.crc32(tail, crc)
    end = zlib.compressobj(9, zlib.DEFLATED, -15)
    trailer = crc.to_bytes(4, "little") + ((size + len(body)) % 2**32).to_bytes(4, "little")
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + squeezed * blocks + end.compress(tail) + end.flush() + trailer


def _break(fault: Fault) -> Break | None:
    """The first of the breaks that the fault asks for."""
    asked = (
        (fault.error_event_after_chunks, "error"),
        (fault.cut_after_chunks, fault.how),
        (fault.stall_after_chunks, "stall"),
    )
    breaks = [Break(at, how) for at, how in asked if at is not None]
    return min(breaks, key=lambda each: each.at) if breaks else None


def _wait(seconds: float, every: float, filler: bytes) -> Iterator[Step]:
    """Silence of `seconds` (for ever if infinite), filled with comments if the fault asks for them."""
    if every > 0:
        while seconds > every:
            yield Step(every, filler)
            seconds -= every
    if seconds == inf:
        yield Step(0.0, b"", Act.HANG)
    elif seconds > 0:
        yield Step(seconds, b"")


def _whole(answer: Body, headers: Mapping[str, str], fault: Fault, tokens: int) -> Iterator[Step]:
    """A whole body. Billed when its head is written: the model has then run."""
    body, own = _encoded(answer, headers, fault)
    breaks = _break(fault)
    cut = len(body) if breaks is None else len(body) * min(breaks.at, QUARTERS - 1) // QUARTERS
    chunked = fault.comments_every > 0
    if chunked:
        own["transfer-encoding"] = "chunked"
    else:
        announced = cut if breaks and breaks.how == "clean_end" else len(body)
        own["content-length"] = str(max(0, announced + fault.wrong_content_length))
    if fault.delay:
        yield Step(fault.delay, b"")
    opening = head(307 if fault.redirect and fault.status is None else answer.status, own, fault)
    if not (breaks or chunked or fault.first_token_delay or fault.chunk_delay or fault.pings_only):
        # A length that is wrong leaves the connection out of step.
        yield Step(0.0, opening + body, Act.CLOSE if fault.wrong_content_length else Act.FINISH, tokens)
        return
    yield Step(0.0, opening, tokens=tokens)
    yield from _quarters(body, cut, breaks, fault)


def _encoded(answer: Body, headers: Mapping[str, str], fault: Fault) -> tuple[bytes, dict[str, str]]:
    """The body as it goes over the wire, and its headers without framing."""
    own = {"content-type": answer.content_type, **headers, **answer.headers}
    if fault.gzip_bomb:
        return bomb(fault.gzip_bomb, answer.data), {**own, "content-encoding": "gzip"}
    if fault.bad_gzip:
        return b"\x1f\x8b\x08\0" + answer.data, {**own, "content-encoding": "gzip"}
    return answer.data, own


def _quarters(body: bytes, cut: int, breaks: Break | None, fault: Fault) -> Iterator[Step]:
    """A whole body up to `cut`, in four parts with their delays, and its end."""
    every = fault.comments_every
    frame = chunk if every > 0 else bytes
    if fault.pings_only:
        yield from _wait(inf, every or 1.0, frame(b"\n"))
    yield from _wait(fault.first_token_delay, every, frame(b"\n"))
    size = max(1, -(-len(body) // QUARTERS))
    for start in range(0, cut, size):
        if start:
            yield from _wait(fault.chunk_delay, every, frame(b"\n"))
        yield Step(0.0, frame(body[start : min(start + size, cut)]))
    if breaks is None or breaks.how == "clean_end":
        yield Step(0.0, LAST if every > 0 else b"", Act.CLOSE if fault.wrong_content_length else Act.FINISH)
    elif breaks.how == "stall":
        yield from _wait(inf, every, frame(b"\n"))
    else:  # a whole body has no in-band error: it is cut off
        yield Step(0.0, b"", Act.RESET if breaks.how == "reset" else Act.CLOSE)


def _stream(answer: Stream, headers: Mapping[str, str], fault: Fault, tokens: int) -> Iterator[Step]:
    """A stream of events, each in a chunk of its own."""
    every, filler = fault.comments_every, chunk(answer.ping)
    own = {"content-type": "text/event-stream; charset=utf-8", **headers, "transfer-encoding": "chunked"}
    if fault.delay:
        yield Step(fault.delay, b"")
    yield Step(0.0, head(fault.status or (307 if fault.redirect else 200), own, fault))
    if not fault.no_preamble:
        yield from (Step(0.0, chunk(event)) for event in answer.preamble)
    yield from _floods(fault)
    if fault.pings_only:
        yield from _wait(inf, every or 1.0, filler)
    yield from _wait(fault.first_token_delay, every, filler)
    breaks = _break(fault)
    last = len(answer.content) if breaks is None else min(breaks.at, len(answer.content))
    # n choices make n events of one token each; Gemini's last token rides on the finish.
    for index in range(last):
        if index:
            yield from _wait(fault.chunk_delay, every, filler)
        yield Step(0.0, chunk(answer.content[index]), tokens=1)
    if breaks is not None:
        yield from _broken(breaks.how, answer, fault, answer.content[last] if last < len(answer.content) else b"")
        return
    yield from _wait(fault.chunk_delay, every, filler)
    yield from _finished(answer, fault, tokens - last)


def _finished(answer: Stream, fault: Fault, tokens: int) -> Iterator[Step]:
    """The end of a stream that was not broken off, with what may go wrong there."""
    for event in answer.finish:
        yield Step(0.0, chunk(event), tokens=tokens)
        tokens = 0
    if fault.two_finish_reasons:
        yield Step(0.0, chunk(answer.second_finish))
    for index in range(fault.late_chunks if answer.content else 0):
        yield Step(0.0, chunk(answer.content[index % len(answer.content)]))
    if answer.terminator and not fault.no_done:
        yield Step(0.0, chunk(answer.terminator))
    yield Step(0.0, LAST, Act.FINISH)


def _broken(how: str, answer: Stream, fault: Fault, following: bytes) -> Iterator[Step]:
    """The end of a stream that stops short. `close` falls into the middle of the chunk that would follow."""
    if how == "stall":
        yield from _wait(inf, fault.comments_every, chunk(answer.ping))
    elif how == "error":
        yield Step(0.0, chunk(answer.error))
        if fault.done_after_error and answer.terminator:
            yield Step(0.0, chunk(answer.terminator))
        yield Step(0.0, LAST, Act.FINISH)
    elif how == "clean_end":
        yield Step(0.0, LAST, Act.FINISH)
    elif how == "reset":
        yield Step(0.0, b"", Act.RESET)
    else:
        half = chunk(following or answer.finish[0])
        yield Step(0.0, half[: len(half) // 2], Act.CLOSE)


def _floods(fault: Fault) -> Iterator[Step]:
    """Floods of the event parser: one line without end, or very many tiny events."""
    left = fault.huge_event
    if left:
        yield Step(0.0, chunk(b"data: "))
    while left > 0:
        yield Step(0.0, chunk(b"x" * min(left, PIECE)))
        left -= PIECE
    tiny, many = b":\n\n", PIECE // 4
    for done in range(0, fault.tiny_events, many):
        yield Step(0.0, chunk(tiny * min(many, fault.tiny_events - done)))


def _events(answer: Stream) -> tuple[bytes, ...]:
    return (*answer.preamble, *answer.content, *answer.finish)


def _sliced(steps: Iterator[Step], size: int, bandwidth: int) -> Iterator[Step]:
    """The same bytes in slices of `size`, no faster than `bandwidth` bytes per second."""
    metered = max(1, int(bandwidth * TICK)) if bandwidth else PIECE
    size = min(size or PIECE, metered)
    for step in steps:
        if not step.data:
            yield step
            continue
        if step.delay:
            yield Step(step.delay, b"")
        for start in range(0, len(step.data), size):
            piece = step.data[start : start + size]
            last = start + size >= len(step.data)
            pause = max(SOON, len(piece) / bandwidth) if bandwidth else SOON
            yield Step(pause, piece, step.act if last else Act.GO_ON, 0 if start else step.tokens)
