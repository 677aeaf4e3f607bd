"""The circuit breaker on random walks, beside a naive model that keeps every result."""

import random
from dataclasses import dataclass

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from standfast.canon.attempt import Outcome
from standfast.canon.instants import Monotonic
from standfast.policy.breaker import PROBE_INTERVAL, Breaker, BreakerSettings, State

START = Monotonic(1_000.0)
OK, BAD, NONE = Outcome.SUCCESS, Outcome.FAILURE, Outcome.CANCELLED


@dataclass
class Given:
    """A permit, as the model sees it: `era` counts the model's changes of state."""

    generation: int
    era: int


class BreakerWalk(RuleBasedStateMachine):
    """A random walk of the breaker, its twin of the same seed, and a naive model that keeps every result."""

    SETTINGS = BreakerSettings(
        consecutive=3,
        rate=0.5,
        min_calls=4,
        window=10.0,
        open=2.0,
        open_cap=12.0,
        half_open_permits=2,
        half_open_successes=2,
    )

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        """Two breakers of one seed, both closed."""
        self.one, self.two = Breaker(self.SETTINGS), Breaker(self.SETTINGS)
        self.rngs = random.Random(seed), random.Random(seed)
        self.now = START
        self.state = State.CLOSED
        self.era = 0
        self.generations: dict[int, int] = {}
        self.out: list[Given] = []
        self.used: list[Given] = []
        self.history: list[tuple[Monotonic, bool]] = []
        self.row = self.successes = self.trips = 0
        self.until = self.last_probe = Monotonic(0.0)

    def change(self, state: State) -> None:
        """The model changes its state: clean counts, permits of before mean nothing."""
        self.state, self.era = state, self.era + 1
        self.history.clear()
        self.row = self.successes = 0

    def open(self) -> None:
        """The model opens; how long is drawn, so only the bounds are known."""
        full = min(self.SETTINGS.open_cap, self.SETTINGS.open * 2**self.trips)
        self.trips += 1
        self.change(State.OPEN)
        self.until = self.one.retry_at(self.now)
        assert full / 2 - 1e-6 <= self.until - self.now <= full + 1e-6
        assert self.one.opened_at == self.now

    def look(self) -> None:
        """The model notices that an open time is over."""
        if self.state is State.OPEN and self.now >= self.until:
            self.change(State.HALF_OPEN)

    def outstanding(self) -> int:
        """Permits of this era that are not settled."""
        return sum(given.era == self.era for given in self.out)

    def counts(self) -> tuple[int, int]:
        """Calls and failures in the window, from the whole history."""
        width = self.SETTINGS.window / 10
        seen = [ok for at, ok in self.history if int(at / width) > int(self.now / width) - 10]
        return len(seen), seen.count(False)

    def given(self, generation: int | None, *, expected: bool) -> None:
        """Compare an answer with the model's, and keep the permit."""
        assert (generation is not None) == expected
        if generation is not None:
            assert self.generations.setdefault(self.era, generation) == generation
            assert list(self.generations.values()).count(generation) == 1, "a generation belongs to one era"
            self.out.append(Given(generation, self.era))

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.4, 1.0, 3.0, 11.0]))
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
        """Ask for a permit; an open breaker never gives one before its time."""
        self.look()
        room = self.state is State.HALF_OPEN and self.outstanding() < self.SETTINGS.half_open_permits
        generation = self.one.admit(self.now)
        assert self.two.admit(self.now) == generation
        self.given(generation, expected=self.state is State.CLOSED or room)

    @rule()
    def force_probe(self) -> None:
        """Ask for a panic probe."""
        self.look()
        free = self.state is State.OPEN and self.outstanding() == 0 and self.now >= self.last_probe + PROBE_INTERVAL
        generation = self.one.force_probe(self.now)
        assert self.two.force_probe(self.now) == generation
        self.given(generation, expected=free)
        if free:
            self.last_probe = self.now

    @precondition(lambda self: self.out)
    @rule(data=st.data(), outcome=st.sampled_from([OK, BAD, BAD, NONE]))
    def settle(self, data: st.DataObject, outcome: Outcome) -> None:
        """Report one of the results, however late."""
        given = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        self.used.append(given)
        self.look()
        before = self.state
        moved = self.one.settle(given.generation, outcome, self.now, self.rngs[0])
        assert self.two.settle(given.generation, outcome, self.now, self.rngs[1]) == moved
        if given.era == self.era:
            self.learn(outcome)
        assert moved == (None if self.state is before else (before, self.state))

    def learn(self, outcome: Outcome) -> None:
        """The model takes a result of this era."""
        if outcome is NONE:
            return
        ok, rules = outcome is OK, self.SETTINGS
        if self.state is State.CLOSED:
            self.history.append((self.now, ok))
            self.row = 0 if ok else self.row + 1
            calls, failures = self.counts()
            if not ok and (
                self.row >= rules.consecutive or (calls >= rules.min_calls and failures / calls >= rules.rate)
            ):
                self.open()
        elif ok:
            if self.state is State.OPEN:
                self.change(State.HALF_OPEN)
            self.successes += 1
            if self.successes == rules.half_open_successes:
                self.change(State.CLOSED)
                self.trips = 0
        elif self.state is State.HALF_OPEN:
            self.open()

    @precondition(lambda self: self.used)
    @rule(data=st.data(), outcome=st.sampled_from(Outcome))
    def settle_twice(self, data: st.DataObject, outcome: Outcome) -> None:
        """Report a result again: without a permit out it changes nothing."""
        given = self.used[data.draw(st.integers(0, len(self.used) - 1))]
        self.look()
        if given.era != self.era or self.outstanding() == 0:
            assert self.one.settle(given.generation, outcome, self.now, self.rngs[0]) is None
            assert self.two.settle(given.generation, outcome, self.now, self.rngs[1]) is None

    @invariant()
    def agree(self) -> None:
        """State, counts and limits are the model's at every step, and the twin's."""
        if not hasattr(self, "one"):
            return
        self.look()
        assert self.one.state(self.now) is self.two.state(self.now) is self.state
        assert self.one.recent(self.now) == self.counts()
        assert self.one.retry_at(self.now) == self.two.retry_at(self.now)
        if self.state is State.OPEN:
            assert self.one.retry_at(self.now) == self.until > self.now
            assert self.outstanding() <= 1
        elif self.state is State.HALF_OPEN:
            assert self.outstanding() <= self.SETTINGS.half_open_permits


TestBreakerWalk = BreakerWalk.TestCase
TestBreakerWalk.settings = hypothesis_settings(max_examples=100, stateful_step_count=60, deadline=None)
