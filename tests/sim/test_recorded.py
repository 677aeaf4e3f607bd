"""A scenario from an access log: what was recorded comes out again."""

import json
import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec.structs import replace

from standfast.canon.attempt import Attempt, Outcome
from standfast.canon.deployment import Operation
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Wall
from standfast.canon.record import Change, RequestRecord
from standfast.canon.usage import Usage
from standfast.config.schema import Config
from standfast.errors import ConfigError
from standfast.hooks._lines import json_line, text_line
from standfast.sim import recorded
from standfast.sim.files import parse, write
from standfast.sim.recorded import Recorded
from standfast.sim.settings import Scenario
from support.rehearsal import config, figure, report, scenario, witnessed

NOON = 1_760_000_000.0


def record(at: float, *attempts: Attempt, **fields: object) -> RequestRecord:
    """A finished request that was received at that second; answered by its last attempt, if that succeeded."""
    last = attempts[-1]
    well = last.outcome is Outcome.SUCCESS
    stream = bool(fields.pop("stream", True))
    base: dict[str, object] = {
        "id": "req_1",
        "caller": "",
        "model": "m",
        "operation": Operation.CHAT,
        "status": 200 if well else 503,
        "code": "" if well else "server_error",
        "deployment": last.deployment if well else "",
        "fallback": len(attempts) > 1,
        "first_token": last.first_content if stream else None,
        "total": last.ended,
        "upstream": last.ended,
        "usage": last.usage,
    }
    return RequestRecord(received=Wall(NOON + at), stream=stream, attempts=attempts, **{**base, **fields})  # type: ignore[arg-type]


def answer(
    start: float = 0.0, first: float = 0.4, end: float = 2.4, target: str = "openai/a", tokens: int = 101
) -> Attempt:
    """A success."""
    return Attempt(target, 0, Outcome.SUCCESS, None, start, start + first, start + end, Usage(300, tokens))


def failure(kind: FailureKind, end: float = 0.3, target: str = "openai/a") -> Attempt:
    """A failure."""
    return Attempt(target, 0, Outcome.FAILURE, Failure(kind), 0.0, None, end)


def read(path: Path, *lines: object, house: Config | None = None) -> Recorded:
    """What is made of these records, changes and texts."""
    log = path / "access.log"
    log.write_text("".join(f"{line if isinstance(line, str) else json_line(line, NOON)}\n" for line in lines))  # type: ignore[arg-type]
    return recorded.read(log, house or config())


def test_the_shape_of_the_traffic_is_taken_over(tmp_path: Path) -> None:
    """Count, duration, curve, streaming share, priorities, callers by rank and never by name, sizes."""
    lines = [
        record(
            at * 10.0,
            answer(),
            stream=at % 4 != 0,
            priority=5 if at % 10 == 0 else 3,
            caller="alice" if at % 5 else "bob",
        )
        for at in range(361)
    ]
    found = read(tmp_path, *lines).scenario
    workload = found.workload
    assert (workload.requests, found.duration) == (361, 3_600.0)
    assert workload.streaming == pytest.approx(0.75, abs=0.01)
    assert workload.priorities == pytest.approx({3: 0.9, 5: 0.1}, abs=0.01)
    assert workload.callers == pytest.approx({"caller-1": 0.8, "caller-2": 0.2}, abs=0.01)
    assert workload.prompt_tokens.quantiles is not None
    assert workload.prompt_tokens.quantiles[50] == pytest.approx(300, rel=0.01)
    assert all(0.7 < rate <= 1 for rate in workload.curve)


def test_a_quiet_night_shows_in_the_curve(tmp_path: Path) -> None:
    """Twice the requests in the second half: twice the rate there."""
    lines = [record(at * 4.0, answer()) for at in range(900)] + [
        record(3_600 + at * 2.0, answer()) for at in range(1_800)
    ]
    curve = read(tmp_path, *lines).scenario.workload.curve
    middle = len(curve) // 2
    assert sum(curve[: middle - 1]) / (middle - 1) == pytest.approx(0.5, abs=0.05)
    assert sum(curve[middle + 1 :]) / len(curve[middle + 1 :]) == pytest.approx(1.0, abs=0.05)


def test_latencies_are_the_targets_own(tmp_path: Path) -> None:
    """The time of an attempt that failed before is not the answering target's; tokens come at their own pace."""
    slow = answer(start=5.0, first=1.0, end=3.0, target="anthropic/b")
    lines = [record(float(at), failure(FailureKind.SERVER_ERROR, end=5.0), slow) for at in range(4)]
    lines += [record(10.0 + at, answer()) for at in range(50)]
    upstreams = read(tmp_path, *lines).scenario.upstreams
    second = upstreams["anthropic/b"]
    assert second.first_token is not None
    assert second.first_token.quantiles is not None
    assert second.first_token.quantiles[50] == pytest.approx(1.0, rel=0.01)
    assert second.per_token is not None
    assert second.per_token.quantiles is not None
    assert second.per_token.quantiles[50] == pytest.approx(0.02, rel=0.01)


def test_single_failures_are_ordinary_and_rows_are_outages(tmp_path: Path) -> None:
    """One in ten at any time is a share; five in a row are a trouble with a beginning and an end."""
    ordinary = [
        record(float(at), failure(FailureKind.OVERLOADED, end=0.1)) if at % 10 == 0 else record(float(at), answer())
        for at in range(100)
    ]
    outage = [record(100.0 + at, failure(FailureKind.CONNECT_FAILED, end=0.001)) for at in range(30)]
    after = [record(130.0 + at, answer()) for at in range(20)]
    found = read(tmp_path, *ordinary, *outage, *after).scenario
    (error,) = found.upstreams["openai/a"].errors or ()
    assert (error.kind, error.share) == (FailureKind.OVERLOADED, pytest.approx(10 / 120, abs=1e-3))
    assert error.after is not None
    (trouble,) = found.troubles
    assert trouble.where == ("openai/a",)
    assert (trouble.at, trouble.lasts) == (pytest.approx(100, abs=0.1), pytest.approx(30.7, abs=0.1))
    assert [(each.kind, each.share) for each in trouble.errors] == [(FailureKind.CONNECT_FAILED, 1.0)]


def test_an_outage_that_has_not_ended_lasts_to_the_end(tmp_path: Path) -> None:
    """The log stops while the target is down."""
    lines = [record(float(at), answer()) for at in range(50)]
    lines += [record(50.0 + at, failure(FailureKind.SERVER_ERROR)) for at in range(10)]
    (trouble,) = read(tmp_path, *lines).scenario.troubles
    assert trouble.at + trouble.lasts == pytest.approx(59.0, abs=0.1)


def test_broken_lines_are_counted_and_named(tmp_path: Path) -> None:
    """A torn line is no reason to stop; its number helps to look at it. Changes and blank lines are no requests."""
    change = Change("breaker", "openai/a", "closed", "open", "server_error", 5.0)
    good = [record(float(at), answer()) for at in range(30)]
    broken = ['{"event": "request", "ti', "[1]", json_line(good[0], NOON).replace("success", "success")[:-40]]
    found = read(tmp_path, change, *good[:10], *broken, "", *good[10:], '{"event": "request", "time": "soon"}')
    assert found.scenario.workload.requests == 30
    assert "left out 4 lines that are not of this log: 12, 13, 14, 36" in found.notes


def test_requests_for_foreign_models_are_left_out_and_said(tmp_path: Path) -> None:
    """What the configuration does not have cannot be rehearsed with it."""
    lines = [record(float(at), answer(), model="m" if at % 3 else "other") for at in range(30)]
    found = read(tmp_path, *lines)
    assert found.scenario.workload.requests == 20
    assert "left out 10 requests for 'other', which the configuration does not have" in found.notes


@pytest.mark.parametrize("content", ["", "not a log\n", text_line(record(0.0, answer()), NOON) + "\n"])
def test_what_holds_no_request_is_an_error(tmp_path: Path, content: str) -> None:
    """An empty file, another file, a log in the form for people: each is told what is needed."""
    log = tmp_path / "access.log"
    log.write_text(content)
    with pytest.raises(ConfigError, match=r"log\.format: json"):
        recorded.read(log, config())
    with pytest.raises(ConfigError, match="cannot be read"):
        recorded.read(tmp_path / "missing.log", config())


def test_a_log_without_usage_says_that_sizes_are_assumed(tmp_path: Path) -> None:
    """What the log does not tell is not passed off as measured."""
    attempt = Attempt("openai/a", 0, Outcome.SUCCESS, None, 0.0, 0.4, 2.4)
    found = read(tmp_path, *(record(float(at), attempt) for at in range(20)))
    assert any("sizes of requests and answers are assumed" in note for note in found.notes)


def logged(weather: Scenario, house: Config, path: Path) -> Path:
    """Plays a scenario and writes the access log that the gateway would have written."""
    log = path / "access.log"
    log.write_text("".join(f"{json_line(each, NOON)}\n" for each in witnessed(weather, house, wall=NOON)))
    return log


def test_a_rehearsed_day_calibrated_from_its_own_log_looks_the_same(tmp_path: Path) -> None:
    """Played, logged, calibrated, played again: availability, latencies and effort agree; so does the saved file."""
    weather = scenario(
        duration="2h",
        workload={"requests": 12_000, "arrivals": "poisson", "streaming": 0.6, "curve": [1, 3, 1]},
        upstreams={
            "*": {"first_token": {"median": 0.4, "p95": 1.0}, "per_token": {"median": 0.01, "p95": 0.02}},
            "primary": {"errors": [{"kind": "server_error", "share": 0.05}, {"kind": "connect_failed", "share": 0.02}]},
        },
        troubles=[{"at": "40m", "lasts": "15m", "where": "primary", "errors": "connect_failed"}],
    )
    house = config()
    made = recorded.read(logged(weather, house, tmp_path), house)
    again = parse(write(made.scenario), "saved")
    assert again == made.scenario
    before, after = report(weather, house), report(again, house, seed=9)
    assert figure(after, "requests") == 12_000
    assert figure(after, "availability") == pytest.approx(figure(before, "availability"), abs=0.1)
    for name in ("p50_first_token_ms", "p95_first_token_ms", "p50_total_ms", "p95_total_ms"):
        assert figure(after, name) == pytest.approx(figure(before, name), rel=0.1), name
    assert figure(after, "attempts_per_request") == pytest.approx(figure(before, "attempts_per_request"), rel=0.03)
    assert figure(after, "failovers") == pytest.approx(figure(before, "failovers"), rel=0.25)


def test_streams_without_usage_last_as_long_as_in_the_log(tmp_path: Path) -> None:
    """OpenAI's format reports usage only to a client that asks: the pace comes from durations, and a note says so."""
    rng = random.Random(3)
    lines = []
    for at in range(3_000):
        first = rng.lognormvariate(-1, 0.4)
        other = at % 5 == 0
        end = first + rng.lognormvariate(1.5 if other else 0.7, 0.6)
        target = "anthropic/b" if other else "openai/a"
        attempt = Attempt(target, 0, Outcome.SUCCESS, None, 0.0, first, end, Usage(300, 180) if other else None)
        lines.append(record(float(at), attempt))
    house = config()
    found = read(tmp_path, *lines, house=house)
    (note,) = (note for note in found.notes if "do not say how long" in note)
    assert "openai/a" in note
    assert "anthropic/b" not in note
    assert "180 tokens" in note
    played = report(found.scenario, house)
    ends = sorted(line.total for line in lines if line.deployment == "openai/a")
    assert figure(played, "p50_total_ms") == pytest.approx(ends[len(ends) // 2] * 1e3, rel=0.1)
    assert figure(played, "p95_total_ms") == pytest.approx(ends[int(len(ends) * 0.95)] * 1e3, rel=0.12)


def test_a_log_without_any_usage_keeps_its_durations(tmp_path: Path) -> None:
    """The assumed size stands in the scenario, and the pace is made for it."""
    attempt = Attempt("openai/a", 0, Outcome.SUCCESS, None, 0.0, 0.107, 2.171)
    found = read(tmp_path, *(record(float(at), attempt) for at in range(200)))
    assert found.scenario.workload.completion_tokens.value == 250
    assert figure(report(found.scenario), "p50_total_ms") == pytest.approx(2_171, rel=0.02)
    assert figure(report(found.scenario), "p50_first_token_ms") == pytest.approx(107, rel=0.02)


def cancelled(end: float, target: str = "openai/a", first: float | None = None) -> Attempt:
    """An attempt that was not waited for."""
    return Attempt(target, 0, Outcome.CANCELLED, None, 0.0, first, end)


def first_token(found: Recorded, target: str, percentile: float) -> float:
    """A quantile, seconds."""
    spread = found.scenario.upstreams[target].first_token
    assert spread is not None
    assert spread.quantiles is not None
    return spread.quantiles[percentile]


def test_attempts_that_lost_a_hedge_would_have_taken_longer(tmp_path: Path) -> None:
    """A primary hedged at one second is as slow as it is, not as its winners are."""
    rng = random.Random(11)
    lines, truth = [], []
    for at in range(4_000):
        first, other = rng.lognormvariate(-0.5, 1.0), 1.0 + rng.lognormvariate(-0.7, 0.8)
        truth.append(first)
        if first <= other:
            losers = [cancelled(first - 1.0, "anthropic/b")] if first > 1.0 else []
            attempts = [*losers, answer(first=first, end=first + 1.0)]
        else:
            attempts = [cancelled(other), answer(1.0, other - 1.0, other, "anthropic/b")]
        lines.append(record(float(at), *attempts))
    found = read(tmp_path, *lines)
    truth.sort()
    assert first_token(found, "openai/a", 50) == pytest.approx(truth[2_000], rel=0.05)
    assert first_token(found, "openai/a", 90) == pytest.approx(truth[3_600], rel=0.1)
    count = sum(each.outcome is Outcome.CANCELLED for line in lines for each in line.attempts)
    assert any(note.startswith(f"{count} attempts were cut short") for note in found.notes)


def test_whole_replies_that_were_cut_short_count_too(tmp_path: Path) -> None:
    """Half of the replies were given up at two seconds: the median is not below."""
    lines = [record(float(at), answer(end=1.0), stream=False) for at in range(49)]
    lines += [record(50.0 + at, cancelled(2.0), stream=False, status=499) for at in range(49)]
    lines += [record(100.0 + at, answer(end=3.0), stream=False) for at in range(2)]
    whole = read(tmp_path, *lines).scenario.upstreams["openai/a"].whole
    assert whole is not None
    assert whole.quantiles is not None
    assert whole.quantiles[25] == pytest.approx(1.0, rel=0.01)
    assert whole.quantiles[50] == pytest.approx(3.0, rel=0.01)


def test_a_stream_cut_after_its_first_token_tells_when_that_came(tmp_path: Path) -> None:
    """The caller left in the middle of the answer: the first token is measured, not cut."""
    lines = [
        record(float(at), cancelled(2.0, first=0.5), first_token=0.5, status=499, code="client_cancelled")
        for at in range(30)
    ]
    lines += [record(40.0 + at, answer(first=0.3)) for at in range(10)]
    found = read(tmp_path, *lines)
    assert first_token(found, "openai/a", 50) == pytest.approx(0.5, rel=0.01)
    assert first_token(found, "openai/a", 95) == pytest.approx(0.5, rel=0.01)


def test_a_target_of_which_nothing_ended_is_named(tmp_path: Path) -> None:
    """Its latency is that of all, which a note says."""
    lines = [record(float(at), cancelled(1.0, "anthropic/b"), answer()) for at in range(30)]
    found = read(tmp_path, *lines)
    assert any("no attempt at anthropic/b came to an end of its own, 30" in note for note in found.notes)
    assert first_token(found, "*", 50) == pytest.approx(0.4, rel=0.01)


def test_requests_out_of_time_are_counted(tmp_path: Path) -> None:
    """What callers allowed is not in a log."""
    late = record(0.0, cancelled(1.0), status=504, code="deadline_passed")
    found = read(tmp_path, late, *(record(1.0 + at, answer()) for at in range(30)))
    assert any(note.startswith("1 requests ran out of their own time") for note in found.notes)


@pytest.mark.parametrize("kind", ["deadline_passed", "client_cancelled"])
def test_a_failure_of_ours_is_none_of_the_upstream(tmp_path: Path, kind: str) -> None:
    """Whatever the outcome says: nobody waited, and no section can name such an error."""
    lines = [record(float(at), answer()) for at in range(20)]
    lines += [record(30.0 + at, failure(FailureKind(kind), end=3.0)) for at in range(7)]
    found = read(tmp_path, *lines)
    assert found.scenario.upstreams["openai/a"].errors is None
    assert found.scenario.troubles == ()


def test_answers_from_the_cache_never_went_upstream(tmp_path: Path) -> None:
    """They are neither arrivals nor answers of the upstream; a note counts them."""
    lines = [record(float(at), answer()) for at in range(30)]
    kept = [replace(record(40.0 + at, answer()), attempts=(), source="cache", total=0.001) for at in range(50)]
    found = read(tmp_path, *lines, *kept)
    assert found.scenario.workload.requests == 30
    assert found.scenario.duration == pytest.approx(29)
    assert "50 answers came from the cache: not rehearsed, and left out" in found.notes
    assert any("whole answer p50 2" in note for note in found.notes)


@pytest.mark.parametrize("source", ["stale", "fallback"])
def test_what_stands_in_for_an_error_is_no_answer(tmp_path: Path, source: str) -> None:
    """The request came and wanted an upstream, which failed: it stays an arrival, unanswered."""
    lines = [record(float(at), answer()) for at in range(30)]
    down = [
        replace(record(30.0 + at, failure(FailureKind.SERVER_ERROR)), status=200, code="", source=source)
        for at in range(10)
    ]
    found = read(tmp_path, *lines, *down)
    assert found.scenario.workload.requests == 40
    assert len(found.scenario.troubles) == 1
    assert any("75.0000% answered" in note for note in found.notes)
    assert any(note.startswith("10 answers were kept ones or the fallback message") for note in found.notes)


def test_other_operations_are_kept_apart(tmp_path: Path) -> None:
    """An embedding takes 20 ms and says nothing of a chat."""
    lines = [record(float(at), answer(end=2.0), stream=False) for at in range(40)]
    lines += [record(at + 0.5, answer(end=0.02), stream=False, operation=Operation.EMBEDDINGS) for at in range(30)]
    found = read(tmp_path, *lines)
    assert found.scenario.workload.requests == 40
    whole = found.scenario.upstreams["openai/a"].whole
    assert whole is not None
    assert whole.quantiles is not None
    assert whole.quantiles[0] == pytest.approx(2.0, rel=0.01)
    assert "left out 30 requests for embeddings: most are for chat" in found.notes


WRONG_CLOCKS = (
    "1970-01-01T00:00:00.000Z",
    "9999-12-31T23:59:59.999Z",
    "0001-01-01T00:00:00.000Z",
    "0001-01-01T00:00:00",
    "9999-12-31T23:59:59-12:00",
)


@pytest.mark.parametrize("wrong", WRONG_CLOCKS)
def test_a_wrong_clock_does_not_make_a_day_last_for_decades(tmp_path: Path, wrong: str) -> None:
    """A line far from all others is left out and named, wherever it stands."""
    lines = [json_line(record(float(at), answer()), NOON) for at in range(30)]
    for place in (0, 12, 29):
        time = json.loads(lines[place])["time"]
        found = read(tmp_path, *lines[:place], lines[place].replace(time, wrong), *lines[place + 1 :])
        assert found.scenario.workload.requests == 29
        assert found.scenario.duration < 30
        assert any(note.startswith("left out 1 lines") and note.endswith(f": {place + 1}") for note in found.notes)


def test_of_a_log_in_parts_the_fullest_is_taken(tmp_path: Path) -> None:
    """Three days in spring and three in summer: the quieter part is counted, and its first lines are named."""
    day = 86_400.0
    lines = [record(at * day, answer()) for at in range(3)] + [
        record(90 * day + at * day / 9, answer()) for at in range(28)
    ]
    found = read(tmp_path, *lines)
    assert (found.scenario.workload.requests, found.scenario.duration) == (28, 3 * day)
    assert "left out 3 lines more than 7 days from all others: 1, 2, 3" in found.notes


def test_too_long_a_log_is_refused(tmp_path: Path) -> None:
    """Clearly, and before anything is played."""
    with pytest.raises(ConfigError, match="covers 40 days; at most 31 can be rehearsed"):
        read(tmp_path, *(record(at * 86_400.0, answer()) for at in range(41)))


def test_a_byte_order_mark_damages_nothing(tmp_path: Path) -> None:
    """Some editors put one in front."""
    lines = [json_line(record(float(at), answer()), NOON) for at in range(30)]
    found = read(tmp_path, "\ufeff" + lines[0], *lines[1:])
    assert found.scenario.workload.requests == 30
    assert not any("not of this log" in note for note in found.notes)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_log_may_come_through_a_pipe(tmp_path: Path) -> None:
    """It is read twice; what cannot be rewound is kept meanwhile."""
    text = "".join(f"{json_line(record(float(at), answer()), NOON)}\n" for at in range(30))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(pipe.write_text, text)
        found = recorded.read(pipe, config())
    assert found.scenario.workload.requests == 30


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('"ms":2400.0', '"ms":1e300'),
        ('"ms":2400.0', '"ms":-1'),
        ('"completion":101', '"completion":1e30'),
        ('"target":"openai/a"', '"target":"some words"'),
        ('"total_ms":2400.0', '"total_ms":9999999999'),
    ],
)
def test_values_that_no_log_has_make_a_line_a_damaged_one(tmp_path: Path, text: str, wrong: str) -> None:
    """One of them would stand in the scenario as its largest value, or make it invalid."""
    lines = [json_line(record(float(at), answer()), NOON) for at in range(30)]
    assert text in lines[7]
    found = read(tmp_path, *lines[:7], lines[7].replace(text, wrong), *lines[8:])
    assert found.scenario.workload.requests == 29
    assert "left out 1 lines that are not of this log: 8" in found.notes
