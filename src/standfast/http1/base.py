"""What passes between the wire and the rooms above and below it.

Everything here is called back synchronously on the event loop's thread; nothing awaits. A method that is called after
its object has ended does nothing.
"""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

import msgspec

from standfast.canon.failure import Failure
from standfast.canon.structs import plain_stores

if TYPE_CHECKING:  # it is made of what is described here
    from standfast.http1.splice import Flow, Splice


@plain_stores
class HttpRequest(msgspec.Struct):
    """A client's request. `headers` has lower-case names; a repeated header is joined with `, `, the length left out.

    `body` is empty until the request is complete. `caller` is the application's own note from `admit`. `headers` and
    `notes` may be the same objects in later requests of the connection whose head is the same, byte for byte but for
    the length: what the application found out about a head it may keep in `notes`.
    """

    method: bytes
    path: bytes
    query: bytes = b""
    headers: dict[bytes, bytes] = msgspec.field(default_factory=dict)
    body: bytes = b""
    peer: str = ""
    caller: str = ""
    notes: dict[str, object] = msgspec.field(default_factory=dict)


class Downstream(Protocol):
    r"""The client's side of one request: exactly one answer goes out through it.

    Header blocks are complete lines, each ended by CRLF (`b"content-type: application/json\r\n"`), without framing
    headers (content-length, transfer-encoding, connection, date): the wire adds those.
    """

    def reply(self, status: int, headers: bytes, body: bytes) -> None:
        """A whole answer, in one write."""
        ...

    def begin(self, status: int, headers: bytes) -> None:
        """The head of a streamed answer; held back until the first `write` so that both leave together."""
        ...

    def write(self, data: bytes) -> None:
        """The next bytes of a streamed answer; at once. Empty data is ignored."""
        ...

    def splice(self, flow: "Flow") -> "Splice | None":
        """A short way for the stream's chunks, see `Splice`; None if there is none for this client or not yet."""
        ...

    def end(self) -> None:
        """The streamed answer is complete."""
        ...

    def abort(self) -> None:
        """Cut the connection, so that the client sees a broken answer and not a short one."""
        ...


class Responder(Protocol):
    """Whoever works on an answer; the wire tells it what happens on the client's side."""

    def client_gone(self) -> None:
        """The client closed (or was cut off by a limit) before the answer was complete."""
        ...

    def pause(self) -> None:
        """The client reads too slowly: write no more than what is on its way."""
        ...

    def resume(self) -> None:
        """The client caught up."""
        ...


class Refusal(NamedTuple):
    """An answer given without reading the body."""

    status: int
    headers: bytes
    body: bytes


class Application(Protocol):
    """The data plane, as the server protocol sees it."""

    def owns(self, method: bytes, path: bytes) -> bool:
        """Is this request the data plane's? Any other is handed over to uvicorn."""
        ...

    def admit(self, head: HttpRequest) -> Refusal | None:
        """Look at the head before the body is read (it may be here already): None lets it in."""
        ...

    def refuse(self, path: bytes, status: int, code: str, message: str) -> Refusal:
        """An answer of the wire itself (413, 431, 400, 408), in the format of the client that speaks at `path`."""
        ...

    def respond(self, request: HttpRequest, out: Downstream) -> Responder:
        """Work on a complete request; the answer goes through `out`, now or later."""
        ...


class Origin(NamedTuple):
    """Where upstream connections go.

    Attributes:
        scheme: `http` or `https`.
        host: name or address, without brackets.
        port: TCP port.
        ca_file: PEM bundle to trust instead of the system's; empty for the system's.
    """

    scheme: str
    host: str
    port: int
    ca_file: str = ""


class Headers(Collection[tuple[bytes, bytes]], Protocol):
    """An answer's header lines in their order: names in lower case, and values."""

    def word(self, name: bytes) -> bytes:
        """The value of the first header of this name, both in lower case; empty if there is none."""
        ...


class UpstreamListener(Protocol):
    """Whoever waits for an upstream's answer. After `end` or `lost` nothing more is called.

    An exception goes to the loop's handler, and `lost` is called: also after `end`, if that raised.
    """

    def head(self, status: int, headers: Headers) -> None:
        """The final answer's head (1xx are skipped)."""
        ...

    def body(self, data: bytes) -> None:
        """The next bytes of the body, transfer- and content-encoding removed."""
        ...

    def end(self) -> None:
        """The answer ended well-formed; the connection may serve again."""
        ...

    def lost(self, failure: Failure) -> None:
        """There will be no (further) answer: connect_failed, connect_timeout, broken_stream or invalid_reply."""
        ...


WholeAnswer: TypeAlias = Callable[[int, Headers, bytes], None]
"""In place of a listener's `head`, `body` and `end`: status, headers and body of an answer that came in one piece."""


class UpstreamCall(Protocol):
    """A request on its way.

    Attributes:
        retried_stale: it was written twice, because the kept-alive connection that it met first was closed.
    """

    retried_stale: bool

    def cancel(self) -> None:
        """Give up: close the connection now; the listener hears nothing more."""
        ...

    def pause(self) -> None:
        """Stop reading from the upstream."""
        ...

    def resume(self) -> None:
        """Read on."""
        ...

    def splice(self, way: "Splice") -> None:
        """Offer the rest of the answer's chunks to this short way first."""
        ...
