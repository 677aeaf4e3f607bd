"""The contract of a wire format.

A format module offers `FORMAT`, an instance of a class that satisfies `Format`. Formats are pure: bytes in, bytes out.

There are two ways through the gateway:

* **Same format on both sides**: `splice` for the request, `inspect_reply` or `relay` for the answer. The body is not
  understood, only the facts we need are picked out; fields that we have never heard of survive byte for byte.
* **Different formats**: the client's format reads (`parse_request`), the provider's writes (`write_request`); the
  answer goes the other way (`parse_reply` and `write_reply`, or `reader` and `writer` for streams). What the canonical
  form cannot hold is refused with `errors.Untranslatable`.
"""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from standfast.canon.chat import ChatReply, ChatRequest, StreamEvent
from standfast.canon.prefill import Prefill
from standfast.canon.usage import Usage
from standfast.errors import StandfastError

# `gc=False` on values: none can lead back to itself, so the garbage collector need not look.


class Envelope(msgspec.Struct, gc=False):
    """The outside of a client's request: what is needed to route it, read without understanding the rest.

    Attributes:
        body: the bytes that came.
        model: what the client named.
        stream: server-sent events are wanted.
        include_usage: the client asked for usage in the stream.
        max_tokens: the most that the answer may have; 0 if the request does not say.
        reasoning: the request asks for reasoning.
        controls: the gateway-only `standfast` object of the body; removed before forwarding.
        user: the caller's own user label; empty if none.
    """

    body: bytes
    model: str
    stream: bool = False
    include_usage: bool = False
    max_tokens: int = 0
    reasoning: bool = False
    controls: Mapping[str, object] = msgspec.field(default_factory=dict)
    user: str = ""


class ReplyFacts(msgspec.Struct, frozen=True, gc=False):
    """What a complete reply says about itself.

    Attributes:
        usage: tokens, None if it does not say.
        finish: the provider's finish reason, verbatim; empty if it does not say.
        empty: no choice, or nothing in it at all (not even a tool call or a refusal) and no finish reason.
        error: the JSON text of an error object delivered with status 200; None if there is none.
        malformed: why the body is no reply of this format (HTML, truncated JSON ...); empty if it is one.
    """

    usage: Usage | None = None
    finish: str = ""
    empty: bool = False
    error: bytes | None = None
    malformed: str = ""


class StreamRelay(Protocol):
    """Client bytes out of upstream bytes, and what was seen on the way. One per attempt.

    The relay keeps back whatever may turn out not to be for the client: an incomplete event, everything before the
    first content, and the finish from its first sign until the provider's own terminator. After `complete`, `error` or
    `malformed` is set it gives nothing more and ignores further input.

    Attributes:
        content: a content-bearing event was seen (text, tool call, refusal, reasoning); `feed` may return bytes.
        finishing: a finish reason was seen for every choice; the terminator is outstanding.
        complete: whole by the provider's own rule.
        error: the JSON text of an in-band error event.
        malformed: why the stream is not one (an event that does not parse, a line or event over its limit ...).
        usage: the last token counts seen.
    """

    content: bool
    finishing: bool
    complete: bool
    error: bytes | None
    malformed: str
    usage: Usage | None

    def shape(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Would `feed` return these very bytes and change nothing, so that it need not be called?

        Returns:
            None if not, or if nobody knows. Otherwise what the bytes begin and end with, such that the same is true
            with any characters between that stand for themselves in a JSON string; both empty if there is no such
            string.
        """
        ...

    def feed(self, data: bytes) -> bytes:
        """Take upstream body bytes; return what may go to the client now (often empty before the first content)."""
        ...

    def close(self) -> bytes:
        """The upstream body ended well-formed (or the grace after the finish is over): return the rest.

        Sets `complete` if the stream is whole by the provider's rule, a missing `[DONE]` forgiven; otherwise leaves it
        unset, and the stream is broken.
        """
        ...


class StreamReader(Protocol):
    """Upstream events into canonical events. One per attempt."""

    def feed(self, event: str, data: bytes) -> list[StreamEvent]:
        """Take one server-sent event (its name, empty if none, and its joined data).

        Raises:
            ValueError: the data is no event of this format.
        """
        ...

    def close(self) -> list[StreamEvent]:
        """The upstream body ended well-formed: `Completed` if the format's rule says whole, else nothing."""
        ...


class StreamWriter(Protocol):
    """Canonical events into a client's bytes. One per attempt."""

    def write(self, event: StreamEvent) -> bytes:
        """The event, framed for the client; empty if this format has nothing to say for it."""
        ...


class Format(Protocol):
    """One wire format. Every method is pure; all raise only errors of `standfast.errors` unless they say otherwise."""

    name: str

    def read(self, body: bytes) -> Envelope:
        """Read the outside of a client's request.

        Raises:
            InvalidRequest: no JSON object, no model, or a wrongly typed routing field; with `param`.
        """
        ...

    def splice(self, envelope: Envelope, model: str, params: Mapping[str, object]) -> bytes:
        """The request for an upstream of the same format: model named anew, `params` set, `standfast` removed.

        Returns the very bytes that came when nothing of that is needed.
        """
        ...

    def inspect_reply(self, body: bytes) -> ReplyFacts:
        """The facts of a complete reply of this format. Never raises: what is no reply comes back as `malformed`."""
        ...

    def relay(self, *, include_usage: bool, max_event_bytes: int) -> StreamRelay:
        """A relay for a stream whose client speaks the same format."""
        ...

    def parse_request(self, body: bytes) -> ChatRequest:
        """A client's request in canonical form.

        Raises:
            InvalidRequest: it breaks the format's rules.
            Untranslatable: it uses something that the canonical form cannot hold yet; names it.
        """
        ...

    def write_request(self, request: ChatRequest, model: str, params: Mapping[str, object]) -> bytes:
        """The request for an upstream of this format; `params` (the target's, in this format's names) win.

        Raises:
            Untranslatable: this format cannot express something in it; names it.
        """
        ...

    def go_on(self, request: bytes, said: str, prefill: Prefill) -> bytes:
        """A request of this format that asks for the rest of the answer that begins with `said`.

        What is left of a limit of tokens is estimated at four characters each.

        Args:
            request: the request as it would be sent to its upstream.
            said: the answer so far, without blanks at its end: several servers refuse or remove those.
            prefill: what that upstream wants to be told beside it.

        Raises:
            Untranslatable: it asks for anything but plain text, or has begun the answer itself.
        """
        ...

    def parse_reply(self, body: bytes) -> ChatReply:
        """A provider's complete reply in canonical form.

        Raises:
            ValueError: it is none; says why.
        """
        ...

    def write_reply(self, reply: ChatReply, *, created: int) -> bytes:
        """A complete reply for a client of this format; `created` is Unix time in seconds."""
        ...

    def reader(self) -> StreamReader:
        """A reader for a stream of this format."""
        ...

    def writer(self, *, include_usage: bool, created: int) -> StreamWriter:
        """A writer for a client of this format."""
        ...

    def write_error(self, error: StandfastError) -> bytes:
        """The JSON body of an error answer in this format."""
        ...

    def write_stream_error(self, error: StandfastError) -> bytes:
        """An error inside a stream that has begun, framed; after it the stream just ends."""
        ...
