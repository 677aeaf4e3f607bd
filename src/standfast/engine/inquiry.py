"""A request as it enters the engine: read on the outside, addressed, with its controls understood."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from standfast.canon.ask import DEFAULT_PRIORITY, HIGHEST_PRIORITY, LOWEST_PRIORITY
from standfast.canon.deployment import Operation
from standfast.errors import InvalidRequest
from standfast.formats.base import Envelope, Format

HEADER_PREFIX = "x-standfast-"
_LATER = {
    "max-cost-usd": "cost limits arrive with the ledger",
    "prefer": "preferences arrive with the smart strategy",
}
MAX_DEADLINE_MS = 86_400_000
TEXT_LIMIT = 256
TAG_LIMIT = 16


@dataclass(frozen=True, slots=True)
class Controls:
    """What a request asks of the gateway itself.

    Attributes:
        session: requests of one session belong together; empty for none.
        tags: free labels for log and books.
        priority: 1 (shed first) to 5.
        deadline: seconds that the client is ready to wait; None for the configured total.
        fallback: another model may answer.
        trace: tell the attempts in the reply's headers.
    """

    session: str = ""
    tags: tuple[str, ...] = ()
    priority: int = DEFAULT_PRIORITY
    deadline: float | None = None
    fallback: bool = True
    trace: bool = False


NO_CONTROLS = Controls()


class Inquiry(msgspec.Struct):
    """One request for the engine."""

    format: Format
    operation: Operation
    envelope: Envelope
    controls: Controls = NO_CONTROLS
    caller: str = ""


def read_controls(values: Mapping[str, object]) -> Controls:
    """Understand `x-standfast-*` headers (prefix taken off) or the `standfast` object of the body.

    Raises:
        InvalidRequest: an unknown control, or a value that it cannot have. A control that this version cannot honour is
            refused too: a limit that is silently ignored would be worse.
    """
    known: dict[str, object] = {}
    for raw, value in values.items():
        name = raw.lower().replace("_", "-")
        if name in _LATER:
            raise InvalidRequest(f"{HEADER_PREFIX}{name} cannot be honoured yet: {_LATER[name]}.", param=raw)
        if name not in _READERS:
            raise InvalidRequest(
                f"unknown control {HEADER_PREFIX}{name}; known: {', '.join(sorted(_READERS))}.", param=raw
            )
        known["deadline" if name == "deadline-ms" else name] = _READERS[name](raw, value)
    return Controls(**known)  # type: ignore[arg-type]  # each reader returns its field's type


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > TEXT_LIMIT:
        raise InvalidRequest(f"{name} must be text of at most {TEXT_LIMIT} characters.", param=name)
    return value


def _tags(name: str, value: object) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or len(parts) > TAG_LIMIT:
        raise InvalidRequest(f"{name} must be at most {TAG_LIMIT} comma-separated words.", param=name)
    return tuple(_text(name, part).strip() for part in parts)


def _whole(name: str, value: object, low: int, high: int) -> int:
    try:
        number = int(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= high:
        raise InvalidRequest(f"{name} must be a whole number from {low} to {high}.", param=name)
    return number


def _priority(name: str, value: object) -> int:
    return _whole(name, value, LOWEST_PRIORITY, HIGHEST_PRIORITY)


def _deadline(name: str, value: object) -> float:
    return _whole(name, value, 1, MAX_DEADLINE_MS) / 1000.0


def _switch(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise InvalidRequest(f"{name} must be 1 or 0.", param=name)


_READERS = {
    "session": _text,
    "tags": _tags,
    "priority": _priority,
    "deadline-ms": _deadline,
    "fallback": _switch,
    "trace": _switch,
}
