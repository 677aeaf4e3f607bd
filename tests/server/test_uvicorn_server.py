"""uvicorn's server as this house runs it: it sleeps until somebody says that it is to end."""

import asyncio
import threading

import pytest
import uvicorn

from standfast.server import uvicorn_server
from standfast.server.uvicorn_server import Server
from support.chat import run, until


def server() -> Server:
    """One that serves nothing."""
    return Server(uvicorn.Config("no:app"), on_listening=lambda: None, on_drain=lambda: None)


def test_it_ends_when_it_is_told_from_any_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, not when it looks next; also if it was told before it began, or once more after its loop is closed."""
    monkeypatch.setattr(uvicorn_server, "DATE_LASTS", 3_600.0)
    told, early = server(), server()
    early.should_exit = True

    async def scenario() -> None:
        await asyncio.wait_for(early.main_loop(), 5)
        ends = asyncio.create_task(told.main_loop())
        await asyncio.sleep(0.05)
        assert not ends.done()
        thread = threading.Thread(target=setattr, args=(told, "should_exit", True))
        thread.start()
        await asyncio.wait_for(ends, 5)
        thread.join()

    run(scenario)
    told.should_exit = True
    assert told.should_exit


def test_the_date_of_its_answers_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The headers that uvicorn adds by itself are made anew as long as it runs."""
    monkeypatch.setattr(uvicorn_server, "DATE_LASTS", 0.001)
    serves = server()
    serves.config.encoded_headers = []
    made: list[list[tuple[bytes, bytes]]] = []

    async def scenario() -> None:
        ends = asyncio.create_task(serves.main_loop())
        for _ in range(3):
            serves.server_state.default_headers = []
            await until(lambda: serves.server_state.default_headers)
            made.append(serves.server_state.default_headers)
        serves.should_exit = True
        await asyncio.wait_for(ends, 5)

    run(scenario)
    assert [[name for name, _ in headers] for headers in made] == [[b"date"]] * 3
