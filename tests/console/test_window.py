"""What a second says: samples, histories, quantiles, and what the hook remembers; in virtual time."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.looking import record
from standfast.canon.attempt import Attempt, Outcome
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Wall
from standfast.canon.record import Change
from standfast.canon.usage import Usage
from standfast.clock import ManualClock
from standfast.config.load import from_mapping
from standfast.console.history import DRAWN, MINUTES, SECONDS, History, drawn
from standfast.console.messages import EventRow, Sample
from standfast.console.meter import EVENTS, OFTEN, RECENT, SELDOM, TROUBLED, Meter, troubled
from standfast.console.sampler import Durations, Sampler, durations, quantiles
from standfast.console.surroundings import Surroundings
from standfast.console.window import Window
from standfast.engine.bus import Bus
from standfast.engine.gateway import Gateway
from standfast.hooks.prometheus import PrometheusHook

FAILED = Attempt("openai/gpt-4.1", 0, Outcome.FAILURE, Failure(FailureKind.SERVER_ERROR, ""), 0.0, None, 0.1)
LOST = Attempt("openai/gpt-4.1", 0, Outcome.CANCELLED, None, 0.0, None, 0.2, purpose="hedge")
SPOKE = Attempt("twin/gpt-4.1", 0, Outcome.SUCCESS, None, 0.1, 0.2, 0.3, Usage(10, 5))


@pytest.mark.parametrize(
    ("told", "trouble"),
    [
        ({}, False),
        ({"source": "cache", "attempts": ()}, False),
        ({"attempts": (SPOKE, LOST)}, False),
        ({"status": 499, "code": "client_cancelled"}, False),
        ({"attempts": (FAILED, SPOKE)}, True),
        ({"fallback": True, "attempts": (SPOKE,)}, False),
        ({"source": "stale"}, True),
        ({"source": "fallback", "attempts": (FAILED,)}, True),
        ({"status": 503, "code": "no_target", "attempts": ()}, True),
        ({"status": 200, "code": "broken_stream"}, True),
        ({"status": 400, "code": "invalid_request", "attempts": ()}, True),
    ],
)
def test_what_counts_as_trouble(told: dict[str, object], trouble: bool) -> None:
    """An error, a failed attempt, a stand-in for an answer; not a lost hedge, nor a client that left."""
    meter = Meter(ManualClock())
    Bus([meter]).request_ended(record(**told))
    assert len(meter.collect()) == 1
    assert (troubled(record(**told)), meter.troubles, len(meter.troubled)) == (trouble, trouble, trouble)


def test_saved_is_who_was_answered_by_another() -> None:
    """Another target than the first choice answered, tried or not; no stand-in, and none that failed in the end."""
    meter = Meter(ManualClock())
    bus = Bus([meter])
    for told in (
        {"fallback": True, "attempts": (SPOKE,)},
        {"fallback": True, "attempts": (FAILED, SPOKE)},
        {"attempts": (FAILED, FAILED, SPOKE)},
        {"fallback": True, "source": "fallback"},
        {"fallback": True, "status": 200, "code": "broken_stream"},
        {},
    ):
        bus.request_ended(record(**told))
    assert meter.saved == 2


def test_memory_is_bounded() -> None:
    """However much happens, the newest are kept and no more; events count on."""
    meter = Meter(ManualClock())
    bus = Bus([meter])
    for number in range(5_000):
        bus.request_ended(record(id=str(number), code="x", status=500))
        meter.changed(Change("breaker", str(number), "closed", "open", "why"))
    newest = meter.collect()
    assert (len(newest), len(meter.troubled), len(meter.events)) == (RECENT, TROUBLED, EVENTS)
    assert (newest[-1].id, meter.events[-1].seq, meter.events[0].seq) == ("4999", 5_000, 4_001)


def test_an_event_is_told_at_once_with_its_instants() -> None:
    """A change becomes a row with Unix seconds; `until` is when it ends, not how long it takes."""
    clock, told = ManualClock(), list[EventRow]()
    meter = Meter(clock)
    meter.on_event = told.append
    meter.changed(Change("cooldown", "openai key 1", "free", "resting", "429", until=2.5, where="openai/gpt-4.1"))
    assert told == [
        EventRow(
            seq=1,
            at=round(clock.wall(), 3),
            subject="cooldown",
            name="openai key 1",
            before="free",
            after="resting",
            reason="429",
            until=round(clock.wall() + 2.5, 3),
            where="openai/gpt-4.1",
        )
    ]


def test_a_sample_is_what_was_counted_since_the_last_one() -> None:
    """Each request falls into one of four endings, each attempt and token to its target; an idle second is all zero."""
    metrics = PrometheusHook()
    metrics.request_ended(record())
    sampler = Sampler(metrics)
    for told in (
        {},
        {"attempts": (FAILED, SPOKE), "deployment": "twin/gpt-4.1", "fallback": True},
        {"attempts": (SPOKE, LOST), "deployment": "twin/gpt-4.1"},
        {"status": 200, "code": "broken_stream", "attempts": (FAILED,)},
        {"status": 503, "code": "no_target", "attempts": ()},
        {"status": 429, "code": "rate_limited", "attempts": ()},
        {"status": 400, "code": "invalid_request", "attempts": ()},
        {"status": 499, "code": "client_cancelled", "attempts": ()},
    ):
        metrics.request_ended(record(**told))
    sample = sampler.take(1_000.0, 1.0, Durations(), saved=4, in_flight=3, waiting=2)
    endings = (sample.answered, sample.failed, sample.refused, sample.gone)
    assert endings == (3, 3, 1, 1)
    assert (sample.saved, sample.hedges, sample.mends) == (4, 1, 0)
    assert sample.answers == {"openai/gpt-4.1": 1, "twin/gpt-4.1": 2}
    assert sample.failures == {"openai/gpt-4.1": 2}
    assert (sample.prompt_tokens, sample.completion_tokens) == (20, 10)
    assert sampler.reading.answers["openai/gpt-4.1"] == 2
    idle = sampler.take(1_001.0, 1.0, Durations(), saved=0, in_flight=0, waiting=0)
    assert idle == Sample(at=1_001.0, seconds=1.0)


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=60))
def test_quantiles_are_by_nearest_rank(thousandths: list[int]) -> None:
    """A share q of the values is at most the quantile, and less than q is below it."""
    found = quantiles([each / 1e3 for each in thousandths])
    assert found is not None
    for share, value in ((0.5, found.p50), (0.95, found.p95), (0.99, found.p99)):
        assert value in thousandths
        assert sum(each <= value for each in thousandths) >= share * len(thousandths)
        assert sum(each < value for each in thousandths) < math.ceil(share * len(thousandths))


def test_quantiles_of_nothing() -> None:
    """Nothing took no time: there is no figure, not a zero."""
    assert quantiles([]) is None
    took = durations([record(code="x"), record(first_token=None, total=0.4)])
    assert (list(took.first_token), list(took.total)) == ([], [0.4])


def test_each_of_the_newest_requests_is_collected_once() -> None:
    """In order; of more than are kept the newest; nothing where nothing has come."""
    meter = Meter(ManualClock())
    assert meter.collect() == []
    told = [record(id=str(number)) for number in range(3 * RECENT)]
    for batch in (told[:5], told[5:6], [], told[6 : 6 + RECENT], told[6 + RECENT :]):
        for each in batch:
            meter.request_ended(each)
        assert meter.collect() == batch[-RECENT:]
        assert meter.collect() == []


def test_it_is_collected_before_more_has_come_than_is_kept() -> None:
    """As often as half of the room needs to fill, but not oftener than ten times a second; without requests seldom."""
    clock = ManualClock()
    meter = Meter(clock)
    paused: list[float] = []
    for rate in (0, 20, 20, 100, 100, 1_000, 1_000, 20, 20, 0):
        clock.advance(meter.pause)
        for _ in range(round(rate * meter.pause)):
            meter.request_ended(record())
        meter.collect()
        paused.append(round(meter.pause, 2))
    assert paused == [SELDOM, 0.8, 0.8, 0.4, 0.2, OFTEN, OFTEN, 0.8, 0.8, SELDOM]


def test_minutes_are_made_of_their_seconds() -> None:
    """Sums are sums, what was under way is the most, quantiles are of the whole minute, and both grains are bounded."""
    history = History()
    for second in range(61):
        sample = Sample(
            at=600.0 + second, seconds=1.0, answered=2, in_flight=second % 7, answers={"a": 1, str(second % 2): 1}
        )
        history.add(sample, Durations([second / 1e3], [second / 1e2]))
    (minute,) = history.minutes
    assert (minute.at, minute.seconds, minute.answered, minute.in_flight) == (659.0, 60.0, 120, 6)
    assert minute.answers == {"a": 60, "0": 30, "1": 30}
    assert minute.first_token_ms is not None
    assert (minute.first_token_ms.p50, minute.first_token_ms.p95) == (29.0, 56.0)
    for second in range(3 * 60 * MINUTES // 2):
        history.add(Sample(at=1e6 + 1.0 * second, seconds=1.0), Durations())
    assert (len(history.seconds), len(history.minutes)) == (SECONDS, MINUTES)


class Movable(ManualClock):
    """A clock whose wall time is set, as by an administrator."""

    moved = 0.0

    def wall(self) -> Wall:
        """By which it was moved, on top."""
        return Wall(super().wall() + self.moved)


def test_a_clock_that_was_put_back_takes_what_was_with_it() -> None:
    """Nothing lies in the future and seconds follow each other, in both grains; one put forward leaves a gap."""
    clock = Movable()
    providers = {"openai": {"keys": ["sk-no-key-at-all"]}}
    config = from_mapping({"providers": providers, "models": {"m": ["openai/gpt-4.1"]}}, {})
    window = Window(Gateway(config, clock=clock), Surroundings(PrometheusHook()))
    for moved in (0.0, -3_600.0, 7_200.0):
        clock.moved += moved
        reader = window.feed.join()
        reader.told()
        for _ in range(90):
            clock.advance(1.0)
            window.tick()
            assert reader.lost is (moved < 0.0)  # it is told anew, once
            window.feed.leave(reader)
    ends = [sample.at for sample in window.history.seconds]
    steps = [round(after - before) for before, after in pairwise(ends)]
    assert (steps.count(1), steps.count(7_201), len(steps)) == (268, 1, 269)
    assert ends[-1] == pytest.approx(clock.wall(), abs=0.01)
    minutes = [sample.at for sample in window.history.minutes]
    assert minutes == sorted(minutes)


@given(st.lists(st.integers(), max_size=500))
def test_what_is_drawn_is_spread(values: list[float]) -> None:
    """At most so many, in order, and all of them where there are few."""
    found = list(drawn(values))
    assert len(found) == min(DRAWN, len(values))
    if len(values) <= DRAWN:
        assert found == values
    else:
        at = [index * len(values) // DRAWN for index in range(DRAWN)]
        assert len(set(at)) == DRAWN
        assert found == [values[each] for each in at]
