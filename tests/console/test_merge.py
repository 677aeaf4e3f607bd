"""Several processes as one: what adds up, what is told by the worst, and that no order and no clock changes it."""

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.console.history import DRAWN, SUMS
from standfast.console.merge import (
    BREAKERS,
    HEALTH,
    KEYS,
    STATES,
    Entry,
    Origin,
    heaps,
    merged_gauges,
    merged_minutes,
    merged_model,
    merged_sample,
    merged_target,
    points,
    quantiles,
)
from standfast.console.messages import CheckRow, Gauge, KeyRow, ModelRow, Placed, Quantiles, Sample, TargetRow
from standfast.console.parts import Drawn, took
from standfast.console.sampler import Durations
from standfast.console.sampler import quantiles as of_all

counts = st.integers(0, 1_000)
by_target = st.dictionaries(st.sampled_from(["a/m", "b/m", "c/m"]), st.integers(1, 50), max_size=3)
samples = st.builds(
    Sample,
    at=st.floats(1_000.0, 1_000.999),
    seconds=st.just(1.0),
    in_flight=counts,
    waiting=counts,
    answers=by_target,
    failures=by_target,
    **dict.fromkeys(SUMS, counts),
)
rows = st.builds(
    TargetRow,
    target=st.just("a/m"),
    state=st.sampled_from(STATES),
    breaker=st.sampled_from(BREAKERS),
    health=st.sampled_from(HEALTH),
    reason=st.sampled_from(["", "x", "y"]),
    until=st.none() | st.floats(1_000.0, 2_000.0),
    in_flight=counts,
    ceiling=st.none() | st.integers(1, 9),
    first_token_ms=st.none() | st.floats(1.0, 5_000.0),
    answered=counts,
    failed=counts,
    prompt_tokens=counts,
    completion_tokens=counts,
    keys=st.lists(
        st.builds(
            KeyRow,
            index=st.integers(0, 2),
            state=st.sampled_from(KEYS),
            until=st.none() | st.floats(1_000.0, 2_000.0),
            in_flight=counts,
        ),
        max_size=3,
        unique_by=lambda key: key.index,
    ).map(tuple),
    limits=st.lists(
        st.builds(Gauge, name=st.sampled_from("ab"), left=st.integers(-5, 50), size=st.integers(1, 50)),
        max_size=2,
        unique_by=lambda gauge: gauge.name,
    ).map(tuple),
    check=st.none()
    | st.builds(
        CheckRow, kind=st.just("ping"), ok=st.booleans(), at=st.floats(0.0, 9.0), latency_ms=st.none() | st.floats(0, 9)
    ),
)


def row(state: str = "serving", **told: object) -> TargetRow:
    """A target with which nothing is wrong, but for what is told otherwise."""
    usual: dict[str, object] = {"target": "a/m", "breaker": "closed", "health": "healthy"}
    return TargetRow(**{**usual, "state": state, **told})  # type: ignore[arg-type]


@given(st.lists(samples, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_counts_add_up_in_any_order(told: list[Sample], rng: random.Random) -> None:
    """A second of several processes is the sum of theirs, whichever of them is named first."""
    entries = [Entry(Origin(number, 0.0), sample) for number, sample in enumerate(told)]
    found = merged_sample(1_000.0, 1.0, entries)
    for name in (*SUMS, "in_flight", "waiting"):
        assert getattr(found, name) == sum(getattr(sample, name) for sample in told)
    for target in ("a/m", "b/m", "c/m"):
        assert found.answers.get(target, 0) == sum(sample.answers.get(target, 0) for sample in told)
        assert found.failures.get(target, 0) == sum(sample.failures.get(target, 0) for sample in told)
    assert merged_sample(1_000.0, 1.0, rng.sample(entries, len(entries))) == found


def test_what_is_under_way_is_what_each_said_last() -> None:
    """Two seconds of one process that fall together count what ended twice, and what is under way once."""
    one, two = Origin(0, 0.0), Origin(1, 0.0)
    told = [
        Entry(one, Sample(at=1_000.9, seconds=1.0, answered=2, in_flight=3)),
        Entry(one, Sample(at=1_000.1, seconds=1.0, answered=1, in_flight=7)),
        Entry(two, Sample(at=1_000.5, seconds=1.0, answered=4, in_flight=10)),
    ]
    found = merged_sample(1_000.0, 1.0, told)
    assert (found.answered, found.in_flight) == (7, 13)


@given(st.lists(st.lists(st.integers(1, 9_999), max_size=DRAWN), min_size=1, max_size=5))
def test_quantiles_are_exact_where_all_was_drawn(thousandths: list[list[int]]) -> None:
    """They are those of all durations together, as one process would have told them."""
    told = [took(Durations([each / 1e3 for each in some], [])) for some in thousandths]
    together = of_all([each / 1e3 for some in thousandths for each in some])
    entries = [Entry(Origin(number, 0.0), Sample(at=1.0, seconds=1.0), each) for number, each in enumerate(told)]
    assert merged_sample(1.0, 1.0, entries).first_token_ms == together


def test_few_out_of_many_weigh_as_many() -> None:
    """Of a busy process 64 durations are told; they stand for all of its requests, not for 64."""
    busy, idle = Drawn(tuple([10.0] * 64), 512), Drawn(tuple([900.0] * 20), 20)
    found = quantiles([*points(busy), *points(idle)])
    assert found == Quantiles(p50=10.0, p95=10.0, p99=900.0)


@given(
    st.floats(1, 100), st.floats(100, 200), st.floats(200, 300), st.lists(st.integers(0, 500), min_size=1, max_size=5)
)
def test_quantiles_that_are_alike_stay(p50: float, p95: float, p99: float, answered: list[int]) -> None:
    """Where only quantiles are known, those of processes that are alike are theirs."""
    told = Quantiles(p50=p50, p95=p95, p99=p99)
    assert quantiles(point for each in answered for point in heaps(told, each)) == told
    assert quantiles(heaps(None, 5)) is None


@given(st.lists(rows, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_a_target_is_its_worst_and_its_sum(told: list[TargetRow], rng: random.Random) -> None:
    """Counts add up, states are the worst, and the order of the processes changes nothing."""
    found = merged_target(told)
    for name in ("in_flight", "answered", "failed", "prompt_tokens", "completion_tokens"):
        assert getattr(found, name) == sum(getattr(each, name) for each in told)
    assert STATES.index(found.state) == max(STATES.index(each.state) for each in told)
    assert BREAKERS.index(found.breaker) == max(BREAKERS.index(each.breaker) for each in told)
    assert HEALTH.index(found.health) == max(HEALTH.index(each.health) for each in told)
    ceilings = [each.ceiling for each in told]
    assert found.ceiling == (None if None in ceilings else sum(ceilings))  # type: ignore[arg-type]
    known = [each.first_token_ms for each in told if each.first_token_ms is not None]
    if known:
        assert found.first_token_ms is not None
        assert min(known) - 0.01 <= found.first_token_ms <= max(known) + 0.01
    else:
        assert found.first_token_ms is None
    for key in found.keys:
        of_it = [each for one in told for each in one.keys if each.index == key.index]
        assert key.in_flight == sum(each.in_flight for each in of_it)
        assert KEYS.index(key.state) == max(KEYS.index(each.state) for each in of_it)
    again = merged_target(rng.sample(told, len(told)))
    assert {gauge.name: gauge for gauge in again.limits} == {gauge.name: gauge for gauge in found.limits}
    assert _without(again) == pytest.approx(_without(found))


def _without(found: TargetRow) -> dict[str, object]:
    """All but what has an order of its own."""
    names = (name for name in TargetRow.__struct_fields__ if name not in ("limits", "first_token_ms", "check"))
    told: dict[str, object] = {
        name: getattr(found, name) for name in names if not isinstance(getattr(found, name), tuple)
    }
    told["keys"] = [repr(key) for key in found.keys]
    told["at"] = None if found.check is None else found.check.at
    return {name: value if isinstance(value, int | float) else repr(value) for name, value in told.items()}


@pytest.mark.parametrize(
    ("told", "state", "reason"),
    [
        ([row(), row()], "serving", ""),
        ([row(), row("unknown", health="unknown")], "serving", ""),
        (
            [row(), row("open", breaker="open", reason="server_error"), row(), row("unknown", health="unknown")],
            "open",
            "open in 1 of 4 processes: server_error",
        ),
        ([row("open", breaker="open", reason="x")] * 2, "open", "x"),
        (
            [row("open", breaker="forced_open"), row("open", breaker="open")],
            "open",
            "forced open in 1 of 2 processes",
        ),
        (
            [row("degraded", health="degraded", reason="slow"), row("unknown", health="unknown")],
            "degraded",
            "degraded in 1 of 2 processes: slow",
        ),
        (
            [row("resting", health="degraded"), row("resting", health="healthy")],
            "resting",
            "degraded in 1 of 2 processes",
        ),
    ],
)
def test_who_does_not_agree_is_counted(told: list[TargetRow], state: str, reason: str) -> None:
    """The reason says in how many processes it is so, unless all agree or nothing is wrong."""
    found = merged_target(told)
    assert (found.state, found.reason) == (state, reason)


def test_until_is_the_worst_ones() -> None:
    """When it may be asked again is told of those that see it at its worst, and of them the last."""
    told = [row("resting", until=90.0), row("open", until=50.0), row("open", until=60.0), row(until=None)]
    assert merged_target(told).until == 60.0


def test_the_mean_weighs_by_answers() -> None:
    """A process that has asked a target once says less of its pace than one that has asked it a hundred times."""
    told = [row(first_token_ms=100.0, answered=99), row(first_token_ms=1_100.0, answered=1), row(answered=5)]
    assert merged_target(told).first_token_ms == 110.0
    assert merged_target([row(first_token_ms=1.0), row(first_token_ms=2.0)]).first_token_ms == 1.5


def test_own_limits_add_up_and_learned_ones_do_not() -> None:
    """Each process keeps a configured limit for itself; a learned one is the upstream's, heard at different times."""
    told = [
        Gauge(name="requests/min", left=10.0, size=60.0),
        Gauge(name="requests/min", left=60.0, size=60.0),
        Gauge(name="tokens", left=900.0, size=1_000.0, learned=True),
        Gauge(name="tokens", left=700.0, size=1_000.0, learned=True),
    ]
    assert merged_gauges(told) == (
        Gauge(name="requests/min", left=70.0, size=120.0),
        Gauge(name="tokens", left=700.0, size=1_000.0, learned=True),
    )


def test_the_newest_check_is_told() -> None:
    """Checks stay in the process that made them; the newest of them is the target's."""
    old, new = (CheckRow(kind="ping", ok=ok, at=at, latency_ms=1.0) for ok, at in ((True, 1.0), (False, 2.0)))
    assert merged_target([row(check=old), row(check=new), row()]).check == new


def test_a_model_is_as_well_as_where_it_is_worst() -> None:
    """The worst status is told, with the places of the first process."""
    placed = (Placed(target="a/m", tier=1, weight=1.0),)
    told: Sequence[ModelRow] = [
        ModelRow(model="m", strategy="priority", status=status, targets=placed)
        for status in ("healthy", "unhealthy", "degraded")
    ]
    found = merged_model(told)
    assert (found.status, found.targets, found.strategy) == ("unhealthy", placed, "priority")
    assert merged_model(told[:1]) is told[0]


@given(st.lists(st.lists(st.integers(0, 9), max_size=30), min_size=1, max_size=4))
def test_minutes_add_up(days: list[list[int]]) -> None:
    """Every answer of every process is in one minute, and each minute is told once, in order."""
    told = {
        Origin(number, 0.0): [
            Sample(at=600.0 + 60.0 * index - 0.1 * number, seconds=60.0, answered=answered)
            for index, answered in enumerate(day)
        ]
        for number, day in enumerate(days)
    }
    found = merged_minutes(told)
    assert sum(sample.answered for sample in found) == sum(sum(day) for day in days)
    minutes = [math.floor(sample.at / 60.0) for sample in found]
    assert minutes == sorted(set(minutes))
    assert all(sample.seconds == 60.0 for sample in found)
