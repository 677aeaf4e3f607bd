"""What a request may ask of the gateway: the same limits for the library as for the headers."""

import pytest

from standfast.engine.inquiry import NO_CONTROLS, Controls, Wishes, read_controls
from standfast.errors import InvalidRequest
from standfast.policy.validation import ValidateSettings

WRONG: tuple[dict[str, object], ...] = (
    {"session": "s" * 257},
    {"session": 5},
    {"tags": ("t",) * 17},
    {"tags": "a,b"},
    {"tags": ("t" * 257,)},
    {"priority": 0},
    {"priority": 99},
    {"priority": "3"},
    {"priority": True},
    {"deadline": 0.0},
    {"deadline": 86_401.0},
    {"deadline": float("nan")},
    {"deadline": "5s"},
    {"fallback": "no"},
    {"trace": 1},
    {"cache": "offf"},
    {"cache": "on"},
    {"validate": {"min_chars": 5}},
    {"wishes": {"kind": "chat"}},
)
WISHES: tuple[dict[str, object], ...] = (
    {"kind": "two words"},
    {"kind": "Chat"},
    {"max_cost": -1.0},
    {"max_cost": float("nan")},
    {"max_latency": 0.0},
    {"prefer": "beauty"},
)


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_controls_cannot_be_what_headers_cannot_say(wrong: dict[str, object]) -> None:
    """A control that nobody understands is an error where it is written, and names itself."""
    (name,) = wrong
    with pytest.raises(InvalidRequest, match=name):
        Controls(**wrong)  # type: ignore[arg-type]  # that is the test


@pytest.mark.parametrize("wrong", WISHES, ids=str)
def test_wishes_cannot_be_what_headers_cannot_say(wrong: dict[str, object]) -> None:
    """The same for what a request wishes of its target."""
    (name,) = wrong
    with pytest.raises(InvalidRequest, match=name):
        Wishes(**wrong)  # type: ignore[arg-type]  # that is the test


def test_what_headers_say_can_be_written() -> None:
    """Both ways to the same controls."""
    headers = {
        "session": "s",
        "tags": "a,b",
        "priority": "5",
        "deadline-ms": "86400000",
        "cache": "off",
        "kind": "Chat",
    }
    written = Controls("s", ("a", "b"), 5, 86_400.0, cache="off", wishes=Wishes("chat"))
    assert read_controls({**headers, "validate": '{"min_chars": 5}'}) == Controls(
        "s", ("a", "b"), 5, 86_400, cache="off", validate=ValidateSettings(min_chars=5), wishes=Wishes("chat")
    )
    assert read_controls(headers) == written
    assert written.of_session("t").session == "t"
    assert written.of_session("") is written
    with pytest.raises(InvalidRequest, match="session"):
        NO_CONTROLS.of_session("s" * 257)
