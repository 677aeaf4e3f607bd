"""The access log: complete lines, free of secrets, never in anyone's way."""

import fcntl
import io
import json
import os
import random
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest.mock import Mock

import pytest
from msgspec.structs import replace

from standfast.canon.attempt import Attempt, Outcome
from standfast.canon.deployment import Operation
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Wall
from standfast.canon.record import Change, RequestRecord
from standfast.canon.usage import Usage
from standfast.clock import ManualClock
from standfast.hooks import _sink, log
from standfast.hooks._lines import json_line, text_line
from standfast.hooks._quick import QuickLines
from standfast.hooks.log import LogHook
from standfast.redact import Redactor

KEY = "canary-0123456789"
RECORD = RequestRecord(
    id="req_1",
    received=Wall(1_760_000_000.25),
    caller="dev",
    model="gpt-4.1",
    operation=Operation.CHAT,
    stream=True,
    status=200,
    code="",
    deployment="local/m",
    fallback=True,
    attempts=(
        Attempt("openai/gpt-4.1", 0, Outcome.FAILURE, Failure(FailureKind.SERVER_ERROR, "HTTP 500"), 0.0, None, 0.1),
        Attempt("local/m", 0, Outcome.SUCCESS, None, 0.1, 0.3, 0.8),
    ),
    first_token=0.3,
    total=0.8,
    upstream=0.7995,
    usage=Usage(10, 20),
    session="s-1",
    tags=("a", "b"),
)
PLAIN = replace(RECORD, session="", tags=(), attempts=())
"""A record without foreign text but its names."""

CHANGE = Change("breaker", "openai/gpt-4.1", "closed", "open", "5 failures in a row", 5.0)


def written(*events: RequestRecord | Change, format: str = "json") -> list[str]:  # noqa: A002 - the hook's word
    """The lines that a hook writes for these events."""
    stream = io.StringIO()
    hook = LogHook(stream, Redactor([KEY]), format="text" if format == "text" else "json", clock=ManualClock())
    for event in events:
        if isinstance(event, Change):
            hook.changed(event)
        else:
            hook.request_ended(event)
    hook.close()
    assert hook.dropped == 0
    return stream.getvalue().splitlines()


@pytest.fixture
def full_pipe() -> Iterator[tuple[int, io.TextIOWrapper]]:
    """A pipe that nobody reads and that is full: its reading end, and a stream that blocks."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    stream = os.fdopen(writing, "w")
    yield reading, stream
    os.close(reading)
    stream.close()


def test_a_request_is_one_json_line() -> None:
    """A line tells the whole request: who, what, where, how long, what was tried, what it used."""
    (line,) = written(RECORD)
    told = json.loads(line)
    assert told.pop("usage") == {"prompt": 10, "completion": 20, "cached": 0, "cache_written": 0, "reasoning": 0}
    assert told.pop("attempts") == [
        {"target": "openai/gpt-4.1", "outcome": "failure", "kind": "server_error", "ms": 100.0, "detail": "HTTP 500"},
        {"target": "local/m", "outcome": "success", "kind": None, "ms": 700.0},
    ]
    assert told == {
        "event": "request",
        "id": "req_1",
        "time": "2025-10-09T08:53:20.250Z",
        "caller": "dev",
        "model": "gpt-4.1",
        "operation": "chat",
        "deployment": "local/m",
        "status": 200,
        "code": "",
        "stream": True,
        "fallback": True,
        "first_token_ms": 300.0,
        "total_ms": 800.0,
        "overhead_ms": 0.5,
        "session": "s-1",
        "tags": ["a", "b"],
        "priority": 3,
        "source": "",
    }


def test_a_change_is_one_json_line() -> None:
    """Changes of state stand between the requests, with the clock's time."""
    (line,) = written(CHANGE)
    assert json.loads(line) == {
        "event": "change",
        "time": "2025-10-09T08:53:20.000Z",
        "subject": "breaker",
        "name": "openai/gpt-4.1",
        "before": "closed",
        "after": "open",
        "reason": "5 failures in a row",
        "until_s": 5.0,
    }


def test_text_for_terminals() -> None:
    """The text format is one readable line for each event."""
    request, change = written(RECORD, CHANGE, format="text")
    assert request == (
        "2025-10-09T08:53:20.250Z 200 gpt-4.1 -> local/m 800 ms (first 300 ms) 10+20 tokens fallback"
        " [openai/gpt-4.1 server_error] dev req_1"
    )
    assert change == "2025-10-09T08:53:20.000Z breaker openai/gpt-4.1: closed -> open for 5 s (5 failures in a row)"


@pytest.mark.parametrize("format", ["json", "text"])
def test_secrets_and_forged_lines_stay_out(format: str) -> None:  # noqa: A002 - the hook's word
    """E13, E14: whatever a client writes into its labels, the log shows no key and exactly one line per event."""
    evil = f"{KEY} sk-abcdef0123456789\r\n\x1b[2J\u2028\ud800forged"
    lines = written(replace(RECORD, caller=evil, session=evil, tags=(evil,), model=evil), CHANGE, format=format)
    assert len(lines) == 2
    for line in lines:
        assert line.isprintable()
        assert KEY not in line
        assert "sk-abc" not in line
    if format == "json":
        assert json.loads(lines[0])["session"].startswith("[redacted] [redacted]\r\n")


def test_a_prompt_quoted_by_an_upstream_stays_out() -> None:
    """The detail of a client's own fault may quote the request, so the log leaves it out."""
    failure = Failure(FailureKind.INVALID_REQUEST, "HTTP 400: invalid value: my secret prompt", 400)
    attempt = Attempt("a/b", 0, Outcome.FAILURE, failure, 0.0, None, 0.1)
    (line,) = written(replace(RECORD, attempts=(attempt,)))
    assert "prompt" not in json.loads(line)["attempts"][0].values()
    assert "my secret" not in line


def test_a_blocked_sink_never_blocks_requests(
    full_pipe: tuple[int, io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch
) -> None:
    """F15: with a full pipe requests go on, the oldest records are dropped and every one of them is counted."""
    monkeypatch.setattr(log, "CLOSE_WITHIN", 0.2)
    monkeypatch.setattr(log, "PERIOD", 0.001)
    reading, stream = full_pipe
    hook = LogHook(stream, Redactor(), capacity=100)
    for _ in range(10_000):
        hook.request_ended(RECORD)
    hook.close()
    taken = 10_000 - hook.dropped  # in the hands of the writer when it blocked
    assert 0 <= taken <= log.BATCH + 100
    os.set_blocking(reading, False)
    rest = b""
    while hook._thread.is_alive():
        try:
            rest += os.read(reading, 65536)
        except BlockingIOError:
            hook._thread.join(0.01)
    assert rest.count(b'"req_1"') <= taken


USUAL = replace(
    PLAIN,
    model="m",
    deployment="local/m",
    code="",
    status=200,
    fallback=False,
    attempts=(Attempt("local/m", 0, Outcome.SUCCESS, None, 0.1, 0.3, 0.8),),
)
"""One whose line is built where it ends."""


def ended(hook: LogHook) -> None:
    """The writer's thread is over."""
    hook._over.set()
    hook._wake.set()
    hook._thread.join()


def test_lines_are_written_in_their_order_joined_or_not() -> None:
    """Usual requests, others and changes, in all mixtures, while the writer takes what is there at any moment."""
    stream, rng, told = io.StringIO(), random.Random(3), list[str]()
    hook = LogHook(stream, Redactor())
    ended(hook)  # this test is the writer
    for number in range(3_000):
        kind = rng.choices(("usual", "other", "change"), (50, 1, 1))[0]
        told.append(f"{kind}-{number}")
        if kind == "change":
            hook.changed(Change("breaker", told[-1], "closed", "open", "why"))
        else:
            hook.request_ended(replace(USUAL if kind == "usual" else RECORD, id=told[-1]))
        if rng.random() < 0.01:
            hook._drain()
        elif rng.random() < 0.1 and hook._queue and isinstance(oldest := hook._queue[0], bytes):
            stream.write(oldest.decode())
            hook._queue.popleft()
    hook._drain()
    rows = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [row.get("id") or row["name"] for row in rows] == told
    assert hook.dropped == 0


def test_the_writer_may_take_lines_while_they_are_joined() -> None:
    """Each is written once and in its order, however the two threads take turns."""
    stream, before = io.StringIO(), sys.getswitchinterval()
    hook = LogHook(stream, Redactor())
    ended(hook)
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            hook._drain()

    writer = threading.Thread(target=write)
    sys.setswitchinterval(1e-6)
    try:
        writer.start()
        for number in range(5_000):
            hook.request_ended(replace(USUAL, id=str(number)))
    finally:
        over.set()
        writer.join()
        sys.setswitchinterval(before)
    hook._drain()
    assert [json.loads(line)["id"] for line in stream.getvalue().splitlines()] == [str(n) for n in range(5_000)]
    assert (hook.dropped, hook._taken) == (0, 5_000)


@pytest.mark.parametrize("event", [USUAL, RECORD, CHANGE])
def test_what_waits_is_bounded_in_lines(event: RequestRecord | Change, monkeypatch: pytest.MonkeyPatch) -> None:
    """Joined or not: no more than the capacity and one run, the oldest go, and each that goes is counted."""
    monkeypatch.setattr(log, "PERIOD", 3_600.0)
    stream = io.StringIO()
    hook = LogHook(stream, Redactor(), capacity=1_000)
    for number in range(10_000):
        if isinstance(event, Change):
            hook.changed(replace(event, name=str(number)))
        else:
            hook.request_ended(replace(event, id=str(number)))
    hook.close()
    rows = [json.loads(line) for line in stream.getvalue().splitlines()]
    numbers = [row.get("id") or row["name"] for row in rows]
    assert numbers == [str(number) for number in range(10_000 - len(rows), 10_000)]
    assert 1_000 - log.RUN <= len(rows) <= 1_000 + log.RUN
    assert hook.dropped == 10_000 - len(rows)


def test_who_has_nothing_to_write_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until something comes; and that is written soon, however often it has slept before."""
    monkeypatch.setattr(log, "PERIOD", 0.01)
    stream = io.StringIO()
    hook = LogHook(stream, Redactor())
    for number, event in enumerate((USUAL, CHANGE, RECORD, USUAL)):
        if isinstance(event, Change):
            hook.changed(event)
        else:
            hook.request_ended(event)
        for _ in range(5_000):
            if (lines := stream.getvalue().count("\n")) > number:
                break
            time.sleep(0.001)
        assert lines == number + 1
        time.sleep(0.02)
        assert (hook._awake, hook._wake.is_set()) == (False, False)
    hook.close()


def test_a_broken_sink_is_survived_and_counted() -> None:
    """F15: a pipe whose reader is gone costs its lines and nothing else."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        hook = LogHook(stream, Redactor())
        for _ in range(1000):
            hook.request_ended(RECORD)
        hook.close()
    assert hook.dropped == 1000


def test_a_slow_nonblocking_pipe_gets_every_byte() -> None:
    """A shared descriptor that an event loop made non-blocking is waited for; no line is cut."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with os.fdopen(writing, "w") as stream:
        hook = LogHook(stream, Redactor())
        for _ in range(1000):
            hook.request_ended(RECORD)
        hook._over.set()
        received = b""
        while received.count(b"\n") < 1000:
            received += os.read(reading, 65536)
        hook.close()
    os.close(reading)
    assert {json.loads(line)["id"] for line in received.splitlines()} == {"req_1"}
    assert hook.dropped == 0


@pytest.mark.parametrize("most", [1, 7, 300, 10_000])
def test_parts_leave_as_they_are_and_all_of_them(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system takes at once is not copied; what it takes in pieces is copied once, and none is lost."""
    offered: list[list[bytes | memoryview]] = []
    taken = bytearray()

    def writev(descriptor: int, parts: Sequence[bytes | memoryview]) -> int:
        assert descriptor == 7
        offered.append(list(parts))
        if len(offered) % 3 == 2:
            raise BlockingIOError
        piece = b"".join(parts)[:most]
        taken.extend(piece)
        return len(piece)

    monkeypatch.setattr(_sink.os, "writev", writev)
    monkeypatch.setattr(_sink.select, "poll", Mock)
    parts = [b"one\n", b"two\nthree\n" * 30, b"four\n"]
    _sink.DescriptorSink(7).write(parts)
    assert bytes(taken) == b"".join(parts)
    assert all(mine is theirs for mine, theirs in zip(parts, offered[0], strict=True))
    views = [each[0] for each in offered[1:]]
    assert all(isinstance(view, memoryview) for view in views)
    assert len({id(view.obj) for view in views if isinstance(view, memoryview)}) <= 1
    assert (len(offered) == 1) is (most == 10_000)


def test_a_file_is_appended_to_and_survives_rotation(tmp_path: Path) -> None:
    """A moved log file is opened anew, and what stood in a file stays."""
    path = tmp_path / "access.log"
    path.write_text("before\n")
    hook = LogHook(path, Redactor())
    hook.request_ended(RECORD)
    hook._drain()
    path.rename(tmp_path / "access.log.1")
    hook.request_ended(RECORD)
    hook.close()
    assert [line[:7] for line in (tmp_path / "access.log.1").read_text().splitlines()] == ["before", '{"event']
    assert len(path.read_text().splitlines()) == 1
    assert path.stat().st_mode & 0o007 == 0


def test_an_unusable_path_is_an_error_at_the_start(tmp_path: Path) -> None:
    """A log that cannot be opened is said at once, not at the first line."""
    with pytest.raises(OSError, match="no-such"):
        LogHook(tmp_path / "no-such" / "x.log", Redactor())


def test_a_record_that_cannot_be_told_costs_only_itself() -> None:
    """An absurd time drops one line; the next one is written."""
    stream = io.StringIO()
    hook = LogHook(stream, Redactor())
    hook.request_ended(replace(RECORD, received=Wall(1e300)))
    hook.request_ended(RECORD)
    hook.close()
    assert (len(stream.getvalue().splitlines()), hook.dropped) == (1, 1)


def test_after_close_nothing_is_written() -> None:
    """Closing twice is once, and a late record is counted as dropped."""
    stream = io.StringIO()
    hook = LogHook(stream, Redactor())
    hook.close()
    hook.close()
    hook.request_ended(RECORD)
    hook.changed(CHANGE)
    assert (stream.getvalue(), hook.dropped) == ("", 2)


def test_names_that_were_let_pass_are_asked_again_when_a_secret_is_learnt(tmp_path: Path) -> None:
    """E13: what is skipped is only what the choke point has seen, with the secrets that it knows now."""
    redactor = Redactor(["first-secret-0000"])
    path = tmp_path / "log"
    hook = LogHook(path, redactor)
    hook.request_ended(replace(PLAIN, model="second-secret-1111"))
    while hook._queue:
        time.sleep(0.01)
    redactor.learn(["second-secret-1111"])
    hook.request_ended(replace(PLAIN, model="second-secret-1111"))
    hook.close()
    before, after = path.read_text().splitlines()
    assert "second-secret-1111" in before
    assert "second-secret-1111" not in after


def test_a_name_cannot_forge_a_line(tmp_path: Path) -> None:
    """E14: a model name with a line break stays on its line, in the text format too."""
    path = tmp_path / "log"
    hook = LogHook(path, Redactor(), format="text")
    hook.request_ended(replace(PLAIN, model="openai/x\nforged"))
    hook.close()
    assert len(path.read_text().splitlines()) == 1


USUAL = replace(
    RECORD, session="", tags=(), fallback=False, attempts=(Attempt("local/m", 0, Outcome.SUCCESS, None, 0.1, 0.3, 0.8),)
)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"stream": False, "first_token": None},
        {"usage": Usage(1, 2, 3, 4, 5)},
        {"model": 'quo"te%s 100%'},
        {"operation": Operation.EMBEDDINGS},
        {"priority": 5},
        {"caller": ""},
        {"fallback": True},
        {"code": "x"},
        {"status": 499},
        {"deployment": "other/m"},
        {"received": Wall(0.9994)},
    ],
)
def test_the_quick_line_says_what_the_long_one_says(change: dict[str, object]) -> None:
    """The form of a usual request is not another format: read as JSON, both ways give the same line."""
    record = replace(USUAL, **change)
    quick = QuickLines(Redactor())
    warm = quick.line(USUAL), quick.line(record)
    assert warm[0] is not None
    line = quick.line(record)
    long = json.loads(json_line(record, 0.0))
    if record.fallback or record.code or record.deployment != "local/m":
        assert line is None
    else:
        assert json.loads(line or b"") == long
    assert json.loads(written(record)[0]) == long


def test_a_record_with_foreign_text_has_no_quick_line() -> None:
    """E13: only what the choke point has let pass unchanged stands in a form; the rest goes through it each time."""
    redactor = Redactor([KEY])
    quick = QuickLines(redactor)
    failed = replace(USUAL, attempts=RECORD.attempts)
    for record in (failed, replace(USUAL, session="s"), replace(USUAL, tags=("t",)), replace(USUAL, model=KEY)):
        assert quick.line(record) is None
    assert quick.line(replace(USUAL, model="sk-later-0123456789")) is None
    assert quick.line(USUAL) is not None
    redactor.learn(["gpt-4.1"])
    assert quick.line(USUAL) is None


def test_an_attempt_with_a_purpose_of_its_own_says_it() -> None:
    """Hedges, replays and resumptions are told apart; the line of the usual answer does not grow."""
    first = Attempt("a/m", 0, Outcome.FAILURE, Failure(FailureKind.BROKEN_STREAM, "cut"), 0.0, 0.1, 0.2)
    rest = Attempt("b/m", 0, Outcome.SUCCESS, None, 0.2, 0.3, 0.4, Usage(3, 4), "resume")
    record = replace(RECORD, attempts=(first, rest))
    told = json.loads(json_line(record, 0.0))["attempts"]
    assert [attempt.get("purpose") for attempt in told] == [None, "resume"]
    assert " resume " in text_line(record, 0.0)
    assert "purpose" not in json_line(replace(RECORD, attempts=(first,)), 0.0)
