"""Server-sent events without IO: bytes in, events out.

The rules are those of the WHATWG HTML standard, section 9.2.6, with three additions that real streams ask for:

* A line or an event over the limit raises `EventTooLarge`; the standard knows no limit, a gateway needs one.
* Every event keeps its own bytes (`raw`), so that it can be passed on as it came. Comments and blank lines between
  events belong to no event.
* A block that begins with `{` or `[` is no server-sent event but bare JSON, which some servers send in place of an
  event when they fail. The standard would drop it line by line; it is given as an event marked `bare`.

A final CR is held until the next byte (or `close`), because it may be the first half of a CRLF. Work is linear in the
bytes whatever the slices: a partial line grows in one bytearray and is joined once, when its end has come.
"""

import msgspec

_BOM = b"\xef\xbb\xbf"
_BARE = (b"{", b"[")
_BLANK = b"\n\n"
_DATA = b"data: "


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event.

    Attributes:
        name: the value of its `event` field; empty if there is none.
        data: its `data` lines, joined with LF.
        raw: its bytes as they came, from its first field to its blank line.
        bare: it was JSON without any framing.
    """

    name: str
    data: bytes
    raw: bytes
    bare: bool = False


class EventTooLarge(ValueError):
    """A line or an event exceeds the limit.

    Attributes:
        before: the events that were complete before it in the same call.
    """

    def __init__(self, limit: int, before: list[Event]) -> None:
        super().__init__(f"an event exceeds {limit} bytes")
        self.before = before


class Decoder:
    """Splits a byte stream into events. `limit` is the most bytes that one event, framing included, may have.

    Memory is bounded by `limit` plus the slice that is being fed.
    """

    __slots__ = ("_bare", "_data", "_first", "_lines", "_name", "_partial", "_size", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._partial = bytearray()
        self._first = True
        self._name = ""
        self._data: list[bytes] | None = None
        self._lines: list[bytes] = []
        self._size = 0
        self._bare = False

    @property
    def pending(self) -> bool:
        """Bytes of an event that is not finished are held."""
        return bool(self._partial or self._lines)

    def feed(self, data: bytes) -> list[Event]:
        """Take the next slice; return the events that it completes.

        Raises:
            EventTooLarge: an event or line is over the limit; the decoder is of no further use.
        """
        partial = self._partial
        if not partial and not self._lines and data.endswith(_BLANK) and b"\r" not in data:
            whole = self._whole(data)
            if whole is not None:
                return whole
        if b"\n" not in data and b"\r" not in data and not partial.endswith(b"\r"):
            partial += data
            if self._size + len(partial) > self.limit:
                self._overflow([])
            return []
        if partial:
            data = bytes(partial) + data
            partial.clear()
        lines = data.splitlines(keepends=True)
        events: list[Event] = []
        if not lines[-1].endswith(b"\n"):
            partial += lines.pop()
        for line in lines:
            self._line(line, events)
        if self._size + len(partial) > self.limit:
            self._overflow(events)
        return events

    def _whole(self, data: bytes) -> list[Event] | None:
        """The events of a slice that is nothing but whole ones of one `data` line each, LF as line end; else None."""
        events = []
        most = self.limit - len(_BLANK)
        for block in data[: -len(_BLANK)].split(_BLANK):
            if not block.startswith(_DATA) or b"\n" in block or len(block) > most:
                return None
            events.append(Event("", block[len(_DATA) :], block + _BLANK))
        self._first = False
        return events

    def close(self) -> list[Event]:
        """The stream has ended. An unterminated event is not given (the standard's rule), bare JSON is."""
        events: list[Event] = []
        rest = bytes(self._partial)
        self._partial.clear()
        if rest.endswith(b"\r") or (rest and (self._bare or (not self._lines and rest.startswith(_BARE)))):
            self._line(rest, events)
        if self._bare:
            events.append(self._take())
        elif rest and not rest.endswith(b"\r"):
            self._partial += rest
        return events

    def _line(self, line: bytes, events: list[Event]) -> None:
        """Take one whole line with its end."""
        if self._first:
            self._first = False
            line = line.removeprefix(_BOM)
        self._size += len(line)
        if self._size > self.limit:
            self._overflow(events)
        text = line.rstrip(b"\r\n")
        if not text:
            if self._data is None:
                self._reset()
            else:
                self._lines.append(line)
                events.append(self._take())
            return
        if text.startswith(b":"):
            if self._lines:
                self._lines.append(line)
            else:
                self._size = 0
            return
        if not self._lines and text.startswith(_BARE):
            self._bare = True
            self._data = []
        self._lines.append(line)
        if self._bare and self._data is not None:
            self._data.append(text)
        else:
            self._field(text)

    def _field(self, text: bytes) -> None:
        """`data` and `event` count; `id`, `retry` and unknown fields have no meaning for us."""
        name, _, value = text.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            if self._data is None:
                self._data = [value]
            else:
                self._data.append(value)
        elif name == b"event":
            self._name = value.decode("utf-8", "replace")

    def _take(self) -> Event:
        event = Event(self._name, b"\n".join(self._data or ()), b"".join(self._lines), self._bare)
        self._reset()
        return event

    def _reset(self) -> None:
        self._name = ""
        self._data = None
        self._lines = []
        self._size = 0
        self._bare = False

    def _overflow(self, before: list[Event]) -> None:
        self._partial.clear()
        self._reset()
        raise EventTooLarge(self.limit, before)


def encode(data: bytes, event: str = "") -> bytes:
    """Frame one event with LF line ends; `data` of several lines becomes several `data` fields."""
    head = b"event: " + event.encode() + b"\n" if event else b""
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(data.splitlines())
    return head + b"data: " + data + b"\n\n"
