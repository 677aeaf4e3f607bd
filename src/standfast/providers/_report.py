"""What an error body says, whichever of the many shapes it came in.

Read by content, never by content-type. Seen in the wild: `{"error": {...}}` (OpenAI, Anthropic, Gemini, vLLM), the same
inside an array (Gemini's compatible endpoint), flat (Mistral, old vLLM), `error` as a plain string (Ollama),
`message` as an object (Mistral), `code` as string, number or null, HTML from a proxy, plain text, nothing at all.
Whatever comes, reading it never raises.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from standfast.providers.base import Answer
from standfast.redact import REDACTED, escape, scrub

DETAIL_CHARACTERS = 200
_MESSAGE_CHARACTERS = 2000
_MESSAGE_DEPTH = 3
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}|[0-9]{1,8}")
_LONG_DIGITS = 64
_HTML = re.compile(
    rb"\s*(?:<!--|<!doctype\s+html|<html|<head|<body|<\?xml[^>]{0,200}>\s*<!doctype\s+html)", re.IGNORECASE
)

# Not key shapes, but nobody's business either: organisation and project ids, and long runs that may be encoded secrets.
_PRIVATE = re.compile(
    r"(?<![A-Za-z0-9])(?:org|proj)[-_][A-Za-z0-9*]{6,}|(?<![A-Za-z0-9+])(?=[A-Za-z+]*[0-9])[A-Za-z0-9+]{24,}=*"
)


@dataclass(frozen=True, slots=True)
class Report:
    """An error body in one shape.

    Attributes:
        type: the provider's class of error (`error.type`; Gemini's `error.status`).
        code: the provider's own code, as text; may be a number, but not one that only repeats an HTTP status.
        number: `error.code` (or a numeric `error.status`) if that is an HTTP status, else 0.
        message: the text, at most 2,000 characters; unfiltered, never to be passed on as it is.
        details: objects of `error.details`, for the providers that say something there.
        structured: the body was a JSON object at all.
        html: the body is a web page.
    """

    type: str = ""
    code: str = ""
    number: int = 0
    message: str = ""
    details: tuple[Mapping[str, object], ...] = field(default=())
    structured: bool = False
    html: bool = False

    @property
    def words(self) -> tuple[str, str]:
        """What tables are asked for, the more precise first."""
        return self.code, self.type


def read_report(answer: Answer) -> Report:
    """Read an error body. Never raises; of what cannot be read nothing is known."""
    if _HTML.match(answer.body[:512]):
        return Report(html=True)
    value = _decode(answer.body)
    if isinstance(value, list):
        value = next((item for item in value if isinstance(item, dict)), None)
    if isinstance(value, str):
        return Report(message=value[:_MESSAGE_CHARACTERS])
    if not isinstance(value, dict):
        return Report(message=answer.body[:_MESSAGE_CHARACTERS].decode("utf-8", "replace").strip())
    return _report(value)


def _report(body: Mapping[str, object]) -> Report:
    inner = body.get("error")
    if isinstance(inner, str):
        return Report(type=word(inner), message=inner[:_MESSAGE_CHARACTERS], structured=True)
    error = inner if isinstance(inner, dict) and inner else body
    code, status = error.get("code"), error.get("status")
    details = error.get("details")
    listed = details if isinstance(details, list) else [details]
    return Report(
        type=word(error.get("type")) or (word(status) if isinstance(status, str) else ""),
        code="" if _http_status(code) else word(code),
        number=_http_status(code) or _http_status(status),
        message=_text(error.get("message") or error.get("detail") or body.get("message"), 0)[:_MESSAGE_CHARACTERS],
        details=tuple(item for item in listed if isinstance(item, dict)),
        structured=True,
    )


def word(value: object) -> str:
    """`value` if it is a code word or a short number, else the empty string: no upstream may smuggle text in here."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value)
    return text if _WORD.fullmatch(text) and scrub(text) == text and not _PRIVATE.search(text) else ""


def public_text(message: str) -> str:
    """An upstream's message fit for the client who caused it: one line, no keys, no ids, no long encoded runs."""
    text = " ".join(message[:_MESSAGE_CHARACTERS].split())
    if len(message) >= _MESSAGE_CHARACTERS:
        text = text.rpartition(" ")[0]  # a key that was cut in two has lost its shape
    return shorten(_PRIVATE.sub(REDACTED, scrub(text)))


def shorten(text: str) -> str:
    """One line of at most 200 characters, control characters escaped."""
    text = escape(text)
    return text if len(text) <= DETAIL_CHARACTERS else text[: DETAIL_CHARACTERS - 3] + "..."


def _decode(body: bytes) -> object:
    """JSON by content; a server-sent event's `data:` prefix is forgiven. None if it is no JSON."""
    text = body.decode("utf-8-sig", "replace").strip().removeprefix("data:")
    try:
        return json.loads(text, parse_int=_integer)
    except (ValueError, RecursionError):
        return None


def _integer(digits: str) -> int:
    return int(digits) if len(digits) <= _LONG_DIGITS else 0


def _http_status(value: object) -> int:
    if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isdigit():  # noqa: PLR2004 - HTTP
        value = int(value)
    is_status = isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599  # noqa: PLR2004 - HTTP
    return value if is_status and isinstance(value, int) else 0


def _text(value: object, depth: int) -> str:
    """The words of a message that may be an object or a list (validation errors): its `msg`, `message`, `detail`."""
    if isinstance(value, str):
        return value
    if depth >= _MESSAGE_DEPTH:
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, (_text(item, depth + 1) for item in value[:8])))
    if isinstance(value, dict):
        return next(filter(None, (_text(value.get(name), depth + 1) for name in ("msg", "message", "detail"))), "")
    return ""
