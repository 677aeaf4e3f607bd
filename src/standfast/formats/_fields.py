"""Checked reading of a client's request for translation: every field is understood, harmless, or refused by name."""

from collections.abc import Iterable, Mapping
from typing import Final

from standfast.canon.chat import Image, Message, Part, Text
from standfast.errors import InvalidRequest, Untranslatable
from standfast.formats._json import JSON_ERRORS, Object, check_utf8, kind, refused
from standfast.formats._json import any_value as decode

MAX_TOKENS: Final = 1 << 31


def body_object(body: bytes) -> Object:
    """The whole request, decoded.

    Raises:
        InvalidRequest: it is no JSON object.
    """
    check_utf8(body)
    try:
        value = decode(body)
    except JSON_ERRORS as error:
        raise refused(error, {}) from None
    if not isinstance(value, dict):
        raise InvalidRequest(f"The request body must be a JSON object, not {kind(value)}.")
    return value


def wrong(param: str, right: str) -> InvalidRequest:
    """The error for a field of a wrong type or value."""
    return InvalidRequest(f"'{param}' must be {right}.", param=param)


def unsupported(param: str, what: str = "") -> Untranslatable:
    """The error for a field that cannot be translated."""
    subject = what or f"'{param}'"
    return Untranslatable(
        f"{subject} is not supported yet when the request is translated for a target of another wire format. "
        "Leave it out, or choose a model whose target speaks this request's own format.",
        param=param,
    )


def refuse_rest(
    body: Mapping[str, object],
    known: Iterable[str],
    harmless: Mapping[str, tuple[object, ...]],
    *,
    path: str = "",
) -> None:
    """Nothing is dropped in silence: a field that is neither known nor at a value without effect is refused.

    Raises:
        Untranslatable: such a field is there.
    """
    known = frozenset(known)
    for name, value in body.items():
        if name in known or value is None:
            continue
        if not any(value == allowed and type(value) is type(allowed) for allowed in harmless.get(name, ())):
            raise unsupported(path + name)


def number(body: Mapping[str, object], name: str, low: float, high: float, *, path: str = "") -> float | None:
    """An optional number within a range."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise wrong(path + name, f"a number from {low:g} to {high:g}")
    return float(value)


def tokens(body: Mapping[str, object], name: str, *, path: str = "") -> int | None:
    """An optional positive count of tokens."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < MAX_TOKENS:
        raise wrong(path + name, "a positive integer")
    return value


def flag(body: Mapping[str, object], name: str, *, path: str = "") -> bool:
    """An optional boolean; False if absent."""
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise wrong(path + name, "true or false")


def string(value: object, param: str) -> str:
    """A string."""
    if isinstance(value, str):
        return value
    raise wrong(param, f"a string, not {kind(value)}")


def optional_string(body: Mapping[str, object], name: str, *, path: str = "") -> str | None:
    """An optional string; None if absent or empty."""
    value = body.get(name)
    return None if value is None else string(value, path + name) or None


def strings(body: Mapping[str, object], name: str, *, path: str = "") -> tuple[str, ...]:
    """An optional list of strings."""
    value = body.get(name)
    if value is None:
        return ()
    if isinstance(value, list):
        return tuple(string(item, f"{path}{name}[{index}]") for index, item in enumerate(value))
    raise wrong(path + name, "a list of strings")


def an_object(value: object, param: str) -> Object:
    """An object."""
    if isinstance(value, dict):
        return value
    raise wrong(param, f"an object, not {kind(value)}")


def a_list(value: object, param: str) -> list[object]:
    """A list with something in it."""
    if isinstance(value, list) and value:
        return value
    raise wrong(param, "a non-empty list")


def merged(messages: Iterable[Message]) -> list[Message]:
    """Turns without parts left out, consecutive turns of one role put together."""
    turns: list[Message] = []
    for message in messages:
        if not message.parts:
            continue
        if turns and turns[-1].role is message.role:
            turns[-1] = Message(message.role, turns[-1].parts + message.parts)
        else:
            turns.append(message)
    return turns


def joined_text(parts: Iterable[Part], where: str) -> str:
    """The text of parts that may hold no image.

    Raises:
        Untranslatable: one is an image.
    """
    pieces = []
    for part in parts:
        match part:
            case Text(text=text):
                pieces.append(text)
            case Image():
                raise unsupported("messages", f"An image in {where}")
    return "\n\n".join(pieces)


def with_params(body: Object, params: Mapping[str, object]) -> Object:
    """The target's `params` set over a written body; None removes a field."""
    for name, value in params.items():
        if value is None:
            body.pop(name, None)
        else:
            body[name] = value
    return body


TOKEN_CHARACTERS: Final = 4
"""Characters that a token has, about; as the gateway's other estimates have it."""


def left_of(body: Object, said: str, names: Iterable[str]) -> None:
    """Limits of tokens, lowered by what was said; at least one is left."""
    for name in names:
        limit = body.get(name)
        if isinstance(limit, int) and not isinstance(limit, bool):
            body[name] = max(1, limit - len(said) // TOKEN_CHARACTERS)


def begun(param: str) -> Untranslatable:
    """The error for a request whose last message is an answer that the client has begun itself."""
    return unsupported(param, "An answer that the client has begun itself")
