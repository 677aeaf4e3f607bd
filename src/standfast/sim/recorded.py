"""A scenario from recorded traffic: the access log as JSON lines (`standfast.hooks.log`).

What is taken from it, in one pass and in memory that does not grow with the number of requests:

    workload      how many, when (the curve), which models, priorities, callers, streams or not, sizes
    upstreams     of every target: quantiles of the time to first content, from token to token and of whole replies;
                  the mix of errors and how long each took to be told
    troubles      outages: five or more attempts at a target that failed in a row, as the breaker counts, from the first
                  one to the middle between the last one and the next success; what failed in them is not counted among
                  the ordinary errors

What a log cannot tell is not guessed: capacities, rate limits and prices are left open; add them to the saved file.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import msgspec

from standfast.canon.failure import FailureKind
from standfast.config.schema import Config
from standfast.errors import ConfigError, Problem
from standfast.sim.observed import TargetRecord, shares, table
from standfast.sim.settings import OURS, Scenario
from standfast.sim.sketch import Sketch

SLOT = 10.0
"""Seconds: how finely arrivals are counted."""

ROUNDING = 1.0
"""Milliseconds by which durations of one line may disagree."""

POINTS = 96
"""Pieces of the arrival curve: a quarter of an hour each in a day."""

MOST_CALLERS, MOST_SESSIONS, MOST_NAMED = 50, 100_000, 5

SUCCESS = 200

ASSUMED = 250.0
"""Tokens of an answer where no line says any: the median of a scenario that does not say it either."""


class _Usage(msgspec.Struct):
    prompt: int = 0
    completion: int = 0


class _Attempt(msgspec.Struct):
    target: str
    outcome: str
    ms: float
    kind: str | None = None


class _Line(msgspec.Struct):
    event: str
    time: str
    model: str = ""
    status: int = 0
    code: str = ""
    stream: bool = False
    attempts: list[_Attempt] = []
    first_token_ms: float | None = None
    total_ms: float | None = None
    usage: _Usage | None = None
    caller: str = ""
    session: str = ""
    priority: int = 3

    @property
    def rest(self) -> float:
        """Seconds from the first content of a stream to its end."""
        return max(0.0, (self.total_ms or 0.0) - (self.first_token_ms or 0.0)) / 1e3


@dataclass(slots=True)
class Recorded:
    """What was made of a log; `notes` say what was left out, and what the log itself measured."""

    scenario: Scenario
    notes: list[str]


def read(path: Path, config: Config) -> Recorded:
    """The scenario that a log describes.

    Args:
        path: the log.
        config: whose models are asked; requests for others are left out and counted.

    Raises:
        ConfigError: the file cannot be read, or has no line of a request.
    """
    books = _Books(set(config.models))
    try:
        with path.open("rb") as file:
            books.read(file)
    except OSError as error:
        raise ConfigError([Problem("(file)", f"cannot be read: {error.strerror}")], str(path)) from None
    if not books.count:
        message = "has no line of a request for a configured model; is it the log as JSON lines (log.format: json)?"
        raise ConfigError([Problem("(file)", message), *(Problem("(note)", note) for note in books.notes())], str(path))
    return Recorded(books.scenario(path.name), books.notes())


@dataclass(slots=True)
class _Books:
    """What has been read so far."""

    known: set[str]
    count: int = 0
    answered: int = 0
    streams: int = 0
    cut: int = 0
    late: int = 0
    lines: int = 0
    broken: int = 0
    named: list[int] = field(default_factory=list)
    foreign: Counter[str] = field(default_factory=Counter)
    slots: Counter[int] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    priorities: Counter[int] = field(default_factory=Counter)
    callers: Counter[str] = field(default_factory=Counter)
    sessions: set[str] = field(default_factory=set)
    prompt: Sketch = field(default_factory=Sketch)
    completion: Sketch = field(default_factory=Sketch)
    tokens: int = 0
    first: Sketch = field(default_factory=Sketch)
    total: Sketch = field(default_factory=Sketch)
    targets: dict[str, TargetRecord] = field(default_factory=dict)
    every: TargetRecord = field(default_factory=TargetRecord)
    earliest: float = float("inf")
    latest: float = float("-inf")

    def read(self, lines: Iterable[bytes]) -> None:
        """Read lines; what cannot be understood is counted and named."""
        decode = msgspec.json.Decoder(_Line).decode
        for number, text in enumerate(lines, start=1):
            if not text.strip():
                continue
            self.lines += 1
            try:
                line = decode(text)
                if line.event == "request":
                    self._request(line, datetime.fromisoformat(line.time).timestamp())
            except (msgspec.DecodeError, ValueError):
                self.broken += 1
                if len(self.named) < MOST_NAMED:
                    self.named.append(number)

    def _request(self, line: _Line, received: float) -> None:
        kinds = [FailureKind(each.kind) if each.kind is not None else None for each in line.attempts]
        if line.model not in self.known:
            self.foreign[line.model] += 1
            return
        self.count += 1
        self.earliest = min(self.earliest, received)
        self.latest = max(self.latest, received)
        self.slots[int(received // SLOT)] += 1
        self.models[line.model] += 1
        self.priorities[min(5, max(1, line.priority))] += 1
        self.callers[line.caller] += 1
        self.streams += line.stream
        if line.session and len(self.sessions) < MOST_SESSIONS:
            self.sessions.add(line.session)
        if line.usage is not None:
            self.prompt.add(line.usage.prompt)
            self.completion.add(line.usage.completion)
            self.tokens += line.usage.completion
        at = received
        for each, kind in zip(line.attempts, kinds, strict=True):
            at += each.ms / 1e3
            record = self.targets.setdefault(each.target, TargetRecord())
            if each.outcome == "success":
                self._success(line, each, record, at)
            elif each.outcome == "cancelled" or kind in OURS:
                self._cut(line, each, record)
            elif kind is not None and each.outcome == "failure":
                record.failed(kind, each.ms / 1e3, at)
        self.late += line.code == FailureKind.DEADLINE_PASSED
        if line.status == SUCCESS and line.total_ms is not None:
            self.answered += 1
            self.total.add(line.total_ms / 1e3)
            self.first.add((line.first_token_ms if line.first_token_ms is not None else line.total_ms) / 1e3)

    def _success(self, line: _Line, attempt: _Attempt, record: TargetRecord, at: float) -> None:
        seconds = attempt.ms / 1e3
        record.succeeded(at)
        if not line.stream:
            record.whole.add(seconds)
            self.every.whole.add(seconds)
            return
        if line.first_token_ms is None or line.total_ms is None:
            return
        first = max(0.0, seconds - line.rest)
        tokens = line.usage.completion if line.usage is not None else 0
        record.streamed(first, seconds - first, tokens)
        self.every.streamed(first, seconds - first, tokens)

    def _cut(self, line: _Line, attempt: _Attempt, record: TargetRecord) -> None:
        """An attempt that was ended from our side: it would have taken longer."""
        seconds = attempt.ms / 1e3
        self.cut += 1
        told = _interrupted(line)
        for each in (record, self.every):
            if not line.stream:
                each.whole.cut(seconds)
            elif not any(attempt is one for one in told):
                each.first.cut(seconds)
            elif len(told) == 1:
                each.first.add(max(0.0, seconds - line.rest))
                each.rest.cut(line.rest)
            else:  # one of them had content, nobody knows which: what is true of both
                each.first.cut(max(0.0, seconds - line.rest))

    # what came of it

    def scenario(self, name: str) -> Scenario:
        """The scenario that these books describe."""
        duration = max(1.0, self.latest - self.earliest)
        size = self._size()
        upstreams = {"*": self.every.section(size, ordinary=False)} if self.every.said else {}
        upstreams |= {target: record.section(size) for target, record in sorted(self.targets.items())}
        troubles = [
            trouble
            for target, record in sorted(self.targets.items())
            for trouble in record.troubles(target, self.earliest, duration)
        ]
        return Scenario.model_validate(
            {
                "title": f"As recorded in {name}",
                "about": "Made of an access log. It knows no capacities, rate limits and prices: add what you know.",
                "duration": round(duration, 3),
                "workload": self._workload(duration),
                "upstreams": upstreams,
                "troubles": troubles,
            }
        )

    def _workload(self, duration: float) -> dict[str, object]:
        workload: dict[str, object] = {
            "requests": self.count,
            "curve": self._curve(duration),
            "models": shares(self.models),
            "streaming": round(self.streams / self.count, 4),
            "priorities": shares(self.priorities),
        }
        if self.prompt.count:
            workload |= {"prompt_tokens": table(self.prompt), "completion_tokens": table(self.completion)}
        size = self._size()
        if size is not None:
            workload["completion_tokens"] = size
        if set(self.callers) != {""}:
            often = Counter({f"caller-{at}": n for at, (_, n) in enumerate(self.callers.most_common(MOST_CALLERS), 1)})
            workload["callers"] = shares(often)
        if self.sessions:
            workload["sessions"] = len(self.sessions)
        return workload

    def _unsized(self) -> list[str]:
        """The targets whose streams do not say how long they are: OpenAI's format tells only a client that asks."""
        return sorted(target for target, record in self.targets.items() if not record.sizes_known)

    def _size(self) -> float | None:
        """Tokens that every answer is taken to have; None where the streams of all targets say their own.

        One size for all, since sizes are drawn independently of the pace: with a spread, durations would spread more
        than those in the log. It is the mean of the answers that say theirs.
        """
        if not self._unsized():
            return None
        return max(2.0, round(self.tokens / self.completion.count)) if self.tokens else ASSUMED

    def _curve(self, duration: float) -> list[float]:
        """Rates at equally spaced instants: each is the mean of the pieces on both sides."""
        pieces = min(POINTS, int(duration / SLOT))
        if pieces < 2:  # noqa: PLR2004 - too short to have a shape
            return []
        counts = [0.0] * pieces
        for slot, count in self.slots.items():
            begin, end = (((edge * SLOT) - self.earliest) / duration * pieces for edge in (slot, slot + 1))
            begin, end = max(0.0, begin), min(float(pieces), end)
            for piece in range(
                int(begin), math.ceil(end)
            ):  # a slot that lies in several pieces belongs to each in part
                counts[piece] += count * (min(end, piece + 1) - max(begin, piece)) / (end - begin)
        padded = [counts[0], *counts, counts[-1]]
        most = max(counts)
        return [round((low + high) / 2 / most, 3) for low, high in pairwise(padded)]

    def notes(self) -> list[str]:
        """What was read, what was left out, what the log measured."""
        notes = [f"read {self.lines} lines: {self.count} requests"]
        if self.count:
            first, total = (sketch.quantile(0.5) for sketch in (self.first, self.total))
            measured = f"the log itself: {self.answered / self.count:.4%} answered"
            if first is not None and total is not None:
                measured += f", first content p50 {first * 1e3:.0f} ms, whole answer p50 {total * 1e3:.0f} ms"
            notes.append(measured)
            if not self.prompt.count:
                notes.append("no line reports usage: the sizes of requests and answers are assumed")
            size = self._size()
            if size is not None:
                notes.append(
                    f"the streams of {', '.join(self._unsized())} do not say how long they are: every answer is taken"
                    f" to have {size:g} tokens, and its pace is what makes streams last as long as in the log"
                )
            if self.cut:
                notes.append(
                    f"{self.cut} attempts were cut short (a hedge that lost, a deadline, a caller who left): each"
                    " counts as one that would have taken longer"
                )
            notes += [
                f"no attempt at {target} came to an end of its own, {record.cut_short} were cut short: its latency is"
                " not known, that of all is taken"
                for target, record in sorted(self.targets.items())
                if record.cut_short and not record.said
            ]
            if self.late:
                notes.append(
                    f"{self.late} requests ran out of their own time ({FailureKind.DEADLINE_PASSED}): deadlines of"
                    " callers are not in a log and not rehearsed; workload.deadline sets one for all"
                )
        if self.broken:
            more = " ..." if self.broken > len(self.named) else ""
            notes.append(
                f"left out {self.broken} lines that are not of this log: {', '.join(map(str, self.named))}{more}"
            )
        for model, count in self.foreign.most_common(MOST_NAMED):
            notes.append(f"left out {count} requests for {model!r}, which the configuration does not have")
        return notes


def _interrupted(line: _Line) -> list[_Attempt]:
    """Of a stream that went out in part: the attempts ended from our side that may have been the one it came from.

    That one was under way for at least as long as content went out. A winner in the same line means that the others
    were closed at its first content and had none.
    """
    if line.first_token_ms is None or any(each.outcome == "success" for each in line.attempts):
        return []
    cut = [each for each in line.attempts if each.outcome == "cancelled" or each.kind in OURS]
    return [each for each in cut if each.ms >= line.rest * 1e3 - ROUNDING]
