"""Which requests are the same."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast import plugins
from standfast.canon.deployment import Operation
from standfast.engine.answer_key import canonical, key_of
from standfast.engine.inquiry import Controls, Inquiry, read_controls
from standfast.formats.base import Envelope, Format
from standfast.formats.openai_chat import FORMAT

EMBEDDINGS: Format = plugins.load("formats", "openai_embeddings").FORMAT

NUMBERS = st.integers(-(10**25), 10**25) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=5), JSON, max_size=4)


def shuffled(value: object) -> object:
    """The same value with every object's members the other way round."""
    if isinstance(value, dict):
        return {name: shuffled(value[name]) for name in reversed(value)}
    return [shuffled(each) for each in value] if isinstance(value, list) else value


def plain(value: object) -> object:
    """The value without what does not count."""
    return {name: each for name, each in value.items() if name not in ("model", "standfast")}  # type: ignore[attr-defined]


def kinds(value: object) -> object:
    """The value with types that Python's equality overlooks."""
    if isinstance(value, dict):
        return {name: kinds(each) for name, each in value.items()}
    if isinstance(value, list):
        return [kinds(each) for each in value]
    return (type(value), value, str(value) if isinstance(value, float) else "")


@given(OBJECTS)
def test_spelling_does_not_count(value: dict[str, object]) -> None:
    """The order of members, white space and escapes change nothing."""
    usual = canonical(json.dumps(value).encode())
    assert canonical(json.dumps(shuffled(value), indent=3, ensure_ascii=False).encode("utf-8")) == usual


@given(OBJECTS, OBJECTS)
def test_different_values_are_different(one: dict[str, object], other: dict[str, object]) -> None:
    """Two bodies have one text only if they hold the same values of the same types."""
    same = kinds(plain(one)) == kinds(plain(other))
    assert (canonical(json.dumps(one).encode()) == canonical(json.dumps(other).encode())) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("0.7", "0.70", True),
        ("0.7", "7e-1", True),
        ("1e2", "100.0", True),
        ("0.0", "0e5", True),
        ("1", "1.0", False),
        ("100", "1e2", False),
        ("0", "-0.0", False),
        ("0.1", "0.1000000000000000055511151231257827", False),
        ("0.12345678901234567890123456789012345678901", "0.12345678901234567890123456789012345678902", False),
        ("9007199254740993", "9007199254740992", False),
        ("123456789012345678901234567890", "123456789012345678901234567891", False),
        ("1e400", "1e401", False),
        ('"0.7"', "0.7", False),
        ('"7e-1"', "0.7", False),
        ("true", "1", False),
        ("null", '"null"', False),
        (r'"\u0041"', '"A"', True),
        ("[1, 2]", "[2, 1]", False),
        ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}', True),
        ('{"a": null}', "{}", False),
    ],
)
def test_numbers_are_exact(one: str, other: str, same: bool) -> None:
    """Equal are equal numbers in any spelling, with all their digits; a whole number and a fraction never are."""
    texts = [canonical(b'{"x": %b}' % value.encode()) for value in (one, other)]
    assert (texts[0] == texts[1]) is same


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1, "a": 1}',
        rb'{"a": 1, "\u0061": 2}',
        b'{"x": {"a": 1, "a": 2}}',
        b'{"a": NaN}',
        b'{"a": 1e99999999999999999999999}',
        b'{"a": %b}' % (b"1" * 5000),
        rb'{"a": "\ud800"}',
        b"[" * 100_000,
        b'{"a": "\xff"}',
    ],
)
def test_what_has_no_single_meaning_is_not_kept(body: bytes) -> None:
    """Bodies that two parsers may read differently have no key, and none makes anything but an empty key."""
    assert key_of(inquiry(body), "m", b"") == b""


def inquiry(
    body: bytes = b'{"model": "m", "messages": []}',
    *,
    caller: str = "",
    operation: Operation = Operation.CHAT,
    form: Format = FORMAT,
    controls: Controls | None = None,
) -> Inquiry:
    """A request."""
    return Inquiry(form, operation, Envelope(body, "m"), controls or Controls(), caller)


def test_what_is_the_gateways_does_not_count() -> None:
    """The name by which the model was called and the controls are no part of what was asked."""
    plain_key = key_of(inquiry(b'{"model": "m", "messages": [1]}'), "m", b"")
    assert key_of(inquiry(b'{"messages": [1], "standfast": {"session": "s"}, "model": "alias"}'), "m", b"") == plain_key
    assert key_of(inquiry(b'{"messages": [1], "user": "u", "model": "m"}'), "m", b"") != plain_key
    assert len(plain_key) == 32


def test_whatever_tells_requests_apart_tells_keys_apart() -> None:
    """E15: caller, model, configuration, operation, format, wishes and body are all in the key, each for itself."""
    keys = [
        key_of(inquiry(), "m", b""),
        key_of(inquiry(caller="a"), "m", b""),
        key_of(inquiry(caller="b"), "m", b""),
        key_of(inquiry(caller="m"), "a", b""),
        key_of(inquiry(), "other", b""),
        key_of(inquiry(), "m", b"scope"),
        key_of(inquiry(operation=Operation.EMBEDDINGS), "m", b""),
        key_of(inquiry(form=EMBEDDINGS), "m", b""),
        key_of(inquiry(b'{"model": "m", "messages": [], "stream": true}'), "m", b""),
        key_of(inquiry(caller="1:"), "m", b""),
        key_of(inquiry(caller=""), "m1:", b""),
        key_of(inquiry(controls=read_controls({"prefer": "cost"})), "m", b""),
        key_of(inquiry(controls=read_controls({"prefer": "quality"})), "m", b""),
    ]
    assert len(set(keys)) == len(keys)
