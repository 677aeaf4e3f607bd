"""Rows of the failure catalogue at their full size, against a serving gateway in a process of its own."""

import contextlib
import json
import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from sdk.asking import CHAT_PATH, KEY, chat
from standfast.clock import SystemClock
from support.processes import GatewayProcess

MIB = 1024 * 1024
Serve = Callable[..., GatewayProcess]
Configure = Callable[..., dict[str, object]]


def resident(gateway: GatewayProcess) -> int:
    """Resident memory of the gateway, bytes."""
    pages = int(Path(f"/proc/{gateway.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def head(gateway: GatewayProcess, *lines: str) -> bytes:
    """The head of a chat request."""
    first = f"POST {CHAT_PATH} HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\nAuthorization: Bearer {KEY}\r\n"
    return (first + "".join(f"{line}\r\n" for line in lines) + "\r\n").encode()


def pour(client: socket.socket, piece: bytes, total: int) -> tuple[int, bytes]:
    """Send `piece` again and again until the other side answers, closes or `total` is reached; bytes sent, answer."""
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < total and not select.select([client], [], [], 0)[0]:
            sent += client.send(piece)
    answer = b""
    with contextlib.suppress(ConnectionError):
        while b"\r\n\r\n" not in answer and (more := client.recv(65536)):
            answer += more
    return sent, answer


def test_bodies_of_a_gibibyte(serve: Serve) -> None:
    """E1: announced, with `Expect`, or in chunks without end: 413, memory grows by less than 32 MiB."""
    gateway = serve()
    assert gateway.call("POST", CHAT_PATH, chat()).status == 200
    before = resident(gateway)
    for lines in (["Content-Length: 1073741824"], ["Content-Length: 1073741824", "Expect: 100-continue"]):
        with socket.create_connection(("127.0.0.1", gateway.port), 10) as client:
            client.sendall(head(gateway, *lines))
            _, answer = pour(client, b"x" * 65536, 0)
            assert answer.startswith(b"HTTP/1.1 413"), answer
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as client:
        client.sendall(head(gateway, "Transfer-Encoding: chunked"))
        sent, answer = pour(client, b"10000\r\n" + b"x" * 65536 + b"\r\n", 1024 * MIB)
        assert answer.startswith(b"HTTP/1.1 413"), answer
        assert 32 * MIB <= sent < 64 * MIB
    # What had been read of the chunked body is 32 MiB, the limit; it must have been given back.
    for _ in range(20):
        assert gateway.call("POST", CHAT_PATH, chat()).status == 200
    assert resident(gateway) - before < 32 * MIB


def test_a_thousand_slow_clients(serve: Serve) -> None:
    """E3: heads and bodies that drip from 1,000 sockets: each is closed in time, and the service goes on meanwhile."""
    limits = {"header_timeout": "2s", "body_timeout": "2s"}
    gateway = serve(server={"limits": limits})
    slow = [socket.create_connection(("127.0.0.1", gateway.port), 10) for _ in range(1000)]
    try:
        for number, client in enumerate(slow):
            client.sendall(head(gateway, "Content-Length: 100")[: None if number % 2 else 40])
        clock = SystemClock()
        opened = clock.now()
        closed = 0
        served = 0
        poller = select.poll()
        by_descriptor = {client.fileno(): client for client in slow}
        for descriptor in by_descriptor:
            poller.register(descriptor, select.POLLIN)
        while by_descriptor and clock.now() - opened < 15:
            assert gateway.call("POST", CHAT_PATH, chat()).status == 200
            served += 1
            for client in by_descriptor.values():
                with contextlib.suppress(OSError):
                    client.send(b"x")
            for descriptor, _ in poller.poll(50):
                answer = b""
                with contextlib.suppress(ConnectionError):
                    answer = by_descriptor[descriptor].recv(65536)
                assert not answer or answer.startswith(b"HTTP/1.1 408"), answer
                poller.unregister(descriptor)
                del by_descriptor[descriptor]
                closed += 1
        assert closed == 1000
        assert served >= 3
    finally:
        for client in slow:
            client.close()


@contextlib.contextmanager
def pouring(body: Callable[[socket.socket], None]) -> Iterator[int]:
    """An upstream whose every answer is a stream that `body` writes; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve_one(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                request += client.recv(65536)
            client.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
            body(client)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve_one, args=listener.accept()[:1], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def test_a_line_of_a_gibibyte_and_a_million_tiny_events(serve: Serve, configure: Configure) -> None:
    """C7: a line without end is cut at the limit, a flood of events passes: memory grows by less than 16 MiB each."""
    poured = [0]

    def endless(client: socket.socket) -> None:
        client.sendall(b"data: ")
        while poured[0] < 1024 * MIB:
            poured[0] += client.send(b"x" * 65536)

    def flood(client: socket.socket) -> None:
        event = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
        for _ in range(1000):
            client.sendall(event * 1000)
        client.sendall(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')

    with pouring(endless) as line, pouring(flood) as events:
        providers = {
            name: {"type": "openai_like", "base_url": f"http://127.0.0.1:{port}/v1", "keys": ["none"]}
            for name, port in (("line", line), ("events", events))
        }
        known = configure()["providers"]
        assert isinstance(known, dict)
        models = {"line": ["line/m"], "events": ["events/m"], "gpt-4.1": ["openai/gpt-4.1"]}
        gateway = serve(providers={**known, **providers}, models=models)
        assert gateway.call("POST", CHAT_PATH, chat()).status == 200
        before = resident(gateway)
        answer = gateway.call("POST", CHAT_PATH, {**chat(stream=True), "model": "line"})
        assert answer.status == 503
        assert json.loads(answer.body)["error"]["code"] == "invalid_reply"
        assert poured[0] < 64 * MIB
        assert resident(gateway) - before < 16 * MIB
        size = 0
        with socket.create_connection(("127.0.0.1", gateway.port), 30) as client:
            body = json.dumps({**chat(stream=True), "model": "events"}).encode()
            client.sendall(head(gateway, f"Content-Length: {len(body)}", "Connection: close") + body)
            tail = b""
            while piece := client.recv(1 << 20):
                size += piece.count(b'"content":"a"')
                tail = (tail + piece)[-200:]
        assert b"data: [DONE]\n\n" in tail
        assert size > 990_000  # those that a read cut in two are not counted
        assert resident(gateway) - before < 16 * MIB
