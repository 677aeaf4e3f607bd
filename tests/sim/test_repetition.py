"""Second attempts beside or after the first: hedges, replays, continuations - performed as the policy asks."""

from dataclasses import replace

import pytest

from standfast.canon.facts import Facts
from standfast.canon.instants import Monotonic
from standfast.policy.hedge import HedgeSettings
from standfast.policy.steps import Send, Step
from standfast.sim.drive import Drive
from standfast.sim.settings import Scenario
from standfast.sim.stage import Stage
from standfast.sim.world import START
from support.rehearsal import config, scenario

CUT = {"first_token": "1s", "per_token": "100ms", "errors": ["broken_stream"], "price": 1}
WELL = {"first_token": "1s", "per_token": "100ms", "price": 1}
TWINS = ("openai/a", "anthropic/a")


def run(weather: Scenario, targets: tuple[str, ...] = TWINS, **route: object) -> tuple[Stage, list[tuple[str, float]]]:
    """A finished play whose model has these settings, and its steps with their seconds."""
    seen: list[tuple[str, float]] = []

    def trace(_: Drive, steps: list[Step], now: Monotonic) -> None:
        for step in steps:
            name = f"{step.purpose} {step.target.name}" if isinstance(step, Send) else type(step).__name__
            seen.append((name, round(now - START, 3)))

    stage = Stage(config(targets), weather, 1, trace=trace)
    if route.get("on_break") == "resume":
        able = Facts(abilities=frozenset({"continuation"}))
        route["targets"] = tuple(replace(each, facts=able) for each in stage.cast.models[0][0].targets)
    stage.cast.models[:] = [(replace(each, **route), share) for each, share in stage.cast.models]  # type: ignore[arg-type]
    stage._crowd = stage.requests()
    stage.run()
    return stage, seen


def one(*, repeatable: float = 0.0, tokens: int = 100, **upstreams: object) -> Scenario:
    """One stream, after half a minute."""
    workload = {
        "requests": 1,
        "streaming": 1,
        "repeatable": repeatable,
        "completion_tokens": tokens,
        "prompt_tokens": 10,
    }
    return scenario(workload=workload, upstreams={"*": WELL, **upstreams})


def test_a_hedge_is_sent_at_its_instant_and_the_faster_one_answers() -> None:
    """C17: a second after the first; whoever has content first answers, the other is stopped at once and is waste."""
    slow = {"primary": {"first_token": "9s"}}
    stage, steps = run(one(**slow), hedge=HedgeSettings(after=1.0))
    assert set(steps[:2]) == {("answer openai/a", 30.0), ("Remind", 30.0)}
    assert steps[2:5] == [("hedge anthropic/a", 31.0), ("Commit", 32.0), ("Abandon", 32.0)]
    assert steps[5:] == [("Finish", pytest.approx(41.9))]
    first, second = stage.tally.targets.values()
    assert (first.cancelled, second.successes) == (1, 1)
    assert first.waste == pytest.approx(10 / 1e6)
    assert stage.tally.fallbacks == 1


def test_a_hedge_is_not_sent_when_content_came_in_time() -> None:
    """The reminder finds the request answered, and changes nothing."""
    stage, steps = run(one(), hedge=HedgeSettings(after=5.0))
    assert {name for name, _ in steps[:2]} == {"answer openai/a", "Remind"}
    assert [name for name, _ in steps[2:]] == ["Commit", "Finish"]
    assert stage.tally.targets["anthropic/a"].attempts == 0


def test_a_replay_of_the_same_text_mends_the_answer() -> None:
    """The same model elsewhere says the same: it catches up, takes over, and the client has a whole answer."""
    stage, steps = run(one(repeatable=1.0, primary=CUT), on_break="replay")
    assert [name for name, _ in steps] == ["answer openai/a", "Commit", "replay anthropic/a", "Commit", "Finish"]
    broke, caught = steps[2][1], steps[3][1]
    shown = int((broke - 31.0) / 0.1) + 1
    assert caught - broke == pytest.approx(1.0 + 0.1 * shown)
    assert (stage.tally.answered, stage.tally.broken) == (1, 0)
    assert stage.tally.targets["openai/a"].waste > 0


@pytest.mark.parametrize(
    ("repeatable", "targets", "kind"),
    [(0.0, TWINS, "broken_stream"), (1.0, ("openai/a", "anthropic/b"), "stalled")],
)
def test_a_replay_that_differs_is_stopped(repeatable: float, targets: tuple[str, ...], kind: str) -> None:
    """Another draw, or another model, says something else after a few words: the break is reported, nothing spliced."""
    primary = {**CUT, "errors": [kind]}
    stage, steps = run(one(repeatable=repeatable, tokens=2_000, primary=primary), targets, on_break="replay")
    names = [name for name, _ in steps]
    assert names == ["answer openai/a", "Commit", f"replay {targets[1]}", "Abandon", "Refuse"]
    assert steps[3][1] - steps[2][1] < 1.0 + 0.1 * 80
    assert stage.tally.broken == 1
    assert stage.tally.targets[targets[1]].cancelled == 1


def test_a_continuation_goes_on_from_what_the_client_has() -> None:
    """The rest of the answer is asked for, with the text so far as part of the question."""
    stage, steps = run(one(primary=CUT), on_break="resume")
    assert [name for name, _ in steps] == ["answer openai/a", "Commit", "resume anthropic/a", "Commit", "Finish"]
    shown = int((steps[2][1] - 31.0) / 0.1) + 1
    assert steps[4][1] - steps[3][1] == pytest.approx(0.1 * (100 - shown - 1))
    assert stage.tally.targets["anthropic/a"].cost == pytest.approx((10 + 100) / 1e6)


def test_an_answer_that_breaks_twice_is_broken() -> None:
    """The replay breaks too: one repetition, no more."""
    stage, steps = run(one(repeatable=1.0, primary=CUT, secondary=CUT), on_break="replay")
    assert sum(name.startswith("replay") for name, _ in steps) == 1
    assert stage.tally.broken == 1
