"""The canonical form of a chat: what passes between two different wire formats.

Only `formats/` makes and reads these. What the canonical form cannot hold yet is refused by the format that reads the
client's request (`errors.Untranslatable`), never dropped in silence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from standfast.canon.usage import Usage


class Role(StrEnum):
    """Who speaks."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class Finish(StrEnum):
    """Why an answer ended. The values are OpenAI's."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture given inline.

    Attributes:
        media_type: for instance `image/png`.
        data: base64, without the `data:` prefix.
    """

    media_type: str
    data: str


Part: TypeAlias = Text | Image


@dataclass(frozen=True, slots=True)
class Message:
    """One turn."""

    role: Role
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat request without its model: the target names that.

    `extra` holds fields that only one format knows and that the target's `params` may override; keys are the names of
    the format that writes the request.
    """

    messages: tuple[Message, ...]
    stream: bool = False
    include_usage: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    user: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChatReply:
    """A complete answer."""

    id: str
    model: str
    text: str
    finish: Finish
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream has begun; no content yet."""

    id: str
    model: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of text; never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The provider's reason to end. The stream is complete only when its format's terminator was seen too."""

    reason: Finish


@dataclass(frozen=True, slots=True)
class UsageReport:
    """Token counts so far; a later report replaces an earlier one."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class Completed:
    """The provider's own terminator: the answer is whole."""


@dataclass(frozen=True, slots=True)
class InBandError:
    """The provider reported an error inside the stream.

    `payload` is the JSON text of the event, for the provider's own classification.
    """

    payload: bytes


StreamEvent: TypeAlias = Opened | TextDelta | Finished | UsageReport | Completed | InBandError
