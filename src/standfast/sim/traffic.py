"""What an access log shows of the traffic, in one pass over its lines and in memory that does not grow with them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from standfast.canon.failure import FailureKind
from standfast.sim.logline import (
    CACHE,
    FAILURE,
    NOT_A_LINE,
    SUCCESS,
    Attempt,
    LeftOut,
    Line,
    Stretch,
    instant,
    interrupted,
    ours,
    texts,
)
from standfast.sim.observed import TargetRecord
from standfast.sim.sketch import Sketch

SLOT = 10.0
"""Seconds: how finely arrivals are counted."""

MOST_SESSIONS = 100_000

OK = 200

ASSUMED = 250.0
"""Tokens of an answer where no line says any: the median of a scenario that does not say it either."""


@dataclass(slots=True)
class Traffic:
    """Counts and distributions of one operation in one stretch of time; what is left out is counted too.

    Attributes:
        part: what is taken.
        known: the models that are.
        count, answered, streams: requests; those that an upstream answered; those that wanted a stream.
        cut: attempts that were ended from our side.
        late: requests whose own time was over.
        kept, stand_ins: answers from the cache; other answers that no upstream gave to this request.
        broken, far, foreign, others: damaged lines, those of another time, model or operation.
        slots: arrivals in each `SLOT`.
        tokens: of all answers that say theirs.
        first, total: as the callers met it, seconds.
        every: all targets in one.
    """

    known: set[str]
    part: Stretch
    count: int = 0
    answered: int = 0
    streams: int = 0
    cut: int = 0
    late: int = 0
    lines: int = 0
    kept: int = 0
    stand_ins: int = 0
    broken: LeftOut = field(default_factory=LeftOut)
    far: LeftOut = field(default_factory=LeftOut)
    foreign: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
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
        decode = msgspec.json.Decoder(Line).decode
        for number, text in texts(lines):
            self.lines += 1
            try:
                line = decode(text)
                if line.event == "request":
                    self._request(line, instant(line.time), number)
            except NOT_A_LINE:
                self.broken.add(number)

    def _request(self, line: Line, received: float, number: int) -> None:
        kinds = [FailureKind(each.kind) if each.kind is not None else None for each in line.attempts]
        if line.model not in self.known:
            self.foreign[line.model] += 1
        elif line.operation != self.part.operation:
            self.others[line.operation] += 1
        elif not self.part.begin <= received <= self.part.end:
            self.far.add(number)
        elif line.source == CACHE:
            self.kept += 1
        else:
            self._arrival(line, received)
            self._attempts(line, kinds, received)

    def _arrival(self, line: Line, received: float) -> None:
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
        if line.usage is not None and not line.source:
            self.prompt.add(line.usage.prompt)
            self.completion.add(line.usage.completion)
            self.tokens += line.usage.completion
        self.stand_ins += bool(line.source)
        self.late += line.code == FailureKind.DEADLINE_PASSED
        if line.status == OK and not line.source and line.total_ms is not None:
            self.answered += 1
            self.total.add(line.total_ms / 1e3)
            self.first.add((line.first_token_ms if line.first_token_ms is not None else line.total_ms) / 1e3)

    def _attempts(self, line: Line, kinds: list[FailureKind | None], received: float) -> None:
        at = received
        for each, kind in zip(line.attempts, kinds, strict=True):
            at += each.ms / 1e3
            record = self.targets.setdefault(each.target, TargetRecord())
            if each.outcome == SUCCESS:
                self._success(line, each, record, at)
            elif ours(each):
                self._cut(line, each, record)
            elif kind is not None and each.outcome == FAILURE:
                record.failed(kind, each.ms / 1e3, at)

    def _success(self, line: Line, attempt: Attempt, record: TargetRecord, at: float) -> None:
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

    def _cut(self, line: Line, attempt: Attempt, record: TargetRecord) -> None:
        """An attempt that was ended from our side: it would have taken longer."""
        seconds = attempt.ms / 1e3
        self.cut += 1
        told = interrupted(line)
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

    def unsized(self) -> list[str]:
        """Targets of whose streams most do not say how long they are; OpenAI's format tells only a client that asks."""
        return sorted(target for target, record in self.targets.items() if not record.sizes_known)

    def size(self) -> float | None:
        """Tokens that every answer is taken to have; None where the streams of all targets say their own.

        One size for all, since sizes are drawn independently of the pace: with a spread, durations would spread more
        than those in the log. It is the mean of the answers that say theirs.
        """
        if not self.unsized():
            return None
        return max(2.0, round(self.tokens / self.completion.count)) if self.tokens else ASSUMED
