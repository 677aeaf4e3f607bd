"""A request as it enters the engine: read on the outside, addressed, with its controls understood."""

import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from standfast.canon.ask import DEFAULT_PRIORITY, HIGHEST_PRIORITY, LOWEST_PRIORITY
from standfast.canon.deployment import Operation
from standfast.errors import InvalidRequest
from standfast.formats.base import Envelope, Format
from standfast.policy.validation import ValidateSettings, asked_rules

if TYPE_CHECKING:  # a decision is made about an inquiry
    from standfast.engine.considering import Decision

HEADER_PREFIX = "x-standfast-"
MAX_DEADLINE_MS = 86_400_000
MAX_COST_USD = 1_000_000.0
PREFERENCES = ("cost", "speed", "quality")
CACHING = ("", "off", "refresh")
TEXT_LIMIT = 256
TAG_LIMIT = 16


class Wishes(msgspec.Struct, frozen=True):
    """What a request wishes of the target that is to answer.

    Attributes:
        kind: chat, code, analysis ... or a word of one's own; empty to let the text decide.
        max_cost: the most that the answer may be expected to cost, US dollars; None for no limit.
        max_latency: the most that the first token (of a whole reply: the reply) should take, seconds; None for any.
        prefer: `cost`, `speed` or `quality`; empty for a balance.

    Raises:
        InvalidRequest: one of them cannot have its value.
    """

    kind: str = ""
    max_cost: float | None = None
    max_latency: float | None = None
    prefer: str = ""

    def __post_init__(self) -> None:
        if self.kind:
            _exactly("kind", self.kind, _kind)
        if self.max_cost is not None:
            _exactly("max_cost", self.max_cost, _cost)
        if self.max_latency is not None:
            _seconds("max_latency", self.max_latency)
        if self.prefer:
            _exactly("prefer", self.prefer, _prefer)


class Controls(msgspec.Struct, frozen=True):
    """What a request asks of the gateway itself; within the same limits as the `x-standfast-*` headers.

    Attributes:
        session: requests of one session belong together; empty for none.
        tags: free labels for log and books.
        priority: 1 (shed first) to 5.
        deadline: seconds that the client is ready to wait, a day at most; None for the configured total.
        fallback: another model may answer.
        trace: tell the attempts in the reply's headers.
        cache: empty to take part where the model keeps answers; `off`: neither give nor keep one; `refresh`: give none,
            keep the new one.
        validate: what the answer must be like, besides what the model's configuration asks; None for nothing more.
        wishes: kind, limits and preference; None if it has none.

    Raises:
        InvalidRequest: one of them cannot have its value.
    """

    session: str = ""
    tags: tuple[str, ...] = ()
    priority: int = DEFAULT_PRIORITY
    deadline: float | None = None
    fallback: bool = True
    trace: bool = False
    cache: str = ""
    validate: ValidateSettings | None = None
    wishes: Wishes | None = None

    def __post_init__(self) -> None:
        if self.session:
            _text("session", self.session)
        if self.tags:
            _words("tags", self.tags)
        if type(self.priority) is not int or not LOWEST_PRIORITY <= self.priority <= HIGHEST_PRIORITY:
            _exactly("priority", self.priority, _priority)
        if self.deadline is not None:
            _seconds("deadline", self.deadline)
        if self.fallback is not True:
            _flag("fallback", self.fallback)
        if self.trace is not False:
            _flag("trace", self.trace)
        if self.cache not in CACHING:
            raise InvalidRequest('cache must be "off", "refresh", or empty for on.', param="cache")
        if self.validate is not None and not isinstance(self.validate, ValidateSettings):
            raise InvalidRequest("validate must be ValidateSettings.", param="validate")
        if self.wishes is not None and not isinstance(self.wishes, Wishes):
            raise InvalidRequest("wishes must be Wishes.", param="wishes")

    def of_session(self, session: str) -> "Controls":
        """The same for a request of this session; unchanged if it is empty.

        Raises:
            InvalidRequest: it cannot be a session's name.
        """
        return msgspec.structs.replace(self, session=_text("session", session)) if session else self


NO_CONTROLS = Controls()


class Inquiry(msgspec.Struct):
    """One request for the engine.

    Attributes:
        decision: why it goes where it goes; None unless its trace is to tell.
    """

    format: Format
    operation: Operation
    envelope: Envelope
    controls: Controls = NO_CONTROLS
    caller: str = ""
    decision: "Decision | None" = None


def read_controls(values: Mapping[str, object]) -> Controls:
    """Understand `x-standfast-*` headers (prefix taken off) or the `standfast` object of the body.

    Raises:
        InvalidRequest: an unknown control, or a value that it cannot have.
    """
    known: dict[str, object] = {}
    wishes: dict[str, object] = {}
    for raw, value in values.items():
        name = raw.lower().replace("_", "-")
        if name in _WISHES:
            wish, read = _WISHES[name]
            wishes[wish] = read(raw, value)
            continue
        if name not in _READERS:
            listed = ", ".join(sorted((*_READERS, *_WISHES)))
            raise InvalidRequest(f"unknown control {HEADER_PREFIX}{name}; known: {listed}.", param=raw)
        known["deadline" if name == "deadline-ms" else name] = _READERS[name](raw, value)
    if wishes:
        known["wishes"] = Wishes(**wishes)  # type: ignore[arg-type]  # as below
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


def _cache(name: str, value: object) -> str:
    if isinstance(value, str) and value.strip().lower() == "refresh":
        return "refresh"
    try:
        return "" if _switch(name, value) else "off"
    except InvalidRequest:
        raise InvalidRequest(f"{name} must be on, off or refresh.", param=name) from None


def _validate(name: str, value: object) -> ValidateSettings:
    """Rules as a JSON object; as JSON text in a header."""
    try:
        return asked_rules(msgspec.json.decode(value) if isinstance(value, str) else value)
    except RecursionError:
        raise InvalidRequest(f"{name} is nested too deeply.", param=name) from None
    except ValueError as error:
        raise InvalidRequest(f"{name} cannot be used: {error}.", param=name) from None


def _kind(name: str, value: object) -> str:
    if not isinstance(value, str) or not _KIND.fullmatch(value.strip().lower()):
        raise InvalidRequest(f"{name} must be one word, for instance chat, code or analysis.", param=name)
    return value.strip().lower()


def _prefer(name: str, value: object) -> str:
    if not isinstance(value, str) or value.strip().lower() not in PREFERENCES:
        raise InvalidRequest(f"{name} must be one of {', '.join(PREFERENCES)}.", param=name)
    return value.strip().lower()


def _cost(name: str, value: object) -> float:
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not 0.0 <= number <= MAX_COST_USD:
        raise InvalidRequest(f"{name} must be a number of US dollars, for instance 0.01.", param=name)
    return number


def _exactly(name: str, value: object, read: Callable[[str, object], object]) -> None:
    """A value as it is in a `Controls`: what the reader of headers makes of it, and not only what it accepts."""
    understood = read(name, value)
    if understood != value:
        raise InvalidRequest(f"{name} must be written {understood!r}.", param=name)


def _words(name: str, value: object) -> None:
    if not isinstance(value, tuple):
        raise InvalidRequest(f"{name} must be a tuple of at most {TAG_LIMIT} words.", param=name)
    _tags(name, list(value))


def _flag(name: str, value: object) -> None:
    if type(value) is not bool:
        raise InvalidRequest(f"{name} must be True or False.", param=name)


def _seconds(name: str, value: object) -> None:
    low, high = 0.001, MAX_DEADLINE_MS // 1000
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidRequest(f"{name} must be a number of seconds from {low} to {high}.", param=name)


_KIND = re.compile(r"[a-z][a-z0-9_-]{0,31}")

_WISHES = {
    "kind": ("kind", _kind),
    "max-cost-usd": ("max_cost", _cost),
    "max-latency-ms": ("max_latency", _deadline),
    "prefer": ("prefer", _prefer),
}

_READERS = {
    "session": _text,
    "tags": _tags,
    "priority": _priority,
    "deadline-ms": _deadline,
    "fallback": _switch,
    "trace": _switch,
    "cache": _cache,
    "validate": _validate,
}
