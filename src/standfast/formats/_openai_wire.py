"""What OpenAI's chat and embeddings formats share: token counts, failing finish reasons, error bodies."""

from typing import Annotated, Final

import msgspec

from standfast.canon.usage import Usage
from standfast.errors import StandfastError
from standfast.formats._json import Object, count, encode, obj
from standfast.framing import sse

FAILED: Final = frozenset({"error", "insufficient_system_resource", "aborted"})
"""Finish reasons of an interrupted generation: a failure delivered with status 200 (Mistral, DeepSeek)."""


class PromptDetails(msgspec.Struct, gc=False):
    """Inside `prompt_tokens`."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class CompletionDetails(msgspec.Struct, gc=False):
    """Inside `completion_tokens`."""

    reasoning_tokens: int | None = None


class WireUsage(msgspec.Struct, gc=False):
    """The `usage` object; `prompt_cache_hit_tokens` is DeepSeek's older name for the cached ones."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None


_Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]


class _QuickPrompt(msgspec.Struct, gc=False):
    cached_tokens: _Count = 0
    cache_write_tokens: _Count = 0


class _QuickCompletion(msgspec.Struct, gc=False):
    reasoning_tokens: _Count = 0


class QuickUsage(msgspec.Struct, gc=False):
    """A `usage` object as OpenAI sends it; any other does not decode and is read with forbearance."""

    prompt_tokens: _Count
    completion_tokens: _Count = 0
    prompt_tokens_details: _QuickPrompt | None = None
    completion_tokens_details: _QuickCompletion | None = None
    prompt_cache_hit_tokens: None = None


def quick_usage_of(wire: QuickUsage) -> Usage:
    """Token counts of a usual `usage` object; the same as `usage_of` of it."""
    prompt, completion = wire.prompt_tokens_details, wire.completion_tokens_details
    return Usage(
        wire.prompt_tokens,
        wire.completion_tokens,
        0 if prompt is None else prompt.cached_tokens,
        0 if prompt is None else prompt.cache_write_tokens,
        0 if completion is None else completion.reasoning_tokens,
    )


def usage_of(wire: WireUsage) -> Usage:
    """Token counts; what is missing or senseless counts as 0."""
    prompt, completion = wire.prompt_tokens_details, wire.completion_tokens_details
    return Usage(
        prompt=count(wire.prompt_tokens),
        completion=count(wire.completion_tokens),
        cached=count(prompt and prompt.cached_tokens) or count(wire.prompt_cache_hit_tokens),
        cache_written=count(prompt and prompt.cache_write_tokens),
        reasoning=count(completion and completion.reasoning_tokens),
    )


def loose_usage(value: object) -> WireUsage | None:
    """The same of a `usage` member whose types cannot be relied on; None if it is no object."""
    if not isinstance(value, dict):
        return None
    prompt, completion = obj(value.get("prompt_tokens_details")), obj(value.get("completion_tokens_details"))
    return WireUsage(
        count(value.get("prompt_tokens")),
        count(value.get("completion_tokens")),
        PromptDetails(count(prompt.get("cached_tokens")), count(prompt.get("cache_write_tokens"))),
        CompletionDetails(count(completion.get("reasoning_tokens"))),
        count(value.get("prompt_cache_hit_tokens")),
    )


def usage_object(usage: Usage) -> Object:
    """Token counts as OpenAI writes them."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.total,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": usage.cache_written},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def interrupted(finish: str) -> bytes:
    """The error body for a finish reason that means failure."""
    message = f"The provider interrupted the generation (finish_reason {finish})."
    return encode({"error": {"message": message, "type": "server_error", "param": None, "code": finish}})


def error_body(error: StandfastError) -> bytes:
    """An error answer: all four keys, as OpenAI's own have them."""
    return encode(
        {"error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code}},
    )


def error_event(error: StandfastError) -> bytes:
    """An error inside a stream: a chunk with an `error` member, and no `[DONE]` after it."""
    return sse.encode(error_body(error))
