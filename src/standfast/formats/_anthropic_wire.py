"""What Anthropic's replies and streams share: token counts, stop reasons, error bodies."""

from typing import Final

from standfast.canon.chat import Finish
from standfast.canon.usage import Usage
from standfast.errors import StandfastError
from standfast.formats._json import Object, count, encode, items, obj, text

_FINISH: Final = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "refusal": Finish.CONTENT_FILTER,
    "tool_use": Finish.TOOL_CALLS,
}
STOP_REASON: Final = {
    Finish.STOP: "end_turn",
    Finish.LENGTH: "max_tokens",
    Finish.CONTENT_FILTER: "refusal",
    Finish.TOOL_CALLS: "tool_use",
}
_ERROR_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def finish_of(reason: str) -> Finish:
    """The canonical reason; `pause_turn` and what is unknown count as `stop`."""
    return _FINISH.get(reason, Finish.STOP)


def usage_of(value: Object) -> Usage:
    """`input_tokens` excludes the cache, so the three are added up; thinking is inside `output_tokens`."""
    cached, written = count(value.get("cache_read_input_tokens")), count(value.get("cache_creation_input_tokens"))
    return Usage(
        prompt=count(value.get("input_tokens")) + cached + written,
        completion=count(value.get("output_tokens")),
        cached=cached,
        cache_written=written,
        reasoning=count(obj(value.get("output_tokens_details")).get("thinking_tokens")),
    )


def merged_usage(earlier: Object, later: object) -> Object:
    """The counts of `message_start`, replaced by the cumulative ones of a later `message_delta`."""
    return {**earlier, **{name: value for name, value in obj(later).items() if value is not None}}


def usage_object(usage: Usage | None) -> Object:
    """Token counts as Anthropic writes them; zeros where nothing is known."""
    usage = usage or Usage()
    return {
        "input_tokens": max(0, usage.prompt - usage.cached - usage.cache_written),
        "cache_creation_input_tokens": usage.cache_written,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.completion,
    }


def text_of(content: object) -> str:
    """The answer in a list of blocks; thinking is no answer text.

    Raises:
        ValueError: a block is a tool call, though none can have been asked for.
    """
    pieces = []
    for item in items(content):
        block = obj(item)
        form = text(block.get("type"))
        if form.endswith("tool_use"):
            raise ValueError("a tool call in an answer whose request had no tools")
        if form == "text":
            pieces.append(text(block.get("text")))
    return "".join(pieces)


def error_body(error: StandfastError) -> bytes:
    """`{"type": "error", "error": {"type", "message"}}`; `code` is ours."""
    form = _ERROR_TYPES.get(error.status, "api_error")
    return encode({"type": "error", "error": {"type": form, "message": error.message, "code": error.code}})
