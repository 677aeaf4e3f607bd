"""The books of a real run: records of the gateway give the report that a rehearsal gives."""

import pytest

from standfast.canon.attempt import Attempt, Outcome
from standfast.canon.deployment import Operation
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Wall
from standfast.canon.record import RequestRecord
from standfast.sim.books import enter
from standfast.sim.report import report_of
from standfast.sim.stage import Stage
from standfast.sim.tally import Tally
from standfast.sim.world import START
from support.rehearsal import config, scenario, witnessed

BEGAN = Wall(1_760_000_000.0)

DIFFERENT = {"waste", "cost_uncertain", "cost_on_primary", "unpriced", "breaker_openings"}
"""What records do not tell: tokens that nobody reported, prices of the targets that were not asked, changes."""


def test_records_make_the_same_report_as_the_play_that_they_witness() -> None:
    """Figure by figure, but for what no record tells."""
    weather = scenario(
        workload={"requests": 3_000, "arrivals": "poisson", "streaming": 0.5, "priorities": {1: 1, 5: 1}},
        duration="600s",
        upstreams={
            "*": {"first_token": {"median": 0.3, "p95": 1.0}, "per_token": 0.005, "price": 2},
            "primary": {"errors": [{"kind": "server_error", "share": 0.1}, {"kind": "broken_stream", "share": 0.02}]},
        },
        troubles=[{"at": 200, "lasts": 60, "where": "*", "errors": "connect_failed"}],
    )
    house = config(["openai/a", "anthropic/b"])
    stage = Stage(house, weather, 1)
    played = report_of(stage.run(), weather, "x", 1)
    tally = Tally(START, weather.duration, {name: each.price for name, each in stage.tally.targets.items()})
    for record in witnessed(weather, house, wall=BEGAN):
        enter(tally, record, BEGAN, "openai/a")
    real = report_of(tally, weather, "x", 1)
    assert real.reasons == played.reasons
    measured = {name: value for name, value in played.figures.items() if value is not None and name not in DIFFERENT}
    assert len(measured) > 20
    assert {name: real.figures[name] for name in measured} == pytest.approx(measured, rel=0.011)
    assert [row["failures"] for row in real.targets] == [row["failures"] for row in played.targets]


@pytest.mark.parametrize(
    ("code", "attempts", "reason"),
    [
        ("no_target_available", (), "unavailable"),
        ("shed", (), "shed"),
        ("client_cancelled", (), "gave_up"),
        ("context_length_exceeded", (FailureKind.CONTEXT_TOO_LONG,), "context_too_long"),
        ("server_error", (FailureKind.SERVER_ERROR,), "server_error"),
    ],
)
def test_every_refusal_has_the_word_of_a_rehearsal(code: str, attempts: tuple[FailureKind, ...], reason: str) -> None:
    """The door's codes and the policy's kinds lead to the same reasons."""
    tried = tuple(Attempt("p/a", 0, Outcome.FAILURE, Failure(kind), 0.0, None, 1.0) for kind in attempts)
    record = RequestRecord(
        "r", BEGAN, "", "m", Operation.CHAT, False, 503, code, "", False, tried, None, 1.0, 1.0, None
    )  # fmt: skip
    tally = Tally(START, 10.0, {"p/a": None})
    enter(tally, record, BEGAN, "p/a")
    found = dict(tally.reasons)
    assert found == ({reason: 1} if reason != "context_too_long" else {})
    assert tally.declined == (reason == "context_too_long")
