"""Which requests are the same: the digest under which an answer is kept."""

import hashlib
import json
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from standfast.engine.inquiry import Inquiry

_VERSION = b"standfast answers 1"
"""Part of every key: another way to write what is kept, or to compute keys, gets another one."""

_OURS = "standfast"


def key_of(inquiry: Inquiry, model: str, scope: bytes) -> bytes:
    """The digest under which the answer to a request is kept; empty if it cannot be kept.

    Equal for equal requests of one caller for one model: same operation, same format, same JSON values, same wishes
    (they have a say in who answers).
    """
    try:
        content = canonical(inquiry.envelope.body)
    except (ValueError, RecursionError, ArithmeticError):
        return b""
    digest = hashlib.sha256()
    for part in (
        _VERSION,
        scope,
        model.encode(),
        inquiry.format.name.encode(),
        inquiry.operation.value.encode(),
        inquiry.caller.encode(),
        msgspec.json.encode(inquiry.controls.wishes),
        content,
    ):
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.digest()


def canonical(body: bytes) -> bytes:
    """One text for all spellings of a request body, without the model's name (an alias) and what is the gateway's.

    White space, the order of members, escapes in strings and trailing zeros of fractions do not count. Numbers stay
    exact, and `1` is not `1.0`: strict providers accept only one of them. A member that is there twice has no single
    meaning, so such a body has no text.

    Raises:
        ValueError, RecursionError, ArithmeticError: there is none; the answer cannot be kept.
    """
    value = json.loads(body.decode(), object_pairs_hook=_members, parse_float=_fraction, parse_constant=_no_number)
    value.pop("model", None)
    value.pop(_OURS, None)
    return _encode(value)


_encode = msgspec.json.Encoder(order="sorted").encode


def _members(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    pairs = list(pairs)
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is there twice")
    return members


def _fraction(text: str) -> msgspec.Raw:
    """The exact number, without trailing zeros.

    (`Decimal.normalize` would round it to the context's precision.)
    """
    sign, digits, exponent = Decimal(text).as_tuple()
    shown = "".join(map(str, digits))
    kept = shown.rstrip("0")
    power = int(exponent) + len(shown) - len(kept) if kept else 0
    return msgspec.Raw(f"{'-' * sign}{kept or 0}e{power}".encode())


def _no_number(word: str) -> object:
    raise ValueError(f"{word} is no number")
