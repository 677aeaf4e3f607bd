"""What an answer must be like to count as one: rules set by an operator or by a request, judged on the whole answer.

House rules of this file:

* A fault says which rule was broken and never quotes the answer: it goes into logs and traces.
* Nothing here can be made slow by a strange answer or a strange rule: see `policy.schemas`. What a *request* brings is
  bounded further (`asked_rules`), because whoever may send a request may send a hostile one.
* An answer that calls tools has no text yet: only the rule about its finish reason applies to it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from pydantic import AfterValidator, ConfigDict, Field, JsonValue, ValidationError, model_validator

from standfast.canon.settings import Settings
from standfast.policy.schemas import compiled_pattern, compiled_schema, text_of, unfolded

if TYPE_CHECKING:
    from jsonschema_rs import Validator

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
"""Why an answer ended, in OpenAI's words; other providers' words are translated."""

PATTERN_CHARS = 1000
"""The longest regular expression."""

JUDGED_CHARS = 1_000_000
"""The longest text that a regular expression is tried on; no model writes as much in one answer."""

ASKED_SCHEMA_BYTES = 64 * 1024
ASKED_SCHEMA_PARTS = 5000
"""Bounds of a schema that comes with a request; OpenAI allows as many properties in its structured outputs."""

ASKED_WORK = 50_000_000
"""Bound of (parts of such a schema x characters of the answer): checking stays well below a second."""


def _usable_pattern(pattern: str) -> str:
    compiled_pattern(pattern)
    return pattern


def _usable_schema(schema: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    compiled_schema(schema)
    return schema


Pattern = Annotated[str, Field(min_length=1, max_length=PATTERN_CHARS), AfterValidator(_usable_pattern)]


class ValidateSettings(Settings):
    """What an answer must be like to count as one; any other fails over.

    White space around the text does not count. A stream is held back until it is whole and valid. Of an answer with
    several choices each must hold. An answer that calls tools is judged by `finish_reason` alone.

    Attributes:
        min_chars: the least number of characters.
        max_chars: the greatest; absent for no limit.
        not_empty: there is text at all.
        parses: the text is JSON, without a code fence around it.
        json_schema: the text is JSON that this schema allows (drafts 4 to 2020-12; 2020-12 if it does not say which).
            Nothing is fetched.
        finish_reason: the finish reasons that count; `[stop, tool_calls]` refuses what a token limit cut.
        regex: a regular expression that must be found in the text, in Rust's syntax (no look-around, no back
            references).
        not_regex: one that must not be found.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    min_chars: Annotated[int, Field(ge=0)] = 0
    max_chars: Annotated[int, Field(ge=0)] | None = None
    not_empty: bool = False
    parses: bool = Field(default=False, alias="json")
    json_schema: Annotated[Mapping[str, JsonValue], AfterValidator(_usable_schema)] | None = None
    finish_reason: tuple[FinishReason, ...] = ()
    regex: Pattern | None = None
    not_regex: Pattern | None = None

    @model_validator(mode="after")
    def _possible(self) -> "ValidateSettings":
        if self.contradictory:
            raise ValueError("no answer can be that long and that short: max_chars is too small")
        return self

    @property
    def contradictory(self) -> bool:
        """No answer can satisfy it; layers can contradict each other."""
        return self.max_chars is not None and self.max_chars < max(self.min_chars, int(self.not_empty))

    @property
    def demanding(self) -> bool:
        """There is a rule at all."""
        return self.model_dump() != _NO_RULES

    def over(self, base: "ValidateSettings | None") -> "ValidateSettings":
        """These laid over `base`: what is not written here stays as there."""
        if base is None:
            return self
        return base.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})


_NO_RULES = ValidateSettings().model_dump()


class Rules:
    """The rules of one `ValidateSettings`, ready to judge.

    Args:
        settings: the rules.
        asked: they came with a request: checking is bounded, and faults show nothing of them.
    """

    __slots__ = ("_asked", "_must", "_must_not", "_parts", "_schema", "_settings")

    def __init__(self, settings: ValidateSettings, *, asked: bool = False) -> None:
        self._settings = settings
        self._asked = asked
        self._parts = 0
        self._schema: Validator | None = None
        if settings.json_schema is not None:
            self._schema = compiled_schema(settings.json_schema)
            self._parts = unfolded(settings.json_schema) if asked else 0
        self._must = None if settings.regex is None else compiled_pattern(settings.regex)
        self._must_not = None if settings.not_regex is None else compiled_pattern(settings.not_regex)

    def fault(self, text: str, finish: str, *, calls_tools: bool = False) -> str:
        """Why an answer does not count; empty if it does.

        Args:
            text: of one choice.
            finish: its finish reason in OpenAI's words; empty if it has none.
            calls_tools: the answer asks for tools to be called.
        """
        allowed = self._settings.finish_reason
        if allowed and finish not in allowed:
            return f"it ended with finish reason {finish or 'none'}"
        if calls_tools:
            return ""
        text = text.strip()
        return self._size_fault(text) or self._pattern_fault(text) or self._json_fault(text)

    def _size_fault(self, text: str) -> str:
        settings = self._settings
        if settings.not_empty and not text:
            return "it is empty"
        if len(text) < settings.min_chars:
            return f"it has fewer than {settings.min_chars} characters"
        if settings.max_chars is not None and len(text) > settings.max_chars:
            return f"it has more than {settings.max_chars} characters"
        return ""

    def _pattern_fault(self, text: str) -> str:
        must, must_not = self._must, self._must_not
        if must is None and must_not is None:
            return ""
        if len(text) > JUDGED_CHARS:
            return f"it is longer than the {JUDGED_CHARS} characters that a regular expression is tried on"
        if must is not None and not must.is_valid(text):
            return "it does not match `regex`"
        if must_not is not None and must_not.is_valid(text):
            return "it matches `not_regex`"
        return ""

    def _json_fault(self, text: str) -> str:
        if self._schema is None and not self._settings.parses:
            return ""
        try:
            value = msgspec.json.decode(text)
            return "" if self._schema is None else self._schema_fault(self._schema, value, len(text))
        except RecursionError:
            return "its JSON is nested too deeply"
        except ValueError:  # whose message may quote
            return "it is not JSON"

    def _schema_fault(self, schema: "Validator", value: object, size: int) -> str:
        if self._parts * size > ASKED_WORK:
            return "it is too long to be judged by so large a JSON schema"
        error = next(iter(schema.iter_errors(value)), None)
        if error is None:
            return ""
        place = "" if self._asked else " at " + "/".join(str(step) for step in error.schema_path)
        return f"its JSON breaks `json_schema` ({error.kind.name}{place})"


def asked_rules(value: object) -> ValidateSettings:
    """The rules that a request brings, as plain JSON values.

    Raises:
        ValueError: they are none, or exceed the bounds that hold for requests; names the place and what is right.
    """
    if isinstance(value, dict) and isinstance(value.get("json_schema"), dict):
        _bound(value["json_schema"])
    try:
        return ValidateSettings.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"] if not str(step).startswith("function-"))
        said = first.get("ctx", {}).get("error", first["msg"])
        raise ValueError(f"{place}: {said}" if place else str(said)) from None


def _bound(schema: Mapping[str, JsonValue]) -> None:
    try:
        size, parts = len(text_of(schema)), unfolded(schema)
    except RecursionError:
        raise ValueError("json_schema: is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"json_schema: {error}") from None
    if size > ASKED_SCHEMA_BYTES:
        raise ValueError(f"json_schema: is larger than {ASKED_SCHEMA_BYTES // 1024} KiB")
    if parts > ASKED_SCHEMA_PARTS:
        raise ValueError(f"json_schema: has more than {ASKED_SCHEMA_PARTS} parts once its references are followed")
