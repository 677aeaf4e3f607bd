"""The lab's stand-in providers as something that starts and stops with a server."""

from collections.abc import Mapping

from standfast.errors import Fault, StandfastError
from standfast.lab.server import Lab
from standfast.server.run import Companion


class StandInsCannotStart(StandfastError):
    """A stand-in's port cannot be had."""

    code = "port_unavailable"
    fault = Fault.OPERATOR


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


def cannot_start(ports: Mapping[str, int], error: OSError, option: str) -> StandInsCannotStart:
    """An error that says which ports, why, and what to do."""
    listed = ", ".join(map(str, ports.values()))
    reason = error.strerror or str(error)
    return StandInsCannotStart(
        f"the stand-in providers cannot listen on 127.0.0.1, ports {listed}: {reason}."
        f" Stop what uses them, or choose others with {option}."
    )
