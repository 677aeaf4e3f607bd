"""Gemini's generateContent request to and from its canonical form.

Model and stream flag stand in the URL, not in the body. Names may be written in camel or in snake case, as the API
itself takes both.
"""

from collections.abc import Mapping
from typing import Final

from standfast.canon.chat import ChatRequest, Image, Message, Part, Role, Text
from standfast.canon.prefill import Prefill
from standfast.errors import InvalidRequest, Untranslatable
from standfast.formats import _fields as fields
from standfast.formats._json import Object, encode, kind, obj

_ROLES: Final = {"user": Role.USER, "model": Role.ASSISTANT}
_KNOWN: Final = frozenset({"contents", "systemInstruction", "generationConfig", "standfast", "model"})
_HARMLESS: Final[Mapping[str, tuple[object, ...]]] = {"tools": ([],), "toolConfig": ({},), "safetySettings": ([],)}
_CONFIG: Final = "generationConfig"
_CONFIG_KNOWN: Final = frozenset({"maxOutputTokens", "temperature", "topP", "stopSequences"})
_CONFIG_HARMLESS: Final[Mapping[str, tuple[object, ...]]] = {
    "candidateCount": (1,),
    "responseMimeType": ("text/plain",),
    "presencePenalty": (0, 0.0),
    "frequencyPenalty": (0, 0.0),
    "responseLogprobs": (False,),
}
_PLAIN: Final = _KNOWN | {"safetySettings", "cachedContent", "labels"}
_CONFIG_PLAIN: Final = _CONFIG_KNOWN | {"topK", "seed", "presencePenalty", "frequencyPenalty"}
"""What a request for plain text may say; anything else may ask for an answer that cannot be put together."""

_CONFIG_PARAMS: Final = _CONFIG_KNOWN | {
    *("topK", "candidateCount", "seed", "presencePenalty", "frequencyPenalty", "responseMimeType", "responseSchema"),
    *("responseJsonSchema", "thinkingConfig"),
}


def camel(body: Object) -> Object:
    """The members of an object under their camel-case names."""
    return {_camel(name): value for name, value in body.items()}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in others)


def parse(body: bytes) -> ChatRequest:
    """See `Format.parse_request`. `stream` is False: the URL knows it, so the caller sets it."""
    request = camel(fields.body_object(body))
    fields.refuse_rest(request, _KNOWN, _HARMLESS)
    config = camel(fields.an_object(request.get(_CONFIG) or {}, _CONFIG))
    path = f"{_CONFIG}."
    fields.refuse_rest(config, _CONFIG_KNOWN, _CONFIG_HARMLESS, path=path)
    contents = fields.a_list(request.get("contents"), "contents")
    turns = [_content(item, f"contents[{index}]") for index, item in enumerate(contents)]
    if request.get("systemInstruction"):
        system = fields.an_object(request["systemInstruction"], "systemInstruction")
        turns.insert(0, Message(Role.SYSTEM, _parts(system, "systemInstruction")))
    return ChatRequest(
        messages=tuple(turns),
        include_usage=True,
        max_tokens=fields.tokens(config, "maxOutputTokens", path=path),
        temperature=fields.number(config, "temperature", 0, 2, path=path),
        top_p=fields.number(config, "topP", 0, 1, path=path),
        stop=fields.strings(config, "stopSequences", path=path),
    )


def _content(item: object, path: str) -> Message:
    content = fields.an_object(item, path)
    role = fields.string(content.get("role") or "user", f"{path}.role")
    if role not in _ROLES:
        raise fields.wrong(f"{path}.role", "'user' or 'model'")
    return Message(_ROLES[role], _parts(content, path))


def _parts(content: Object, path: str) -> tuple[Part, ...]:
    extra = next((name for name in content if name not in ("role", "parts")), None)
    if extra is not None:
        raise fields.unsupported(f"{path}.{extra}")
    parts = content.get("parts")
    if isinstance(parts, dict):
        parts = [parts]  # the API takes a single part without a list
    if not isinstance(parts, list):
        raise fields.wrong(f"{path}.parts", f"a list of parts, not {kind(parts)}")
    return tuple(_part(part, f"{path}.parts[{index}]") for index, part in enumerate(parts))


def _part(item: object, path: str) -> Part:
    part = camel(fields.an_object(item, path))
    extra = next((name for name, value in part.items() if name not in ("text", "inlineData") and value), None)
    if extra is not None:
        raise fields.unsupported(f"{path}.{extra}")
    if part.get("inlineData") is None:
        return Text(fields.string(part.get("text"), f"{path}.text"))
    data = camel(fields.an_object(part["inlineData"], f"{path}.inlineData"))
    media_type = fields.string(data.get("mimeType"), f"{path}.inlineData.mimeType")
    if not media_type.startswith("image/"):
        raise fields.unsupported(f"{path}.inlineData.mimeType", f"Inline data of type '{media_type}'")
    return Image(media_type, fields.string(data.get("data"), f"{path}.inlineData.data"))


def write(request: ChatRequest, params: Mapping[str, object]) -> bytes:
    """See `Format.write_request`.

    `request.user` is left out: Gemini has no such field, and it is a label without effect on the answer.
    """
    system = [message for message in request.messages if message.role is Role.SYSTEM]
    turns = fields.merged(message for message in request.messages if message.role is not Role.SYSTEM)
    if not turns:
        raise InvalidRequest("'messages' must hold at least one user message with content.", param="messages")
    if turns[0].role is not Role.USER:
        raise Untranslatable(
            "The first message must be the user's for this target. Begin 'messages' with a user message.",
            param="messages",
        )
    body: Object = {}
    instructions = fields.joined_text((part for message in system for part in message.parts), "a system message")
    if instructions:
        body["systemInstruction"] = {"parts": [{"text": instructions}]}
    body["contents"] = [
        {"role": "user" if turn.role is Role.USER else "model", "parts": [_write_part(part) for part in turn.parts]}
        for turn in turns
    ]
    settings: Object = {
        "maxOutputTokens": request.max_tokens,
        "temperature": request.temperature,
        "topP": request.top_p,
        "stopSequences": list(request.stop) or None,
    }
    config = {name: value for name, value in settings.items() if value is not None}
    if config:
        body[_CONFIG] = config
    return encode(with_params(body, {**request.extra, **params}))


def go_on(body: bytes, said: str, prefill: Prefill) -> bytes:
    """See `Format.go_on`."""
    request = camel(fields.body_object(body))
    fields.refuse_rest(request, _PLAIN, _HARMLESS)
    config = camel(fields.an_object(request.get(_CONFIG) or {}, _CONFIG))
    fields.refuse_rest(config, _CONFIG_PLAIN, _CONFIG_HARMLESS, path=f"{_CONFIG}.")
    contents = fields.a_list(request.get("contents"), "contents")
    if obj(contents[-1]).get("role") not in (None, "user"):
        raise fields.begun("contents")
    fields.left_of(config, said, ("maxOutputTokens",))
    if config:
        request[_CONFIG] = config
    last = {"role": "model", "parts": [{"text": said}], **prefill.message}
    return encode({**request, **prefill.fields, "contents": [*contents, last]})


def with_params(body: Object, params: Mapping[str, object]) -> Object:
    """The target's `params` over a request.

    A member of `generationConfig` may be given by its own name; a `generationConfig` object is merged into the
    request's, member by member. Everything else is a top-level field; None removes.
    """
    config = dict(fields.an_object(body.get(_CONFIG) or {}, _CONFIG))
    rest: Object = {}
    for name, value in params.items():
        if name == _CONFIG and isinstance(value, Mapping):
            fields.with_params(config, value)
        elif name in _CONFIG_PARAMS:
            fields.with_params(config, {name: value})
        elif name == _CONFIG and value is None:
            config.clear()
        else:
            rest[name] = value
    written = fields.with_params({name: value for name, value in body.items() if name != _CONFIG}, rest)
    if config:
        written[_CONFIG] = config
    return written


def _write_part(part: Part) -> Object:
    match part:
        case Text(text=text):
            return {"text": text}
        case Image(media_type=media_type, data=data):
            return {"inlineData": {"mimeType": media_type, "data": data}}
