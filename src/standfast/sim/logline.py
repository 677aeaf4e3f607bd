"""Lines of the access log (`standfast.hooks.log`), and which of them a scenario is made of.

A log is read twice. The first time only instants and operations are looked at: a scenario has one operation, the most
frequent one, and one stretch of time. A line with a wrong clock (1970, the year 9999) would make it decades long;
where nothing was logged for more than `GAP`, the log falls into parts, and the one with the most requests is taken.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec

from standfast.canon.deployment import Operation
from standfast.sim.settings import OURS

HOUR = 3600.0

GAP = 7 * 24 * HOUR
"""Seconds without a line after which a log begins anew: longer than a holiday week-end without any traffic."""

MOST_NAMED = 5

NOT_A_LINE = (msgspec.DecodeError, ValueError, OverflowError, RecursionError)
"""What a damaged line raises when it is read."""

CACHE = "cache"

SUCCESS, CANCELLED, FAILURE = "success", "cancelled", "failure"

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_ROUNDING = 1.0
"""Milliseconds by which durations of one line may disagree."""


Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=86_400_000)]
"""Of a day at most: what is longer is a damaged line."""

Tokens = Annotated[int, msgspec.Meta(ge=0, le=100_000_000)]

Target = Annotated[str, msgspec.Meta(pattern=r"^[^/\s]+/\S+$")]


class Usage(msgspec.Struct):
    """Tokens."""

    prompt: Tokens = 0
    completion: Tokens = 0


class Attempt(msgspec.Struct):
    """One attempt."""

    target: Target
    outcome: str
    ms: Milliseconds
    kind: str | None = None


class Line(msgspec.Struct):
    """What is taken of a line."""

    event: str
    time: str
    model: str = ""
    operation: str = Operation.CHAT.value
    status: int = 0
    code: str = ""
    stream: bool = False
    attempts: list[Attempt] = []
    first_token_ms: Milliseconds | None = None
    total_ms: Milliseconds | None = None
    usage: Usage | None = None
    caller: str = ""
    session: str = ""
    priority: int = 3
    source: str = ""

    @property
    def rest(self) -> float:
        """Seconds from the first content of a stream to its end."""
        return max(0.0, (self.total_ms or 0.0) - (self.first_token_ms or 0.0)) / 1e3


class _Head(msgspec.Struct):
    event: str
    time: str
    model: str = ""
    operation: str = Operation.CHAT.value


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a scenario is made of: an operation, and an interval of Unix time."""

    operation: str = Operation.CHAT.value
    begin: float = float("-inf")
    end: float = float("inf")


@dataclass(slots=True)
class LeftOut:
    """Lines that are not taken: how many, and the numbers of the first ones."""

    count: int = 0
    numbers: list[int] = field(default_factory=list)

    def add(self, number: int) -> None:
        """One more."""
        self.count += 1
        if len(self.numbers) < MOST_NAMED:
            self.numbers.append(number)

    def __str__(self) -> str:
        return ", ".join(map(str, self.numbers)) + (" ..." if self.count > len(self.numbers) else "")


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A log that can be read twice; what comes through a pipe is kept in a temporary file.

    Raises:
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        if file.seekable():
            yield file
            return
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(file, copy)
            copy.seek(0)
            yield copy


def texts(file: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, with their numbers; without the mark that some editors put in front of UTF-8."""
    for number, raw in enumerate(file, start=1):
        text = raw.removeprefix(_BYTE_ORDER_MARK) if number == 1 else raw
        if text.strip():
            yield number, text


def instant(text: str) -> float:
    """Unix time of an RFC 3339 text.

    Raises:
        ValueError, OverflowError: it is none, or of a year that no clock has.
    """
    return datetime.fromisoformat(text).timestamp()


def stretch(file: Iterable[bytes], known: AbstractSet[str]) -> Stretch:
    """The most frequent operation, and the most populous stretch of time in which it was asked.

    Args:
        file: the lines.
        known: the models that count.
    """
    hours: dict[str, Counter[int]] = {}
    decode = msgspec.json.Decoder(_Head).decode
    for _, text in texts(file):
        try:
            head = decode(text)
            if head.event == "request" and head.model in known:
                hours.setdefault(head.operation, Counter())[int(instant(head.time) // HOUR)] += 1
        except NOT_A_LINE:
            continue
    if not hours:
        return Stretch()
    operation = max(hours, key=lambda each: hours[each].total())
    counts = hours[operation]
    parts: list[list[int]] = [[min(counts)]]
    for before, hour in pairwise(sorted(counts)):
        if (hour - before) * HOUR > GAP:
            parts.append([])
        parts[-1].append(hour)
    most = max(parts, key=lambda part: sum(counts[hour] for hour in part))
    return Stretch(operation, most[0] * HOUR - GAP / 2, (most[-1] + 1) * HOUR + GAP / 2)


def interrupted(line: Line) -> list[Attempt]:
    """Of a stream that went out in part: the attempts ended from our side that may have been the one it came from.

    That one was under way for at least as long as content went out. A winner in the same line means that the others
    were closed at its first content and had none.
    """
    if line.first_token_ms is None or any(each.outcome == SUCCESS for each in line.attempts):
        return []
    return [each for each in line.attempts if ours(each) and each.ms >= line.rest * 1e3 - _ROUNDING]


def ours(attempt: Attempt) -> bool:
    """Was it ended from our side?"""
    return attempt.outcome == CANCELLED or attempt.kind in OURS
