"""One request: the steps of its exchange, performed in virtual time."""

import pytest

from standfast.canon.instants import Monotonic
from standfast.policy.steps import Send, Sleep, Step
from standfast.sim.drive import Drive
from standfast.sim.ending import detour
from standfast.sim.settings import Scenario
from standfast.sim.world import START, TICK
from support.rehearsal import config, play, scenario

Decision = tuple[str, float]


def decisions(weather: Scenario, house: object = None) -> list[Decision]:
    """Every step of a play, with the second at which it was decided."""
    seen: list[Decision] = []

    def trace(_: Drive, steps: list[Step], now: Monotonic) -> None:
        seen.extend((_name(step), round(now - START, 3)) for step in steps)

    play(weather, house, trace=trace)  # type: ignore[arg-type]
    return seen


def _name(step: Step) -> str:
    return f"Send {step.target.name}" if isinstance(step, Send) else type(step).__name__


def one(**fields: object) -> Scenario:
    """A scenario with one request, after half a minute."""
    workload = {"requests": 1, "streaming": 1, "completion_tokens": 11, **fields.pop("workload", {})}  # type: ignore[dict-item]
    return scenario(workload=workload, **fields)


def test_a_stream_commits_at_its_first_content() -> None:
    """Sent on arrival, committed half a second later, finished after ten more tokens."""
    assert decisions(one()) == [("Send openai/a", 30.0), ("Commit", 30.5), ("Finish", 30.6)]


def test_a_whole_reply_finishes_at_its_end() -> None:
    """Its first content and its end fall together, as in the engine."""
    steps = decisions(one(workload={"streaming": 0}))
    assert steps == [("Send openai/a", 30.0), ("Finish", 31.0)]


def test_a_refused_connection_fails_over_in_the_same_millisecond() -> None:
    """The next target is asked at the instant of the failure: nothing is added."""
    weather = one(
        upstreams={"*": {"first_token": "500ms"}, "primary": {"first_token": 1, "errors": ["connect_failed"]}}
    )
    assert decisions(weather) == [
        ("Send openai/a", 30.0),
        ("Send anthropic/b", 30.001),
        ("Commit", 30.501),
        ("Finish", 30.501),
    ]


def test_a_nap_ends_when_the_watch_looks() -> None:
    """Never before it is due, at most a tick later."""
    seen: list[tuple[float, float]] = []
    until: list[float] = []

    def trace(_: Drive, steps: list[Step], now: Monotonic) -> None:
        if until:
            seen.append((until.pop(), now))
        until.extend(step.until for step in steps if isinstance(step, Sleep))

    weather = scenario(
        workload={"requests": 40},
        upstreams={"*": {"whole": 1}, "primary": {"whole": 1, "errors": [{"kind": "server_error", "after": "33ms"}]}},
    )
    play(weather, config(defaults={"breaker": {"consecutive": 1000, "min_calls": 1000}}), trace=trace)
    assert len(seen) == 40
    assert all(0 <= woke - due <= TICK + 1e-6 for due, woke in seen)
    assert len({round((woke - due) / TICK, 2) for due, woke in seen}) > 5


def test_a_hanging_target_costs_its_deadline_once() -> None:
    """B1: the policy's time to the first content ends it, then the next target answers."""
    weather = one(upstreams={"*": {"first_token": 1}, "primary": {"errors": ["first_token_timeout"]}})
    steps = decisions(weather, config(defaults={"timeouts": {"first_token": "4s"}}))
    assert steps[:2] == [("Send openai/a", 30.0), ("Send anthropic/b", 34.0)]


def test_a_stream_that_breaks_is_counted_as_broken() -> None:
    """Content had been delivered: the request is not answered, and not refused either."""
    weather = one(
        upstreams={"*": {"first_token": 1, "per_token": 1, "errors": ["broken_stream"]}}, workload={"requests": 8}
    )
    tally = play(weather, config(["openai/a"], defaults={"on_break": "error"})).tally
    assert (tally.answered, tally.broken) == (0, 8)


@pytest.mark.parametrize("workload", [{}, {"deadline": "2s"}])
def test_a_requests_own_deadline_is_told_to_the_policy(workload: dict[str, object]) -> None:
    """Nobody waits longer than the request says; without a word the route's total holds."""
    weather = one(upstreams={"*": {"first_token": 5}}, workload=workload)
    tally = play(weather).tally
    assert tally.reasons == ({"deadline_passed": 1} if workload else {})


def test_what_a_failover_lost_and_what_it_waited() -> None:
    """Lost: until the attempt that answered set off. Waited: the part without any attempt under way."""
    weather = scenario(
        workload={"requests": 30},
        upstreams={"*": {"whole": 1}, "primary": {"whole": 1, "errors": [{"kind": "overloaded", "after": "200ms"}]}},
    )
    tally = play(weather, config(defaults={"breaker": {"consecutive": 1000, "min_calls": 1000}})).tally
    assert tally.fallbacks == 30
    assert tally.lost.quantile(0.5) == pytest.approx(0.2, rel=0.01)
    assert tally.waited.quantile(0.5) == 0.0


def test_a_detour_counts_overlapping_attempts_once() -> None:
    """Hedged attempts overlap; only time without any of them was waited."""
    attempts = play_attempts([(0.0, 1.0, False), (0.5, 2.0, False), (3.0, 4.0, True)])
    assert detour(attempts) == (3.0, 1.0)
    assert detour(play_attempts([(0.0, 5.0, False), (1.0, 2.0, True)])) == (1.0, 0.0)
    assert detour(play_attempts([(0.0, 5.0, False)])) == (0.0, 0.0)


def play_attempts(spans: list[tuple[float, float, bool]]) -> list[object]:
    """Attempts with these starts, ends and successes."""
    from standfast.canon.attempt import Attempt, Outcome  # noqa: PLC0415 - only here

    outcomes = {True: Outcome.SUCCESS, False: Outcome.FAILURE}
    return [Attempt("p/a", 0, outcomes[ok], None, start, None, end) for start, end, ok in spans]
