"""The protocol class of one server: `ServerProtocol` with its collaborators, as uvicorn can instantiate it."""

from collections.abc import Callable

from standfast.clock import Clock
from standfast.http1.base import Application
from standfast.http1.server import ServerProtocol
from standfast.http1.serving import Serving
from standfast.http1.settings import ServerLimits
from standfast.http1.wheel import Wheel


def server_protocol(
    application: Application,
    limits: ServerLimits,
    wheel: Wheel,
    clock: Clock,
    on_error: Callable[[BaseException], None] | None = None,
) -> type[ServerProtocol]:
    """The protocol class of one server, to be given to uvicorn as `http`.

    Args:
        application: the data plane.
        limits: what a client may do.
        wheel: for deadlines; may be shared with the upstream side.
        clock: the wheel's.
        on_error: told what the application raises; without it the event loop's exception handler is.
    """

    class BoundServerProtocol(ServerProtocol):
        __slots__ = ()
        serving = Serving(application, limits, wheel, clock, on_error)

    return BoundServerProtocol
