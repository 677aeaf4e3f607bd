"""The lab's stand-in providers as something that starts and stops with a server."""

from collections.abc import Mapping

from standfast.cli.lab import cannot_start
from standfast.lab.server import Lab
from standfast.server.run import Companion


class StandIns(Companion):
    """Three stand-in providers in the server's own loop.

    Args:
        ports: provider -> port.
    """

    def __init__(self, ports: Mapping[str, int]) -> None:
        self.lab = Lab(ports=ports)
        self._ports = ports

    async def start(self) -> None:
        """Open the ports.

        Raises:
            StandInsCannotStart: one is taken.
        """
        try:
            await self.lab.start()
        except OSError as error:
            raise cannot_start(self._ports, error, "--lab-ports") from error

    async def stop(self) -> None:
        """Close them."""
        await self.lab.stop()
