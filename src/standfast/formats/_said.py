"""What an answer says, read from the bytes that a client is to get: for rules about answers, not for translation.

Any format's chat answers are read through its `parse_reply` or `reader`, which know one choice and no tools yet. The
front door's own format is read here in full, because what passes through byte for byte may hold both.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from standfast.canon.chat import Finish, Finished, TextDelta
from standfast.formats._json import Object, count, items, loose_object, obj, text
from standfast.formats._openai_stream import answer_text
from standfast.formats.base import Format
from standfast.framing import sse

_FULL: Final = "openai_chat"
_WORDS: Final = {word.value: word.value for word in Finish} | {
    "model_length": Finish.LENGTH.value,
    "function_call": Finish.TOOL_CALLS.value,
}
_TOOLS: Final = ("tool_calls", "function_call")


class Said(NamedTuple):
    """One choice of an answer.

    Attributes:
        text: all of it.
        finish: its finish reason in OpenAI's words (an unknown one counts as `stop`); empty if it has none.
        calls_tools: it asks for tools to be called.
    """

    text: str
    finish: str
    calls_tools: bool = False


def said(form: Format, body: bytes) -> list[Said]:
    """The choices of a whole reply in this format.

    Raises:
        ValueError: it is no reply.
    """
    if form.name != _FULL:
        reply = form.parse_reply(body)
        return [Said(reply.text, reply.finish.value)]
    return [_choice([choice], "message") for choice in map(obj, items(loose_object(body).get("choices")))]


def said_in_stream(form: Format, events: bytes) -> list[Said]:
    """The choices of a whole stream in this format.

    Raises:
        ValueError: it is no stream.
    """
    decoder = sse.Decoder(len(events) + 1)
    decoded = decoder.feed(events) + decoder.close()
    if form.name != _FULL:
        return [_canonical(form, decoded)]
    choices: dict[int, list[Object]] = {}
    for event in decoded:
        if event.data and not event.data.startswith(b"[DONE]"):
            for choice in map(obj, items(loose_object(event.data).get("choices"))):
                choices.setdefault(count(choice.get("index")), []).append(choice)
    return [_choice(pieces, "delta") for _, pieces in sorted(choices.items())]


def _choice(pieces: Iterable[Object], member: str) -> Said:
    """The pieces of one choice: one of a whole reply, many of a stream."""
    texts: list[str] = []
    finish = ""
    calls_tools = False
    for piece in pieces:
        held = obj(piece.get(member))
        calls_tools = calls_tools or any(held.get(name) for name in _TOOLS)
        texts.append(answer_text({name: value for name, value in held.items() if name not in _TOOLS}))
        reason = text(piece.get("finish_reason"))
        if reason and not finish:
            finish = _WORDS.get(reason, Finish.STOP.value)
    return Said("".join(texts), finish, calls_tools)


def _canonical(form: Format, decoded: Iterable[sse.Event]) -> Said:
    reader = form.reader()
    texts: list[str] = []
    finish = ""
    for event in decoded:
        for found in reader.feed(event.name, event.data):
            if isinstance(found, TextDelta):
                texts.append(found.text)
            elif isinstance(found, Finished):
                finish = finish or found.reason.value
    return Said("".join(texts), finish)
