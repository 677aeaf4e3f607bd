"""The gateway under test: a process of its own, with the configuration's providers at the lab's ports."""

import asyncio
import os
import re
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import yaml

from standfast.config.load import from_mapping
from standfast.config.routes import provider_of
from standfast.config.schema import Config
from standfast.errors import Fault, StandfastError
from standfast.sim.house import House, put

START_LIMIT, STOP_LIMIT = 30.0, 10.0
LOOK = 0.05
_OPEN = re.compile(r"open at (http://\S+)")
USUAL_PATH = "/v1"
"""Where servers that speak the common dialect have their API."""


class GatewayCannotStart(StandfastError):
    """The process ended or said nothing."""

    code = "drill_gateway"
    fault = Fault.OPERATOR


def under_test(house: House, urls: Mapping[str, str]) -> dict[str, object]:
    """The configuration with its providers at these addresses, on a free loopback port, silent.

    Args:
        house: the configuration.
        urls: provider entry -> address of its stand-in.
    """
    data: object = dict(house.data)
    for name, settings in house.config.providers.items():
        if name in urls:
            path = urlsplit(provider_of(name, settings).base_url or USUAL_PATH).path.rstrip("/")
            data = put(data, f"providers.{name}.base_url", f"{urls[name]}{path}")
    for path, value in (("server.host", "127.0.0.1"), ("server.port", 0), ("server.workers", 1), ("log.format", "off")):
        data = put(data, path, value)
    return data if isinstance(data, dict) else {}


def checked(data: Mapping[str, object], house: House) -> Config:
    """The same as the gateway will read it.

    Raises:
        ConfigError: with every problem.
    """
    return from_mapping(data, house.environ)


class GatewayProcess:
    """The process, from its start to its end; ended by its own id.

    Args:
        data: the configuration, plain.
        environ: what its references are filled from.

    Raises:
        GatewayCannotStart: it ended, or did not listen within half a minute; what it said is told.
    """

    def __init__(self, data: Mapping[str, object], environ: Mapping[str, str]) -> None:
        self._data = data
        self._environ = environ
        self._folder = tempfile.TemporaryDirectory(prefix="standfast-drill-")
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        folder = Path(self._folder.name)
        file, said = folder / "gateway.yaml", folder / "gateway.err"
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(dict(self._data)), "utf-8")
        try:
            with said.open("wb") as out:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *("-m", "standfast.cli", "serve", "--config", str(file), "--steady"),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=out,
                    env={**os.environ, **self._environ},
                    start_new_session=True,
                )
            self.url = await self._listening(said)
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Tell it to end; after ten seconds end it."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            for number, limit in ((signal.SIGTERM, STOP_LIMIT), (signal.SIGKILL, None)):
                try:
                    process.send_signal(number)
                    async with asyncio.timeout(limit):
                        await process.wait()
                    break
                except TimeoutError:
                    continue
                except ProcessLookupError:
                    break
        self._folder.cleanup()

    async def _listening(self, said: Path) -> str:
        for _ in range(int(START_LIMIT / LOOK)):
            text = _read(said)
            found = _OPEN.search(text)
            if found is not None:
                return found[1].rstrip("/")
            if self._process is None or self._process.returncode is not None:
                raise GatewayCannotStart(f"the gateway under test ended at once. It said:\n{text.strip()}")
            await asyncio.sleep(LOOK)
        raise GatewayCannotStart(f"the gateway under test did not listen within {START_LIMIT:g} s")


def _read(file: Path) -> str:
    """A few lines on this machine."""
    return file.read_text("utf-8", "replace")
