"""What answers tell of rate limits, and what is foretold from it, in virtual time."""

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from standfast.canon.attempt import Outcome
from standfast.canon.instants import Monotonic
from standfast.canon.rates import Counts, Rate
from standfast.policy.fleet import Denied, Permit
from standfast.policy.quota import ANSWER, EVERY, SELDOM, Quota
from standfast.policy.tide import LARGEST, MARGIN, TRUST, Tide
from support.exchanges import START
from support.hands import Scene


def later(seconds: float) -> Monotonic:
    """An instant after the start."""
    return Monotonic(START + seconds)


def requests(remaining: float, limit: float = 100.0, reset: float | None = None) -> Rate:
    """So many requests of so many a minute are left; by default as a bucket that refills continuously tells it."""
    return Rate("requests", Counts.REQUESTS, remaining, limit, (limit - remaining) * 0.6 if reset is None else reset)


def told(*rates: Rate, unseen: int = 0) -> Quota:
    """A quota that has just heard this."""
    quota = Quota(unseen)
    quota.hear(rates, None, START)
    return quota


def passing(quota: Quota, now: Monotonic, tokens: int = 1, prompt: int = 1, most: int = 10_000) -> int:
    """How many requests of this size go at once."""
    count = 0
    while count < most and quota.wait(tokens, prompt, now) == 0.0:
        quota.take(tokens, prompt)
        count += 1
    return count


@dataclass
class Bucket:
    """An upstream's own limit: so many a minute, continuously refilled or all at once at each full minute."""

    per_minute: float
    size: float
    minutely: bool = False
    level: float = field(init=False)
    at: float = field(default=float(START))

    def __post_init__(self) -> None:
        self.level = self.size

    def admit(self, cost: float, now: float) -> bool:
        """Take it, if it is there."""
        if not self.minutely:
            self.level = min(self.size, self.level + (now - self.at) * self.per_minute / 60)
        elif int((now - START) // 60) > int((self.at - START) // 60):
            self.level = self.size
        self.at = now
        if self.level < cost:
            return False
        self.level -= cost
        return True

    def tell(self, now: float, counts: Counts = Counts.REQUESTS) -> Rate:
        """What its header says."""
        full = (self.size - self.level) * 60 / self.per_minute
        reset = 60 - (now - START) % 60 if self.minutely else full
        return Rate(counts.value, counts, float(int(self.level)), self.per_minute, reset)


# one limit


def test_while_there_is_plenty_nothing_waits() -> None:
    """Up to half of what is left goes without a look; then every cost is reckoned, and every answer read."""
    quota = told(requests(100))
    assert quota.unread == EVERY - 1
    for _ in range(50):
        assert quota.wait(1, 1, START) == 0.0
        assert isinstance(quota.take(1, 1), tuple)
    assert quota.wait(1, 1, START) == 0.0
    assert isinstance(quota.take(1, 1), dict)
    assert not quota.plenty
    assert quota.unread == 0


def test_what_was_told_to_be_left_is_what_passes() -> None:
    """A hundred a minute, ten left: about ten go (a margin stays), and the next waits for the refill, not for a 429."""
    quota = told(requests(10))
    assert passing(quota, START) == 10 - math.ceil(100 * MARGIN)
    wait = quota.wait(1, 1, START)
    assert wait == pytest.approx(0.6)
    assert quota.wait(1, 1, later(wait)) == 0.0


def test_a_limit_that_comes_back_at_once_is_recognised() -> None:
    """Its reset stays where it is while requests go: then nothing comes back before it, and all at it."""
    bucket = Bucket(100, 100, minutely=True)
    quota = Quota()
    sent = 0
    for n in range(1000):
        now = later(n * 0.03)
        if quota.wait(1, 1, now) > 0.0:
            break
        marks = quota.take(1, 1)
        assert bucket.admit(1, now)
        sent += 1
        quota.hear([bucket.tell(now)], marks, now)
    assert 95 <= sent <= 100
    assert quota.wait(1, 1, later(31.0)) == pytest.approx(29.0, abs=1.0)
    assert passing(quota, later(60.5)) >= 95


def test_what_was_under_way_at_the_first_telling_may_not_be_in_it() -> None:
    """Twenty left, fifteen others on the way: five may go."""
    assert passing(told(requests(20), unseen=15), START) == 5 - math.ceil(100 * MARGIN)


def test_a_telling_does_not_undo_what_was_sent_since() -> None:
    """The figure is of the request's own admission: those that went after it are taken off, in plenty and in need."""
    for first, sent in ((100.0, 40), (30.0, 20)):
        quota = told(requests(first))
        quota.wait(1, 1, START)
        marks = quota.take(1, 1)
        for _ in range(sent):
            quota.wait(1, 1, START)
            quota.take(1, 1)
        quota.hear([requests(first - 1)], marks, START)
        left = passing(quota, START, most=200)
        assert left == pytest.approx(first - 1 - sent - 100 * MARGIN, abs=1.0)


def test_tokens_are_counted_as_each_provider_counts_them() -> None:
    """Prompt and answer together, the prompt alone, or the answer alone; the tightest decides."""
    minute = 60_000.0
    for counts, tokens, prompt, cost in (
        (Counts.TOKENS, 3_000, 2_000, 3_000),
        (Counts.INPUT, 3_000, 2_000, 2_000),
        (Counts.OUTPUT, 3_000, 2_600, 400),
        (Counts.OUTPUT, 2_000, 2_000, ANSWER),
    ):
        quota = told(Rate("x", counts, 20_000.0, minute, 40.0))
        assert passing(quota, START, tokens, prompt) == int((20_000 - MARGIN * minute) // cost), counts
    both = told(Rate("a", Counts.TOKENS, 50_000.0, minute, 10.0), requests(5))
    assert passing(both, START, 10, 10) == 3


def test_an_estimate_that_is_too_low_is_learned() -> None:
    """Requests cost twice what is reckoned: after some tellings so much is taken off, and refusals are few."""
    bucket, quota = Bucket(60_000, 60_000), Quota()
    refused = sent = 0
    for n in range(20_000):
        now = later(n * 0.02)
        if quota.wait(500, 500, now) > 0.0:
            continue
        marks = quota.take(500, 500)
        sent += 1
        refused += not bucket.admit(1_000, now)
        quota.hear([bucket.tell(now, Counts.TOKENS)], marks, now)
    assert refused <= 0.01 * sent
    assert sent - refused >= 0.9 * (60 + 400)


def test_no_single_request_is_held_back_for_its_size() -> None:
    """An estimate larger than the limit itself (images are) counts as half of it."""
    quota = told(Rate("tokens", Counts.TOKENS, 900.0, 1_000.0, 6.0))
    assert quota.wait(1_000_000, 1_000_000, START) == 0.0
    assert LARGEST == 0.5


def test_no_header_can_keep_a_key_from_being_asked_for_ever() -> None:
    """Nothing left and a reset in a day: after a minute one request passes, and its answer tells anew."""
    quota = told(requests(0.0, reset=86_400.0))
    assert quota.wait(1, 1, START) > 0.0
    assert quota.wait(1, 1, later(TRUST + 0.1)) == 0.0
    quota.take(1, 1)
    assert 0.0 < quota.wait(1, 1, later(TRUST + 0.2)) <= TRUST


def test_a_limit_that_is_told_no_more_is_forgotten() -> None:
    """A day's limit that was shown once does not hold for ever."""
    quota = told(requests(0.0, reset=3_600.0), Rate("tokens", Counts.TOKENS, 1_000.0, 1_000.0, 0.0))
    quota.hear([Rate("tokens", Counts.TOKENS, 1_000.0, 1_000.0, 0.0)], None, later(TRUST + 1.0))
    assert quota.wait(1, 1, later(TRUST + 1.0)) == 0.0


def test_answers_that_tell_nothing_are_read_seldom() -> None:
    """One in 64 where nothing is known; where a limit is, one silent answer (an error page, say) changes nothing."""
    quota = Quota()
    quota.hear([], None, START)
    assert quota.unread == SELDOM - 1
    quota = told(requests(100))
    before = quota.unread
    quota.hear([], None, START)
    assert quota.unread == before < SELDOM - 1


def test_what_was_not_sent_is_given_back() -> None:
    """A request that could not be expressed there costs nothing."""
    quota = told(requests(10))
    while quota.wait(1, 1, START) == 0.0:
        marks = quota.take(1, 1)
    quota.give_back(1, 1, marks)
    assert quota.wait(1, 1, START) == 0.0


RATES = st.builds(
    Rate,
    st.sampled_from(["a", "b"]),
    st.sampled_from(list(Counts)),
    st.floats(0, 1e12),
    st.none() | st.floats(1e-3, 1e12),
    st.none() | st.floats(0, 1e7),
    st.sampled_from([60.0, 3600.0, 86_400.0]),
)
EVENTS = st.lists(
    st.tuples(st.sampled_from(["ask", "hear", "late", "back"]), st.floats(0, 40), st.integers(0, 10_000), RATES),
    max_size=60,
)


@given(EVENTS)
@settings(deadline=None)
def test_whatever_is_told_waits_are_bounded_and_end(events: list[tuple[str, float, int, Rate]]) -> None:
    """Nonsense in headers never raises, never makes a wait of more than `TRUST`, and never a wait without end."""
    quota, now, marks = Quota(), START, []
    for what, pause, tokens, rate in events:
        now = Monotonic(now + pause)
        if what == "ask":
            wait = quota.wait(tokens, tokens // 2, now)
            assert 0.0 <= wait <= TRUST
            if wait == 0.0:
                marks.append((tokens, quota.take(tokens, tokens // 2)))
        elif what == "back" and marks:
            taken, mark = marks.pop()
            quota.give_back(taken, taken // 2, mark)
        else:
            quota.hear([rate], marks.pop(0)[1] if what == "hear" and marks else None, now)
    for _ in range(100):
        wait = quota.wait(1, 1, now)
        if wait == 0.0:
            return
        now = Monotonic(now + wait)
    pytest.fail("never again")


@given(
    st.lists(st.tuples(st.floats(0, 2), st.floats(0, 5)), min_size=20, max_size=300),
    st.sampled_from([30.0, 120.0, 600.0]),
    st.sampled_from([1.0, 1 / 6]),
)
@example([(0.0, 0.0), (1.5, 0.0), *[(0.0, 0.0)] * 13, (1.0, 0.0), *[(2.0, 0.0)] * 4], 30.0, 1 / 6)  # 0.75 told as 0
@settings(deadline=None, max_examples=50)
def test_a_token_bucket_is_not_overrun(steps: list[tuple[float, float]], rpm: float, burst: float) -> None:
    """D10: where answers tell in time, whatever the rhythm: hardly a request is sent that the upstream refuses."""
    bucket, quota, now = Bucket(rpm, max(1.0, rpm * burst)), Quota(), START
    refused = sent = 0
    answers: list[tuple[float, Rate, object]] = []
    for pause, delay in steps:
        now = Monotonic(now + pause)
        for _, rate, marks in [each for each in answers if each[0] <= now]:
            quota.hear([rate], marks, now)  # type: ignore[arg-type]
        answers = [each for each in answers if each[0] > now]
        while quota.wait(1, 1, now) == 0.0 and sent < 2_000:
            marks = quota.take(1, 1)
            sent += 1
            good = bucket.admit(1, now)
            refused += not good
            if not answers and sent == 1:
                quota.hear([bucket.tell(now)], marks, now)  # the first answer is awaited
            else:
                answers.append((now + delay * 0.1, bucket.tell(now), marks))
    assert refused <= 1 + 0.01 * sent


def test_a_tide_that_is_full_stays_full() -> None:
    """What comes back comes up to the limit and no further, however long nothing is asked."""
    tide = Tide(requests(100), START)
    tide.refill(later(1e6))
    assert tide.level == 100


# in the fleet


def learned(keys: int = 1, remaining: float = 5.0) -> tuple[Scene, Permit]:
    """A fleet with one deployment, whose first key's answer told that so many requests are left."""
    scene = Scene(("a/m",), keys=keys)
    permit = scene.fleet.admit(scene.targets[0].deployment, 1, START)
    assert isinstance(permit, Permit)
    assert permit.seat.unread == 0
    scene.fleet.learn(permit, [requests(remaining)], START)
    scene.fleet.settle(permit, Outcome.SUCCESS, START, scene.rng)
    return scene, permit


def test_a_key_that_is_nearly_spent_is_spared_before_any_429() -> None:
    """D10: the other key serves; the spent one is asked again when something came back."""
    scene, first = learned(keys=2, remaining=2.0)
    used = []
    for _ in range(6):
        permit = scene.fleet.admit(first.deployment, 1, START)
        assert isinstance(permit, Permit)
        used.append(permit.key)
    assert set(used) == {1 - first.key}


def test_a_spent_key_tells_when_it_may_be_asked_again() -> None:
    """`keys`, with the instant at which the refill suffices: short enough to wait in line for."""
    scene, first = learned(remaining=2.0)
    denied = scene.fleet.admit(first.deployment, 1, START)
    assert isinstance(denied, Denied)
    assert denied.why == "keys"
    assert START < denied.until < later(2.0)
    assert isinstance(scene.fleet.admit(first.deployment, 1, denied.until), Permit)


def test_answers_without_limits_cost_a_decrement() -> None:
    """Nothing told: nothing is kept, and the next 63 answers are not read."""
    scene = Scene(("a/m",))
    permit = scene.fleet.admit(scene.targets[0].deployment, 1, START)
    assert isinstance(permit, Permit)
    scene.fleet.learn(permit, [], START)
    assert permit.seat.quota is None
    assert permit.seat.unread == SELDOM - 1
    assert not permit.place.choosy


def test_what_was_not_sent_costs_no_quota() -> None:
    """An attempt that is settled with no tokens at all was not sent."""
    scene, first = learned(remaining=3.0)
    for _ in range(5):
        permit = scene.fleet.admit(first.deployment, 1, START)
        assert isinstance(permit, Permit)
        scene.fleet.settle(permit, Outcome.CANCELLED, START, scene.rng, tokens=0)
