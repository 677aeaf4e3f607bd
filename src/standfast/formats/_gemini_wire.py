"""What Gemini's replies and stream chunks share: a chunk is a reply with a piece of the answer."""

from dataclasses import dataclass
from typing import Final

from standfast.canon.chat import Finish
from standfast.canon.usage import Usage
from standfast.errors import StandfastError
from standfast.formats._json import Object, count, encode, items, loose, obj, text

_FINISH: Final = {
    "STOP": Finish.STOP,
    "MAX_TOKENS": Finish.LENGTH,
    **dict.fromkeys(("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"), Finish.CONTENT_FILTER),
    **dict.fromkeys(("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"), Finish.CONTENT_FILTER),
}
FAILED: Final = frozenset({"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "OTHER"})
"""Finish reasons of a failed generation (the vendor's own client repeats such requests)."""

FINISH_REASON: Final = {
    Finish.STOP: "STOP",
    Finish.LENGTH: "MAX_TOKENS",
    Finish.CONTENT_FILTER: "SAFETY",
    Finish.TOOL_CALLS: "STOP",
}
_STATUS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


@dataclass(slots=True)
class Candidate:
    """One candidate: its answer text, whether it holds anything for the client, its finish reason (may be empty)."""

    index: int
    text: str
    content: bool
    tool_call: bool
    finish: str


@dataclass(slots=True)
class Chunk:
    """A reply or a chunk.

    `blocked` is the reason why the prompt was refused: there are no candidates then, and the answer is complete.
    """

    id: str
    model: str
    candidates: list[Candidate]
    blocked: str
    usage: Usage | None
    error: bool


def read(data: bytes) -> Chunk:
    """A reply or chunk; members of a wrong type count as absent.

    Raises:
        ValueError: it is no JSON object (nor a list that holds an error or one reply).
    """
    try:
        value = loose(data)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    except ValueError:
        raise ValueError("HTML, no JSON" if data.lstrip().startswith(b"<") else "no JSON, or cut short") from None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        raise ValueError("JSON, but no object")  # noqa: TRY004 - callers catch one class for all unusable data
    wire = value.get("usageMetadata")
    blocked = text(obj(value.get("promptFeedback")).get("blockReason"))
    return Chunk(
        id=text(value.get("responseId")),
        model=text(value.get("modelVersion")),
        candidates=[_candidate(obj(item)) for item in items(value.get("candidates"))],
        blocked="" if blocked == "BLOCK_REASON_UNSPECIFIED" else blocked,
        usage=_usage(wire) if isinstance(wire, dict) else None,
        error=bool(value.get("error")),
    )


def _candidate(candidate: Object) -> Candidate:
    parts = [obj(part) for part in items(obj(candidate.get("content")).get("parts"))]
    finish = text(candidate.get("finishReason"))
    return Candidate(
        index=count(candidate.get("index")),
        text="".join(text(part.get("text")) for part in parts if not part.get("thought")),
        content=any(part.get("text") or part.keys() - {"text", "thought", "thoughtSignature"} for part in parts),
        tool_call=any("functionCall" in part for part in parts),
        finish="" if finish == "FINISH_REASON_UNSPECIFIED" else finish,
    )


def _usage(wire: Object) -> Usage:
    """Candidates exclude thoughts, so both are added; tokens of tool results are prompt too."""
    thoughts = count(wire.get("thoughtsTokenCount"))
    return Usage(
        prompt=count(wire.get("promptTokenCount")) + count(wire.get("toolUsePromptTokenCount")),
        completion=count(wire.get("candidatesTokenCount")) + thoughts,
        cached=count(wire.get("cachedContentTokenCount")),
        reasoning=thoughts,
    )


def usage_object(usage: Usage) -> Object:
    """Token counts as Gemini writes them."""
    return {
        "promptTokenCount": usage.prompt,
        "candidatesTokenCount": max(0, usage.completion - usage.reasoning),
        "thoughtsTokenCount": usage.reasoning,
        "cachedContentTokenCount": usage.cached,
        "totalTokenCount": usage.total,
    }


def finish_of(reason: str) -> Finish:
    """The canonical reason; what is unknown counts as `stop`."""
    return _FINISH.get(reason, Finish.STOP)


def interrupted(finish: str) -> bytes:
    """The error body for a finish reason that means failure."""
    message = f"The provider interrupted the generation (finishReason {finish})."
    return encode({"error": {"code": 500, "message": message, "status": "INTERNAL"}})


def error_body(error: StandfastError) -> bytes:
    """`{"error": {"code", "message", "status", "details"}}`; our own code is the reason of an ErrorInfo."""
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": error.code, "domain": "standfast"}
    status = _STATUS.get(error.status, "INTERNAL")
    return encode({"error": {"code": error.status, "message": error.message, "status": status, "details": [info]}})
