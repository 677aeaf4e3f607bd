"""Callers who ask again, hang up, or have no gateway."""

import random

import pytest

from standfast.sim.customer import FIRST_WAIT, LONGEST_WAIT, wait_before, worth_repeating
from standfast.sim.ending import GAVE_UP
from standfast.sim.stage import Way
from support.rehearsal import config, play, scenario

DEAD = {"*": {"whole": "1s", "first_token": "1s", "errors": [{"kind": "server_error", "after": "100ms"}]}}
ONCE = {"defaults": {"retry": {"max_attempts": 1}, "breaker": {"consecutive": 1000, "min_calls": 1000}}}


def tries(client: dict[str, object], way: Way = Way.GATEWAY, upstreams: object = DEAD) -> float:
    """How often a caller asks for one answer that it does not get."""
    weather = scenario(workload={"requests": 50, "client": client}, upstreams=upstreams)
    tally = play(weather, config(["openai/a"], **ONCE), way=way).tally
    assert tally.answered == 0
    assert tally.requests == 50
    return tally.tries / 50


def test_a_caller_that_obeys_asks_once() -> None:
    """D7: the gateway says `x-should-retry: false` when it has given up, so that attempts do not multiply."""
    assert tries({"retries": 2}) == 1
    assert tries({"retries": 2, "obeys": False}) == 3


def test_what_was_the_requests_own_fault_is_not_repeated() -> None:
    """A 400 stays a 400, whoever asks again."""
    filtered = {"*": {"whole": "1s", "errors": [{"kind": "content_filtered"}]}}
    assert tries({"retries": 2, "obeys": False}, upstreams=filtered) == 1


def test_an_sdk_alone_makes_three_tries() -> None:
    """Without a gateway: one try, or the SDK's three."""
    assert tries({}, Way.ALONE) == 1
    assert tries({}, Way.RETRIES) == 3


def test_who_has_no_patience_hangs_up() -> None:
    """After so long without content; the attempt is abandoned, and nobody is blamed for it."""
    slow = {"*": {"first_token": "10s", "whole": "10s"}}
    weather = scenario(workload={"requests": 20, "client": {"patience": "2s"}}, upstreams=slow)
    for way in Way:
        tally = play(weather, config(["openai/a"]), way=way).tally
        assert tally.reasons == {GAVE_UP: 20}
        assert tally.worst == pytest.approx(2.0)
        assert tally.targets["openai/a"].cancelled == 20


def test_patience_ends_with_the_first_content() -> None:
    """Whoever sees an answer come waits for its end."""
    weather = scenario(
        workload={"requests": 5, "streaming": 1, "client": {"patience": "2s"}},
        upstreams={"*": {"first_token": "1s", "per_token": "100ms"}},
    )
    for way in Way:
        assert play(weather, config(["openai/a"]), way=way).tally.answered == 5


def test_who_hangs_up_between_two_tries_is_gone() -> None:
    """Patience runs on while a caller waits to ask again."""
    weather = scenario(
        workload={"requests": 5, "client": {"patience": "400ms", "retries": 9, "obeys": False}}, upstreams=DEAD
    )
    tally = play(weather, config(["openai/a"], **ONCE)).tally
    assert tally.reasons == {GAVE_UP: 5}
    assert tally.tries == 5


@pytest.mark.parametrize(("tried", "low", "high"), [(1, 0.375, 0.5), (2, 0.75, 1.0), (5, 6.0, 8.0), (9, 6.0, 8.0)])
def test_waits_double_and_are_cut_by_chance(tried: int, low: float, high: float) -> None:
    """As the SDKs do: 0.5 s, doubling to 8 s, up to a quarter taken off."""
    rng = random.Random(1)
    waits = [wait_before(tried, None, rng) for _ in range(200)]
    assert low <= min(waits) < max(waits) <= high
    assert FIRST_WAIT <= LONGEST_WAIT


def test_a_named_wait_is_kept_if_it_is_short_enough() -> None:
    """Retry-After up to a minute; beyond it the own backoff."""
    rng = random.Random(1)
    assert wait_before(1, 7.0, rng) == 7.0
    assert wait_before(1, 61.0, rng) <= FIRST_WAIT
    assert wait_before(1, 0.0, rng) <= FIRST_WAIT


@pytest.mark.parametrize(
    ("status", "again"), [(0, True), (429, True), (500, True), (503, True), (400, False), (404, False)]
)
def test_an_sdk_repeats_what_a_repetition_may_mend(status: int, again: bool) -> None:
    """No answer, rate limits and server errors; never the caller's own fault."""
    assert worth_repeating(status) is again


def test_without_a_gateway_a_broken_stream_is_not_repeated() -> None:
    """Content has been shown; an SDK cannot take it back."""
    weather = scenario(
        workload={"requests": 20, "streaming": 1},
        upstreams={"*": {"first_token": "1s", "per_token": "10ms", "errors": ["broken_stream"]}},
    )
    tally = play(weather, config(["openai/a"]), way=Way.RETRIES).tally
    assert tally.broken == 20
    assert tally.tries == 20
