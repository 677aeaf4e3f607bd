"""The load tools: what they send, count and refuse."""

import argparse
import asyncio
import json
import socket
import sys
from pathlib import Path

import pytest
from bench.processes import BenchError, Process, require, require_free

from bench import client, load, mock, streams

LINE = "Running 1s test\nBENCH requests=100 micros=2000000 p50=120 p99=340 refused=0 broken=0\n"


def test_wrk_results_are_read() -> None:
    """The line that chat.lua prints becomes numbers."""
    values = load.parse_wrk(LINE)
    assert (values["requests"], values["micros"], values["p50"], values["p99"]) == (100, 2_000_000, 120, 340)


@pytest.mark.parametrize(
    "change", [("refused=0", "refused=1"), ("broken=0", "broken=2"), ("requests=100", "requests=0")]
)
def test_a_run_with_failures_is_void(change: tuple[str, str]) -> None:
    """A refused request is cheap: a run that has one gives no figure."""
    with pytest.raises(BenchError, match="void"):
        load.parse_wrk(LINE.replace(*change))


def test_wrk_without_a_result_is_an_error() -> None:
    """What wrk said instead is shown."""
    with pytest.raises(BenchError, match="unable to connect"):
        load.parse_wrk("unable to connect to 127.0.0.1:1\n")


def test_a_stream_has_one_write_for_each_chunk() -> None:
    """The first write holds head, role and first content; each further content is alone; the end goes together."""
    writes = mock.stream_writes(4, include_usage=False)
    assert len(writes) == 5
    assert writes[0].startswith(mock.STREAM_HEAD)
    assert [write.count(b"data: ") for write in writes] == [2, 1, 1, 1, 2]
    assert [len(streams.FIRST.findall(write)) for write in writes] == [1, 1, 1, 1, 0]
    assert b"".join(writes).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


def test_usage_is_streamed_only_when_it_was_asked_for() -> None:
    """As OpenAI does: one event with usage and no choices, before [DONE]."""
    plain = b"".join(mock.stream_writes(2, include_usage=False))
    counted = b"".join(mock.stream_writes(2, include_usage=True))
    assert b'"usage"' not in plain
    assert counted.count(b'"choices":[],"usage":{"prompt_tokens":62,"completion_tokens":2,"total_tokens":64}') == 1


def test_a_whole_port_sends_one_write() -> None:
    """Without a delay the stream is one piece, the same bytes as dripping."""
    assert mock.mode(3, 0.0).plain == (b"".join(mock.mode(3, 0.02).plain),)


def test_the_mocks_answer_has_usage() -> None:
    """The whole answer is JSON with content, a finish reason and token counts."""
    answer = json.loads(mock.chat_answer())
    assert answer["usage"] == {"prompt_tokens": 62, "completion_tokens": 48, "total_tokens": 110}
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert "'" not in mock.chat_answer().decode()  # it stands in single quotes in nginx' configuration


def test_an_answers_head_is_read() -> None:
    """Header names are lower-cased; the attempts default to one."""
    status, headers = client.parse_head(b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\nX-Standfast-Attempts: 3")
    assert (status, headers["content-length"]) == (503, "2")
    assert client.Answer(status, 0.1, headers).attempts == 3
    assert client.Answer(200, 0.1, {}).attempts == 1
    with pytest.raises(ValueError, match="not an HTTP answer"):
        client.parse_head(b"SSH-2.0-x")


@pytest.mark.parametrize("build", [client.chat_request, streams.request])
def test_requests_announce_their_length(build: object) -> None:
    """The body of each generated request is JSON of exactly the announced length."""
    assert callable(build)
    head, _, body = build("h:1", "chat", "sk").partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body)["model"] == "chat"


class _Pipe(asyncio.Transport):
    """A transport that only remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted


def _load() -> tuple[streams.Load, streams.Stream, _Pipe]:
    options = argparse.Namespace(port=1, model="drip", key="k", rate=10.0, settle=0.0, streams=0, seconds=1.0)
    loop = asyncio.new_event_loop()
    whole = streams.Load(options, loop)
    loop.close()
    stream, pipe = streams.Stream(whole), _Pipe()
    stream.connection_made(pipe)
    stream.begin(whole.started)
    return whole, stream, pipe


@pytest.mark.parametrize("size", [1, 3, 7, 64, 100_000])
def test_chunks_are_counted_however_packets_are_cut(size: int) -> None:
    """Every event counts once, the first token once, and the end is seen, for any cut of the bytes."""
    whole, stream, pipe = _load()
    data = b"".join(mock.stream_writes(5, include_usage=False))
    for at in range(0, len(data), size):
        stream.data_received(data[at : at + size])
    assert pipe.sent == [whole.request]
    assert (whole.tally.chunks, whole.tally.ended, whole.tally.open, whole.tally.errors) == (8, 1, 0, 0)
    assert len(whole.tally.first_tokens) == 1
    assert whole.idle == [stream]


def test_an_error_status_is_an_error_and_not_a_stream() -> None:
    """A refusal counts as an error and cuts the connection."""
    whole, stream, pipe = _load()
    stream.data_received(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    assert pipe.aborted
    stream.connection_lost(None)
    assert (whole.tally.errors, whole.tally.open, whole.tally.first_tokens) == (1, 0, [])


def test_a_stream_that_breaks_is_an_error() -> None:
    """A connection that is lost before the end counts as an error once, after the end not at all."""
    whole, stream, _ = _load()
    stream.data_received(mock.stream_writes(5, include_usage=False)[0])
    stream.connection_lost(None)
    assert (whole.tally.errors, whole.tally.open) == (1, 0)


def test_missing_commands_are_named_with_how_to_install_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The benchmark installs nothing; it says what is missing, all of it at once."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchError, match=r"(?s)installs nothing.*no-such-tool: install it.*no-other: install it"):
        require(("no-such-tool", "no-other"))


def test_a_taken_port_is_refused_before_anything_starts() -> None:
    """A port that somebody holds is named."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        with pytest.raises(BenchError, match=f"127.0.0.1:{port}"):
            require_free([port])


def test_a_process_is_ended_by_its_own_pid(tmp_path: Path) -> None:
    """`stop` leaves nothing behind, and may be called twice."""
    script = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)"
    process = Process("sleeper", [sys.executable, "-c", script], tmp_path / "log", tmp_path)
    process.require_alive()
    process.stop()
    process.stop()
    assert not Path(f"/proc/{process.pid}").exists()


def test_a_process_that_ends_early_is_told_with_its_output(tmp_path: Path) -> None:
    """Waiting for a port of a process that has died shows why it died."""
    process = Process("failing", [sys.executable, "-c", "raise SystemExit('no such file')"], tmp_path / "log", tmp_path)
    with pytest.raises(BenchError, match=r"(?s)failing ended with code 1.*no such file"):
        process.wait_port(1)
