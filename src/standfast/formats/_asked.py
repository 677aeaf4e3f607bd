"""What a request asks for, read from a client's bytes: for choosing a model, not for translation.

Read only where a strategy wants to know it. Nothing here refuses a request: what cannot be read is not known.
"""

from typing import Final, NamedTuple

import msgspec

from standfast.canon.chat import Image, Role, Text
from standfast.errors import StandfastError
from standfast.formats._json import ABSENT, JSON_ERRORS, items, loose, obj, present, text
from standfast.formats.base import Format

_FULL: Final = "openai_chat"
_NO_CHAT: Final = "openai_embeddings"
_SCHEMA: Final = "json_schema"


class Asked(NamedTuple):
    """The nature of a request.

    Attributes:
        text: what the person said last.
        needs: words of `canon.facts.ABILITIES` without which it makes no sense.
    """

    text: str = ""
    needs: frozenset[str] = frozenset()


class _Message(msgspec.Struct, gc=False):
    role: msgspec.Raw = ABSENT
    content: msgspec.Raw = ABSENT


class _Inside(msgspec.Struct, gc=False):
    messages: list[_Message] = []
    tools: msgspec.Raw = ABSENT
    functions: msgspec.Raw = ABSENT
    response_format: msgspec.Raw = ABSENT


_inside = msgspec.json.Decoder(_Inside).decode


def asked(form: Format, body: bytes) -> Asked:
    """The nature of a request in this format."""
    if form.name == _NO_CHAT:
        return Asked()
    try:
        return _full(body) if form.name == _FULL else _canonical(form, body)
    except (StandfastError, *JSON_ERRORS):
        return Asked()


def _full(body: bytes) -> Asked:
    inside = _inside(body)
    needs = set()
    if present(inside.tools) or present(inside.functions):
        needs.add("tools")
    if present(inside.response_format) and obj(loose(bytes(inside.response_format))).get("type") == _SCHEMA:
        needs.add("json_schema")
    users = [message for message in inside.messages if bytes(message.role) == b'"user"']
    if b'"image_url"' in body and any(b'"image_url"' in bytes(message.content) for message in users):
        needs.add("images")
    return Asked(_words(users[-1].content) if users else "", frozenset(needs))


def _words(content: msgspec.Raw) -> str:
    """The text of a message: a string, or the text parts of a list."""
    value = loose(bytes(content))
    if isinstance(value, str):
        return value
    return "\n".join(text(obj(part).get("text")) for part in items(value))


def _canonical(form: Format, body: bytes) -> Asked:
    """Other formats by way of the canonical form, which holds text and images."""
    request = form.parse_request(body)
    users = [message for message in request.messages if message.role is Role.USER]
    images = any(isinstance(part, Image) for message in users for part in message.parts)
    said = "\n".join(part.text for part in users[-1].parts if isinstance(part, Text)) if users else ""
    return Asked(said, frozenset({"images"} if images else ()))
