"""File descriptors: how many there are decides how many clients can be served."""

import logging

from standfast.http1.settings import ServerLimits

log = logging.getLogger("standfast")

RESERVED = 64
"""For what is neither a client's nor an upstream's: the loop, files, libraries, the control plane."""

PER_CLIENT = 3
"""A client's connection, its upstream's, and one that idles in a pool meanwhile."""

FEW = 1_000


def raise_limit() -> int:
    """Allow this process as many descriptors as the system lets it; how many that are (0: unknown, no limit kept)."""
    try:
        import resource  # noqa: PLC0415 - not on every platform
    except ImportError:
        return 0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        return 0 if soft == resource.RLIM_INFINITY else soft
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def fitting(limits: ServerLimits, descriptors: int) -> ServerLimits:
    """The limits, with no more connections than there are descriptors for (A10).

    A client too many is told so with a 503; without this the connection would be accepted and nothing could be done for
    it, or the ones that are served would fail for want of an upstream connection.
    """
    most = max(1, (descriptors - RESERVED) // PER_CLIENT)
    if not descriptors or limits.connections <= most:
        return limits
    if most < FEW:
        log.warning("only %d clients at a time: %d file descriptors are allowed (ulimit -n)", most, descriptors)
    return limits.model_copy(update={"connections": most})
