"""Anthropic's messages request to and from its canonical form."""

from collections.abc import Mapping
from typing import Final

import msgspec

from standfast.canon.chat import ChatRequest, Image, Message, Part, Role, Text
from standfast.canon.prefill import Prefill
from standfast.errors import InvalidRequest, Untranslatable
from standfast.formats import _fields as fields
from standfast.formats._json import Object, encode, kind, obj, replace
from standfast.formats._json import fields as members

DEFAULT_MAX_TOKENS: Final = 4096
"""Anthropic requires a limit; this is the common default of its own examples."""

_ROLES: Final = {"user": Role.USER, "assistant": Role.ASSISTANT}
_KNOWN: Final = frozenset(
    {
        *("model", "messages", "max_tokens", "system", "temperature", "top_p", "stop_sequences", "metadata", "stream"),
        "standfast",  # for the gateway alone
        "cache_control",  # a hint about Anthropic's prompt cache; it never changes an answer
    }
)
_HARMLESS: Final[Mapping[str, tuple[object, ...]]] = {
    "tools": ([],),
    "tool_choice": ({"type": "none"}, {"type": "auto"}),  # without tools; with tools the request is refused anyway
    "thinking": ({"type": "disabled"},),
    "service_tier": ("auto", "standard_only"),  # the tier of Anthropic's capacity
}
_PLAIN: Final = _KNOWN | {"top_k", "service_tier", "inference_geo"}
"""What a request for plain text may say; anything else may ask for an answer that cannot be put together."""

_TEMPERATURE_TOP: Final = 1


def parse(body: bytes) -> ChatRequest:
    """See `Format.parse_request`. The stream of this format always reports usage."""
    request = fields.body_object(body)
    fields.refuse_rest(request, _KNOWN, _HARMLESS)
    limit = fields.tokens(request, "max_tokens")
    if limit is None:
        raise fields.wrong("max_tokens", "a positive integer; this format requires it")
    messages = fields.a_list(request.get("messages"), "messages")
    turns = [_message(item, f"messages[{index}]") for index, item in enumerate(messages)]
    system = _content(request["system"], "system") if request.get("system") is not None else ()
    if system:
        turns.insert(0, Message(Role.SYSTEM, system))
    metadata = fields.an_object(request.get("metadata") or {}, "metadata")
    fields.refuse_rest(metadata, {"user_id"}, {}, path="metadata.")
    return ChatRequest(
        messages=tuple(turns),
        stream=fields.flag(request, "stream"),
        include_usage=True,
        max_tokens=limit,
        temperature=fields.number(request, "temperature", 0, 1),
        top_p=fields.number(request, "top_p", 0, 1),
        stop=fields.strings(request, "stop_sequences"),
        user=fields.optional_string(metadata, "user_id", path="metadata."),
    )


def _message(item: object, path: str) -> Message:
    message = fields.an_object(item, path)
    role = fields.string(message.get("role"), f"{path}.role")
    if role not in _ROLES:
        raise fields.wrong(f"{path}.role", "'user' or 'assistant'; the system prompt is the top-level field 'system'")
    extra = next((name for name in message if name not in ("role", "content")), None)
    if extra is not None:
        raise fields.unsupported(f"{path}.{extra}")
    return Message(_ROLES[role], _content(message.get("content"), f"{path}.content"))


def _content(content: object, path: str) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),) if content else ()
    if isinstance(content, list):
        return tuple(_block(block, f"{path}[{index}]") for index, block in enumerate(content))
    raise fields.wrong(path, f"a string or a list of blocks, not {kind(content)}")


def _block(item: object, path: str) -> Part:
    block = fields.an_object(item, path)
    form = fields.string(block.get("type"), f"{path}.type")
    if form not in ("text", "image"):
        raise fields.unsupported(f"{path}.type", f"A content block of type '{form}'")
    known = ("type", "text" if form == "text" else "source", "cache_control")
    extra = next((name for name, value in block.items() if name not in known and value), None)
    if extra is not None:
        raise fields.unsupported(f"{path}.{extra}")
    if form == "text":
        return Text(fields.string(block.get("text"), f"{path}.text"))
    source = fields.an_object(block.get("source"), f"{path}.source")
    if source.get("type") != "base64":
        raise fields.unsupported(f"{path}.source.type", "An image that is not given as base64")
    media_type = fields.string(source.get("media_type"), f"{path}.source.media_type")
    return Image(media_type, fields.string(source.get("data"), f"{path}.source.data"))


def write(request: ChatRequest, model: str, params: Mapping[str, object]) -> bytes:
    """See `Format.write_request`."""
    changes = {**request.extra, **params}
    system = [message for message in request.messages if message.role is Role.SYSTEM]
    turns = fields.merged(message for message in request.messages if message.role is not Role.SYSTEM)
    if not turns:
        raise InvalidRequest("'messages' must hold at least one user message with content.", param="messages")
    if turns[0].role is not Role.USER:
        raise Untranslatable(
            "The first message must be the user's for this target. Begin 'messages' with a user message.",
            param="messages",
        )
    limit = DEFAULT_MAX_TOKENS if request.max_tokens is None else request.max_tokens
    body: Object = {"model": model, "max_tokens": limit}
    instructions = fields.joined_text((part for message in system for part in message.parts), "a system message")
    if instructions:
        body["system"] = instructions
    body["messages"] = [{"role": turn.role.value, "content": _write_content(turn.parts)} for turn in turns]
    if request.temperature is not None and "temperature" not in changes:
        if request.temperature > _TEMPERATURE_TOP:
            raise Untranslatable(
                f"'temperature' {request.temperature:g} is above 1, the most that this target takes. "
                "Use a value from 0 to 1.",
                param="temperature",
            )
        body["temperature"] = request.temperature
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    if request.user is not None:
        body["metadata"] = {"user_id": request.user}
    if request.stream:
        body["stream"] = True
    return encode(fields.with_params(body, changes))


def go_on(body: bytes, said: str, prefill: Prefill) -> bytes:
    """See `Format.go_on`. The other messages keep their bytes."""
    request = fields.body_object(body)
    fields.refuse_rest(request, _PLAIN, _HARMLESS)
    if obj(fields.a_list(request.get("messages"), "messages")[-1]).get("role") != "user":
        raise fields.begun("messages")
    fields.left_of(request, said, ("max_tokens",))
    last = encode({"role": "assistant", "content": said, **prefill.message})
    messages = bytes(members(body)["messages"]).rstrip()[:-1] + b"," + last + b"]"
    return replace(body, {"max_tokens": request.get("max_tokens"), **prefill.fields, "messages": msgspec.Raw(messages)})


def _write_content(parts: tuple[Part, ...]) -> object:
    match parts:
        case (Text(text=text),):
            return text
        case _:
            # Empty text blocks are refused by the API.
            return [_write_block(part) for part in parts if part != Text("")]


def _write_block(part: Part) -> Object:
    match part:
        case Text(text=text):
            return {"type": "text", "text": text}
        case Image(media_type=media_type, data=data):
            return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}
