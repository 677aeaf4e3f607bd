"""The circuit breaker on random walks, beside a naive model that keeps every call."""

import random
from dataclasses import dataclass

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from standfast.canon.attempt import Outcome
from standfast.canon.instants import NEVER, Monotonic
from standfast.policy.breaker import PROBE_INTERVAL, Breaker, BreakerSettings, State
from standfast.policy.chance import beyond_chance
from standfast.policy.kin import Family

START = Monotonic(1_000.0)
OK, BAD, NONE = Outcome.SUCCESS, Outcome.FAILURE, Outcome.CANCELLED


@dataclass(eq=False)
class Given:
    """A permit, as the model sees it: `era` counts the model's changes of state, `at` is when it was given."""

    ticket: int
    era: int
    number: int
    at: Monotonic
    soft: bool = False
    slow: bool = False


class BreakerWalk(RuleBasedStateMachine):
    """A random walk of the breaker, its twin of the same seed, and a naive model that keeps every call.

    What the model does not foresee to the letter are shares of what was admitted: it counts by instants, the breaker by
    buckets that move when they are looked at; so looking at every step, as here, makes both the same.
    """

    SETTINGS = BreakerSettings(
        consecutive=3,
        rate=0.5,
        min_calls=4,
        window=10.0,
        open=2.0,
        open_cap=12.0,
        half_open_permits=2,
        half_open_successes=2,
        slow_rate=0.5,
        ramp=4.0,
    )
    WIDTH = 1.0  # of a bucket: a tenth of the window
    DEAD, FAILING, SLOW = "open", "failing", "slow"
    FLEET = False
    """It has a family, so there may be an elsewhere: the first call of a trial goes alone until it is heard of."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        """Two breakers of one seed, both closed."""
        self.one, self.two = Breaker(self.SETTINGS), Breaker(self.SETTINGS)
        if self.FLEET:
            for name, breaker in (("one", self.one), ("two", self.two)):
                Family(name).add(breaker)
        self.rngs = random.Random(seed), random.Random(seed)
        self.now = START
        self.state = State.CLOSED
        self.era = 0
        self.numbers = 0
        self.given_out: list[Given] = []  # of this era
        self.cancels: list[Monotonic] = []
        self.out: list[Given] = []
        self.used: list[Given] = []
        self.history: list[tuple[Monotonic, str]] = []
        self.row: list[Given] = []
        self.row_cancels = 0
        self.successes = self.trips = self.lost = 0
        self.ill, self.answered = START, False
        self.heard = False
        self.verdict, self.turn = self.DEAD, False
        self.recovered: Monotonic | None = None
        self.credit = 0.0
        self.until = self.last_probe = self.asked = Monotonic(0.0)
        self.free, self.look_at = False, NEVER

    def change(self, state: State) -> None:
        """The model changes its state: clean counts, permits of before mean nothing."""
        self.state, self.era = state, self.era + 1
        self.history.clear()
        self.given_out.clear()
        self.cancels.clear()
        self.row.clear()
        self.successes = 0
        self.heard = False
        self.recovered, self.credit = (self.now if state is State.CLOSED else None), 0.0

    def open(self, verdict: str) -> None:
        """The model opens; how long is drawn, so only the bounds are known."""
        self.verdict = verdict
        if self.recovered is not None and self.now - self.recovered >= self.SETTINGS.ramp:
            self.trips = 0
        if not self.trips:
            self.ill, self.answered, self.free = self.now, False, False
            self.lost = 0
        full = min(self.SETTINGS.open_cap, self.SETTINGS.open * 2**self.trips)
        if self.answered:
            full = max(self.SETTINGS.open, min(full, (self.now - self.ill) / 2))
        self.trips += 1
        self.change(State.OPEN)
        self.until = self.one.retry_at(self.now)
        assert full / 2 - 1e-6 <= self.until - self.now <= full + 1e-6
        assert self.one.opened_at == self.now
        self.plan_look()

    def plan_look(self) -> None:
        """The model looks at who fails at once: after a quarter of its trouble, and twice the first open time."""
        age = self.now - self.ill
        self.look_at = Monotonic(self.now + max(2 * self.SETTINGS.open, age / 4)) if self.free else NEVER

    def alone(self) -> bool:
        """Is a call of the trial under way that nobody joins who has an elsewhere?"""
        fresh = self.now - self.asked < self.SETTINGS.slow_after
        return self.FLEET and self.outstanding() > 0 and not self.heard and fresh

    def look(self) -> None:
        """The model notices that an open time is over."""
        if self.state is State.OPEN and self.now >= self.until:
            self.change(State.HALF_OPEN)

    def outstanding(self) -> int:
        """Permits of this era that are not settled, but for those beside the verdict."""
        return sum(given.era == self.era and not given.soft for given in self.out)

    def room(self, *, soft: bool = False) -> bool:
        """May another call be part of the trial? Beside one that was not heard of only who has no elsewhere."""
        return self.state is State.HALF_OPEN and not (self.full() and not self.overdue()) and self.alone() == soft

    def full(self) -> bool:
        """Are all permits of the trial out?"""
        return self.outstanding() >= self.SETTINGS.half_open_permits

    def overdue(self) -> bool:
        """Was the last one given so long ago that they are taken for lost? Twice as long each time."""
        return self.now - self.asked >= self.SETTINGS.open_cap * 2**self.lost

    def try_it(self) -> None:
        """A call of the trial is let through; if there was no room the trial begins anew."""
        if self.full():
            self.change(State.HALF_OPEN)
            self.lost += 1
        self.asked = self.now

    def inside(self, at: Monotonic) -> bool:
        """Is this instant in the window?"""
        width = self.WIDTH
        return int(at / width) > int(self.now / width) - 10

    def results(self) -> list[str]:
        """What is in the window, from the whole history."""
        return [what for at, what in self.history if self.inside(at)]

    def counts(self) -> tuple[int, int]:
        """Calls and failures in the window."""
        seen = self.results()
        return len(seen), seen.count("failed")

    def load(self) -> float:
        """Calls in the window by results, or by four fifths of the admissions if these are more."""
        return max(len(self.results()), 0.8 * max(len(self.results()), self.admitted()))

    def admitted(self) -> int:
        """Calls admitted in the window and not cancelled. A cancelled one counts against the instant of its end."""
        given = sum(self.inside(each.at) for each in self.given_out)
        return given - sum(self.inside(at) for at in self.cancels)

    def given(self, ticket: int | None, *, expected: bool, soft: bool = False) -> None:
        """Compare an answer with the model's, and keep the permit."""
        assert (ticket is not None) == expected
        if ticket is not None:
            assert (ticket < 0) == soft
            self.numbers += 1
            number = ~ticket if soft else ticket
            assert number == self.numbers, "tickets are numbered in the order of admission"
            given = Given(ticket, self.era, number, self.now, soft)
            self.out.append(given)
            self.given_out.append(given)

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.4, 1.0, 3.0, 11.0, 12.0, 24.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now = Monotonic(self.now + seconds)

    @precondition(lambda self: self.state is State.OPEN)
    @rule(early=st.booleans())
    def wait_for_the_trial(self, early: bool) -> None:
        """Time passes to the end of the open time, or to just before it."""
        self.now = Monotonic(max(self.now, self.until - (1e-6 if early else 0.0)))

    @rule()
    def admit(self) -> None:
        """Ask for a permit; an open breaker gives none before its time, but for a look."""
        self.look()
        ticket = self.one.admit(self.now)
        assert self.two.admit(self.now) == ticket
        room = self.room()
        look = self.FLEET and self.state is State.OPEN and self.now >= self.look_at and not self.outstanding()
        if room:
            self.try_it()
        self.given(ticket, expected=room or look or (self.state is State.CLOSED and self.ramped()))
        if look:
            self.asked = self.now
            self.plan_look()

    def ramped(self) -> bool:
        """Does the ramp let this one through? Each request adds its share; who makes a whole passes."""
        if self.recovered is None:
            return True
        share = max(0.1, (self.now - self.recovered) / self.SETTINGS.ramp)
        if share >= 1.0:
            self.recovered, self.trips = None, 0
            return True
        self.credit += share
        if self.credit < 1.0 - 1e-9:
            return False
        self.credit -= 1.0
        return True

    @rule()
    def admit_softly(self) -> None:
        """Ask for a permit without an elsewhere: a death refuses all, a failing one every second, others nobody."""
        self.look()
        if self.state is State.CLOSED:
            ticket = self.one.admit_softly(self.now)
            assert self.two.admit_softly(self.now) == ticket
            self.given(ticket, expected=True)
            return
        if self.room(soft=True):
            ticket = self.one.admit_softly(self.now)
            assert self.two.admit_softly(self.now) == ticket
            self.try_it()
            self.given(ticket, expected=True)
            return
        self.turn = self.turn != (self.verdict == self.FAILING)
        ticket = self.one.admit_softly(self.now)
        assert self.two.admit_softly(self.now) == ticket
        self.given(
            ticket, expected=self.verdict == self.SLOW or (self.verdict == self.FAILING and self.turn), soft=True
        )

    @rule()
    def force_probe(self) -> None:
        """Ask for a panic probe."""
        self.look()
        free = self.state is State.OPEN and self.outstanding() == 0 and self.now >= self.last_probe + PROBE_INTERVAL
        ticket = self.one.force_probe(self.now)
        assert self.two.force_probe(self.now) == ticket
        self.given(ticket, expected=free)
        if free:
            self.last_probe = self.now

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def hear(self, data: st.DataObject) -> None:
        """One of those under way has its first content."""
        given = self.out[data.draw(st.integers(0, len(self.out) - 1))]
        self.look()
        self.one.heard(given.ticket)
        self.two.heard(given.ticket)
        if given.era == self.era and self.state is State.HALF_OPEN and not given.soft:
            self.heard = True

    @precondition(lambda self: self.out)
    @rule(data=st.data(), row=st.booleans())
    def outrun(self, data: st.DataObject, row: bool) -> None:
        """One of those under way is given up late, because another attempt was faster."""
        given = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        self.used.append(given)
        self.look()
        before, era = self.state, self.era
        moved = self.one.outrun(given.ticket, self.now, self.rngs[0], row=row)
        assert self.two.outrun(given.ticket, self.now, self.rngs[1], row=row) == moved
        if given.era == era and not given.soft:
            if before is State.OPEN or (before is State.HALF_OPEN and self.free):
                self.free, self.look_at = False, NEVER
            elif before is State.HALF_OPEN:
                self.open(self.SLOW if self.verdict == self.DEAD and self.successes else self.verdict)
            elif before is State.CLOSED and row:
                self.open(self.SLOW)
        assert moved == (None if self.state is before else (before, self.state))
        self.one.settle(given.ticket, NONE, self.now, self.rngs[0], slow=given.slow)
        self.two.settle(given.ticket, NONE, self.now, self.rngs[1], slow=given.slow)
        if given.era == self.era and (given.soft or self.state is State.CLOSED):
            self.count(given, NONE)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def lag(self, data: st.DataObject) -> None:
        """One of those under way turns out to be slow."""
        given = self.out[data.draw(st.integers(0, len(self.out) - 1))]
        self.look()
        if given.slow:
            return
        given.slow = True
        before = self.state
        moved = self.one.lag(given.ticket, self.now, self.rngs[0])
        assert self.two.lag(given.ticket, self.now, self.rngs[1]) == moved
        if given.era == self.era:
            if self.state is State.CLOSED or given.soft:
                self.history.append((self.now, "slow"))
            if self.state is State.CLOSED:
                results = self.results()
                if len(results) >= self.SETTINGS.min_calls and results.count("slow") >= 0.5 * self.load():
                    self.open(self.SLOW)
            elif not given.soft:
                self.free, self.look_at = False, NEVER
                if self.state is State.HALF_OPEN:
                    self.open(self.SLOW)
        assert moved == (None if self.state is before else (before, self.state))

    @precondition(lambda self: self.out)
    @rule(data=st.data(), outcome=st.sampled_from([OK, BAD, BAD, NONE]))
    def settle(self, data: st.DataObject, outcome: Outcome) -> None:
        """Report one of the results, however late."""
        given = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        self.used.append(given)
        self.look()
        before = self.state
        moved = self.one.settle(given.ticket, outcome, self.now, self.rngs[0], slow=given.slow)
        assert self.two.settle(given.ticket, outcome, self.now, self.rngs[1], slow=given.slow) == moved
        if given.era == self.era:
            self.learn(given, outcome)
        assert moved == (None if self.state is before else (before, self.state))

    def learn(self, given: Given, outcome: Outcome) -> None:
        """The model takes a result of this era."""
        if given.soft:
            self.learn_soft(given, outcome)
        elif self.state is State.CLOSED:
            self.count(given, outcome)
            run = self.run(given) if outcome is BAD else 0.0
            calls, failures = self.counts()
            failing = calls >= self.SETTINGS.min_calls and failures >= self.SETTINGS.rate * self.load()
            if outcome is BAD and (run or failing):
                self.open(self.DEAD if run >= 0.9 else self.FAILING)
        elif outcome is OK:
            if self.state is State.OPEN:
                if given.slow:
                    return
                self.change(State.HALF_OPEN)
            self.successes += 1
            self.answered = True
            if self.successes == self.SETTINGS.half_open_successes:
                self.change(State.CLOSED)
        elif outcome is BAD:
            self.free = self.now - self.asked < 1.0
            self.look_at = self.look_at if self.free else NEVER
            if self.state is State.OPEN:
                return
            self.open(self.DEAD if self.verdict == self.DEAD and not self.successes else self.FAILING)

    def learn_soft(self, given: Given, outcome: Outcome) -> None:
        """The model takes a result of a call beside the verdict."""
        self.count(given, outcome)
        if outcome is BAD and self.run(given) >= 0.9:
            self.verdict = self.DEAD
        results = self.results()
        well = results.count("failed") < 0.25 * len(results) and results.count("slow") < 0.25 * len(results)
        if outcome is OK and self.state is State.OPEN and len(results) >= self.SETTINGS.min_calls and well:
            self.change(State.HALF_OPEN)

    def count(self, given: Given, outcome: Outcome) -> None:
        """Keep a result."""
        if outcome is NONE:
            self.cancels.append(self.now)
            self.row_cancels += 1
            return
        if outcome is OK and self.row and given.number > min(each.number for each in self.row):
            self.row.clear()
        elif not self.row:
            self.row_cancels = 0
        if outcome is BAD:
            self.row.append(given)
        if outcome is BAD or not given.slow:
            self.history.append((self.now, "failed" if outcome is BAD else "ok"))

    def run(self, given: Given) -> float:
        """The share of failures in the midst of those in a row; 0 if they are too few, or chance."""
        assert given is self.row[-1]
        rules, run = self.SETTINGS, len(self.row)
        numbers = [each.number for each in self.row]
        midst = max(run, max(numbers) - min(numbers) + 1 - self.row_cancels)
        calls, failures = (count - run for count in self.counts())
        usual = rules.rate if self.state is not State.CLOSED and self.verdict == self.FAILING else 0.0
        no_chance = beyond_chance(run, midst, calls, failures, enough=rules.min_calls, least=usual)
        return run / midst if run >= rules.consecutive and run >= rules.rate * midst and no_chance else 0.0

    @precondition(lambda self: self.used)
    @rule(data=st.data(), outcome=st.sampled_from(Outcome))
    def settle_twice(self, data: st.DataObject, outcome: Outcome) -> None:
        """Report a result again: without a permit out it changes nothing."""
        given = self.used[data.draw(st.integers(0, len(self.used) - 1))]
        self.look()
        if given.era != self.era or (self.outstanding() == 0 and not given.soft):
            assert self.one.settle(given.ticket, outcome, self.now, self.rngs[0]) is None
            assert self.two.settle(given.ticket, outcome, self.now, self.rngs[1]) is None

    @invariant()
    def agree(self) -> None:
        """State, counts and limits are the model's at every step, and the twin's."""
        if not hasattr(self, "one"):
            return
        self.look()
        assert self.one.state(self.now) is self.two.state(self.now) is self.state
        assert self.one.recent(self.now) == self.two.recent(self.now) == self.counts()
        trying = self.verdict == self.DEAD and self.room(soft=True)
        expected = "ramping" if self.state is State.CLOSED else "trying" if trying else self.verdict
        assert self.one.refusal(self.now) == expected
        assert self.one.retry_at(self.now) == self.two.retry_at(self.now)
        if self.state is State.OPEN:
            assert self.one.retry_at(self.now) == self.until > self.now
            assert self.outstanding() <= 1
        elif self.state is State.HALF_OPEN:
            assert self.outstanding() <= self.SETTINGS.half_open_permits
            later = PROBE_INTERVAL if self.full() and not self.overdue() else 0.0
            assert self.one.retry_at(self.now) == self.now + later


class FleetWalk(BreakerWalk):
    """The same in a fleet."""

    FLEET = True


TestBreakerWalk = BreakerWalk.TestCase
TestFleetWalk = FleetWalk.TestCase
TestFleetWalk.settings = hypothesis_settings(max_examples=150, stateful_step_count=60, deadline=None)
TestBreakerWalk.settings = hypothesis_settings(max_examples=150, stateful_step_count=60, deadline=None)
