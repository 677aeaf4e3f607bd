"""The client's side of one request: turns an answer into bytes.

Rules:
    - A whole answer is one write; so is each chunk of a streamed one, and its head leaves with its first chunk.
    - A stream is chunked in HTTP/1.1 and ends with the connection in HTTP/1.0.
    - An `Answer` that has ended does nothing: its connection may already serve the next request.
"""

from http import HTTPStatus
from typing import Protocol

import msgspec

from standfast.canon.structs import plain_stores
from standfast.http1.gather import Gathering
from standfast.http1.serving import Serving
from standfast.http1.splice import Flow, Splice

STATUS_LINES = {status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}
_PROBE = b"HTTP/1.1 "
"""What every answer begins with."""
CLOSE = b"connection: close\r\n"
_KEEP = b"connection: keep-alive\r\n"
_NO_CONTENT = frozenset((204, 304))


class Owner(Protocol):
    """The connection, as its answer sees it.

    Attributes:
        keep: the connection serves on after this answer.
        write_paused: the client reads too slowly.
        backlog: bytes that wait for it since then.
    """

    keep: bool
    write_paused: bool
    backlog: int

    def answered(self) -> None:
        """The answer is written."""
        ...

    def cut(self) -> None:
        """The answer is broken: close without a proper end."""
        ...


def whole(serving: Serving, status: int, headers: bytes, body: bytes, connection: bytes) -> bytes:
    """An answer with its body; `connection` is a header line or empty."""
    line = STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    if status in _NO_CONTENT:
        return b"".join((line, headers, serving.date_line(), connection, b"\r\n"))
    length = b"content-length: %d\r\n\r\n" % len(body)
    return b"".join((line, headers, serving.date_line(), connection, length, body))


@plain_stores
class Answer(msgspec.Struct, eq=False):
    """Implements `base.Downstream` for one request. A struct, because those are made in C.

    Attributes:
        owner: the connection; None once the answer is over or the connection is gone.

    Args:
        transport: where the bytes go.
        serving: for the date.
        newer: the client speaks HTTP/1.1.
        bare: the answer to a HEAD request: headers only.
    """

    owner: Owner | None
    _transport: Gathering
    _serving: Serving
    _newer: bool
    _bare: bool = False
    _chunked: bool = False
    _head: bytes = b""
    _begun: tuple[int, bytes] | None = None
    _probed: int = 0
    _way: Splice | None = None

    @property
    def started(self) -> bool:
        """Bytes of this answer have left that no other answer can follow."""
        return bool(self._head)

    def reply(self, status: int, headers: bytes, body: bytes) -> None:
        """See `base.Downstream.reply`; also replaces a begun answer of which nothing has left yet.

        Raises:
            RuntimeError: a part of another answer has been written.
        """
        owner = self.owner
        if owner is None:
            return
        if self._head:
            raise RuntimeError("a part of another answer has been written")
        connection = b"" if owner.keep and self._newer else self._connection(owner)
        data = whole(self._serving, status, headers, body, connection)
        if self._bare:
            data = data[: data.index(b"\r\n\r\n") + 4]
        self.owner = None
        self._transport.write(data[self._probed :] if self._probed else data)
        owner.answered()

    def begin(self, status: int, headers: bytes) -> None:
        """See `base.Downstream.begin`."""
        self._begun = (status, headers)

    def write(self, data: bytes) -> None:
        """See `base.Downstream.write`.

        Raises:
            RuntimeError: `begin` was not called.
        """
        owner = self.owner
        if owner is None or not data:
            return
        if self._head:
            if self._chunked:
                data = b"%x\r\n%b\r\n" % (len(data), data)
            elif self._bare:
                return
        else:
            data = self._first(owner, data)
        self._transport.write(data)
        if owner.write_paused:
            owner.backlog += len(data)

    def splice(self, flow: Flow) -> Splice | None:
        """See `base.Downstream.splice`."""
        if self.owner is None or not self._head or not self._chunked:
            return None
        self._way = Splice(self, self._transport, flow)
        return self._way

    def end(self) -> None:
        """See `base.Downstream.end`."""
        owner = self.owner
        if owner is None:
            return
        if not self._head:
            status, headers = self._begun or (500, b"")
            self.reply(status, headers, b"")
            return
        self.detach()
        if self._chunked:
            self._transport.write(b"0\r\n\r\n")
        owner.answered()

    def abort(self) -> None:
        """See `base.Downstream.abort`."""
        owner = self.owner
        if owner is not None:
            self.detach()
            owner.cut()

    def detach(self) -> None:
        """The answer is over, or the connection is gone or taken away; from now on nothing happens here."""
        self.owner = None
        self.hold()

    def hold(self) -> None:
        """The client reads too slowly: its backlog is counted from now on."""
        if self._way is not None:
            self._way.doubt()

    def probe(self) -> None:
        """Send bytes that the client gets in any case, so that its machine objects if nobody is there any more.

        The beginning of the status line; in a chunked stream a leading zero of the next chunk's size.
        """
        if self.owner is None:
            return
        if not self._head and not self._probed:
            self._probed = len(_PROBE)
            self._transport.write(_PROBE)
        elif self._chunked:
            self._transport.write(b"0")

    def _connection(self, owner: Owner) -> bytes:
        if owner.keep:
            return b"" if self._newer else _KEEP
        return CLOSE

    def _first(self, owner: Owner, data: bytes) -> bytes:
        """The head and the first chunk, with the parts of it that are not to be sent left out."""
        if self._begun is None:
            raise RuntimeError("begin comes before write")
        status, headers = self._begun
        line = STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
        content = not self._bare and status not in _NO_CONTENT
        self._bare = not content
        self._chunked = content and self._newer
        if content and not self._newer:
            owner.keep = False
        coding = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        self._head = b"".join((line, headers, self._serving.date_line(), coding, self._connection(owner), b"\r\n"))
        if self._chunked:
            data = b"%b%x\r\n%b\r\n" % (self._head, len(data), data)
        elif content:
            data = self._head + data
        else:
            data = self._head
        return data[self._probed :] if self._probed else data
