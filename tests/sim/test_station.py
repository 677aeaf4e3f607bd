"""One upstream and its attempts: what befalls them, and when."""

import math
import random
from collections.abc import Mapping

import pytest

from standfast.canon.deployment import Deployment
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.policy.retry import RetrySettings
from standfast.policy.route import Route, Target
from standfast.policy.timeouts import Deadlines
from standfast.sim.call import Call
from standfast.sim.crowd import Request
from standfast.sim.settings import Price, Trouble, Upstream
from standfast.sim.station import Station
from standfast.sim.tally import TargetTally
from standfast.sim.weather import Weather
from standfast.sim.world import START, TICK, World
from standfast.strategies.priority import STRATEGY

ROUTE = Route("m", (Target(Deployment("p", "a", "http://p.test")),), STRATEGY, RetrySettings())
PLAIN = {"first_token": "1s", "per_token": "100ms", "whole": "3s", "price": 1.0}


class Ear:
    """Keeps what a call tells."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, float]] = []
        self.failure: Failure | None = None

    def first_content(self, _: Call, now: Monotonic) -> None:
        """Content has come."""
        self.heard.append(("content", round(now - START, 6)))

    def completed(self, _: Call, now: Monotonic) -> None:
        """The answer is whole."""
        self.heard.append(("whole", round(now - START, 6)))

    def failed(self, _: Call, failure: Failure, now: Monotonic) -> None:
        """There is none."""
        self.failure = failure
        self.heard.append((failure.kind.value, round(now - START, 6)))


class Lab:
    """A station, and calls to it."""

    def __init__(self, spec: Mapping[str, object], *troubles: Mapping[str, object], seed: int = 1) -> None:
        self.world = World()
        settings = Upstream.model_validate({**PLAIN, **spec})
        weather = Weather(settings.errors or (), [Trouble.model_validate({"where": "*", **t}) for t in troubles], START)
        self.tally = TargetTally(Price(input=1, output=1))
        self.station = Station(self.world, settings, weather, random.Random(seed), self.tally)
        self.calls: list[Call] = []

    def call(self, at: float = 0.0, *, tokens: int = 21, stream: bool = True, key: int = 0, **limits: float) -> Ear:
        """A call that sets off so many seconds after the beginning."""
        ear = Ear()

        def begin(now: Monotonic) -> None:
            request = Request(now, ROUTE, stream=stream, prompt=10, completion=tokens)
            request.deadline = Monotonic(now + limits.get("deadline", 1e6))
            deadlines = Deadlines(
                limits.get("connect", 3.0),
                5.0,
                Monotonic(now + limits.get("first", 1e5)),
                limits.get("gap", 30.0),
                Monotonic(now + limits.get("end", 1e6)),
            )
            call = Call(self.station, request, ear, deadlines, key)
            self.calls.append(call)
            self.station.take(call, now)

        self.world.at(START + at, begin)
        return ear

    def run(self) -> None:
        """To the end."""
        while self.world.run(1_000):
            pass


def heard(spec: Mapping[str, object], **call: float) -> list[tuple[str, float]]:
    """What one call tells."""
    lab = Lab(spec)
    ear = lab.call(**call)  # type: ignore[arg-type]
    lab.run()
    return ear.heard


def test_a_stream_brings_content_and_then_its_end() -> None:
    """First content after `first_token`, the end after one `per_token` for each further token."""
    assert heard({}) == [("content", 1.0), ("whole", 3.0)]


def test_a_whole_reply_comes_in_one_piece() -> None:
    """`whole` if it is given, else the time that the stream would have taken; no content before the end."""
    assert heard({}, stream=False) == [("whole", 3.0)]
    assert heard({"whole": None}, stream=False) == [("whole", 3.0)]
    assert heard({"whole": "7s"}, stream=False) == [("whole", 7.0)]


@pytest.mark.parametrize(
    ("kind", "limits", "expected"),
    [
        ("connect_failed", {}, [("connect_failed", 0.001)]),
        ("connect_timeout", {"connect": 3.0}, [("connect_timeout", 3.0)]),
        ("first_token_timeout", {"first": 12.01}, [("first_token_timeout", 12.05)]),
        ("first_token_timeout", {"first": 9.0, "deadline": 9.0}, [("deadline_passed", 9.0)]),
    ],
)
def test_failures_keep_their_moment(kind: str, limits: dict[str, float], expected: list[tuple[str, float]]) -> None:
    """Refused at once; unreachable and hanging until the policy's deadline, as the gateway's watch finds it."""
    assert heard({"errors": [{"kind": kind}]}, **limits) == expected


def test_a_refused_connection_was_never_sent() -> None:
    """What cannot have been billed is not ambiguous: connections; what hangs is."""
    for kind, sent in (("connect_failed", False), ("connect_timeout", False), ("first_token_timeout", True)):
        lab = Lab({"errors": [{"kind": kind}]})
        ear = lab.call(first=5.0)
        lab.run()
        assert ear.failure is not None
        assert ear.failure.sent is sent


def test_after_says_how_long_an_error_takes() -> None:
    """An error of its own time, and the hint that it carries."""
    lab = Lab({"errors": [{"kind": "rate_limited", "after": "70ms", "retry_after": "9s"}]})
    ear = lab.call()
    lab.run()
    assert ear.heard == [("rate_limited", 0.07)]
    assert ear.failure is not None
    assert ear.failure.retry_after == 9.0


def test_a_cut_stream_breaks_after_content() -> None:
    """Somewhere in the answer; what had come is billed and wasted."""
    lab = Lab({"errors": [{"kind": "broken_stream"}]})
    ear = lab.call()
    lab.run()
    (content, at), (kind, end) = ear.heard
    assert (content, at, kind) == ("content", 1.0, "broken_stream")
    assert 1.0 < end < 3.0
    assert lab.tally.waste > 0
    assert lab.tally.cost == 0


def test_a_cut_whole_reply_delivers_nothing() -> None:
    """Nobody has seen any of it, so it can still be had elsewhere."""
    ((kind, at),) = heard({"errors": [{"kind": "broken_stream"}]}, stream=False)
    assert kind == "broken_stream"
    assert 0 < at < 3


def test_a_stalled_stream_is_found_by_its_gap() -> None:
    """Content, silence, and the gap's deadline; a whole reply that stalls never comes."""
    (content, _), (kind, at) = heard({"errors": [{"kind": "stalled"}]}, gap=10.0)
    assert (content, kind) == ("content", "stalled")
    assert 11.0 < at < 13.0 + TICK
    assert heard({"errors": [{"kind": "stalled"}]}, stream=False, first=20.0) == [("first_token_timeout", 20.0)]


def test_empty_and_invalid_replies_come_when_the_answer_would() -> None:
    """Where the first content was expected."""
    assert heard({"errors": [{"kind": "empty_reply"}]}) == [("empty_reply", 1.0)]
    assert heard({"errors": [{"kind": "invalid_reply"}]}, stream=False) == [("invalid_reply", 3.0)]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"first": 0.5}, [("first_token_timeout", 0.5)]),
        ({"end": 2.0}, [("content", 1.0), ("stalled", 2.0)]),
        ({"end": 2.0, "deadline": 2.0}, [("content", 1.0), ("deadline_passed", 2.0)]),
        ({"gap": 0.05}, [("content", 1.0), ("stalled", 1.05)]),
        ({"first": 1.0, "end": 3.0}, [("content", 1.0), ("whole", 3.0)]),
    ],
)
def test_deadlines_are_the_policys(limits: dict[str, float], expected: list[tuple[str, float]]) -> None:
    """First content, total, the request's own end, the gap between tokens, each with its word; just in time counts."""
    assert heard({}, **limits) == expected


def test_places_are_given_in_order_of_arrival() -> None:
    """One place, a line of two: the third waits for the second, the fourth is turned away."""
    lab = Lab({"capacity": {"concurrency": 1, "queue": 2, "overflow": "rate_limited", "retry_after": "2s"}})
    ears = [lab.call(at / 10, stream=False) for at in range(4)]
    lab.run()
    assert [ear.heard[-1] for ear in ears[:3]] == [("whole", 3.0), ("whole", 6.0), ("whole", 9.0)]
    assert ears[3].heard[0][0] == "rate_limited"
    assert ears[3].failure is not None
    assert ears[3].failure.retry_after == 2.0


def test_who_gives_up_frees_place_and_line() -> None:
    """A deadline passes in the line: the next one moves up; in a place: the place is free."""
    lab = Lab({"capacity": {"concurrency": 1, "queue": 5}})
    first = lab.call(0.0, stream=False, first=1.0)
    second = lab.call(0.1, stream=False, first=0.5)
    third = lab.call(0.2, stream=False)
    lab.run()
    assert first.heard == [("first_token_timeout", 1.0)]
    assert second.heard == [("first_token_timeout", 0.6)]
    assert third.heard == [("whole", 4.0)]


def test_a_stopped_call_tells_nothing_and_frees_its_place() -> None:
    """Abandoned by the policy: no report, the next in line begins, what came so far is waste."""
    lab = Lab({"capacity": {"concurrency": 1, "queue": 5}})
    first, second = lab.call(0.0), lab.call(0.1, stream=False)
    lab.world.at(START + 2.0, lambda now: lab.calls[0].stop(now))  # noqa: PLW0108 - the call is made later
    lab.run()
    assert first.heard == [("content", 1.0)]
    assert second.heard == [("whole", 5.0)]
    assert lab.tally.cancelled == 1
    assert lab.tally.waste == pytest.approx((10 + 11) / 1e6)


def test_crowding_slows_everyone_down() -> None:
    """With every place taken an answer takes `crowding` longer."""
    lab = Lab({"capacity": {"concurrency": 2, "crowding": 1.0}})
    ears = [lab.call(0.0, stream=False), lab.call(0.0, stream=False)]
    lab.run()
    assert [ear.heard[-1][1] for ear in ears] == [4.5, 6.0]


def test_rate_limits_are_each_keys_own_and_name_the_wait() -> None:
    """Ten seconds' worth at once, then a refusal with the time until the next; another key is not concerned."""
    lab = Lab({"limits": {"rpm": 60}})
    ears = [lab.call(0.0, stream=False) for _ in range(11)]
    other = lab.call(0.0, stream=False, key=1)
    later = lab.call(1.0, stream=False)
    lab.run()
    assert [ear.heard[0][0] for ear in ears] == ["whole"] * 10 + ["rate_limited"]
    assert ears[-1].failure is not None
    assert ears[-1].failure.retry_after == pytest.approx(1.0)
    assert other.heard[0][0] == later.heard[0][0] == "whole"


def test_tokens_are_limited_too() -> None:
    """31 tokens each, 60 a second for ten seconds: nineteen go through."""
    lab = Lab({"limits": {"tpm": 3600, "hint": False}})
    ears = [lab.call(0.0, stream=False) for _ in range(20)]
    lab.run()
    assert [ear.heard[0][0] for ear in ears] == ["whole"] * 19 + ["rate_limited"]
    assert ears[-1].failure is not None
    assert ears[-1].failure.retry_after is None


def test_a_quota_ends_with_its_period() -> None:
    """Three requests a minute, then `quota_exhausted` until the next minute begins."""
    lab = Lab({"quota": {"requests": 3, "per": "1m"}})
    ears = [lab.call(float(at), stream=False) for at in (0, 1, 2, 3, 59, 60)]
    lab.run()
    assert [ear.heard[0][0] for ear in ears] == ["whole"] * 3 + ["quota_exhausted"] * 2 + ["whole"]


def test_a_brownout_stretches_everything() -> None:
    """Ten times slower: first content, end, and errors."""
    lab = Lab({}, {"at": 0, "lasts": 100, "slow": 10})
    ear = lab.call()
    lab.run()
    assert ear.heard == [("content", 10.0), ("whole", 30.0)]


def test_a_trouble_cuts_what_is_under_way() -> None:
    """Every answer that is not over when it begins breaks at that instant; what is over is over."""
    lab = Lab({}, {"at": 2, "lasts": 1, "cuts": 1})
    early, during, after = lab.call(0.0, tokens=1), lab.call(0.5), lab.call(2.0)
    lab.run()
    assert early.heard[-1] == ("whole", 1.0)
    assert during.heard == [("content", 1.5), ("broken_stream", 2.0)]
    assert after.heard[-1] == ("whole", 5.0)


def test_less_capacity_is_left_in_a_trouble() -> None:
    """A quarter of four places is one."""
    lab = Lab({"capacity": {"concurrency": 4, "queue": 9}}, {"at": 0, "lasts": 100, "capacity": 0.25})
    ears = [lab.call(0.0, stream=False) for _ in range(3)]
    lab.run()
    assert [ear.heard[-1][1] for ear in ears] == [3.0, 6.0, 9.0]


def test_an_error_in_the_line_is_not_forgotten() -> None:
    """What was to go wrong goes wrong once the call has its place."""
    lab = Lab({"capacity": {"concurrency": 1, "queue": 9}, "errors": [{"kind": "empty_reply"}]})
    first, second = lab.call(0.0), lab.call(0.0)
    lab.run()
    assert first.heard == [("empty_reply", 1.0)]
    assert second.heard == [("empty_reply", 2.0)]


def test_what_may_have_been_billed_is_counted_apart() -> None:
    """A hanging attempt: neither cost nor waste, but an upper bound."""
    lab = Lab({"errors": [{"kind": "first_token_timeout"}]})
    lab.call(first=5.0)
    lab.run()
    assert (lab.tally.cost, lab.tally.waste) == (0.0, 0.0)
    assert lab.tally.perhaps_cost == pytest.approx(31 / 1e6)


def test_an_unknown_price_is_not_free() -> None:
    """It is counted as unpriced."""
    tally = TargetTally(None)
    tally.work(10, 10, useful=True)
    tally.perhaps(10, 10)
    assert (tally.unpriced, tally.cost) == (2, 0.0)


def test_every_kind_of_upstream_failure_can_be_rehearsed() -> None:
    """Each ends exactly once, with its own kind or the deadline that finds it."""
    found = {FailureKind.FIRST_TOKEN_TIMEOUT, FailureKind.STALLED}
    for kind in set(FailureKind) - {FailureKind.CLIENT_CANCELLED, FailureKind.DEADLINE_PASSED}:
        ends = [each for each in heard({"errors": [{"kind": kind.value}]}, first=50.0) if each[0] != "content"]
        assert len(ends) == 1
        assert ends[0][0] == kind.value or kind in found
        assert math.isfinite(ends[0][1])


def test_a_reply_that_waited_in_line_breaks_after_it_has_begun() -> None:
    """The point at which it is cut lies in the time that it was worked on, not in the line."""
    lab = Lab({"capacity": {"concurrency": 1, "queue": 9}, "errors": [{"kind": "broken_stream"}]})
    ears = [lab.call(0.0, stream=False) for _ in range(6)]
    lab.run()
    ends = [ear.heard[-1][1] for ear in ears]
    assert ends == sorted(ends)
    assert all(0.0 < after - before < 3.0 for before, after in zip([0.0, *ends], ends, strict=False))
