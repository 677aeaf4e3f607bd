"""OpenAI's chat request to and from its canonical form."""

from collections.abc import Mapping
from typing import Final

import msgspec

from standfast.canon.chat import ChatRequest, Image, Message, Part, Role, Text
from standfast.canon.prefill import Prefill
from standfast.errors import InvalidRequest
from standfast.formats import _fields as fields
from standfast.formats._json import Object, encode, kind, obj, replace
from standfast.formats._json import fields as members
from standfast.formats._json import text as clean

ROLES: Final = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,  # the newer name of the same
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
}

_KNOWN: Final = frozenset(
    {
        *("model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "stop", "stream"),
        *("stream_options", "user"),
        "standfast",  # for the gateway alone
        "metadata",  # a label in OpenAI's own dashboard
        "parallel_tool_calls",  # without tools it says nothing; with tools the request is refused anyway
    }
)

# Values that ask for nothing. null is always one of them.
_HARMLESS: Final[Mapping[str, tuple[object, ...]]] = {
    "n": (1,),
    "presence_penalty": (0, 0.0),
    "frequency_penalty": (0, 0.0),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),  # without tools; with tools the request is refused anyway
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "store": (False,),
    "service_tier": ("auto", "default"),  # the tier of OpenAI's capacity, which another provider does not have
    "reasoning_effort": ("none",),
}
_MESSAGE_KNOWN: Final = frozenset({"role", "content"})
_MESSAGE_HARMLESS: Final[Mapping[str, tuple[object, ...]]] = {
    "tool_calls": ([],),
    "annotations": ([],),
    "refusal": ("",),
}

_PLAIN: Final = _KNOWN | {
    *("seed", "presence_penalty", "frequency_penalty", "logit_bias", "top_k", "min_p", "repetition_penalty"),
    *("prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier", "store"),
}
"""What a request for plain text may say; anything else may ask for an answer that cannot be put together."""

COMPLETION_TOKENS_MODELS: Final = ("o1", "o3", "o4", "gpt-5")
"""Models that refuse `max_tokens`; every other server of this format knows it."""

_IMAGE_URL: Final = "data:"


def parse(body: bytes) -> ChatRequest:
    """See `Format.parse_request`."""
    request = fields.body_object(body)
    fields.refuse_rest(request, _KNOWN, _HARMLESS)
    options = request.get("stream_options")
    include_usage = False
    if options is not None:
        options = fields.an_object(options, "stream_options")
        # Obfuscation pads OpenAI's own stream; a translated stream has none, whatever is asked.
        fields.refuse_rest(options, {"include_usage", "include_obfuscation"}, {}, path="stream_options.")
        include_usage = fields.flag(options, "include_usage", path="stream_options.")
    limit = fields.tokens(request, "max_completion_tokens")
    older = fields.tokens(request, "max_tokens")
    messages = fields.a_list(request.get("messages"), "messages")
    return ChatRequest(
        messages=tuple(_message(item, f"messages[{index}]") for index, item in enumerate(messages)),
        stream=fields.flag(request, "stream"),
        include_usage=include_usage,
        max_tokens=older if limit is None else limit,
        temperature=fields.number(request, "temperature", 0, 2),
        top_p=fields.number(request, "top_p", 0, 1),
        stop=_stop(request),
        user=fields.optional_string(request, "user"),
    )


def _stop(request: Mapping[str, object]) -> tuple[str, ...]:
    value = request.get("stop")
    if isinstance(value, str):
        return (value,)
    if value is not None and not isinstance(value, list):
        raise fields.wrong("stop", "a string or a list of strings")
    return fields.strings(request, "stop")


def _message(item: object, path: str) -> Message:
    message = fields.an_object(item, path)
    role = fields.string(message.get("role"), f"{path}.role")
    if role in ("tool", "function"):
        raise fields.unsupported(f"{path}.role", f"A message with role '{role}'")
    if role not in ROLES:
        raise fields.wrong(f"{path}.role", "one of system, developer, user, assistant, tool")
    for name, value in message.items():
        harmless = value is None or any(value == allowed for allowed in _MESSAGE_HARMLESS.get(name, ()))
        if name not in _MESSAGE_KNOWN and not harmless:
            raise fields.unsupported(f"{path}.{name}")
    content = message.get("content")
    if isinstance(content, str):
        return Message(ROLES[role], (Text(content),) if content else ())
    if isinstance(content, list):
        return Message(ROLES[role], tuple(_part(part, f"{path}.content[{i}]") for i, part in enumerate(content)))
    if content is None and role == "assistant":
        return Message(Role.ASSISTANT, ())
    raise fields.wrong(f"{path}.content", f"a string or a list of parts, not {kind(content)}")


def _part(item: object, path: str) -> Part:
    part = fields.an_object(item, path)
    form = fields.string(part.get("type"), f"{path}.type")
    extra = next((name for name, value in part.items() if name not in ("type", form) and value is not None), None)
    if form not in ("text", "image_url"):
        raise fields.unsupported(f"{path}.type", f"A content part of type '{form}'")
    if extra is not None:
        raise fields.unsupported(f"{path}.{extra}")
    if form == "text":
        return Text(fields.string(part.get("text"), f"{path}.text"))
    image = fields.an_object(part.get("image_url"), f"{path}.image_url")
    url = fields.string(image.get("url"), f"{path}.image_url.url")
    for name, value in image.items():
        if name != "url" and not (name == "detail" and value in (None, "auto")):
            raise fields.unsupported(f"{path}.image_url.{name}")
    if not url.startswith(_IMAGE_URL):
        raise fields.unsupported(f"{path}.image_url.url", "An image by address")
    media_type, marker, data = url.removeprefix(_IMAGE_URL).partition(";base64,")
    if not marker or not media_type.startswith("image/") or not data:
        raise fields.wrong(f"{path}.image_url.url", "a base64 data URL, for instance data:image/png;base64,...")
    return Image(media_type, data)


def write(request: ChatRequest, model: str, params: Mapping[str, object]) -> bytes:
    """See `Format.write_request`."""
    body: Object = {"model": model, "messages": [_write_message(message) for message in request.messages]}
    if not body["messages"]:
        raise InvalidRequest("'messages' must be a non-empty list.", param="messages")
    if request.max_tokens is not None:
        newer = model.rpartition("/")[2].startswith(COMPLETION_TOKENS_MODELS)
        body["max_completion_tokens" if newer else "max_tokens"] = request.max_tokens
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if request.stop:
        body["stop"] = list(request.stop)
    if request.user is not None:
        body["user"] = request.user
    if request.stream:
        body["stream"] = True
        if request.include_usage:
            body["stream_options"] = {"include_usage": True}
    changes = with_twins({**request.extra, **params})
    return encode(fields.with_params(body, changes))


def go_on(body: bytes, said: str, prefill: Prefill) -> bytes:
    """See `Format.go_on`. The other messages keep their bytes."""
    request = fields.body_object(body)
    fields.refuse_rest(request, _PLAIN, _HARMLESS)
    if obj(fields.a_list(request.get("messages"), "messages")[-1]).get("role") not in ("user", "system", "developer"):
        raise fields.begun("messages")
    fields.left_of(request, said, limits := ("max_tokens", "max_completion_tokens"))
    last = encode({"role": "assistant", "content": said, **prefill.message})
    messages = bytes(members(body)["messages"]).rstrip()[:-1] + b"," + last + b"]"
    return replace(
        body,
        {
            **{name: request[name] for name in limits if name in request},
            **prefill.fields,
            "messages": msgspec.Raw(messages),
        },
    )


def with_twins(params: Mapping[str, object]) -> Mapping[str, object]:
    """`max_tokens` and `max_completion_tokens` are one setting under two names: setting one removes the other."""
    for name, twin in (("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens")):
        if params.get(name) is not None and twin not in params:
            return {**params, twin: None}
    return params


def _write_message(message: Message) -> Object:
    """A single text is written as a plain string, which every server of this format takes."""
    match message.parts:
        case ():
            content: object = ""
        case (Text(text=text),):
            content = clean(text)
        case parts:
            content = [_write_part(part) for part in parts]
    return {"role": message.role.value, "content": content}


def _write_part(part: Part) -> Object:
    match part:
        case Text(text=text):
            return {"type": "text", "text": text}
        case Image(media_type=media_type, data=data):
            return {"type": "image_url", "image_url": {"url": f"data:{media_type};base64,{data}"}}
