"""Limits of the wire. Every one has a default that survives hostile peers."""

from typing import Annotated

from pydantic import Field, SecretStr, field_validator

from standfast.canon.settings import Seconds, Settings
from standfast.http1.egress import read_proxy

Size = Annotated[int, Field(gt=0)]
Positive = Annotated[Seconds, Field(gt=0)]


class ServerLimits(Settings):
    """What a client may do to us. Sizes in bytes.

    Attributes:
        header_bytes: request line and headers together (431 above).
        header_count: number of header lines (431 above).
        body_bytes: request body (413 above, before it is read if the length is announced).
        header_timeout: from the first byte of a request until its headers are complete (408).
        body_timeout: from then until its body is complete (408).
        idle_timeout: silence on a kept-alive connection between requests.
        write_timeout: a client that has stopped reading for so long is cut off.
        connections: open client connections; above it a new one gets 503 and is closed.
        connections_per_address: the same for one address; 0 for no limit.
        write_buffer: bytes waiting for a slow client before the upstream is paused.
    """

    header_bytes: Size = 64 * 1024
    header_count: Size = 200
    body_bytes: Size = 32 * 1024 * 1024
    header_timeout: Positive = 10.0
    body_timeout: Positive = 60.0
    idle_timeout: Positive = 75.0
    write_timeout: Positive = 30.0
    connections: Size = 10_000
    connections_per_address: Annotated[int, Field(ge=0)] = 0
    write_buffer: Size = 64 * 1024


class UpstreamLimits(Settings):
    """What an upstream may do to us. Sizes in bytes.

    Attributes:
        idle_timeout: how long an unused connection is kept; shorter than servers' own (most close after 5 to 75 s).
        idle_connections: unused connections kept for each origin.
        header_bytes: an answer's status line and headers together.
        reply_bytes: a whole (not streamed) reply, decompressed.
        event_bytes: one server-sent event, or one line of it.
        proxy: `http://[user:password@]host:port`, through which upstreams are reached, for instance
            `${HTTPS_PROXY:-}`; empty for the direct way, whatever the environment says. Loopback is always direct.
        no_proxy: hosts, with everything below them, that are reached directly.
    """

    idle_timeout: Positive = 30.0
    idle_connections: Size = 256
    header_bytes: Size = 64 * 1024
    reply_bytes: Size = 64 * 1024 * 1024
    event_bytes: Size = 8 * 1024 * 1024
    proxy: SecretStr = SecretStr("")
    no_proxy: tuple[Annotated[str, Field(min_length=1)], ...] = ()

    @field_validator("proxy")
    @classmethod
    def _readable(cls, value: SecretStr) -> SecretStr:
        read_proxy(value.get_secret_value())
        return value
