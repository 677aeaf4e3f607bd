"""Is a deployment well? Judged from three kinds of evidence, with hysteresis.

    traffic     what real requests met: their outcomes, and how long their first token took
    generate    a tiny real completion with an expected answer: weighs like traffic
    ping        the provider's free endpoint: shows that somebody answers, and little more

House rules of this file:

* One result for each interval. Real traffic since the last look is that interval's result; a check is made only where
  there was none. A result is good, weak (slow, or too many failures around it) or bad.
* Hysteresis: only a run of results moves the state (`healthy_after`, `unhealthy_after`), so results that alternate move
  nothing. Two exceptions: the first good result ends `unknown`, as in Envoy, and the breaker's verdict counts at once.
* The breaker judges single failures, it knows rows and rates. When it opens the deployment is unhealthy, whatever pings
  say; when its trial by real requests succeeds the deployment is degraded until a run of good results follows. It is
  not ranked lower for that: how fast its load returns is the breaker's ramp.
* That verdict holds as long as the breaker that gave it: an operator's word about it, or a reload that puts another in
  its place, lifts what it said. Then the state is unknown, and traffic and checks decide anew.
* What is real outweighs what is not. After real failures a ping that succeeds is not counted until they are old or a
  real request has succeeded. A ping endpoint that has never answered well is not believed when it answers badly: some
  servers have none.
* What says nothing about the deployment (a rate limit, a bad key, a refused request: `canon.failure`) is no evidence.
* Evidence grows old. What took N results in a row to establish does not outlive the time of N + 1 missing ones; then
  the state is unknown, which counts as well: nobody is shut out for what nobody knows.
* Nothing is recorded for each request but a count of successes and one of failures, which the fleet keeps in place.

What latency means. Of a ping and of a generate check it is the time until the whole tiny answer: connection, queue and
first token. Of real traffic it is the first token of streams; a whole reply comes after its last token, so its time is
output length. Real first tokens depend on what is asked (long prompts, models that think), so they can make a
deployment degraded, which ranks it lower, but never unhealthy, which sends requests to others; models that are known to
think are not judged by them at all.

An unhealthy deployment is avoided (`shunned`) while there is an elsewhere. While its breaker is open or on trial the
breaker alone decides, because its trial needs real requests.
"""

from collections import deque
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from standfast.canon.instants import Monotonic
from standfast.canon.record import Change
from standfast.policy.health_check import Check, Evidence, Grade, HealthSettings, HealthState, grade_of

ALPHA = 0.5
"""Weight of the newest check in its moving average: at one check in 30 s a slower one would tell of minutes ago."""

RECENT = 10
"""Results whose failures are weighed against `error_rate`: five minutes at the default interval."""

MIN_CALLS = 10
"""Calls in them before the rate counts, as the breaker's `min_calls`."""

HALF = 0.5
"""An interval's traffic is bad when this share of it failed, the rate at which a breaker opens; below it is weak."""


class Event(StrEnum):
    """What moves a state."""

    WELL = "well"  # a run of good results
    BETTER = "better"  # a run of results none of which is bad
    WEAK = "weak"  # a run of results none of which is good
    ILL = "ill"  # a run of bad results
    TRIPPED = "tripped"  # the breaker opened
    PROVEN = "proven"  # the breaker's trial by real requests succeeded
    LIFTED = "lifted"  # the breaker that opened is overruled or gone
    FORGOTTEN = "forgotten"  # no evidence for a while


_S, _E = HealthState, Event
TRANSITIONS: Mapping[tuple[HealthState, Event], HealthState] = MappingProxyType(
    {
        (_S.UNKNOWN, _E.WELL): _S.HEALTHY,
        (_S.UNKNOWN, _E.WEAK): _S.DEGRADED,
        (_S.UNKNOWN, _E.ILL): _S.UNHEALTHY,
        (_S.UNKNOWN, _E.TRIPPED): _S.UNHEALTHY,
        (_S.HEALTHY, _E.WEAK): _S.DEGRADED,
        (_S.HEALTHY, _E.ILL): _S.UNHEALTHY,
        (_S.HEALTHY, _E.TRIPPED): _S.UNHEALTHY,
        (_S.HEALTHY, _E.FORGOTTEN): _S.UNKNOWN,
        (_S.DEGRADED, _E.WELL): _S.HEALTHY,
        (_S.DEGRADED, _E.ILL): _S.UNHEALTHY,
        (_S.DEGRADED, _E.TRIPPED): _S.UNHEALTHY,
        (_S.DEGRADED, _E.FORGOTTEN): _S.UNKNOWN,
        (_S.UNHEALTHY, _E.WELL): _S.HEALTHY,
        (_S.UNHEALTHY, _E.BETTER): _S.DEGRADED,
        (_S.UNHEALTHY, _E.PROVEN): _S.DEGRADED,
        (_S.UNHEALTHY, _E.LIFTED): _S.UNKNOWN,
        (_S.UNHEALTHY, _E.FORGOTTEN): _S.UNKNOWN,
    }
)
"""The whole machine. An event that has no row in a state changes nothing."""

FACTOR: Mapping[HealthState, float] = MappingProxyType(
    {_S.UNKNOWN: 1.0, _S.HEALTHY: 1.0, _S.DEGRADED: 0.5, _S.UNHEALTHY: 0.1}
)
"""What a strategy that scores multiplies a deployment's score with; more is better."""


class Health:
    """The health of one deployment.

    Args:
        name: `provider/model`, for the changes.
        settings: thresholds.
        thinks: the model is known to think before it speaks: its first tokens are no measure.

    Attributes:
        served, failed: real attempts that succeeded, and that failed in a way that speaks of the deployment; the fleet
            counts them here.
        shunned: until when requests go elsewhere if they can; in the past if they need not.
        reason: why the state is what it is; empty before the first change.
        last: the newest check, None before the first.
        slow: it is what it is because of its pace.
    """

    __slots__ = (
        "_average",
        "_bad",
        "_believed",
        "_doubt",
        "_fair",
        "_good",
        "_known_at",
        "_recent",
        "_recovering",
        "_seen_failed",
        "_seen_served",
        "_state",
        "_tripped",
        "_weak",
        "failed",
        "last",
        "name",
        "reason",
        "served",
        "settings",
        "shunned",
        "slow",
        "thinks",
    )

    def __init__(self, name: str, settings: HealthSettings, *, thinks: bool = False) -> None:
        self.name = name
        self.settings = settings
        self.thinks = thinks
        self.served = self.failed = 0
        self.shunned = Monotonic(0.0)
        self.reason = ""
        self.last: Check | None = None
        self.slow = False
        self._state = HealthState.UNKNOWN
        self._known_at = Monotonic(0.0)  # of the newest evidence
        self._seen_served = self._seen_failed = 0  # what earlier looks have judged
        self._good = self._fair = self._weak = self._bad = 0  # results in a row
        self._recent: deque[tuple[int, int]] = deque(maxlen=RECENT)  # calls and failures of each result
        self._average: dict[Evidence, float] = {}
        self._doubt = Monotonic(0.0)  # until when real failures outweigh pings
        self._tripped = False  # the breaker is in charge
        self._recovering = False  # degraded because it was ill, not because it is slow or failing
        self._believed = False  # the ping endpoint has answered well before

    def state(self, now: Monotonic) -> HealthState:
        """The state at this instant."""
        return HealthState.UNKNOWN if self._old(now) else self._state

    def factor(self, now: Monotonic) -> float:
        """What a score is multiplied with."""
        return 1.0 if self._recovering else FACTOR[self.state(now)]

    @property
    def recovering(self) -> bool:
        """Is it degraded only because it was ill?"""
        return self._recovering

    # evidence

    def look(self, first_token: float | None, now: Monotonic) -> tuple[bool, bool, tuple[Change, ...]]:
        """Judge the real traffic since the last look.

        Args:
            first_token: moving average of real streams, seconds; None if there were none.
            now: this instant.

        Returns:
            Was there any; did any of it succeed; what changed.
        """
        served, failed = self.served - self._seen_served, self.failed - self._seen_failed
        self._seen_served, self._seen_failed = self.served, self.failed
        changes = self._forget(now)
        calls = served + failed
        if not calls or (self._tripped and now < self._doubt):  # what comes late speaks of a time before the verdict
            return calls > 0, served > 0, changes
        self._recent.append((calls, failed))
        grade, why, slow = Grade.GOOD, "requests succeed", False
        if failed >= HALF * calls:
            grade, why = Grade.BAD, f"{failed} of {calls} requests failed"
        elif self._failing():
            grade, why = Grade.WEAK, f"more than {self.settings.error_rate:.0%} of recent calls failed"
        elif first_token is not None and not self.thinks and first_token * 1000 > self.settings.degraded_ms:
            grade, why, slow = Grade.WEAK, f"first token takes {first_token * 1000:.0f} ms", True
        self._doubt = Monotonic(now + self.settings.memory if grade is Grade.BAD else 0.0)
        return True, served > 0, changes + self._learn(grade, why, now, slow=slow)

    def own(self, check: Check) -> None:
        """The fleet has counted a generate check among the real attempts; the next look must not count it again."""
        if check.failure is None:
            self._seen_served += 1
        elif check.failure.meaning.trips_breaker:
            self._seen_failed += 1

    def checked(self, check: Check) -> tuple[Change, ...]:
        """Take the result of a check."""
        now, failure, kind = check.at, check.failure, check.kind
        changes = self._forget(now)
        self.last = check
        if failure is None:
            before = self._average.get(kind, check.seconds)
            self._average[kind] = before + ALPHA * (check.seconds - before)
        grade, why = grade_of(check, self._average.get(kind, check.seconds), self.settings)
        if grade is None:
            return changes
        if kind is Evidence.GENERATE:
            self._doubt = Monotonic(0.0 if failure is None else now + self.settings.memory)
        elif failure is None:
            self._believed = True
            if now < self._doubt:  # it shows that somebody looks, no more
                self._note(now)
                return changes
        elif failure.status and not self._believed:
            return changes
        self._recent.append((1, int(failure is not None)))
        slow = failure is None and grade is not Grade.GOOD
        if grade is Grade.GOOD and self._failing():
            grade, why = Grade.WEAK, f"more than {self.settings.error_rate:.0%} of recent calls failed"
        return changes + self._learn(grade, why, now, slow=slow)

    def tripped(self, reason: str, until: Monotonic, now: Monotonic) -> tuple[Change, ...]:
        """The breaker opened until an instant: real requests fail."""
        changes = self._forget(now)
        self._judged()
        self._tripped = True
        self.slow = False
        self.reason = f"breaker opened ({reason})"
        self._doubt = Monotonic(until + self.settings.memory)
        changes += self._move(Event.TRIPPED, self.reason)
        self._note(until)
        return changes

    def proven(self, now: Monotonic) -> tuple[Change, ...]:
        """The breaker closed: its trial by real requests succeeded."""
        changes = self._forget(now)
        self._judged()
        self._tripped = False
        self._doubt = Monotonic(0.0)
        changes += self._move(Event.PROVEN, "requests succeed again")
        self._recovering = bool(changes) and self._state is HealthState.DEGRADED
        self._note(now)
        return changes

    def lifted(self, reason: str) -> tuple[Change, ...]:
        """The breaker that opened is overruled or gone: what it said holds no longer, and neither what went before."""
        if not self._tripped:
            if self._state is HealthState.UNKNOWN and self.reason:
                self.reason = reason  # the one before told of a word that holds no longer
            return ()
        self._tripped = False
        self._judged()
        self._recent.clear()
        self._doubt = Monotonic(0.0)
        return self._move(Event.LIFTED, reason)

    # inside

    def _failing(self) -> bool:
        calls = sum(calls for calls, _ in self._recent)
        failures = sum(failures for _, failures in self._recent)
        return calls >= MIN_CALLS and failures > self.settings.error_rate * calls

    def _learn(self, grade: Grade, why: str, now: Monotonic, *, slow: bool) -> tuple[Change, ...]:
        """Count the result, and take the first event that has a row."""
        self._good = self._good + 1 if grade is Grade.GOOD else 0
        self._fair = self._fair + 1 if grade is not Grade.BAD else 0
        self._weak = self._weak + 1 if grade is not Grade.GOOD else 0
        self._bad = self._bad + 1 if grade is Grade.BAD else 0
        up, down = self.settings.healthy_after, self.settings.unhealthy_after
        self._recovering = self._recovering and self._weak < down
        changes: tuple[Change, ...] = ()
        for event, run, enough in (
            (Event.ILL, self._bad, down),
            (Event.WELL, self._good, 1 if self._state is HealthState.UNKNOWN else up),
            (Event.WEAK, self._weak, down),
            (Event.BETTER, self._fair, up),
        ):
            if run >= enough and (self._state, event) in TRANSITIONS:
                changes = self._move(event, f"{why}, {run} in a row" if run > 1 else why, slow=slow)
                break
        self._note(now)
        return changes

    def _move(self, event: Event, reason: str, *, slow: bool = False) -> tuple[Change, ...]:
        before = self._state
        after = TRANSITIONS.get((before, event))
        if after is None:
            return ()
        self._state = after
        self._recovering = False
        self.reason, self.slow = reason, slow
        if after is HealthState.UNHEALTHY:
            self._recent.clear()  # answered for: what comes now decides
        else:
            self._tripped = False
        return (Change("health", self.name, before.value, after.value, reason),)

    def _judged(self) -> None:
        """The breaker has judged the traffic so far; what comes now decides."""
        self._seen_served, self._seen_failed = self.served, self.failed
        self._known_at = Monotonic(0.0)
        self._begin()

    def _begin(self) -> None:
        """Runs begin anew."""
        self._good = self._fair = self._weak = self._bad = 0

    def _note(self, now: Monotonic) -> None:
        """There is evidence of this instant, which may lie ahead: an open breaker is a verdict until its trial."""
        self._known_at = max(self._known_at, now)
        shun = self._state is HealthState.UNHEALTHY and not self._tripped
        self.shunned = Monotonic(now + self.settings.memory if shun else 0.0)

    def _old(self, now: Monotonic) -> bool:
        return now >= self._known_at + self.settings.memory

    def _forget(self, now: Monotonic) -> tuple[Change, ...]:
        if not self._old(now):
            return ()
        self._recent.clear()
        self._average.clear()
        self._begin()
        self._tripped = False
        return self._move(Event.FORGOTTEN, f"no evidence for {self.settings.memory:g} s")
