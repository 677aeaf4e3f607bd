"""`standfast demo`: a gateway that works at once, with or without keys."""

import os
from collections.abc import Mapping
from typing import Annotated

from cyclopts import Parameter

from standfast.cli import USAGE
from standfast.cli.banner import announcer
from standfast.cli.output import fail, say
from standfast.cli.serve import open_door
from standfast.cli.settings import overrides
from standfast.config.environment import console_of, from_environment, key_variables
from standfast.config.load import from_mapping
from standfast.config.providers import plugin
from standfast.config.schema import Config

HIGHEST_PORT = 65_535
LAB_PORTS = (9101, 9102, 9103)
STAND_INS = {"openai": "gpt-4.1", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash"}
"""Stand-in provider -> the model that it serves, in the order of the ports."""

LabPorts = Annotated[tuple[int, int, int], Parameter(name="--lab-ports", negative="", consume_multiple=True)]


def demo(*, host: str | None = None, port: int | None = None, lab_ports: LabPorts = LAB_PORTS) -> int:
    """Start the gateway with what is there.

    Args:
        host: address to listen on
        port: 0 takes a free one
        lab_ports: of the stand-ins for OpenAI, Anthropic and Gemini, each 1 or more
    """
    if not all(1 <= port <= HIGHEST_PORT for port in lab_ports):
        fail(f"--lab-ports takes three ports from 1 to {HIGHEST_PORT}")
        return USAGE
    server = overrides(host, port)
    config = from_environment(os.environ, server=server)
    if config is not None:
        return open_door(config, None, announcer(config))

    from standfast.cli.stand_ins import StandIns  # noqa: PLC0415 - real providers need no stand-ins

    say(f"No provider key in the environment ({', '.join(key_variables().values())}): stand-ins answer.")
    config = demo_config(lab_ports, server, os.environ)
    stand_ins = StandIns(dict(zip(STAND_INS, lab_ports, strict=True)))

    def announce(address: str) -> None:
        announcer(config, "", stand_ins.lab.describe())(address)

    return open_door(config, None, announce, stand_ins)


def demo_config(ports: tuple[int, ...], server: dict[str, object], environ: Mapping[str, str]) -> Config:
    """A gateway in front of stand-ins on these ports; each model falls back to the other two.

    The key of its console is in the environment, if there is one.

    Raises:
        ConfigError: an override in `server` is not usable.
    """
    providers = {}
    for name, port in zip(STAND_INS, ports, strict=True):
        wire = plugin(name)
        public = wire.base_url if wire is not None else ""
        path = public.partition("://")[2].partition("/")[2]
        base_url = f"http://127.0.0.1:{port}/{path}".rstrip("/")
        providers[name] = {"base_url": base_url, "keys": [f"stand-in-{name}"]}
    targets = [f"{name}/{model}" for name, model in STAND_INS.items()]
    models = {model: targets[at:] + targets[:at] for at, model in enumerate(STAND_INS.values())}
    log = {"format": "text"}  # somebody is watching
    data = {"server": {**server}, "log": log, "providers": providers, "models": models, **console_of(environ)}
    return from_mapping(data, environ)
