"""Metrics for Prometheus, and a JSON summary of them.

The hot path (`request_ended`) only adds to plain integers; prometheus-client objects are made when somebody scrapes.
All durations are seconds. Labels are bounded, see `_tally`.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from standfast.canon.attempt import ANSWER, Attempt
from standfast.canon.record import Change, RequestRecord
from standfast.canon.usage import Usage
from standfast.hooks._tally import MAX_CHILDREN, Count, Family, Histogram

FIRST_TOKEN_BOUNDS = (
    0.05,
    0.1,
    0.2,
    0.35,
    0.5,
    0.75,
    1.0,
    1.5,
    2.0,
    3.0,
    5.0,
    8.0,
    12.0,
    20.0,
    30.0,
    60.0,
    120.0,
    300.0,
)
"""Up to the first-token deadline of reasoning models."""

REQUEST_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0)
"""Up to the default total deadline."""

OVERHEAD_BOUNDS = (50e-6, 100e-6, 200e-6, 350e-6, 500e-6, 1e-3, 2e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Fine where the budget is: a few times what a plain reverse proxy takes."""

BREAKER_STATES = ("closed", "open", "half_open", "forced_open", "forced_closed")
"""States that are always shown, so that a query finds a 0 and not a gap."""

_CLIENT_GONE = 499


_Labels: TypeAlias = tuple[str, str, bool, int, str, str, str]
"""Model, operation, stream, status and code of a request; deployment and outcome of its only attempt, else empty."""


class _Row:
    """Everything that a request with these labels adds to, looked up once.

    Attributes:
        attempt: how its only attempt ended; None for a request with none or several.
    """

    __slots__ = ("attempt", "failovers", "first_token", "requests", "seconds")

    def __init__(
        self, requests: Count, seconds: Histogram, first_token: Histogram, failovers: Count, attempt: Count | None
    ) -> None:
        self.attempt = attempt
        self.requests = requests
        self.seconds = seconds
        self.first_token = first_token
        self.failovers = failovers


class _Tokens:
    """Token counters of one deployment."""

    __slots__ = ("cache_written", "cached", "completion", "prompt", "reasoning")

    def __init__(self, family: Family[Count], deployment: str) -> None:
        self.prompt = family.child(deployment, "prompt")
        self.completion = family.child(deployment, "completion")
        self.cached = family.child(deployment, "cached")
        self.cache_written = family.child(deployment, "cache_written")
        self.reasoning = family.child(deployment, "reasoning")

    def add(self, usage: Usage) -> None:
        self.prompt.value += usage.prompt
        self.completion.value += usage.completion
        self.add_parts(usage)

    def add_parts(self, usage: Usage) -> None:
        """Tokens that are counted once more, as what they are."""
        if usage.cached:
            self.cached.value += usage.cached
        if usage.cache_written:
            self.cache_written.value += usage.cache_written
        if usage.reasoning:
            self.reasoning.value += usage.reasoning


class PrometheusHook:
    """Counts what happens; see `hooks.base.Hook`. Tells it as Prometheus text and as a JSON summary.

    Args:
        in_flight: number of requests under way, asked at scrape time.
        breaker_states: state of every breaker by `provider/model`, asked at scrape time.
        log_lines_dropped: lines that the access log could not write, asked at scrape time.
        max_children: label combinations per metric before `other`.
    """

    def __init__(
        self,
        *,
        in_flight: Callable[[], int] = lambda: 0,
        breaker_states: Callable[[], Mapping[str, str]] = dict,
        log_lines_dropped: Callable[[], int] = lambda: 0,
        max_children: int = MAX_CHILDREN,
    ) -> None:
        self.in_flight = in_flight
        self.breaker_states = breaker_states
        self.log_lines_dropped = log_lines_dropped
        cap = max_children
        self.requests = Family(("model", "operation", "status", "code"), Count, cap)
        self.attempts = Family(("deployment", "outcome"), Count, cap)
        self.second = Family(("purpose", "outcome"), Count, cap)
        self.failovers = Family(("model",), Count, cap)
        self.tokens = Family(("deployment", "kind"), Count, cap)
        self.changes = Family(("name", "subject", "state"), Count, cap)
        self.first_token = Family(("model",), lambda: Histogram(FIRST_TOKEN_BOUNDS), cap)
        self.seconds = Family(("model", "stream"), lambda: Histogram(REQUEST_BOUNDS), cap)
        self.overhead = Histogram(OVERHEAD_BOUNDS)
        self._cap = cap
        self._rows: dict[_Labels, _Row] = {}
        self._outcomes: dict[tuple[str, str], Count] = {}
        self._token_rows: dict[str, _Tokens] = {}
        self._registry = CollectorRegistry()
        self._registry.register(_Scrape(self))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def request_ended(self, record: RequestRecord) -> None:
        """Count a request: a few look-ups and additions."""
        attempts = record.attempts
        deployment = outcome = ""
        if len(attempts) == 1:
            only = attempts[0]
            failure = only.failure
            deployment, outcome = only.deployment, only.outcome if failure is None else failure.kind
        labels = (record.model, record.operation, record.stream, record.status, record.code, deployment, outcome)
        row = self._rows.get(labels) or self._row(labels)
        row.requests.value += 1
        total, first = record.total, record.first_token
        overhead = total - record.upstream
        if overhead < 0.0:  # noqa: PLR1730 - a call costs more than the rest of the line
            overhead = 0.0
        # What every request has is put into its bucket here, as `Histogram.observe` does, without the calls.
        seconds, own = row.seconds, self.overhead
        seconds.counts[bisect_left(seconds.bounds, total)] += 1
        seconds.total += total
        own.counts[bisect_left(own.bounds, overhead)] += 1
        own.total += overhead
        if first is not None:
            row.first_token.observe(first)
        if row.attempt is not None:
            row.attempt.value += 1
        elif attempts:
            self._several(attempts)
            if attempts[-1].deployment != attempts[0].deployment and (not record.fallback or record.source):
                row.failovers.value += 1
        if record.fallback and not record.source:
            row.failovers.value += 1
        usage = record.usage
        if usage is not None and (row.attempt is not None or not attempts):
            tokens = self._token_rows.get(record.deployment) or self._token_row(record.deployment)
            tokens.prompt.value += usage.prompt  # as `add` does, without the call
            tokens.completion.value += usage.completion
            if usage.cached or usage.cache_written or usage.reasoning:
                tokens.add_parts(usage)

    def _several(self, attempts: Sequence[Attempt]) -> None:
        """Each attempt's tokens are its own deployment's; hedges and repetitions are counted once more, as such."""
        for attempt in attempts:
            failure = attempt.failure
            self._outcome((attempt.deployment, attempt.outcome if failure is None else failure.kind)).value += 1
            if attempt.usage is not None:
                tokens = self._token_rows.get(attempt.deployment) or self._token_row(attempt.deployment)
                tokens.add(attempt.usage)
            if attempt.purpose != ANSWER:
                outcome = attempt.outcome if attempt.failure is None else attempt.failure.kind
                self.second.child(attempt.purpose, str(outcome)).value += 1

    def changed(self, change: Change) -> None:
        """Count a change of state."""
        self.changes.child(change.name, change.subject, change.after).value += 1

    def close(self) -> None:
        """Nothing is held."""

    def exposition(self) -> tuple[bytes, str]:
        """The metrics as text, and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def summary(self) -> dict[str, object]:
        """The metrics in a few figures, fit for JSON. Quantiles are estimated from the histograms.

        `success_rate` is the share of 2xx among all requests whose client stayed; None before the first one.
        """
        by_class = {f"{first}xx": 0 for first in range(2, 6)}
        gone = 0
        for labels, count in self.requests.items():
            name = f"{labels[2][:1]}xx"
            by_class[name] = by_class.get(name, 0) + count.value
            gone += count.value if labels[2] == str(_CLIENT_GONE) else 0
        total = sum(by_class.values())
        return {
            "requests": total,
            "requests_by_class": by_class,
            "success_rate": by_class["2xx"] / (total - gone) if total > gone else None,
            "failovers": sum(count.value for _, count in self.failovers.items()),
            "first_token_seconds": _quantiles(child for _, child in self.first_token.items()),
            "request_seconds": _quantiles(child for _, child in self.seconds.items()),
            "overhead_seconds": _quantiles([self.overhead]),
            "in_flight": self.in_flight(),
            "breakers": dict(self.breaker_states()),
            "log_lines_dropped": self.log_lines_dropped(),
        }

    def _row(self, labels: _Labels) -> _Row:
        model, operation, stream, status, code, deployment, outcome = labels
        row = _Row(
            self.requests.child(model, str(operation), str(status), code),
            self.seconds.child(model, "true" if stream else "false"),
            self.first_token.child(model),
            self.failovers.child(model),
            self._outcome((deployment, outcome)) if outcome else None,
        )
        if len(self._rows) < self._cap:  # beyond it the look-ups are slower, and the memory stays
            self._rows[labels] = row
        return row

    def _outcome(self, key: tuple[str, str]) -> Count:
        known = self._outcomes.get(key)
        if known is not None:
            return known
        count = self.attempts.child(key[0], str(key[1]))
        if len(self._outcomes) < self._cap:
            self._outcomes[key] = count
        return count

    def _token_row(self, deployment: str) -> _Tokens:
        row = _Tokens(self.tokens, deployment)
        if len(self._token_rows) < self._cap:
            self._token_rows[deployment] = row
        return row


def _quantiles(children: Iterable[Histogram]) -> dict[str, float | None]:
    """Estimates over all children together."""
    merged: Histogram | None = None
    for child in children:
        merged = merged or Histogram(child.bounds)
        merged.add(child)
    return {name: merged.quantile(share) if merged else None for name, share in (("p50", 0.5), ("p95", 0.95))}


class _Scrape(Collector):
    """Turns the tallies into prometheus-client's families, at scrape time only."""

    def __init__(self, hook: PrometheusHook) -> None:
        self._hook = hook

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not call the gauges."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All families."""
        hook = self._hook
        yield _counter("requests", "Requests that got their outcome.", hook.requests)
        yield _counter(
            "attempts", "Upstream attempts by outcome: success, cancelled or the failure kind.", hook.attempts
        )
        yield _counter("second_attempts", "Hedges, replays and resumptions, by how they ended, as above.", hook.second)
        yield _counter("failovers", "Requests that left their first choice for another target.", hook.failovers)
        yield _counter("tokens", "Tokens reported; cached is inside prompt, reasoning inside completion.", hook.tokens)
        yield _counter("state_changes", "Breakers, cooldowns and quarantines that changed state.", hook.changes)
        yield _histogram("first_token_seconds", "Until the first content byte went to the client.", hook.first_token)
        yield _histogram("request_seconds", "Until the answer's last byte was handed to the wire.", hook.seconds)
        overhead = HistogramMetricFamily(
            "standfast_overhead_seconds", "The gateway's own share: total minus upstream time.", labels=()
        )
        overhead.add_metric((), hook.overhead.cumulative(), hook.overhead.total)
        yield overhead
        yield GaugeMetricFamily("standfast_in_flight", "Requests under way.", value=hook.in_flight())
        yield CounterMetricFamily(
            "standfast_log_lines_dropped", "Access log lines that could not be written.", value=hook.log_lines_dropped()
        )
        yield self._breakers()

    def _breakers(self) -> Metric:
        gauge = GaugeMetricFamily(
            "standfast_breaker_state", "1 for the state that the breaker is in.", labels=("deployment", "state")
        )
        for deployment, state in self._hook.breaker_states().items():
            for name in dict.fromkeys((*BREAKER_STATES, state)):
                gauge.add_metric((deployment, name), 1.0 if name == state else 0.0)
        return gauge


def _counter(name: str, what: str, family: Family[Count]) -> Metric:
    metric = CounterMetricFamily(f"standfast_{name}", what, labels=family.labels)
    for labels, child in family.items():
        metric.add_metric(labels, child.value)
    return metric


def _histogram(name: str, what: str, family: Family[Histogram]) -> Metric:
    metric = HistogramMetricFamily(f"standfast_{name}", what, labels=family.labels)
    for labels, child in family.items():
        metric.add_metric(labels, child.cumulative(), child.total)
    return metric
