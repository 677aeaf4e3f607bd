"""What a stand-in says on the wire is understood as the failure that the scenario means."""

import math
import random

import pytest

from standfast import plugins
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic, Wall
from standfast.canon.rates import Counts, Rate
from standfast.clock import SystemClock
from standfast.drill.paired import paired
from standfast.drill.performance import CANNED, LivePerformance
from standfast.drill.words import Question
from standfast.lab.ask import Ask
from standfast.lab.journal import Entry
from standfast.lab.script import Act, Step
from standfast.providers.base import Answer
from standfast.sim.crowd import Request
from standfast.sim.stage import Stage
from standfast.sim.world import START
from support.rehearsal import config, scenario

WIRES = ("openai", "anthropic", "gemini")
WANTED = Question(1, 12, 20, repeatable=False)
NOW = Monotonic(START)


def performance(wire: str, *, stream: bool) -> LivePerformance:
    """An attempt that nobody has decided on."""
    stage = paired(Stage(config(["openai/a"]), scenario(), 1))
    (station,) = stage.stations.values()
    request = Request(NOW, stage.cast.models[0][0], stream=stream, prompt=20, completion=12)
    made = LivePerformance(
        station,
        request,
        WANTED,
        Ask(wire, "a", stream=stream, prompt_tokens=20),
        Entry(1, wire, wire, 0.0, "POST", "/"),
        key=0,
        number=1,
        now=lambda: NOW,
        rng=random.Random(1),
        closes=False,
    )
    made.pace = 0.01
    return made


def played(made: LivePerformance) -> list[Step]:
    """Its steps."""
    return list(made.steps(lambda: None))


def answer_of(steps: list[Step]) -> Answer:
    """What a client reads."""
    head, _, body = b"".join(step.data for step in steps).partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    pairs = [line.split(b": ", 1) for line in lines]
    return Answer(int(status.split()[1]), [(name.lower(), value) for name, value in pairs], body, Wall(0.0))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("kind", CANNED)
def test_a_status_means_what_is_meant(kind: FailureKind, wire: str, stream: bool) -> None:
    """Every failure that has a status, in the words of every provider; the hint with it."""
    made = performance(wire, stream=stream)
    made.fails(NOW, Failure(kind, retry_after=3.25))
    steps = played(made)
    failure = plugins.load("providers", wire).PROVIDER.classify(answer_of(steps))
    if kind is FailureKind.CONTENT_FILTERED and wire != "openai":  # they have no status for it: a bad request
        kind = FailureKind.INVALID_REQUEST
    assert failure.kind is kind
    if kind in (FailureKind.RATE_LIMITED, FailureKind.OVERLOADED):
        assert failure.retry_after == 3.25
    assert steps[-1].act is Act.FINISH


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("wire", WIRES)
def test_what_is_left_of_a_limit_stands_in_the_head(wire: str, refused: bool, stream: bool) -> None:
    """Of good answers and refusals, in the words of every provider that tells it: the gateway learns it from there."""
    made = performance(wire, stream=stream)
    made.rates = (Rate("requests", Counts.REQUESTS, 7.0, 120.0, 56.5), Rate("tokens", Counts.TOKENS, 900.0, 1e4, 3.25))
    if refused:
        made.fails(NOW, Failure(FailureKind.RATE_LIMITED, status=429, retry_after=3.25))
    else:
        made.answers(NOW if stream else math.inf, NOW + 0.11, None)
    told = plugins.load("providers", wire).PROVIDER.rates(answer_of(played(made)).headers, SystemClock().wall())
    left = {rate.counts: (rate.remaining, rate.limit) for rate in told}
    assert left == ({} if wire == "gemini" else {Counts.REQUESTS: (7.0, 120.0), Counts.TOKENS: (900.0, 1e4)})
    for rate, reset in zip(told, (56.5, 3.25), strict=False):
        assert rate.reset is not None
        assert reset - 2.0 <= rate.reset <= reset + 1.0  # Anthropic tells whole seconds of its clock


@pytest.mark.parametrize("wire", WIRES)
def test_an_error_may_come_inside_a_stream(wire: str) -> None:
    """The status says that all is well, the first event what is not."""
    made = performance(wire, stream=True)
    made.fails(NOW, Failure(FailureKind.SERVER_ERROR, status=200))
    answer = answer_of(played(made))
    assert answer.status == 200
    assert (b"content-type", b"text/event-stream") in answer.headers
    event = answer.body.split(b"data: ", 1)[1].split(b"\n\n")[0]
    inside = Answer(200, answer.headers, event, Wall(0.0))
    assert plugins.load("providers", wire).PROVIDER.classify(inside).kind is FailureKind.SERVER_ERROR


@pytest.mark.parametrize("wire", WIRES)
def test_a_stream_is_cut_or_falls_silent_where_it_should(wire: str) -> None:
    """A cut resets the connection, a stall leaves it open; neither has the finish of a whole answer."""
    whole, cut, stalled = (performance(wire, stream=True) for _ in range(3))
    whole.answers(NOW, NOW + 0.11, None)
    cut.answers(NOW, NOW + 0.06, Failure(FailureKind.BROKEN_STREAM))
    stalled.answers(NOW, math.inf, None, NOW + 0.06)
    said = {name: played(each) for name, each in (("whole", whole), ("cut", cut), ("stalled", stalled))}
    assert {name: steps[-1].act for name, steps in said.items()} == {
        "whole": Act.FINISH,
        "cut": Act.RESET,
        "stalled": Act.HANG,
    }
    text = {name: b"".join(step.data for step in steps) for name, steps in said.items()}
    assert b"over" in text["whole"]
    assert b"over" not in text["stalled"]
    assert not text["cut"].endswith(b"\r\n")  # in the middle of an event


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", WIRES)
def test_what_is_cut_before_its_content_has_a_head(wire: str, stream: bool) -> None:
    """Without one the gateway's wire takes the connection for a stale one and repeats; the rehearsal knows none."""
    made = performance(wire, stream=stream)
    made.fails(NOW, Failure(FailureKind.BROKEN_STREAM))
    steps = played(made)
    assert steps[-1].act is Act.RESET
    answer = answer_of(steps)
    assert answer.status == 200
    assert bool(answer.body) is not stream, "of a whole answer a part, of a stream nothing"


def test_what_waits_is_woken() -> None:
    """While the attempt stands in the station's line nothing is said; then its fate wakes the connection."""
    made = performance("openai", stream=False)
    woken: list[bool] = []
    steps = made.steps(lambda: woken.append(True))
    assert next(steps).act is Act.WAIT
    assert next(steps).act is Act.WAIT
    made.fails(NOW, Failure(FailureKind.OVERLOADED))
    assert woken == [True]
    assert next(steps).data.startswith(b"HTTP/1.1 503")
