"""All processes as one: whatever their offsets, and however often one is lost, everything is told once."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.console.feed import SHOWN
from standfast.console.merge import Origin
from standfast.console.messages import (
    EventRow,
    Events,
    ModelRow,
    RequestRow,
    Sample,
    Session,
    Snapshot,
    TargetRow,
    Tick,
)
from standfast.console.parts import Drawn, Part, Took
from standfast.console.seconds import Seconds
from standfast.console.whole import Whole

SESSION = Session(name="", role="viewer", open=True, version="0", worker=1, workers=3)
BEGIN = 1_000.0


def request(name: str, at: float) -> RequestRow:
    """A request that was answered."""
    usual = dict.fromkeys(("caller", "code", "target", "source", "session"), "")
    return RequestRow(
        id=name,
        at=at,
        model="m",
        operation="chat",
        status=200,
        stream=False,
        fallback=False,
        priority=3,
        tags=(),
        first_token_ms=None,
        total_ms=100.0,
        prompt_tokens=None,
        completion_tokens=None,
        attempts=(),
        **usual,  # type: ignore[arg-type]
    )


def event(seq: int, at: float) -> EventRow:
    """A state that changed."""
    return EventRow(seq=seq, at=at, subject="breaker", name="a/m", before="closed", after="open", reason=f"{seq}")


@dataclass
class Worker:
    """A process that is played: it ends a second of its own every second, and remembers what it did."""

    number: int
    offset: float
    rng: random.Random
    began: float = BEGIN
    answered: int = 0
    samples: list[Sample] = field(default_factory=list)
    rows: list[RequestRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)

    def second(self, index: int) -> Part:
        """The next one; the timer is some milliseconds late."""
        at = round(BEGIN + index + self.offset + self.rng.uniform(0.0, 0.02), 3)
        count = self.rng.randrange(4)
        self.answered += count
        rows = tuple(request(f"{self.number}-{self.began}-{index}-{each}", at - 0.2) for each in range(count))
        self.rows += rows
        self.samples.append(Sample(at=at, seconds=1.0, answered=count, in_flight=1))
        values = tuple(100.0 for _ in rows)
        took = Took(Drawn(values, count), Drawn(values, count))
        return Part(Tick(at=at, draining=False, sample=self.samples[-1], targets=(self.row(),), requests=rows), took)

    def row(self) -> TargetRow:
        """The one target, as this process sees it."""
        return TargetRow(target="a/m", state="serving", breaker="closed", health="healthy", answered=self.answered)

    def happen(self, at: float) -> Events:
        """A state changes."""
        self.events.append(event(len(self.events) + 1, at))
        return Events(events=(self.events[-1],))

    def view(self, at: float) -> Snapshot:
        """All that it remembers."""
        return Snapshot(
            at=at,
            started=self.began,
            session=SESSION,
            draining=False,
            models=(ModelRow(model="m", strategy="priority", status="healthy", targets=()),),
            targets=(self.row(),),
            seconds=tuple(self.samples),
            events=tuple(self.events),
            requests=tuple(self.rows[-100:]),
            troubled=(),
        )


@dataclass
class Page:
    """A reader: a snapshot replaces everything, ticks and events add to it, as on the page."""

    world: Snapshot | None = None
    seconds: list[Sample] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    skipped: int = 0
    events: list[EventRow] = field(default_factory=list)
    answered: int = 0
    seen: int = 0

    def begin(self, world: Snapshot) -> None:
        """Everything, anew."""
        self.world, self.seen, self.skipped = world, world.seen, 0
        self.seconds = list(world.seconds)
        self.requests = [row.id for row in world.requests]
        self.events = list(world.events)
        self.answered = world.targets[0].answered

    def hear(self, message: Tick | Events) -> None:
        """What happened."""
        if isinstance(message, Events):
            self.events += message.events
            return
        assert not self.seconds or message.sample.at > self.seconds[-1].at
        self.seconds.append(message.sample)
        self.requests += [row.id for row in message.requests]
        self.skipped += message.skipped
        for row in message.targets:
            self.answered = row.answered


def play(offsets: list[float], seed: int, trouble: float) -> Iterator[tuple[Page, Whole, list[Worker], float]]:
    """Twenty seconds of some processes and a reader at the first of them; yields after each second."""
    rng = random.Random(seed)
    workers = [Worker(number, offset, rng) for number, offset in enumerate(offsets)]
    whole, page, gone = Whole(0, len(offsets)), Page(), set[int]()
    for worker in workers:
        whole.hear(worker.number, worker.view(BEGIN))
    page.begin(whole.snapshot(BEGIN, SESSION))
    for index in range(1, 21):
        for worker in sorted(workers, key=lambda one: one.offset):
            part, renew = worker.second(index), False
            if worker.number in gone:
                if rng.random() < 0.5:  # it is heard again
                    gone.discard(worker.number)
                    renew = whole.hear(worker.number, worker.view(part.tick.at)) is None
            elif worker.number and rng.random() < trouble:
                gone.add(worker.number)
                renew = whole.lose(worker.number)
            else:
                lines = [part, *([worker.happen(part.tick.at)] if rng.random() < 0.3 else ())]
                for line in lines:
                    for message in whole.hear(worker.number, line) or ():
                        page.hear(message)
            if renew:
                page.begin(whole.snapshot(part.tick.at, SESSION))
        yield page, whole, workers, BEGIN + index


OFFSETS = st.lists(st.floats(0.0, 0.97), min_size=1, max_size=4)


@given(OFFSETS, st.integers(0, 1_000))
@settings(max_examples=30, deadline=None)
def test_every_second_is_told_once_whatever_the_offsets(offsets: list[float], seed: int) -> None:
    """Each tick is the sum of one second of everybody: soon, in order, nothing twice, nothing lost."""
    seen = list(play(offsets, seed, 0.0))
    page, whole, workers, now = seen[-1]
    assert len(page.seconds) >= len(seen) - 2  # soon: of the last two seconds some may still be waited for
    told = sum(sample.answered for sample in page.seconds)
    assert {sample.in_flight for sample in page.seconds[2:]} == {len(offsets)}
    assert {sample.seconds for sample in page.seconds} == {1.0}
    assert {sample.total_ms.p99 for sample in page.seconds if sample.total_ms is not None} == {100.0}
    assert len(page.requests) == len(set(page.requests))
    assert len(page.requests) + page.skipped >= told
    assert whole.snapshot(now, SESSION).seconds == tuple(page.seconds)  # who comes later knows the same
    whole.settle()
    fresh = whole.snapshot(now, SESSION).seconds
    assert sum(sample.answered for sample in fresh) == sum(worker.answered for worker in workers)
    assert fresh[: len(page.seconds)] == tuple(page.seconds)


@given(OFFSETS, st.integers(0, 1_000))
@settings(max_examples=30, deadline=None)
def test_nothing_counts_twice_when_one_comes_back(offsets: list[float], seed: int) -> None:
    """A process that is lost is left out, and what it did meanwhile is told when it is back, once."""
    for page, _, workers, _ in play(offsets, seed, 0.1):
        assert sum(sample.answered for sample in page.seconds) <= sum(worker.answered for worker in workers)
        assert len(page.requests) == len(set(page.requests))
        seqs = [row.seq for row in page.events]
        assert seqs == sorted(set(seqs))
        assert len({(row.worker, row.reason) for row in page.events}) == len(page.events)
    whole = Whole(0, len(offsets))
    for worker in workers:
        whole.hear(worker.number, worker.view(BEGIN + 21))
    whole.settle()
    fresh = whole.snapshot(BEGIN + 21, SESSION)
    assert sum(sample.answered for sample in fresh.seconds) == sum(worker.answered for worker in workers)
    assert fresh.targets[0].answered == sum(worker.answered for worker in workers)
    assert len(fresh.events) == sum(len(worker.events) for worker in workers)


def test_what_was_lost_is_told_when_it_is_back() -> None:
    """Seconds that a process lived while it was not heard stand in the snapshot, and its old ones stand there once."""
    one, two = (Worker(number, 0.1 + 0.3 * number, random.Random(number)) for number in range(2))
    whole = Whole(0, 2)
    for worker in (one, two):
        whole.hear(worker.number, worker.view(BEGIN))
    for index in range(1, 10):
        whole.hear(0, one.second(index))
        part = two.second(index)
        if index < 4:
            whole.hear(1, part)
        elif index == 4:
            assert whole.lose(1)
            assert not whole.lose(1)
            assert whole.snapshot(0.0, SESSION).seen == 1
    assert whole.hear(1, two.happen(BEGIN + 9)) == ()  # it is not known; its snapshot will tell
    assert whole.hear(1, two.view(BEGIN + 9.9)) is None
    found = whole.snapshot(BEGIN + 9.9, SESSION)
    assert sum(sample.answered for sample in found.seconds) == one.answered + two.answered
    assert (found.seen, len(found.events), found.started) == (2, 1, BEGIN)
    assert {row.id for row in found.requests} == {row.id for row in [*one.rows, *two.rows]}


def test_who_takes_a_place_adds_to_what_was() -> None:
    """A process that is started anew counts from zero; what the one before it did in its seconds has happened."""
    one, two = (Worker(number, 0.1, random.Random(number)) for number in range(2))
    whole = Whole(0, 2)
    for worker in (one, two):
        worker.second(1)
        whole.hear(worker.number, worker.view(BEGIN + 1.5))
    before = two.answered
    whole.lose(1)
    heir = Worker(1, 0.2, random.Random(7), began=BEGIN + 2)
    heir.happen(BEGIN + 2)
    heir.second(2)
    whole.hear(1, heir.view(BEGIN + 2.5))
    whole.settle()
    found = whole.snapshot(BEGIN + 2.5, SESSION)
    assert sum(sample.answered for sample in found.seconds) == one.answered + before + heir.answered
    assert found.targets[0].answered == one.answered + heir.answered
    assert [(row.seq, row.worker) for row in found.events] == [(1, 2)]


def test_nobody_waits_for_one_that_hangs() -> None:
    """A second of which one process does not tell is told without it after a moment; what comes then is not lost."""
    one, two = (Worker(number, 0.5, random.Random(number)) for number in range(2))
    whole = Whole(0, 2)
    for worker in (one, two):
        whole.hear(worker.number, worker.view(BEGIN))
    told: list[Tick | Events] = []
    parts = []
    for index in range(1, 6):
        told += whole.hear(0, one.second(index)) or ()
        parts.append(two.second(index))
    assert [message.sample.at for message in told if isinstance(message, Tick)] == [BEGIN + 1, BEGIN + 2, BEGIN + 3]
    for part in parts:
        told += whole.hear(1, part) or ()
    told += whole.hear(0, one.second(6)) or ()
    told += whole.hear(1, two.second(6)) or ()
    assert sum(message.sample.answered for message in told if isinstance(message, Tick)) == one.answered + two.answered


def test_many_requests_are_counted_and_few_are_told() -> None:
    """Together no more are told in a tick than of one process; how many there were besides is right."""
    whole, workers = Whole(0, 3), [Worker(number, 0.1 * number, random.Random(0)) for number in range(3)]
    for worker in workers:
        whole.hear(worker.number, worker.view(BEGIN))
    told: list[Tick | Events] = []
    for worker in workers:
        rows = tuple(request(f"{worker.number}-{each}", BEGIN + 0.01 * each) for each in range(20))
        sample = Sample(at=BEGIN + 1 + worker.offset, seconds=1.0, answered=120)
        part = Part(Tick(at=sample.at, draining=False, sample=sample, requests=rows, skipped=100, troubled=rows))
        told += whole.hear(worker.number, part) or ()
    (tick,) = told
    assert isinstance(tick, Tick)
    assert (len(tick.requests), tick.skipped, tick.sample.answered) == (SHOWN, 3 * 120 - SHOWN, 360)
    assert [row.id for row in tick.requests[-3:]] == ["0-19", "1-19", "2-19"]
    assert len(tick.troubled) == SHOWN
    assert len(whole.snapshot(0.0, SESSION).troubled) == 60


def test_rows_are_told_when_they_change() -> None:
    """A tick tells the rows that differ from what was told last, merged; a snapshot tells exactly what was told."""
    whole, workers = Whole(0, 2), [Worker(number, 0.1, random.Random(0)) for number in range(2)]
    for worker in workers:
        whole.hear(worker.number, worker.view(BEGIN))

    def tick(number: int, index: int, *rows: TargetRow) -> list[Tick]:
        sample = Sample(at=BEGIN + index + 0.1, seconds=1.0)
        told = whole.hear(number, Part(Tick(at=sample.at, draining=number == 0, sample=sample, targets=rows)))
        return [each for each in told or () if isinstance(each, Tick)]

    bad = TargetRow(target="a/m", state="open", breaker="open", health="unhealthy", reason="server_error")
    assert tick(0, 1, workers[0].row()) == []
    assert whole.snapshot(0.0, SESSION).targets[0].state == "serving"
    (told,) = tick(1, 1, bad)
    assert [(row.state, row.reason) for row in told.targets] == [("open", "open in 1 of 2 processes: server_error")]
    assert not told.draining  # one of two
    assert whole.snapshot(0.0, SESSION).targets == told.targets
    tick(0, 2, workers[0].row())
    (told,) = tick(1, 2, bad)
    assert told.targets == ()


def test_a_clock_that_is_set_back_stops_nothing() -> None:
    """When the wall clock jumps the seconds go on from where it stands; a process that tells of a reload says so."""
    one = Worker(0, 0.5, random.Random(0))
    whole = Whole(0, 1)
    whole.hear(0, one.view(BEGIN))
    assert whole.hear(0, one.second(100))
    assert whole.hear(0, one.second(1)) is None
    assert whole.snapshot(0.0, SESSION).seconds == ()
    (told,) = whole.hear(0, one.second(2)) or ()
    assert isinstance(told, Tick)
    assert told.sample.at == BEGIN + 2


def test_a_second_that_is_taken_back_is_none() -> None:
    """A process that tells everything anew without a second that it had told of (it forgot it) leaves nothing of it."""
    seconds, origin = Seconds(0), Origin(0, 0.0)
    seconds.add(origin, Sample(at=1.5, seconds=1.0, answered=1), Took())
    seconds.begin(origin, [], 2.5)
    assert seconds.over([origin], 9) == []
    assert seconds.history() == ()


def test_seconds_are_forgotten() -> None:
    """A quarter of an hour is kept, however long it goes on."""
    seconds, origin = Seconds(0), Origin(0, 0.0)
    for second in range(1, 3_000):
        seconds.add(origin, Sample(at=second + 0.5, seconds=1.0), Took())
        assert len(seconds.over([origin])) == 1
    assert [sample.at for sample in seconds.history()] == [float(each) for each in range(2_100, 3_000)]


@pytest.mark.parametrize("gap", [5.0, 600.0])
def test_a_gap_is_as_long_as_it_was(gap: float) -> None:
    """A sample of a long time (the console was off) stays as long; a gap that nobody tells of is no sample."""
    seconds, origin = Seconds(0), Origin(0, 0.0)
    told = []
    for at, length in ((1.5, 1.0), (1.5 + gap, gap), (1.5 + 2 * gap, 1.0)):
        seconds.add(origin, Sample(at=at, seconds=length), Took())
        told += seconds.over([origin])
    assert [sample.seconds for sample in told] == [1.0, gap, 1.0]
