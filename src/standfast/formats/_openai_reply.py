"""The facts of a complete OpenAI reply, picked out without reading the rest."""

from typing import Literal

import msgspec

from standfast.formats._json import ABSENT, JSON_ERRORS, count, items, loose, obj, present, text
from standfast.formats._openai_wire import (
    FAILED,
    QuickUsage,
    WireUsage,
    interrupted,
    loose_usage,
    quick_usage_of,
    usage_of,
)
from standfast.formats.base import ReplyFacts

_SOMETHING = msgspec.Raw(b'"something"')
_BEGINNING = 40


class Content(msgspec.Struct, gc=False):
    """What a message or a delta may hold; any of it is content."""

    content: msgspec.Raw = ABSENT
    tool_calls: msgspec.Raw = ABSENT
    function_call: msgspec.Raw = ABSENT
    refusal: msgspec.Raw = ABSENT
    reasoning: msgspec.Raw = ABSENT
    reasoning_content: msgspec.Raw = ABSENT
    audio: msgspec.Raw = ABSENT


class Choice(msgspec.Struct, gc=False):
    """One choice of a reply (`message`), of a chunk (`delta`) or of a legacy completion (`text`)."""

    index: int = 0
    finish_reason: str | None = None
    message: Content | None = None
    delta: Content | None = None
    text: msgspec.Raw = ABSENT

    @property
    def has_content(self) -> bool:
        """There is something in it for the client."""
        held = self.delta or self.message
        return (held is not None and holds(held)) or present(self.text)


class Body(msgspec.Struct, gc=False):
    """A reply or a chunk."""

    choices: list[Choice] | None = None
    usage: WireUsage | None = None
    error: msgspec.Raw = ABSENT
    object: str | None = None


_body = msgspec.json.Decoder(Body).decode


class _QuickChoice(msgspec.Struct, gc=False):
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter"]


class _Quick(msgspec.Struct, gc=False):
    """A usual reply: one choice that ended as it should, and its token counts. Any other does not decode."""

    choices: tuple[_QuickChoice]
    usage: QuickUsage
    error: None = None


_quick = msgspec.json.Decoder(_Quick).decode


def holds(held: Content) -> bool:
    """One member at least is present."""
    return (
        present(held.content)
        or present(held.tool_calls)
        or present(held.reasoning_content)
        or present(held.reasoning)
        or present(held.refusal)
        or present(held.function_call)
        or present(held.audio)
    )


def read_body(data: bytes) -> Body:
    """A reply or chunk; members of a wrong type count as absent.

    Raises:
        ValueError: it is no JSON object (nor an error wrapped in a list, as Gemini's compatible endpoint sends it).
    """
    try:
        return _body(data)
    except JSON_ERRORS:
        pass
    try:
        value = loose(data)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    except ValueError:
        beginning = bytes(data.lstrip()[:_BEGINNING])
        raise ValueError("HTML, no JSON" if beginning.startswith(b"<") else "no JSON, or cut short") from None
    if isinstance(value, list) and value and obj(value[0]).get("error"):
        return Body(error=_SOMETHING)
    if not isinstance(value, dict):
        raise ValueError("JSON, but no object")  # noqa: TRY004 - callers catch one class for all unusable data
    choices = value.get("choices")
    return Body(
        choices=None if choices is None else [_loose_choice(obj(choice)) for choice in items(choices)],
        usage=loose_usage(value.get("usage")),
        error=_mark(value.get("error")),
        object=text(value.get("object")),
    )


def _loose_choice(choice: dict[str, object]) -> Choice:
    return Choice(
        index=count(choice.get("index")),
        finish_reason=text(choice.get("finish_reason")) or None,
        message=_loose_content(choice.get("message")),
        delta=_loose_content(choice.get("delta")),
        text=_mark(choice.get("text")),
    )


def _loose_content(value: object) -> Content | None:
    if not isinstance(value, dict):
        return None
    return Content(**{name: _mark(value.get(name)) for name in Content.__struct_fields__})


def _mark(value: object) -> msgspec.Raw:
    return _SOMETHING if value else ABSENT


def failed(body: Body) -> bool:
    """It is an error: a truthy `error` member, or Mistral's flat `{"object": "error", ...}`."""
    return present(body.error) or (body.object == "error" and not body.choices)


def inspect(body: bytes) -> ReplyFacts:
    """The facts of a complete chat reply; `error` is the whole body that holds it."""
    try:
        quick = _quick(body)
    except JSON_ERRORS:
        return _inspect_slowly(body)
    return ReplyFacts(quick_usage_of(quick.usage), quick.choices[0].finish_reason)


def _inspect_slowly(data: bytes) -> ReplyFacts:
    if not data or data.isspace():
        return ReplyFacts(empty=True, malformed="empty body")
    try:
        body = read_body(data)
    except ValueError as error:
        return ReplyFacts(malformed=str(error))
    usage = None if body.usage is None else usage_of(body.usage)
    if failed(body):
        return ReplyFacts(usage=usage, error=data)
    if body.choices is None:
        return ReplyFacts(usage=usage, malformed="no `choices`")
    finish = ""
    content = False
    for choice in body.choices:
        reason = choice.finish_reason or ""
        if reason in FAILED:
            return ReplyFacts(usage=usage, finish=reason, error=interrupted(reason))
        finish = finish or reason
        content = content or bool(reason) or choice.has_content
    return ReplyFacts(usage, finish, empty=not content)
