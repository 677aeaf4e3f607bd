"""Seeded mutations of JSON that providers and clients really send: wrong types, unknown enums, broken numbers and text.

A document is written node by node; nodes that are hit are written as something else. So duplicate keys, NaN, numbers of
thousands of digits, lone surrogates and bytes that are no UTF-8 are as easy as any other value.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

DEEP = 200
TOKENS: tuple[bytes, ...] = (
    *(
        b"null",
        b"true",
        b"false",
        b"0",
        b"-1",
        b"-0.0",
        b"0.5",
        b"1e999",
        b"-1e999",
        b"1e-999",
        b"12345678901234567890",
    ),
    *(b"NaN", b"Infinity", b"-Infinity", b"nan", b"01", b"+1", b"0x10", b"1_000"),
    *(b"9" * 400, b"-" + b"9" * 5000, b"1." + b"0" * 400, b"9" * 19, b"1" + b"0" * 30),
    *(
        b'""',
        b'" "',
        b'"0"',
        b'"1e400"',
        b'"\\ud83d"',
        b'"\\udc00 x \\ud83d"',
        b'"\\u0000"',
        b'"a\x00b"',
        b'"\xff\xfe"',
    ),
    *('"\u2028\u202e"'.encode(), b'"' + b"x" * 3000 + b'"', b'"unknown_enum"', b'"STOP"', b'"error"', b'"[DONE]"'),
    *(b"[]", b"{}", b"[null]", b"[[]]", b'{"":null}', b"[{}]", b'{"error":{}}', b'{"error":null}', b'[1,"a",null,{}]'),
    *(
        b"[" * DEEP + b"]" * DEEP,
        b'{"a":' * DEEP + b"1" + b"}" * DEEP,
        b"[" * 20_000,
        b"",
        b",",
        b"}",
        b'"',
        b"\xef\xbb\xbf1",
    ),
)
"""What a node may become."""

WORDS = ("index", "type", "error", "choices", "delta", "text", "usage", "content", "parts", "role", "id", "", "code")
"""What a member's name may become."""


def mutant(value: object, rng: random.Random, others: Sequence[object]) -> bytes:
    """The document with one to three nodes hit, then now and then with damage to its bytes."""
    hits = {rng.randrange(_nodes(value)) for _ in range(rng.randint(1, 3))}
    data = b"".join(_Writer(hits, rng, others).pieces(value))
    return _damaged(data, rng) if rng.random() < 0.1 else data


def _nodes(value: object) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(_nodes, value.values()))
    if isinstance(value, list):
        return 1 + sum(map(_nodes, value))
    return 1


class _Writer:
    """Writes a document node by node, in order; those whose number is hit become something else."""

    def __init__(self, hits: set[int], rng: random.Random, others: Sequence[object]) -> None:
        self._hits = hits
        self._rng = rng
        self._others = others
        self._number = 0

    def pieces(self, value: object) -> Iterator[bytes]:
        """The bytes of a value."""
        self._number += 1
        if self._number - 1 in self._hits:
            self._number += _nodes(value) - 1
            yield _instead(value, self._rng, self._others)
        elif isinstance(value, dict):
            yield b"{"
            for at, (name, inner) in enumerate(value.items()):
                yield b"," if at else b""
                yield from self._member(name, inner)
            yield b"}"
        elif isinstance(value, list):
            yield b"["
            for at, inner in enumerate(value):
                yield b"," if at else b""
                yield from self.pieces(inner)
            yield b"]"
        else:
            yield _plain(value)

    def _member(self, name: str, inner: object) -> Iterator[bytes]:
        """Now and then twice, with another value before it or behind it, or under another name."""
        rng = self._rng
        turn = rng.random()
        if turn < 0.01:
            yield _plain(name) + b":" + rng.choice(TOKENS) + b","
        yield _plain(rng.choice(WORDS) if 0.01 <= turn < 0.02 else name) + b":"
        yield from self.pieces(inner)
        if turn > 0.99:
            yield b"," + _plain(name) + b":" + rng.choice(TOKENS)


def _plain(value: object) -> bytes:
    return json.dumps(value).encode()


def _instead(value: object, rng: random.Random, others: Sequence[object]) -> bytes:
    turn = rng.random()
    if turn < 0.75:
        return rng.choice(TOKENS)
    if turn < 0.8:
        return b"[" + _plain(value) + b"]"
    if turn < 0.85:
        return b'{"x":' + _plain(value) + b"}"
    if turn < 0.9:
        return _plain([value, value])
    if turn < 0.95:
        return _plain(_plain(value).decode())
    return _plain(rng.choice(others))


def _damaged(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    damages: tuple[Callable[[], bytes], ...] = (
        lambda: data[:at],
        lambda: data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :],
        lambda: data[:at] + bytes([rng.randrange(256)]) + data[at:],
        lambda: data[at:] + data[:at],
        lambda: b"\xef\xbb\xbf" + data,
        lambda: b"\n\n " + data + b" \r\n",
        lambda: b"[" + data + b"]",
        lambda: data + data,
        lambda: data.decode("utf-8", "replace").encode("utf-16"),
        lambda: b"<html>" + data,
        lambda: b"",
    )
    return rng.choice(damages)()


def fuzz(count: int, seed: int, play: Callable[[random.Random], Any]) -> list[str]:
    """Play so many cases; what went wrong: each kind of failure once, with the case that showed it."""
    found: dict[str, str] = {}
    for case in range(count):
        rng = random.Random(f"{seed}/{case}")
        try:
            play(rng)
        except Exception as error:  # noqa: BLE001 - any of them is a finding
            trace = error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            where = "" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
            found.setdefault(f"{type(error).__name__} at {where}", f"case {case}: {str(error)[:200]}")
    return [f"{kind}, {case}" for kind, case in found.items()]
