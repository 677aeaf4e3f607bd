"""A line from one serving process to another: calls, who takes them, and what is left behind."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from standfast.server.lines import Lines
from support.chat import run, until


def descriptors() -> int:
    """How many are open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_call_reaches_whom_it_names() -> None:
    """Who is called gets the wish and a socket of its own; what it writes comes to the caller, and only there."""

    async def scenario() -> None:
        lines = Lines(3)
        heard: list[tuple[int, str, socket.socket]] = []
        for number in range(3):
            lines.listen(number, lambda wish, line, number=number: heard.append((number, wish, line)))  # type: ignore[misc]
        calls = [lines.call(2, "feed"), lines.call(0, "history"), lines.call(2, "snapshot")]
        await until(lambda: len(heard) == 3)
        assert sorted((number, wish) for number, wish, _ in heard) == [(0, "history"), (2, "feed"), (2, "snapshot")]
        assert not any(os.get_inheritable(line.fileno()) for _, _, line in heard)
        loop = asyncio.get_running_loop()
        for _, wish, line in heard:
            line.sendall(wish.encode())
            line.close()
        answers = [await loop.sock_recv(call, 100) for call in calls]
        assert answers == [b"feed", b"history", b"snapshot"]
        assert [await loop.sock_recv(call, 100) for call in calls] == [b"", b"", b""]  # they have hung up
        for call in calls:
            call.close()
        lines.close()

    run(scenario)


def test_a_call_waits_for_who_takes_the_place() -> None:
    """A process that is started anew finds the calls that came meanwhile; one that has ended takes none."""

    async def scenario() -> None:
        lines = Lines(2)
        first: list[str] = []
        deaf = lines.listen(1, lambda wish, line: (first.append(wish), line.close()))
        deaf()
        call = lines.call(1, "feed")
        second: list[str] = []
        lines.listen(1, lambda wish, line: (second.append(wish), line.close()))
        await until(lambda: second)
        assert (first, second) == ([], ["feed"])
        call.close()
        lines.close()
        deaf()  # nothing to end any more

    run(scenario)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted in Linux' /proc")
def test_too_many_calls_are_refused_and_nothing_is_left_behind() -> None:
    """Who takes no calls is called a bounded number of times; then calling fails, and no descriptor stays open."""

    async def scenario() -> None:
        before = descriptors()
        lines = Lines(2)
        calls: list[socket.socket] = []
        with pytest.raises(BlockingIOError):
            calls.extend(lines.call(1, "feed") for _ in range(10_000))
        for call in calls:
            call.close()
        lines.close()
        assert descriptors() == before

    run(scenario)
