"""What a client has been told by a stream that broke: the bytes are read back with its own format's reader.

What is more than the text of one choice can neither be compared nor continued: tool calls, several choices, reasoning,
refusals, log probabilities, a block of text that is closed, and a stream whose finish has been passed on. `Heard.fault`
says which.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from standfast.canon.chat import Finished, Opened, TextDelta, UsageReport
from standfast.formats._json import Object, count, items, loose_object, obj, text
from standfast.formats.base import Format
from standfast.framing import sse

_PLAIN: Final = frozenset(("content", "role", "refusal", "tool_calls", "function_call"))
"""Members of a delta that may stand in one of plain text; all but the first two must be empty."""


class Heard(NamedTuple):
    """What a client has been told by a stream that broke.

    Attributes:
        text: all of it.
        opened: id and model that the stream gave itself.
        created: Unix time that it gave itself; 0 if its format has none.
        fault: why it can be neither repeated nor continued; empty if it can.
    """

    text: str
    opened: Opened
    created: int = 0
    fault: str = ""

    @property
    def start(self) -> str:
        """What a request for the rest says of the answer; empty if there is nothing to go on from."""
        return "" if self.fault else self.text.rstrip()


NOTHING: Final = Heard("", Opened("", ""), fault="nothing was told")


def heard(form: Format, pieces: Sequence[bytes]) -> Heard:
    """Read back what a client of this format has been told; `pieces` are whole events."""
    nothing = Opened("", "")
    data = b"".join(pieces)
    decoder = sse.Decoder(len(data) + 1)
    reader = form.reader()
    more_than_text = _FAULTS[form.name]
    texts: list[str] = []
    opened: Opened | None = None
    created = 0
    try:
        for event in decoder.feed(data) + decoder.close():
            if not event.data:
                continue
            chunk = loose_object(event.data)
            fault = more_than_text(chunk)
            if fault:
                return Heard("", nothing, fault=fault)
            created = created or count(chunk.get("created"))
            for found in reader.feed(event.name, event.data):
                if isinstance(found, TextDelta):
                    texts.append(found.text)
                elif isinstance(found, Opened):
                    opened = opened or found
                elif not isinstance(found, UsageReport):
                    return Heard("", nothing, fault="it has finished" if isinstance(found, Finished) else "it failed")
    except ValueError as error:
        return Heard("", nothing, fault=str(error))
    told = "".join(texts)
    return Heard(told, opened or nothing, created, "" if told else "it has no text")


def _openai(chunk: Object) -> str:
    for choice in map(obj, items(chunk.get("choices"))):
        if count(choice.get("index")):
            return "it has several choices"
        if choice.get("logprobs"):
            return "it has log probabilities"
        delta: Mapping[str, object] = obj(choice.get("delta"))
        for name, value in delta.items():
            if value and (name not in _PLAIN or name not in ("content", "role")):
                return f"it has more than text: {name[:40]}"
        if not isinstance(delta.get("content"), str | None):
            return "it has more than text"
        if text(choice.get("finish_reason")):
            return "it has finished"
    return ""


def _anthropic(event: Object) -> str:
    """A writer knows one block of text, the first; that must be open."""
    kind = text(event.get("type"))
    if kind == "content_block_stop":
        return "its text has finished"
    if kind not in ("content_block_start", "content_block_delta"):
        return ""
    if event.get("index") not in (0, None):
        return "it has several blocks"
    piece = obj(event.get("content_block") or event.get("delta"))
    form = text(piece.get("type"))
    return "" if form in ("text", "text_delta") else f"it has more than text: {form[:40]}"


def _gemini(chunk: Object) -> str:
    for candidate in map(obj, items(chunk.get("candidates"))):
        if count(candidate.get("index")):
            return "it has several choices"
        if candidate.get("logprobsResult"):
            return "it has log probabilities"
        for part in map(obj, items(obj(candidate.get("content")).get("parts"))):
            more = next((name for name, value in part.items() if value and name != "text"), None)
            if more is not None:
                return f"it has more than text: {more[:40]}"
    return ""


_FAULTS: Final[Mapping[str, Callable[[Object], str]]] = MappingProxyType(
    {"openai_chat": _openai, "anthropic_messages": _anthropic, "gemini": _gemini}
)
