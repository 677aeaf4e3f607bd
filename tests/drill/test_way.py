"""The way is measured on one clock, and what was measured is what rehearsals take."""

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import NEVER, Monotonic
from standfast.drill.paired import paired
from standfast.drill.performance import LivePerformance
from standfast.drill.way import LINE, NEAR, Leg, Traveller, Way
from standfast.drill.words import Question
from standfast.lab.ask import Ask
from standfast.lab.journal import Entry
from standfast.policy.timeouts import Deadlines
from standfast.sim.call import Call
from standfast.sim.crowd import Request
from standfast.sim.stage import Stage
from standfast.sim.world import START
from support.rehearsal import config, scenario

NO_DEADLINES = Deadlines(math.inf, math.inf, NEVER, math.inf, NEVER)
MILLISECONDS = st.floats(0.0, 50.0).map(lambda value: value / 1e3)


def at(seconds: float) -> Monotonic:
    """An instant after the start."""
    return Monotonic(START + seconds)


def means(way: Way) -> list[float]:
    """Of all legs, milliseconds."""
    return [round(leg.mean() * 1e3, 6) for leg in way.legs().values()]


@given(there=MILLISECONDS, held=MILLISECONDS, back=MILLISECONDS)
def test_each_leg_is_what_the_clock_says(there: float, held: float, back: float) -> None:
    """A request that is asked, taken, answered late and heard: three differences of instants."""
    way = Way()
    way.asked(1, at(5.0))
    way.taken(1, at(5.0 + there))
    due = at(7.0)
    way.ended(1, due, at(7.0 + held), whole=True)
    way.over(1, at(7.0 + held + back), whole=True, attempts=1)
    assert means(way) == pytest.approx([there * 1e3, held * 1e3, back * 1e3], abs=1e-6)


def answered(way: Way, number: int, *, attempts: int = 1) -> None:
    """Its caller has the answer."""
    way.over(number, at(60.0), whole=True, attempts=attempts)


def test_who_stood_in_a_line_was_not_under_way() -> None:
    """A request before which somebody waits, or that came to its upstream after a wait, measures no way there."""
    way = Way()
    way.asked(1, at(0.0))
    way.asked(2, at(0.001))
    way.taken(2, at(0.004))
    way.taken(1, at(LINE))
    way.asked(3, at(1.0))
    way.taken(3, at(1.002))
    for number in (1, 2):
        answered(way, number)
        assert not len(way.there)
    answered(way, 3)
    assert means(way)[0] == pytest.approx(2.0)


def test_only_the_first_attempt_comes_straight_from_the_caller() -> None:
    """Where several were needed nobody knows which stand-in saw the first; a further try is measured anew."""
    way = Way()
    way.asked(1, at(0.0))
    way.taken(1, at(0.001))
    way.taken(1, at(0.5))
    answered(way, 1, attempts=2)
    way.asked(2, at(0.0))
    way.taken(2, at(0.001))
    way.over(2, at(0.6), whole=False, attempts=1)
    assert not len(way.there)
    way.asked(2, at(1.0))
    way.taken(2, at(1.003))
    answered(way, 2)
    assert means(way)[0] == pytest.approx(3.0)


def test_what_was_not_answered_waits_before_nobody() -> None:
    """A request that was refused, or whose caller left, is no longer on the way."""
    way = Way()
    way.asked(1, at(0.0))
    way.over(1, at(0.5), whole=False, attempts=0)
    way.asked(2, at(1.0))
    way.taken(2, at(1.001))
    answered(way, 2)
    assert len(way.there) == 1


def test_an_answer_that_its_caller_does_not_get_measures_no_way_back() -> None:
    """Neither a broken one nor one that was whole at the stand-in alone; its place was held all the same."""
    way = Way()
    way.ended(1, at(1.0), at(1.001), whole=False)
    way.over(1, at(1.002), whole=True, attempts=2)
    way.ended(2, at(1.0), at(1.001), whole=True)
    way.over(2, at(1.002), whole=False, attempts=1)
    assert not len(way.back)
    assert means(way)[1] == 1.0


def test_nothing_measured_makes_no_way() -> None:
    """A drill of which no attempt came through is held against rehearsals without a way."""
    traveller = Traveller(Way(), random.Random(1))
    assert traveller.under_way(at(1.0)) == traveller.held(at(1.0)) == 0.0
    assert Leg().mean() == Leg().quantile(0.99) == 0.0


def test_a_clock_that_steps_before_its_timer_measures_no_less_than_nothing() -> None:
    """A timer may ring within the clock's resolution before it is due."""
    leg = Leg()
    leg.add(-1e-9, at(1.0))
    assert leg.mean() == 0.0


@given(st.lists(MILLISECONDS, min_size=1, max_size=3 * NEAR), st.integers(0, 2**32))
def test_what_is_drawn_was_measured(values: list[float], seed: int) -> None:
    """Every draw is one of the measured, and of those that are as near in time as any."""
    leg, rng = Leg(), random.Random(seed)
    for number, value in enumerate(values):
        leg.add(value, at(number))
    when = rng.uniform(-10, len(values) + 10)
    drawn = {leg.draw(at(when), rng) for _ in range(20)}
    near = sorted(range(len(values)), key=lambda number: abs(number - when))[: NEAR + 1]
    assert drawn <= {values[number] for number in near}


def test_what_is_told_late_stands_at_its_time() -> None:
    """The way there of a long answer is known when it is over; it was gone when it began."""
    leg, rng = Leg(), random.Random(1)
    for number in range(2 * NEAR):
        leg.add(0.001, at(NEAR + number))
    for number in range(NEAR):
        leg.add(0.002, at(number))
    assert {leg.draw(at(0.0), rng) for _ in range(50)} == {0.002}
    assert {leg.draw(at(3.0 * NEAR), rng) for _ in range(50)} == {0.001}


def test_draws_keep_the_mean_of_their_time() -> None:
    """A minute in which everything was ten times slower is slow in rehearsals too, and the others are not."""
    leg, rng = Leg(), random.Random(1)
    for number in range(3_000):
        leg.add(rng.expovariate(100.0 if 1_000 <= number < 2_000 else 1_000.0), at(number))
    for middle, mean in ((500, 0.001), (1_500, 0.01), (2_500, 0.001)):
        drawn = [leg.draw(at(middle + rng.uniform(-400, 400)), rng) for _ in range(20_000)]
        assert statistics.fmean(drawn) == pytest.approx(mean, rel=0.1)


class Caller:
    """Notes when answers are whole."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def first_content(self, call: Call, now: Monotonic) -> None:
        """Not looked at."""

    def completed(self, call: Call, now: Monotonic) -> None:
        """Whole."""
        del call
        self.ends.append(round(now - START, 6))

    def failed(self, call: Call, failure: Failure, now: Monotonic) -> None:
        """Not looked at."""


def ends(*, there: float = 0.0, held: float = 0.0, back: float = 0.0) -> list[float]:
    """Of three answers of a second each, asked of one place at once, by rehearsal on such a way."""
    one_place = {"whole": "1s", "capacity": {"concurrency": 1, "queue": 10}}
    way = Way()
    for leg, seconds in zip(way.legs().values(), (there, held, back), strict=True):
        leg.add(seconds, at(0.0))
    traveller = Traveller(way, random.Random(1))
    stage = paired(Stage(config(["openai/a"]), scenario(upstreams={"*": one_place}), 1), traveller)
    (station,) = stage.stations.values()
    caller = Caller()
    for number in range(3):
        request = Request(at(number / 10), stage.cast.models[0][0], stream=False)
        station.take(Call(station, request, caller, NO_DEADLINES, 0), at(0.0))
    while stage.world.run(100):
        pass
    return caller.ends


def test_a_place_that_is_held_for_longer_serves_less() -> None:
    """The way there and back delays all answers once; what is held for longer delays everybody behind it as well."""
    assert ends() == [1.0, 2.0, 3.0]
    assert ends(there=0.05) == ends(back=0.05) == ends(there=0.02, back=0.03) == [1.05, 2.05, 3.05]
    assert ends(held=0.05) == [1.05, 2.1, 3.15]


def test_a_stand_in_tells_when_an_answer_was_due_and_when_it_was_written() -> None:
    """Scripted time: it was due at 1.5 s and written at 1.504 s; a refusal takes no place and is not measured."""
    stage = paired(Stage(config(["openai/a"]), scenario(), 1))
    (station,) = stage.stations.values()
    way, clock = Way(), [at(0.0)]
    wanted = Question(7, 12, 20, repeatable=False)

    def attempt() -> LivePerformance:
        return LivePerformance(
            station,
            Request(at(0.0), stage.cast.models[0][0], stream=False, prompt=20, completion=12),
            wanted,
            Ask("openai", "a", stream=False, prompt_tokens=20),
            Entry(1, "openai", "openai", 0.0, "POST", "/"),
            key=0,
            number=1,
            now=lambda: clock[0],
            rng=random.Random(1),
            closes=False,
            way=way,
        )

    refused, served = attempt(), attempt()
    refused.fails(at(1.0), Failure(FailureKind.OVERLOADED))
    served.answers(math.inf, at(1.5), None)
    clock[0] = at(1.504)
    assert list(refused.steps(lambda: None))
    assert not len(way.held)
    assert list(served.steps(lambda: None))
    way.over(7, at(1.507), whole=True, attempts=1)
    assert means(way) == pytest.approx([0.0, 4.0, 3.0])
