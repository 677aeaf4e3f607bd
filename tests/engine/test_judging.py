"""The rules for one request's answers: whose they are, and what they do to a stream."""

import json
from collections.abc import Mapping

import pytest

from standfast.canon.failure import FailureKind
from standfast.clock import ManualClock
from standfast.engine.judging import Demands, Gate, Judge
from standfast.formats.openai_chat import FORMAT
from standfast.policy.validation import Rules, ValidateSettings


def rules(**values: object) -> Rules:
    """Rules of a configuration."""
    return Rules(ValidateSettings.model_validate(values))


def whole(*texts: str) -> bytes:
    """A whole reply with these choices."""
    choices = [{"index": n, "message": {"content": text}, "finish_reason": "stop"} for n, text in enumerate(texts)]
    return json.dumps({"choices": choices}).encode()


def events(text: str, finish: str = "stop") -> list[bytes]:
    """A stream that says a text letter by letter."""
    deltas: list[dict[str, object]] = [{"delta": {"content": letter}} for letter in text]
    chunks = [*deltas, {"delta": {}, "finish_reason": finish}]
    return [b"data: " + json.dumps({"choices": [{"index": 0, **chunk}]}).encode() + b"\n\n" for chunk in chunks]


def made(
    general: Rules | None,
    by_target: Mapping[str, Rules | None] | None = None,
    asked: Rules | None = None,
    *,
    limit: int = 10_000,
) -> Demands:
    """The rules for the answers to one request."""
    return Demands(FORMAT, general, by_target or {}, asked, clock=ManualClock(), limit=limit)


def judge(demands: Demands, target: str = "") -> Judge:
    """The judge, who must exist."""
    found = demands.of(target)
    assert found is not None
    return found


def passes(demands: Demands, text: str, target: str = "") -> bool:
    """Does a whole answer of this text count?"""
    return judge(demands, target).whole(whole(text)) is None


def test_a_targets_rules_replace_the_models_and_the_requests_come_in_addition() -> None:
    """Nearer over farther within the configuration; what a request asks is asked besides, and switches nothing off."""
    demands = made(rules(min_chars=3), {"p/own": rules(min_chars=1), "p/any": None}, rules(max_chars=4))
    assert [passes(demands, text, "p/other") for text in ("ab", "abc", "abcde")] == [False, True, False]
    assert [passes(demands, text, "p/own") for text in ("", "ab", "abcde")] == [False, True, False]
    assert [passes(demands, text, "p/any") for text in ("", "ab", "abcde")] == [True, True, False]
    assert [passes(demands, text) for text in ("ab", "abc", "abcde")] == [False, True, False]


def test_nobody_judges_where_nothing_is_asked() -> None:
    """A target without rules has no judge, so its streams flow at once."""
    demands = made(rules(min_chars=3), {"p/any": None}, None)
    assert demands.of("p/any") is None
    assert demands.of("p/other") is not None


def test_every_choice_must_hold() -> None:
    """`n` above 1: one bad choice fails the answer."""
    demands = made(rules(min_chars=2))
    assert judge(demands).whole(whole("ab", "cd")) is None
    assert judge(demands).whole(whole("ab", "c")) is not None


def test_an_answer_without_choices_is_an_empty_one() -> None:
    """B17: no choice is no text; rules that ask for text refuse it."""
    assert judge(made(rules(not_empty=True))).whole(whole()) is not None
    assert judge(made(rules(max_chars=9))).whole(whole()) is None


def test_a_failure_names_the_rule_and_not_the_text() -> None:
    """An answer that does not count is `invalid_reply`; the detail quotes nothing of it."""
    failure = judge(made(rules(json=True))).whole(whole("secret words"))
    assert failure is not None
    assert (failure.kind, failure.status) == (FailureKind.INVALID_REPLY, 200)
    assert failure.detail == "the answer does not count: it is not JSON"


def test_what_cannot_be_read_does_not_count() -> None:
    """Rules cannot be promised for bytes that nobody understands."""
    found = judge(made(rules(min_chars=1)))
    assert found.whole(b"<html>") is not None
    assert found.stream(b"data: <html>\n\n") is not None


def test_a_message_is_judged_as_an_answer() -> None:
    """What the gateway would say itself must satisfy the same rules, its finish reason being `stop`."""
    assert judge(made(rules(min_chars=3))).accepts("abc")
    assert not judge(made(rules(min_chars=3))).accepts("ab")
    assert not judge(made(rules(finish_reason=["tool_calls"]))).accepts("abc")


def gate(limit: int = 10_000, **values: object) -> Gate:
    """What stands before the answers of a target for these rules."""
    found = made(rules(**values), limit=limit).gate("p/m")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "finish", "fine"), [("abc", "stop", True), ("ab", "stop", False), ("abc", "length", False)]
)
def test_a_held_stream_is_judged_as_a_whole(text: str, finish: str, fine: bool) -> None:
    """However the text was cut into events, the verdict is that on all of it."""
    held = gate(min_chars=3, finish_reason=["stop"])
    for event in events(text, finish):
        assert held.hold(event) is None
    assert (held.verdict() is None) is fine
    assert held.release() == b"".join(events(text, finish))


def test_the_first_content_is_noted() -> None:
    """A target is as quick as its first content, however long that is held back."""
    clock = ManualClock(now=5.0)
    found = Demands(FORMAT, rules(min_chars=1), {}, None, clock=clock, limit=100).gate("p/m")
    assert found is not None
    assert found.since is None
    clock.advance(2.0)
    found.hold(b"data: 1\n\n")
    clock.advance(2.0)
    found.hold(b"data: 2\n\n")
    assert found.since == 7.0


def test_what_is_held_is_bounded() -> None:
    """F6: an answer that is larger than a reply may be fails instead of filling the memory."""
    held = gate(limit=300, min_chars=1)
    outcomes = [held.hold(b"data: {}" + b" " * 90 + b"\n\n") for _ in range(4)]
    assert [outcome is None for outcome in outcomes] == [True, True, True, False]
    assert held.release() == b""


def test_a_gate_stands_only_where_something_is_asked() -> None:
    """A target without rules has no gate: its streams flow at once."""
    assert made(rules(min_chars=3), {"p/any": None}).gate("p/any") is None
    whole_gate = gate(min_chars=3)
    assert whole_gate.whole(whole("abc")) is None
    assert whole_gate.whole(whole("ab")) is not None
