"""The log line of the usual request, from a form that is filled in.

Most requests end with their first attempt, and differ from the ones before in id, times and tokens alone. Their line is
built where they end, while what it tells is still in the processor's cache: that costs a third of what another thread
needs for it, and nobody waits for that thread's turn of the interpreter. Everything else is left to `_lines`.

A form holds no text but names that the redactor has let pass unchanged. Forms are made anew when it learns a secret.
"""

from typing import Final

import msgspec

from standfast.canon.attempt import SUCCESS
from standfast.canon.record import RequestRecord
from standfast.hooks._lines import second_text
from standfast.redact import Redactor

FORMS: Final = 4_096
"""Combinations of names for which a form is kept."""


THOUSANDTHS: Final = tuple(b"%03d" % number for number in range(1000))
"""Three digits each: a number with a width is formatted the slow way."""

_PARTS: Final = b'"cached":%d,"cache_written":%d,"reasoning":%d'
_NO_PARTS: Final = _PARTS % (0, 0, 0)


class QuickLines:
    """Lines for records with one successful attempt, reported usage, and neither session nor tags.

    Args:
        redactor: lets names pass.
    """

    __slots__ = ("_forms", "_learnt", "_redactor", "_second", "_time")

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._learnt = -1
        self._forms: dict[tuple[object, ...], bytes] = {}
        self._second = -1
        self._time = b""  # the same as text

    def line(self, record: RequestRecord) -> bytes | None:
        """The JSON line and its line feed, or None for a record that is not of the usual kind (or cannot be told)."""
        attempts, usage = record.attempts, record.usage
        if len(attempts) != 1 or usage is None or record.fallback or record.code or record.session or record.tags:
            return None  # an answer of the gateway's own reports no usage
        attempt = attempts[0]
        deployment = record.deployment
        if attempt.outcome is not SUCCESS or attempt.deployment != deployment or attempt.failure is not None:
            return None
        key = (record.model, deployment, record.caller, record.operation, record.status, record.stream, record.priority)
        form = self._forms.get(key) if self._learnt == self._redactor.learnt else None
        if form is None and not (form := self._form(record, key)):
            return None
        first, total = record.first_token, record.total
        overhead = total - record.upstream
        cached, written, reasoning = usage.cached, usage.cache_written, usage.reasoning
        try:
            thousandths = int(record.received * 1000)
            second = thousandths // 1000
            if second != self._second:
                self._time = second_text(second).encode()
                self._second = second
            return form % (
                record.id.encode(),
                self._time,
                THOUSANDTHS[thousandths % 1000],
                (attempt.ended - attempt.started) * 1e3,
                b"null" if first is None else b"%.3f" % (first * 1e3),
                total * 1e3,
                overhead * 1e3 if overhead > 0.0 else 0.0,
                usage.prompt,
                usage.completion,
                _PARTS % (cached, written, reasoning) if cached or written or reasoning else _NO_PARTS,
            )
        except (ValueError, OverflowError, OSError):
            return None

    def _form(self, record: RequestRecord, key: tuple[object, ...]) -> bytes:
        """A form for this record and those like it; empty if it must not or need not have one."""
        if self._learnt != self._redactor.learnt:
            self._learnt = self._redactor.learnt
            self._forms.clear()
        names = (record.model, record.deployment, record.caller)
        if len(self._forms) >= FORMS or any(self._redactor.text(name) != name for name in names):
            return b""
        model, deployment, caller, operation = (_json(text) for text in (*names, record.operation))
        text = (
            '{"event":"request","id":"%b","time":"%b.%bZ",'
            f'"caller":{caller},"model":{model},"operation":{operation},"deployment":{deployment},'
            f'"status":{record.status},"code":"","stream":{_json(record.stream)},"fallback":false,'
            f'"attempts":[{{"target":{deployment},"outcome":"success","kind":null,"ms":%.3f}}],'
            '"first_token_ms":%b,"total_ms":%.3f,"overhead_ms":%.3f,'
            '"usage":{"prompt":%d,"completion":%d,%b},'
            f'"session":"","tags":[],"priority":{record.priority},"source":""}}\n'
        )
        form = self._forms[key] = text.encode()
        return form


def _json(value: object) -> str:
    """JSON, fit to stand in a form."""
    return msgspec.json.encode(value).decode().replace("%", "%%")
