"""From one wire format to another: complete replies and streams."""

from standfast.canon.chat import Completed, Finished, InBandError, Opened, StreamEvent, TextDelta, UsageReport
from standfast.canon.usage import Usage
from standfast.formats.base import Format, ReplyFacts, StreamReader, StreamRelay, StreamWriter
from standfast.framing import sse


class TranslatingRelay:
    """A `base.StreamRelay` between two formats: decoder, the upstream format's reader, the client format's writer.

    It holds back what a same-format relay holds back: everything before the first text, and the finish until the
    reader says `Completed`. Text after the finish is late and dropped, and of two finish reasons the first counts.
    Usage reports go to the writer at once; it knows where its format puts them.
    """

    __slots__ = (
        "_decoder",
        "_finish",
        "_opened",
        "_out",
        "_reader",
        "_writer",
        "complete",
        "content",
        "error",
        "finishing",
        "malformed",
        "usage",
    )

    def __init__(self, reader: StreamReader, writer: StreamWriter, max_event_bytes: int) -> None:
        self.content = False
        self.finishing = False
        self.complete = False
        self.error: bytes | None = None
        self.malformed = ""
        self.usage: Usage | None = None
        self._decoder = sse.Decoder(max_event_bytes)
        self._reader = reader
        self._writer = writer
        self._opened: Opened | None = None
        self._finish: Finished | None = None
        self._out: list[bytes] = []

    @property
    def _over(self) -> bool:
        return self.complete or self.error is not None or bool(self.malformed)

    def shape(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Nothing passes as it is."""
        del data
        return None

    def feed(self, data: bytes) -> bytes:
        """Take upstream body bytes; return what may go to the client now."""
        if self._over:
            return b""
        excess = ""
        try:
            events = self._decoder.feed(data)
        except sse.EventTooLarge as error:
            events, excess = error.before, str(error)
        self._events(events)
        if excess and not self._over:
            self.malformed = excess
        return self._flush()

    def close(self) -> bytes:
        """The body ended well-formed: `complete` if the upstream format's rule says whole."""
        if self._over:
            return b""
        self._events(self._decoder.close())
        if not self._over:
            self._take_all(self._reader.close())
        return self._flush()

    def _events(self, events: list[sse.Event]) -> None:
        for event in events:
            found = self._read(event)
            if found is None:
                return
            if event.bare and not any(isinstance(item, InBandError) for item in found):
                self.malformed = "JSON in place of server-sent events"
                return
            self._take_all(found)
            if self._over:
                return

    def _read(self, event: sse.Event) -> list[StreamEvent] | None:
        """What an event means; None if it ends the stream."""
        try:
            return self._reader.feed(event.name, event.data)
        except ValueError as error:
            self.malformed = f"an event cannot be used: {error}"
            return None

    def _take_all(self, found: list[StreamEvent]) -> None:
        for event in found:
            self._take(event)
            if self._over:
                return

    def _take(self, event: StreamEvent) -> None:
        match event:
            case TextDelta():
                if not self.finishing:
                    self._begin()
                    self._out.append(self._writer.write(event))
            case Opened():
                self._opened = self._opened or event
            case UsageReport(usage=usage):
                self.usage = usage
                self._out.append(self._writer.write(event))
            case Finished():
                self._finish = self._finish or event
                self.finishing = True
            case Completed():
                self._complete(event)
            case InBandError(payload=payload):
                self.error = payload

    def _begin(self) -> None:
        if not self.content:
            self.content = True
            self._out.append(self._writer.write(self._opened or Opened("", "")))

    def _complete(self, event: Completed) -> None:
        if self._finish is None:
            self.malformed = "ended without a finish reason"
            return
        self._begin()
        self._out.append(self._writer.write(self._finish))
        self._out.append(self._writer.write(event))
        self.complete = True

    def _flush(self) -> bytes:
        data = b"".join(self._out)
        self._out.clear()
        return data


def translate_reply(upstream: Format, client: Format, body: bytes, *, created: int) -> tuple[bytes, ReplyFacts]:
    """A complete reply of the upstream's format in the client's; `created` is Unix time in seconds.

    The bytes are empty when the facts say that the reply is none (`error`, `malformed` or `empty`).
    """
    facts = upstream.inspect_reply(body)
    if facts.error is not None or facts.malformed or facts.empty:
        return b"", facts
    try:
        reply = upstream.parse_reply(body)
    except ValueError as error:
        return b"", ReplyFacts(usage=facts.usage, finish=facts.finish, malformed=str(error))
    return client.write_reply(reply, created=created), facts


def relay_for(
    client: Format,
    upstream: Format,
    *,
    include_usage: bool,
    max_event_bytes: int,
    created: int,
) -> StreamRelay:
    """The relay for one attempt: byte for byte if both sides speak the same format, else a translating one."""
    if client.name == upstream.name:
        return client.relay(include_usage=include_usage, max_event_bytes=max_event_bytes)
    writer = client.writer(include_usage=include_usage, created=created)
    return TranslatingRelay(upstream.reader(), writer, max_event_bytes)
