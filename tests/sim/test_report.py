"""What a run amounts to."""

import json

import pytest

from standfast.canon.record import Change
from standfast.sim.ending import Ending
from standfast.sim.report import MEANINGS, Report, report_of
from standfast.sim.settings import Price
from standfast.sim.tally import MOST_CHANGES, PIECES, Tally
from support.rehearsal import config, figure, play, report, scenario

START = 1_000.0


def ending(at: float, *, ok: bool = True, took: float = 1.0, **fields: object) -> Ending:
    """A request that arrived at that second."""
    base: dict[str, object] = {"priority": 3, "primary": "p/a", "stream": True, "prompt": 100, "completion": 50}
    if ok:
        base |= {"served": "p/a", "first": took / 2}
    else:
        base["reason"] = "server_error"
    return Ending(START + at, START + at + took, ok, **{**base, **fields})  # type: ignore[arg-type]


def books(*endings: Ending, duration: float = 100.0) -> Tally:
    """What was counted of these."""
    tally = Tally(START, duration, {"p/a": Price(input=1, output=2), "q/b": Price(input=10, output=20)})
    for each in endings:
        tally.ended(each)
    return tally


def amounts(tally: Tally, **fields: object) -> Report:
    """Their report."""
    return report_of(tally, scenario(duration="100s", **fields), "x", 1)


def test_availability_is_of_what_was_not_declined() -> None:
    """Three of four; a request refused for what it asked says nothing about the door."""
    found = amounts(
        books(*(ending(at) for at in range(3)), ending(4, ok=False), ending(5, ok=False, reason="content_filtered"))
    )
    assert figure(found, "requests") == 5
    assert figure(found, "declined") == 1
    assert figure(found, "availability") == 75.0
    assert found.reasons == {"server_error": 1}


def test_success_is_told_by_priority() -> None:
    """Each priority that came has its own share; the others have none."""
    found = amounts(books(ending(0, priority=5), ending(1, priority=1), ending(2, ok=False, priority=1)))
    assert figure(found, "success_priority_5") == 100.0
    assert figure(found, "success_priority_1") == 50.0
    assert "success_priority_3" not in found.figures


def test_first_tokens_are_those_of_streams() -> None:
    """A whole reply's first content is its end; it must not hide how streams begin. Without streams it counts."""
    mixed = amounts(books(ending(0, took=2.0), ending(1, took=50.0, stream=False, first=50.0)))
    assert figure(mixed, "p99_first_token_ms") == pytest.approx(1_000, rel=0.01)
    assert figure(mixed, "p99_total_ms") == pytest.approx(50_000, rel=0.01)
    whole = amounts(books(ending(1, took=50.0, stream=False, first=50.0)))
    assert figure(whole, "p99_first_token_ms") == pytest.approx(50_000, rel=0.01)


def test_money_is_counted_where_it_was_spent() -> None:
    """Beside it: what the same answers had cost at the first target."""
    weather = scenario(
        workload={"requests": 10, "prompt_tokens": 1000, "completion_tokens": 1000},
        upstreams={
            "primary": {"whole": 1, "price": 8, "errors": ["connect_failed"]},
            "secondary": {"whole": 1, "price": {"input": 1, "output": 3}},
        },
    )
    found = report(weather)
    assert figure(found, "cost") == pytest.approx(10 * 0.004)
    assert figure(found, "cost_on_primary") == pytest.approx(10 * 0.016)
    assert [row["cost"] for row in found.targets] == [0, pytest.approx(0.04)]


def test_recovery_is_the_time_until_goodput_is_back() -> None:
    """From the end of the last trouble to the end of the last piece with less than 95 % answered."""
    tally = books(*(ending(at + 0.5, ok=not 20 <= at < 47) for at in range(100)))
    troubles = [{"at": 20, "lasts": 20, "where": "*", "errors": "server_error"}]
    assert figure(amounts(tally, troubles=troubles), "recovery_s") == pytest.approx(7.0)
    assert amounts(tally).figures["recovery_s"] is None
    well = books(*(ending(at + 0.5) for at in range(100)))
    assert figure(amounts(well, troubles=troubles), "recovery_s") == 0.0


def test_the_timeline_belongs_to_arrivals() -> None:
    """A request counts where it arrived, however long it took; the columns are equally long."""
    tally = books(ending(10.2, took=60.0), ending(10.7, ok=False, took=80.0), duration=100.0)
    found = amounts(tally)
    lengths = {len(column) for column in (*found.timeline.values(), *found.served.values())}
    assert lengths == {100}
    assert found.timeline["availability"][10] == 50.0
    assert found.timeline["availability"][70] is None
    assert found.served["p/a"][10] == 1


@pytest.mark.parametrize(("duration", "pieces"), [(86_400.0, PIECES), (60.0, 60), (0.5, 1), (300.0, 288)])
def test_the_timeline_has_few_pieces(duration: float, pieces: int) -> None:
    """A day in five-minute pieces, a minute in seconds."""
    tally = books(duration=duration)
    assert len(tally.pieces) == pieces
    assert len(tally.pieces) * tally.width >= duration


def test_changes_are_bounded_and_all_counted() -> None:
    """A flapping fleet cannot fill the memory."""
    tally = books()
    change = Change("breaker", "p/a", "closed", "open", "server_error")
    for at in range(MOST_CHANGES + 500):
        tally.moved([change], START + at / 100)
    found = amounts(tally)
    assert len(found.changes) == MOST_CHANGES
    assert figure(found, "breaker_openings") == MOST_CHANGES + 500


def test_every_figure_has_a_meaning_and_plain_json() -> None:
    """No figure is without words, none is missing from a run that has something to measure, all of it is JSON."""
    weather = scenario(
        workload={"requests": 300, "priorities": {1: 1, 2: 1, 3: 1, 4: 1, 5: 1}, "streaming": 0.5},
        upstreams={"*": {"first_token": 0.1, "errors": [{"kind": "server_error", "share": 0.3}], "price": 1}},
        troubles=[{"at": 5, "lasts": 5, "where": "*", "errors": "overloaded"}],
    )
    found = report(weather, config())
    assert set(found.figures) == set(MEANINGS)
    assert [name for name, value in found.figures.items() if value is None] == []
    again = json.loads(json.dumps(found.as_json()))
    assert again["figures"] == found.figures
    assert again["timeline"]["at_s"][1] == 1.0


def test_what_hits_nobody_is_marked_and_needs_no_recovery() -> None:
    """Nobody may take a trouble for survived that never came."""
    troubles = [{"name": str(at), "at": at, "lasts": 5, "where": "*", "slow": 2} for at in (10, 30)]
    weather = scenario(troubles=troubles)
    found = report_of(play(weather).tally, weather, "test", 1, idle=(1,))
    assert found.idle == ("30",)
    assert [each.shown for each in found.spells] == ["10", "30 (hits nobody)"]
    assert [row["hits_nobody"] for row in found.as_json()["troubles"]] == [False, True]  # type: ignore[attr-defined]
    nothing = report_of(play(weather).tally, weather, "test", 1, idle=(0, 1))
    assert (found.figures["recovery_s"], nothing.figures["recovery_s"]) == (0.0, None)
