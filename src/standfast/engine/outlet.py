"""Everything about one target that can be prepared when the configuration is loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from standfast.canon.deployment import Operation
from standfast.canon.prefill import Prefill
from standfast.formats.base import Format
from standfast.http1.base import Origin
from standfast.http1.client_request import RequestHead
from standfast.providers.base import Provider


@dataclass(frozen=True, slots=True)
class Outlet:
    """The way out to one deployment.

    Attributes:
        provider: its wire habits.
        origin: where connections go.
        formats: the wire format of each operation.
        heads: request heads by (operation, stream), one for each upstream key.
        reply_headers: header lines of a whole reply that name this deployment.
        stream_headers: the same for a streamed one.
        prefill: how it is told to go on with an answer that was begun; None if nobody knows.
        rest_heads: request heads for the rest of a stream, one for each upstream key, where it has a path of its own.
    """

    provider: Provider
    origin: Origin
    formats: Mapping[Operation, Format]
    heads: Mapping[tuple[Operation, bool], Sequence[RequestHead]]
    reply_headers: bytes
    stream_headers: bytes
    prefill: Prefill | None = None
    rest_heads: Sequence[RequestHead] = ()
