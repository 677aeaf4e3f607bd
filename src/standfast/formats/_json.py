"""Reading JSON that strangers wrote, and changing single members of it.

Requests are read strictly: what is no JSON is the client's mistake. Replies are read with forbearance: msgspec first
(fast and strict), the standard library second (it also takes NaN, lone surrogates and numbers beyond every range).
"""

import json
import re
import struct
from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

from standfast.errors import InvalidRequest

Object: TypeAlias = dict[str, object]

JSON_ERRORS: Final = (ValueError, RecursionError)
"""What decoders raise: malformed or mistyped JSON, invalid UTF-8, numbers out of range; nesting beyond the stack."""

ABSENT: Final = msgspec.Raw(b"")
_NOTHING: Final = (b"", b"null", b'""', b"[]", b"{}", b"false", b"0")
_LONGEST_NOTHING: Final = 5
_first_two: Final = struct.Struct("2s").unpack_from
_LONGEST_INT: Final = 20
_AT: Final = re.compile(r" - at `\$\.?([^`]*)`$")

encode = msgspec.json.Encoder().encode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
any_value = msgspec.json.Decoder().decode


def present(raw: msgspec.Raw) -> bool:
    """A member is there and is not null, false, 0 or empty. Does not decode it."""
    if raw is ABSENT:
        return False
    view = memoryview(raw)
    return view.nbytes > _LONGEST_NOTHING or bytes(view) not in _NOTHING


def fields(body: bytes) -> dict[str, msgspec.Raw]:
    """The members of an object, undecoded: each value keeps its bytes."""
    return _fields(body)


def loose(data: bytes) -> object:
    """Any JSON value, read with forbearance.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deeply.
    """
    try:
        return any_value(data)
    except ValueError:
        value: object = json.loads(data.decode("utf-8", "replace"), parse_int=_int)
        return value


def loose_object(data: bytes) -> Object:
    """Like `loose`, for what must be an object.

    Raises:
        ValueError: it is no JSON object.
    """
    try:
        value = loose(data)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"no JSON: {error}") from None
    if isinstance(value, dict):
        return value
    raise ValueError(f"a JSON object was expected, not {kind(value)}")


def _int(digits: str) -> int:
    """Numbers beyond 20 digits count for nothing; parsing them would take quadratic time."""
    return int(digits) if len(digits) <= _LONGEST_INT else 0


def obj(value: object) -> Object:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[object]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """The value if it is a string, else the empty one; lone surrogates, which UTF-8 cannot hold, become `?`."""
    if not isinstance(value, str):
        return ""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def count(value: object) -> int:
    """The value if it is a sensible count, else 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1 << 53:
        return 0
    return int(value)


def kind(value: object) -> str:
    """JSON's word for the type of a value."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def check_utf8(body: bytes) -> None:
    """Check the whole body once: msgspec does not look inside the strings that it skips.

    Raises:
        InvalidRequest: the body is not valid UTF-8.
    """
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"The request body is not valid UTF-8 (byte {error.start}).") from None


def refused(error: Exception, right: Mapping[str, str]) -> InvalidRequest:
    """The client's error for a body that a decoder refused; `right` says for each field what it must be."""
    if isinstance(error, RecursionError):
        return InvalidRequest("The request body is nested too deeply.")
    if isinstance(error, msgspec.ValidationError):
        found = _AT.search(str(error))
        if found is None:
            return InvalidRequest("The request body must be a JSON object.")
        path = found[1]
        what = right.get(path) or right.get(path.split(".")[0].split("[")[0])
        if what is None:
            return InvalidRequest(f"'{path}' cannot be read: {_AT.sub('', str(error))}.", param=path)
        return InvalidRequest(f"'{path}' must be {what}.", param=path)
    return InvalidRequest(f"The request body is not valid JSON: {error}.")


def replace(body: bytes, changes: Mapping[str, object]) -> bytes:
    """The object with top-level members set (or removed, where the new value is None); all others keep their bytes."""
    members: dict[str, object] = dict(_fields(body))
    for name, value in changes.items():
        if value is None:
            members.pop(name, None)
        else:
            members[name] = value
    return encode(members)


def non_empty_list(raw: msgspec.Raw) -> bool:
    """An undecoded value is a list with something in it."""
    try:
        if _first_two(raw)[0] == b"[{":  # as nearly every client writes it
            return True
    except struct.error:  # it is shorter
        return False
    head = bytes(memoryview(raw)[:32])
    if not head.startswith(b"["):
        return False
    rest = head[1:].lstrip() or bytes(memoryview(raw)[1:]).lstrip()
    return not rest.startswith(b"]")
