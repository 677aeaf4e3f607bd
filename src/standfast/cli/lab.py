"""`standfast lab`: the stand-in providers alone."""

import asyncio
import contextlib
import signal
from collections.abc import Mapping
from typing import Annotated

from cyclopts import Parameter

from standfast.cli import OK, USAGE
from standfast.cli.demo import HIGHEST_PORT, LAB_PORTS, STAND_INS
from standfast.cli.output import fail, print_json, say
from standfast.cli.settings import Json
from standfast.errors import Fault, StandfastError

Ports = Annotated[tuple[int, int, int], Parameter(name="--ports", negative="", consume_multiple=True)]


class StandInsCannotStart(StandfastError):
    """A stand-in's port cannot be had."""

    code = "port_unavailable"
    fault = Fault.OPERATOR


def lab(*, ports: Ports = LAB_PORTS, as_json: Json = False) -> int:
    """Start the stand-in providers; they run until SIGINT or SIGTERM.

    Args:
        ports: of the stand-ins for OpenAI, Anthropic and Gemini; 0 takes a free one
        as_json: print the addresses as JSON once they listen
    """
    if not all(0 <= port <= HIGHEST_PORT for port in ports):
        fail(f"--ports takes three ports from 0 to {HIGHEST_PORT}; 0 takes a free one")
        return USAGE
    return asyncio.run(_run(dict(zip(STAND_INS, ports, strict=True)), as_json=as_json))


async def _run(ports: dict[str, int], *, as_json: bool) -> int:
    from standfast.lab.server import Lab  # noqa: PLC0415 - help needs no server

    stand_ins = Lab(ports=ports)
    try:
        await stand_ins.start()
    except OSError as error:
        raise cannot_start(ports, error, "--ports") from error
    if as_json:
        print_json({"providers": {name: provider.url for name, provider in stand_ins.providers.items()}})
    else:
        say(stand_ins.describe())
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError):  # no signals here: cancellation ends us
            loop.add_signal_handler(number, stop.set)
    try:
        await stop.wait()
    finally:
        await stand_ins.stop()
    return OK


def cannot_start(ports: Mapping[str, int], error: OSError, option: str) -> StandInsCannotStart:
    """An error that says which ports, why, and what to do."""
    listed = ", ".join(map(str, ports.values()))
    reason = error.strerror or str(error)
    return StandInsCannotStart(
        f"the stand-in providers cannot listen on 127.0.0.1, ports {listed}: {reason}."
        f" Stop what uses them, or choose others with {option}."
    )
