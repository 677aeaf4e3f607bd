"""Metrics: counted exactly, bounded, and told as Prometheus text and as JSON."""

import json

from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from standfast.canon.attempt import Attempt, Outcome
from standfast.canon.deployment import Operation
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Wall
from standfast.canon.record import Change, RequestRecord
from standfast.canon.usage import Usage
from standfast.hooks._tally import Histogram
from standfast.hooks.prometheus import PrometheusHook

GOOD = Attempt("openai/gpt-4.1", 0, Outcome.SUCCESS, None, 0.0, 0.2, 0.9)
LIMITED = Attempt("local/m", 1, Outcome.FAILURE, Failure(FailureKind.RATE_LIMITED, "HTTP 429"), 0.0, None, 0.1)
RECORD = RequestRecord(
    id="req_1",
    received=Wall(1_760_000_000.0),
    caller="dev",
    model="gpt-4.1",
    operation=Operation.CHAT,
    stream=True,
    status=200,
    code="",
    deployment="openai/gpt-4.1",
    fallback=False,
    attempts=(GOOD,),
    first_token=0.2,
    total=0.9,
    upstream=0.8999,
    usage=Usage(10, 20, 4, 0, 5),
)


def samples(hook: PrometheusHook) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What a scrape says, by name and labels."""
    text, content_type = hook.exposition()
    assert content_type.startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(hook: PrometheusHook, name: str, **labels: str) -> float:
    """One sample."""
    return samples(hook)[f"standfast_{name}", tuple(sorted(labels.items()))]


def test_a_request_is_counted_once_everywhere() -> None:
    """A finished request adds one to its counters, each attempt to its own, and the tokens to who answered."""
    hook = PrometheusHook()
    hook.request_ended(RECORD)
    hook.request_ended(replace(RECORD, attempts=(LIMITED, replace(GOOD, usage=RECORD.usage)), fallback=True))
    hook.request_ended(replace(RECORD, status=499, code="client_cancelled", first_token=None, usage=None))
    assert value(hook, "requests_total", model="gpt-4.1", operation="chat", status="200", code="") == 2
    assert value(hook, "requests_total", model="gpt-4.1", operation="chat", status="499", code="client_cancelled") == 1
    assert value(hook, "attempts_total", deployment="openai/gpt-4.1", outcome="success") == 3
    assert value(hook, "attempts_total", deployment="local/m", outcome="rate_limited") == 1
    assert value(hook, "failovers_total", model="gpt-4.1") == 1
    kinds = {"prompt": 20, "completion": 40, "cached": 8, "cache_written": 0, "reasoning": 10}
    assert kinds == {kind: value(hook, "tokens_total", deployment="openai/gpt-4.1", kind=kind) for kind in kinds}
    assert value(hook, "first_token_seconds_count", model="gpt-4.1") == 2
    assert value(hook, "request_seconds_count", model="gpt-4.1", stream="true") == 3


def test_histograms_are_cumulative_and_inclusive() -> None:
    """A bucket counts every value up to its bound, the bound included; the overhead is never negative."""
    hook = PrometheusHook()
    for overhead in (-1.0, 50e-6, 60e-6, 9.0):
        hook.request_ended(replace(RECORD, total=10.0, upstream=10.0 - overhead))
    assert value(hook, "overhead_seconds_bucket", le="0.0001") == 3
    assert value(hook, "overhead_seconds_bucket", le="1.0") == 3
    assert value(hook, "overhead_seconds_bucket", le="+Inf") == 4
    assert value(hook, "overhead_seconds_count") == 4
    histogram = Histogram((1.0, 2.0))
    for each in (1.0, 1.5, 2.0, 2.5):
        histogram.observe(each)
    assert histogram.counts == [1, 2, 1]


def test_quantiles_are_linear_inside_a_bucket() -> None:
    """A quantile is estimated as Prometheus does; beyond the last bound it is that bound, without values it is None."""
    histogram = Histogram((1.0, 2.0, 4.0))
    assert histogram.quantile(0.5) is None
    for each in (0.5, 1.5, 3.0, 3.5):
        histogram.observe(each)
    assert histogram.quantile(0.5) == 2.0
    assert histogram.quantile(0.75) == 3.0
    histogram.observe(100.0)
    assert histogram.quantile(1.0) == 4.0


def test_labels_are_bounded() -> None:
    """E14: a flood of names does not grow the series; everything beyond the cap is counted under `other`."""
    hook = PrometheusHook(max_children=10)
    for index in range(5000):
        noisy = replace(GOOD, deployment=f"d{index}")
        hook.request_ended(
            replace(RECORD, model=f"m{index}", code=f"c{index}", deployment=f"d{index}", attempts=(noisy,))
        )
        hook.changed(Change("breaker", f"n{index}", "closed", "open", "r"))
    found = samples(hook)
    requests = [count for (name, _), count in found.items() if name == "standfast_requests_total"]
    assert sum(requests) == 5000
    assert len(requests) <= 21
    assert len(found) < 1500
    assert len(hook._rows) + len(hook._outcomes) + len(hook._token_rows) <= 30
    assert hook.summary()["requests"] == 5000


def test_hostile_labels_cannot_break_a_scrape() -> None:
    """E14: line ends, quotes and lone surrogates in a name leave the exposition readable."""
    hook = PrometheusHook()
    hook.request_ended(replace(RECORD, model='x"\n\ud800\\' + "y" * 1000))
    models = {dict(labels).get("model", "") for name, labels in samples(hook) if name == "standfast_requests_total"}
    assert models == {('x"??\\' + "y" * 1000)[:200]}


def test_gauges_are_asked_at_scrape_time() -> None:
    """In flight, breakers and dropped lines come from whoever knows, at the moment of the scrape."""
    now = {"in_flight": 0, "state": "closed", "dropped": 0}
    hook = PrometheusHook(
        in_flight=lambda: int(now["in_flight"]),
        breaker_states=lambda: {"a/b": str(now["state"])},
        log_lines_dropped=lambda: int(now["dropped"]),
    )
    assert value(hook, "breaker_state", deployment="a/b", state="closed") == 1
    now.update(in_flight=3, state="open", dropped=7)
    assert value(hook, "in_flight") == 3
    assert value(hook, "log_lines_dropped_total") == 7
    states = {
        name: value(hook, "breaker_state", deployment="a/b", state=name) for name in ("closed", "open", "half_open")
    }
    assert states == {"closed": 0, "open": 1, "half_open": 0}


def test_process_metrics_are_there() -> None:
    """The process' own figures stand beside ours, on a registry of its own."""
    names = {name for name, _ in samples(PrometheusHook())} | {name for name, _ in samples(PrometheusHook())}
    assert {"process_resident_memory_bytes", "python_info"} <= names


def test_the_summary_is_json() -> None:
    """The summary counts by class, leaves out clients that went away, and fits into JSON."""
    hook = PrometheusHook(in_flight=lambda: 2, breaker_states=lambda: {"a/b": "open"})
    assert hook.summary()["success_rate"] is None
    for status in (200, 200, 200, 502, 499):
        hook.request_ended(replace(RECORD, status=status))
    summary = json.loads(json.dumps(hook.summary()))
    assert summary["requests"] == 5
    assert summary["requests_by_class"] == {"2xx": 3, "3xx": 0, "4xx": 1, "5xx": 1}
    assert summary["success_rate"] == 0.75
    assert 0.1 < summary["first_token_seconds"]["p50"] <= 0.2
    assert (summary["in_flight"], summary["breakers"]) == (2, {"a/b": "open"})


def test_second_attempts_are_counted_as_such() -> None:
    """Each attempt's tokens are its own deployment's; a resumption is counted by its purpose and its end."""
    hook = PrometheusHook()
    first = Attempt("a/m", 0, Outcome.FAILURE, Failure(FailureKind.BROKEN_STREAM, "cut"), 0.0, 0.1, 0.2, Usage(5, 1))
    rest = Attempt("b/m", 0, Outcome.SUCCESS, None, 0.2, 0.3, 0.4, Usage(6, 4), "resume")
    hook.request_ended(replace(RECORD, deployment="b/m", attempts=(first, rest), usage=Usage(11, 5)))
    text = hook.exposition()[0].decode()
    assert 'standfast_second_attempts_total{outcome="success",purpose="resume"} 1.0' in text
    assert 'standfast_tokens_total{deployment="a/m",kind="prompt"} 5.0' in text
    assert 'standfast_tokens_total{deployment="b/m",kind="prompt"} 6.0' in text


def test_a_kept_answer_is_no_failover() -> None:
    """Whoever answered when it was kept: nobody was left for anybody now, nor for the message in place of an error."""
    hook = PrometheusHook()
    for source in ("cache", "stale", "fallback"):
        hook.request_ended(replace(RECORD, attempts=(), fallback=True, source=source, usage=None))
    assert value(hook, "failovers_total", model="gpt-4.1") == 0
    hook.request_ended(replace(RECORD, fallback=True))
    assert value(hook, "failovers_total", model="gpt-4.1") == 1
