"""How a server is told to go on with an answer that was begun: the answer so far is the last message of the request.

No two dialects say it alike, and what does not understand it begins a new answer. So it is said only where somebody
knows: a provider of itself, or the configuration of a server.
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

_NOTHING: Mapping[str, object] = MappingProxyType({})


class Prefill(msgspec.Struct, frozen=True):
    """What a request says beside the message itself.

    Attributes:
        message: members of the last message.
        fields: members of the request.
        path: what takes the place of the address's version (`/beta` for `/v1`); empty for none.
    """

    message: Mapping[str, object] = _NOTHING
    fields: Mapping[str, object] = _NOTHING
    path: str = ""


PLAIN = Prefill()
"""An answer at the end of the request is enough: Anthropic, Gemini, OpenRouter, llama.cpp."""

PREFIX = Prefill(message=MappingProxyType({"prefix": True}))
"""The message is marked: Mistral, DeepSeek."""

FINAL_MESSAGE = Prefill(fields=MappingProxyType({"continue_final_message": True, "add_generation_prompt": False}))
"""The request is marked: vLLM, SGLang."""
