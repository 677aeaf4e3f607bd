"""A10: file descriptors that run out."""

import asyncio
import contextlib
import json
from pathlib import Path

from standfast.http1.settings import ServerLimits
from standfast.server.descriptors import PER_CLIENT, RESERVED, fitting
from support.http import call, read_head, request_bytes
from support.processes import Process, lab_process, running, standfast

LIMIT = 256


def test_connections_fit_the_descriptors() -> None:
    """The configured limit holds where there are descriptors for it, else as many clients as there are."""
    limits = ServerLimits(connections=500)
    assert fitting(limits, 100_000) is limits
    assert fitting(limits, 0) is limits
    assert fitting(limits, LIMIT).connections == (LIMIT - RESERVED) // PER_CLIENT
    assert fitting(limits, 10).connections == 1


def test_a_small_ulimit_refuses_new_clients_and_keeps_the_served_ones(tmp_path: Path) -> None:
    """A10: with 256 descriptors a crowd gets 503, the stream under way completes, and afterwards all is well again."""
    with lab_process(tmp_path) as lab:
        config = {
            "server": {"port": 0},
            "providers": {"openai": {"base_url": f"{lab.urls['openai']}/v1", "keys": ["sk-lab"]}},
            "models": {"m": ["openai/gpt-4.1"]},
            "log": {"format": "off"},
        }
        file = tmp_path / "few.yaml"
        file.write_text(json.dumps(config))
        command = ["sh", "-c", f'ulimit -n {LIMIT} && exec "$@"', "sh", *standfast("serve", "--config", str(file))]
        with running(Process(command, tmp_path, "few")) as server:
            port = int(server.wait_for(r"open at http://127\.0\.0\.1:(\d+)")[1])
            lab.fail("openai", chunk_delay=0.2)
            asyncio.run(_crowd(port))
            assert "Too many open files" not in server.err
            assert "only 64 clients at a time" in server.err


async def _crowd(port: int) -> None:
    chat = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": True}
    stream = asyncio.create_task(call(port, "/v1/chat/completions", chat))
    crowd = [await asyncio.open_connection("127.0.0.1", port) for _ in range(LIMIT)]
    refused = 0
    for reader, _ in crowd:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            async with asyncio.timeout(0.02):
                status, _ = await read_head(reader)
                refused += status == 503
    assert refused >= LIMIT // 4
    assert (await stream).events[-1] == "[DONE]"
    for _, writer in crowd:
        writer.close()
    for _, writer in crowd:
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request_bytes("/v1/chat/completions", {**chat, "stream": False}))
    assert (await read_head(reader))[0] == 200
    writer.close()
    await writer.wait_closed()
