"""Are the answers of one request such that they count? Rules from the model, the target and the request itself.

A rule of the configuration can be laid over by a nearer one (target over model over defaults); the rules of a request
come in addition, so that nobody can switch off what the operator promised somebody else.

A stream is judged when it is whole, so it is held back until then: see `Gate`.
"""

from collections.abc import Mapping

from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.clock import Clock
from standfast.formats._said import Said, said, said_in_stream
from standfast.formats.base import Format
from standfast.policy.validation import Rules

CONFIGURED_KIND = FailureKind.INVALID_REPLY
"""An answer that breaks the operator's rules."""

ASKED_KIND = FailureKind.REJECTED_REPLY
"""An answer that breaks only the request's own."""


class Judge:
    """The rules for the answers of one target to one request.

    Args:
        form: the client's format, in which answers are judged.
        rules: all must hold; each with the kind of failure that it means to break it.
    """

    __slots__ = ("_form", "_rules")

    def __init__(self, form: Format, rules: tuple[tuple[Rules, FailureKind], ...]) -> None:
        self._form = form
        self._rules = rules

    def whole(self, body: bytes) -> Failure | None:
        """Why a whole reply does not count; None if it does."""
        try:
            choices = said(self._form, body)
        except ValueError:
            return _failure(CONFIGURED_KIND, "it cannot be read")
        return self._judged(choices)

    def stream(self, events: bytes) -> Failure | None:
        """Why a whole stream does not count; None if it does."""
        try:
            choices = said_in_stream(self._form, events)
        except ValueError:
            return _failure(CONFIGURED_KIND, "it cannot be read")
        return self._judged(choices)

    def accepts(self, text: str) -> bool:
        """Would an ordinary answer of this text count?"""
        return self._judged([Said(text, "stop")]) is None

    def _judged(self, choices: list[Said]) -> Failure | None:
        for choice in choices or [Said("", "")]:
            for rules, kind in self._rules:
                fault = rules.fault(choice.text, choice.finish, calls_tools=choice.calls_tools)
                if fault:
                    return _failure(kind, fault)
        return None


class Gate:
    """What stands between one attempt's answer and the client: nothing passes that does not count.

    A whole reply is judged when it is there. A stream is held back until it is: nothing of it has been shown, so that
    whatever goes wrong with it is an ordinary failure before content.

    Args:
        judge: the rules.
        clock: to note when content came.
        limit: bytes that may be held back.

    Attributes:
        since: when the first content was held back; None before. It is the moment that tells the target's speed,
            though the client gets the content later.
    """

    __slots__ = ("_clock", "_events", "_judge", "_limit", "_size", "since")

    def __init__(self, judge: Judge, clock: Clock, limit: int) -> None:
        self.since: Monotonic | None = None
        self._judge = judge
        self._clock = clock
        self._limit = limit
        self._size = 0
        self._events: list[bytes] = []

    def whole(self, body: bytes) -> Failure | None:
        """Why a whole reply does not count; None if it does."""
        return self._judge.whole(body)

    def hold(self, events: bytes) -> Failure | None:
        """Take complete events of a stream, in the client's format; a failure says that it is too much to be held."""
        if self.since is None:
            self.since = self._clock.now()
        self._size += len(events)
        if self._size > self._limit:
            self._events.clear()
            return Failure(FailureKind.INVALID_REPLY, "reply over the limit server.upstream.reply_bytes")
        self._events.append(events)
        return None

    def verdict(self) -> Failure | None:
        """The stream is whole: why it does not count; None if it does."""
        return self._judge.stream(self.release())

    def release(self) -> bytes:
        """All that was held."""
        if len(self._events) > 1:
            self._events = [b"".join(self._events)]
        return self._events[0] if self._events else b""


class Demands:
    """The rules for all answers to one request.

    Args:
        form: the client's format.
        general: the model's rules; None if it has none.
        by_target: rules of targets that have their own, by `provider/model`; None for a target without any.
        asked: the request's own; None if it brings none.
        clock: the gateway's.
        limit: bytes of a stream that may be held back.
    """

    __slots__ = ("_asked", "_by_target", "_clock", "_form", "_general", "_limit")

    def __init__(
        self,
        form: Format,
        general: Rules | None,
        by_target: Mapping[str, Rules | None],
        asked: Rules | None,
        *,
        clock: Clock,
        limit: int,
    ) -> None:
        self._form = form
        self._general = general
        self._by_target = by_target
        self._asked = asked
        self._clock = clock
        self._limit = limit

    def gate(self, target: str) -> Gate | None:
        """For one attempt with a target (`provider/model`); None if nothing is asked of its answers."""
        judge = self.of(target)
        return None if judge is None else Gate(judge, self._clock, self._limit)

    def of(self, target: str = "") -> Judge | None:
        """Who judges the answers of a target (`provider/model`); None if nothing is asked of them.

        Without a target: who judges what the gateway says itself.
        """
        configured = self._by_target.get(target, self._general)
        pairs = ((configured, CONFIGURED_KIND), (self._asked, ASKED_KIND))
        rules = tuple((each, kind) for each, kind in pairs if each is not None)
        return Judge(self._form, rules) if rules else None


def _failure(kind: FailureKind, fault: str) -> Failure:
    return Failure(kind, f"the answer does not count: {fault}", status=200)
