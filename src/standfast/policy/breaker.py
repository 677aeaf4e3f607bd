"""Circuit breaker: leave alone what fails, try it again carefully.

House rules of this file:

* Asking (`admit`) and reporting (`settle`) are two steps. A permit is a ticket, numbered in the order of admission.
  With every change of state a generation of tickets begins, and a result of an older generation is dropped.
* Outcomes are three: success, failure, and cancelled, which says nothing and only gives the permit back. That a call is
  slow is reported when it is known (`lag`), long before it ends, and once; likewise that it lost late (`outrun`).
* No more results count than permits are out: one that comes when none is out was settled before, and is dropped.
* Nothing happens by itself: an open breaker whose time is over becomes half-open when it is next looked at. What
  happened so is left in `news`.

Theory. Two ways to open, because one is blind where the other sees: with little traffic a rate has no meaning, so N
failures in a row open it (Envoy, Finagle: 5); with much traffic a share of the calls in a sliding window opens it once
there are enough of them (resilience4j), a share that failed or a share that was slow. All are judged when something bad
comes; a success never opens anything. The open time doubles with every failed trial and with every opening during the
ramp after a trial, which is what flapping looks like; with equal jitter so that many gateways do not return at one
instant. (Nygard, "Release It!", 2007.) Who answers now and then meanwhile flaps rather than is down, and rests half as
long as its trouble has lasted at most: when that is over, so is the rest soon; and who fails at once is looked at
meanwhile (`policy.look`). What counts as a run and as a share stands in `policy.evidence`.

Verdicts differ in how much is lost by them when there is no elsewhere. So asking *softly*, which is for those who have
no elsewhere, is answered by the verdict:

    dead        a run of failures, hardly a call between them: nothing is let through, an attempt would be lost
    failing     a share of the calls fails: every second one is let through, which spares it and serves some
    slow        a share of the calls is slow: all are let through, a late answer is better than none
    new         nobody knows yet (`introduce`): all are let through while a trial finds out

What is let through like that has a ticket of its own kind (the complement of the number). It counts in the window:
once enough calls are in it and less than half of what opens it is bad, the trial begins at once; a run of failures
beyond chance makes the verdict `dead`. It does not decide the trial.

A trial is a caller's request, and who meets a target that still hangs pays for it. So the first call of a trial goes
alone until it has content (`heard`), or a first content would be slow; the other permits are for those who have no
elsewhere. One that is late is accompanied (`policy.hedge`), and one that was late and lost has failed (`outrun`): said
it nothing, the next caller would pay for the same question. A circuit without a family knows no elsewhere: its permits
are given at once.

A call that never ends (a thread that hangs, a generator that nobody closes) never gives its permit back. Once all
permits of a trial are out, and the last of them was given `open_cap` ago, the trial begins anew with the next call: a
generation of its own, to which a late result says nothing. Each time that happens in one time of trouble it waits twice
as long, so that calls which merely take long are not given up for ever.

Whoever has recovered gets a growing share of the calls for a while (`policy.ramp`), counted and judged as all are;
whoever asks softly is let through.

What a late result means:

    given in    settled in          means
    closed      closed, same        counts
    closed      open, half-open     nothing: the verdict has been given
    half-open   half-open, same     counts for the trial
    half-open   closed or open      nothing: the trial is over
    half-open   half-open, anew     nothing: the trial was given up for lost
    open        open, same          a look, or a probe of the panic rule: a success begins the trial, and is its first
    open        half-open           nothing: the trial has begun without it
    any         any, a later one    nothing: it speaks of a time before the last change

An operator may force a breaker open or closed. Then nothing counts and nothing moves it but the operator, who releases
it into the closed state with clean counts.
"""

import random

from standfast.canon.attempt import SUCCESS, Outcome
from standfast.canon.instants import NEVER, Monotonic
from standfast.policy.breaker_machine import DEAD, FAILING, NEW, SLOW, TRYING, Machine
from standfast.policy.breaker_settings import BreakerSettings
from standfast.policy.breaker_table import TRANSITIONS, Event, State
from standfast.policy.chance import CERTAIN

__all__ = ["LETTING", "PROBE_INTERVAL", "SHUT", "SLOW", "TRANSITIONS", "Breaker", "BreakerSettings", "Event", "State"]

PROBE_INTERVAL = 1.0
"""Seconds between probes of the panic rule; also when to ask again while all permits of a trial are taken."""

_CLOSED, _OPEN, _HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN  # a look-up in an enum costs as much as a call
_FAILURE = Outcome.FAILURE
SHUT = frozenset((State.OPEN, State.FORCED_OPEN))
"""States in which a call is an exception."""

LETTING = frozenset((State.CLOSED, State.FORCED_CLOSED))
"""States in which a call is the rule."""


class Breaker(Machine):
    """The breaker of one deployment; see `Machine` for what it is made of."""

    __slots__ = ()

    # asking

    def admit(self, now: Monotonic) -> int | None:
        """A ticket for one call, or None: not now."""
        if not self.free and not self._passes(now):
            return None
        self._out += 1
        window = self._window
        window.admitted = ticket = window.admitted + 1
        return ticket

    def admit_softly(self, now: Monotonic) -> int | None:
        """A ticket for one that was refused and has no elsewhere, or None: not even then."""
        if self.state(now) is _HALF_OPEN and self._goes_alone(now) and self._tries(now):
            self._out += 1
            self._window.admitted += 1
            return self._window.admitted
        if self.barred(now):
            return None
        if self._state is _CLOSED:
            self._out += 1
            self._window.admitted += 1
            return self._window.admitted
        if self._verdict is FAILING:
            self._turn = not self._turn
            if not self._turn:
                return None
        self._window.admitted += 1
        return ~self._window.admitted

    def barred(self, now: Monotonic) -> bool:
        """Is nobody let through, not even those who have no elsewhere, but for the permits of a trial?"""
        state = self.state(now)
        return state is State.FORCED_OPEN or (state in (_OPEN, _HALF_OPEN) and self._verdict is DEAD)

    def refusal(self, now: Monotonic) -> str:
        """Why a call is refused now: `open`, or a verdict that holds only where there is an elsewhere."""
        if self.barred(now):
            return TRYING if self._state is _HALF_OPEN and self._goes_alone(now) and self._has_room(now) else DEAD
        if self._state is _CLOSED:
            return "spared" if self._spared else NEW
        return self._verdict

    def _passes(self, now: Monotonic) -> bool:
        state = self.state(now)
        if state is _HALF_OPEN:
            return not self._goes_alone(now) and self._tries(now)
        if state is _CLOSED:
            return not self._spared and self._ramps(now)
        return state is State.FORCED_CLOSED or (state is _OPEN and self._looked_at(now))

    def _goes_alone(self, now: Monotonic) -> bool:
        """Is a call of the trial under way, and none has been heard of? Then nobody joins it who can go elsewhere.

        Not for longer than a first content may take: a reply that comes whole says nothing until its end.
        """
        waits = self._out > 0 and not self._heard and self.family is not None
        return waits and now - self._looks.asked < self._settings.slow_after

    def _looked_at(self, now: Monotonic) -> bool:
        """Is this call a look?"""
        looks, family = self._looks, self.family
        if now < looks.at or self._out or family is None or not family.lets_probe(now, PROBE_INTERVAL):
            return False
        looks.asked = now
        looks.plan(now, now - self._ill_since, self._settings.open)
        return True

    def retry_at(self, now: Monotonic) -> Monotonic:
        """When a call that is refused now may come again; `now` if it would not be refused."""
        state = self.state(now)
        if state is _OPEN:
            return self._until
        if state is State.FORCED_OPEN:
            return NEVER  # until the operator says otherwise
        if state is _HALF_OPEN and not self._has_room(now):
            return Monotonic(now + PROBE_INTERVAL)  # nobody knows when a permit comes back
        return now

    def force_probe(self, now: Monotonic) -> int | None:
        """While open, a ticket for the panic rule: one at a time and at most one a second."""
        if self.state(now) is not _OPEN or self._out or now < self._next_probe:
            return None
        if self.family is not None and not self.family.lets_probe(now, PROBE_INTERVAL):
            return None
        self._out += 1
        self._next_probe = Monotonic(now + PROBE_INTERVAL)
        self._window.admitted += 1
        return self._window.admitted

    # reporting

    def heard(self, ticket: int) -> None:
        """Report that a call has its first content, unless it is `free`: in a trial, others may follow now."""
        if self.tries(ticket):
            self._heard = True

    def tries(self, ticket: int) -> bool:
        """Is this a call of the trial that goes on, or a look?"""
        return (self._state is _HALF_OPEN or self._state is _OPEN) and ticket >= self._first

    def lag(self, ticket: int, now: Monotonic, rng: random.Random) -> tuple[State, State] | None:
        """Report that a call is slow, before it is settled; states before and after if that changed it."""
        before = self.state(now)
        if ticket < self._first:
            if ~ticket >= self._first:
                self._window.record_slow(now)
        elif before is _CLOSED:
            self._window.record_slow(now)
            if self._evidence.slow(now):
                self._open(Event.TRIPPED, SLOW, now, rng)
        elif before is _OPEN:
            self._looks.waited()
        elif before is _HALF_OPEN and self._settings.slow_rate is not None:
            self._looks.waited()
            self._open(Event.RELAPSED, SLOW, now, rng)
        return None if self._state is before else (before, self._state)

    def outrun(self, ticket: int, now: Monotonic, rng: random.Random, *, row: bool) -> tuple[State, State] | None:
        """Report, before it is settled, that a call without content was given up late because another was faster.

        A trial has failed by that, but not by the first one if it did not hang so far: one in twenty is late by chance.
        Who is dead stays dead. While closed a `row` of them, nothing heard between, calls it slow (`policy.silence`).
        States before and after if that changed it.
        """
        before, limits = self.state(now), self._settings
        if ticket >= self._first:
            if self.tripped and (before is _OPEN or self._looks.free):
                self._looks.waited()
            elif before is _HALF_OPEN:
                lives = self._verdict is NEW or (self._verdict is DEAD and self._successes > 0)
                self._open(Event.RELAPSED, SLOW if lives else self._verdict, now, rng)
            elif row and before is _CLOSED and limits.slow_rate is not None:
                self._open(Event.TRIPPED, SLOW, now, rng)
        return None if self._state is before else (before, self._state)

    def settle(
        self, ticket: int, outcome: Outcome, now: Monotonic, rng: random.Random, *, slow: bool = False
    ) -> tuple[State, State] | None:
        """Report how a call ended; states before and after if that changed it.

        A success that was reported as `slow` is counted already; a failure that was counts as two.
        """
        before = self._state
        if before is _CLOSED and outcome is SUCCESS and self._out and ticket >= self._first:  # as nearly all end
            self._out -= 1
            if self._evidence.row:
                self._evidence.served(ticket)
            if not slow:
                self._window.count(now)
            return None
        before = self.state(now)
        if ticket < self._first:
            if ~ticket >= self._first:
                self._settle_soft(~ticket, outcome, now, slow=slow)
        elif not self._out:
            return None
        else:
            self._out -= 1
            if before is _CLOSED:
                self._settle_closed(ticket, outcome, now, rng)
            elif before is _HALF_OPEN:
                self._settle_half_open(outcome, now, rng)
            elif before is _OPEN:
                self._settle_open(outcome, now, slow=slow)
        return None if self._state is before else (before, self._state)

    def recent(self, now: Monotonic) -> tuple[int, int]:
        """Calls and failures in the window."""
        return self._window.counts(now)

    # inside

    def _settle_closed(self, ticket: int, outcome: Outcome, now: Monotonic, rng: random.Random) -> None:
        """A call that was no success."""
        if outcome is _FAILURE:
            evidence = self._evidence
            run = evidence.failed(ticket, now)
            if run or evidence.failing(now):
                self._open(Event.TRIPPED, DEAD if run >= CERTAIN else FAILING, now, rng)
        else:
            self._window.cancelled += 1

    def _settle_open(self, outcome: Outcome, now: Monotonic, *, slow: bool) -> None:
        """A probe of the panic rule, or a look. A probe that fails ends the looks: it comes more often than they do."""
        if outcome is SUCCESS and not slow:
            self._move(Event.PROBED)
            self._succeed(now)
        elif outcome is _FAILURE:
            self._looks.failed(now)

    def _settle_half_open(self, outcome: Outcome, now: Monotonic, rng: random.Random) -> None:
        if outcome is _FAILURE:
            # Who has answered in the trial, or was only slow before, is not dead.
            dead = self._verdict in (DEAD, NEW) and not self._successes
            self._looks.failed(now)
            self._open(Event.RELAPSED, DEAD if dead else FAILING, now, rng)
        elif outcome is SUCCESS:
            self._succeed(now)

    def _settle_soft(self, ticket: int, outcome: Outcome, now: Monotonic, *, slow: bool) -> None:
        """A call that was let through beside the verdict."""
        evidence = self._evidence
        if outcome is _FAILURE:
            usual = self._settings.rate if self._verdict is FAILING else 0.0
            if evidence.failed(ticket, now, usual=usual) >= CERTAIN:
                self._verdict = DEAD
        elif outcome is SUCCESS:
            evidence.served(ticket)
            if not slow:
                self._window.count(now)
            if self._state is _OPEN and evidence.well(now):
                self._move(Event.PROBED)
        else:
            self._window.cancelled += 1

    def _succeed(self, now: Monotonic) -> None:
        self._successes += 1
        self._answered = True
        if self._successes >= self._settings.half_open_successes:
            self._move(Event.RECOVERED)
            if self._ramp.begin(now):
                self.free = False
                self._tell("ramp", "full", "ramping", "it has recovered", self._ramp.seconds)
            else:
                self._trips = 0

    def _open(self, event: Event, verdict: str, now: Monotonic, rng: random.Random) -> None:
        if event is Event.TRIPPED and self._ramp.share(now) >= 1.0:
            self._trips = 0  # it has been well for as long as a ramp takes
        self._move(event)
        self._verdict = verdict
        limits = self._settings
        if not self._trips:
            self._ill_since, self._answered, self._looks.free = now, False, False
            self._lost = 0
        full = min(limits.open_cap, limits.open * 2.0 ** min(self._trips, 30))
        if self._answered:
            full = max(limits.open, min(full, (now - self._ill_since) / 2))
        self._trips += 1
        self._until = Monotonic(now + full / 2 + rng.uniform(0.0, full / 2))
        self._looks.plan(now, now - self._ill_since, limits.open)
        self.opened_at = now
