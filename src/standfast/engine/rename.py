"""`reply_model: requested`: the reply's `model` field names what the client asked for.

Within JSON text a quote is always escaped, so the bytes `"model":"` are a member's name and never part of a string.
"""

import re

import msgspec

_MODEL = re.compile(rb'"model"(\s*):(\s*)"(?:[^"\\]|\\.)*"')


class Renamer:
    """Names one model in replies. Made per request, only where the configuration asks for it."""

    __slots__ = ("_in_stream", "_raw")

    def __init__(self, model: str) -> None:
        name = msgspec.json.encode(model)
        self._raw = msgspec.Raw(name)
        self._in_stream = rb'"model"\1:\2' + name.replace(b"\\", b"\\\\")

    def whole(self, body: bytes) -> bytes:
        """A complete reply; only its own `model` member changes."""
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        if "model" not in fields:
            return body
        fields["model"] = self._raw
        return msgspec.json.encode(fields)

    def stream(self, events: bytes) -> bytes:
        """Complete server-sent events."""
        return _MODEL.sub(self._in_stream, events)
