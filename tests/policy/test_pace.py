"""How fast a deployment is expected to be."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.canon.instants import Monotonic
from standfast.policy.latency import ASSUMED, ASSUMED_GAP, DECAY, QUICKEST, SIZES, Pace, Trail, size_class

START = Monotonic(1_000.0)
SHORT = 100


def at(seconds: float) -> Monotonic:
    """So many seconds after the start."""
    return Monotonic(START + seconds)


def stream(pace: Pace, first: float, since: float = 0.0, prompt: int = SHORT) -> Trail:
    """A stream that began at `since` and has its first token."""
    trail = pace.sent(prompt, at(since), stream=True)
    pace.spoke(trail, at(since + first))
    return trail


def test_nobody_knows_anything() -> None:
    """Before the first attempt there is no estimate; the gap is a usual one."""
    pace = Pace()
    assert pace.first_token(SHORT, START) is None
    assert pace.answer(SHORT, 100, START) is None
    assert pace.gap(SHORT) == ASSUMED_GAP


def test_while_the_first_one_ever_is_awaited_a_usual_figure_stands() -> None:
    """A new target is sent one request and not a crowd: then it is assumed to be as slow as others."""
    pace = Pace()
    trail = pace.sent(SHORT, START, stream=True)
    assert pace.first_token(SHORT, at(0.2)) == ASSUMED
    assert pace.first_token(SHORT, at(7.0)) == 7.0
    pace.ended(trail, None, at(8.0))
    assert pace.first_token(SHORT, at(8.0)) is None


def test_the_first_observation_is_the_average() -> None:
    """Then it rises by half and falls by a tenth."""
    pace = Pace()
    stream(pace, 1.0)
    assert pace.first_token(SHORT, START) == pytest.approx(1.0)
    stream(pace, 3.0)
    assert pace.first_token(SHORT, START) == pytest.approx(2.0)
    stream(pace, 1.0, since=2.0)
    assert pace.first_token(SHORT, at(2.0)) == pytest.approx(1.9)


def test_after_a_pause_the_newest_is_nearly_all() -> None:
    """D1: a target that answers well after a minute of silence is judged by that, not by its bad time."""
    pace = Pace()
    stream(pace, 10.0)
    stream(pace, 0.5, since=60.0)
    assert pace.first_token(SHORT, at(60.5)) == pytest.approx(0.5 + 9.5 * math.exp(-50.5 / DECAY), rel=0.05)


def test_an_estimate_fades_while_nobody_asks() -> None:
    """D1: after thirty seconds a third of it is left, so that a slow target is tried again; one attempt restores it."""
    pace = Pace()
    stream(pace, 9.0)
    assert pace.first_token(SHORT, at(DECAY)) == pytest.approx(9.0 / math.e)
    assert pace.first_token(SHORT, at(1000.0)) == QUICKEST
    pace.sent(SHORT, at(1000.0), stream=True)
    assert pace.first_token(SHORT, at(1000.0)) == pytest.approx(9.0)


def test_silence_is_evidence() -> None:
    """D1: a hang sends no observation; the estimate is never below the time for which nothing came."""
    pace = Pace()
    stream(pace, 0.5)
    waiting = [pace.sent(SHORT, at(10.0), stream=True) for _ in range(3)]
    assert pace.first_token(SHORT, at(10.4)) == pytest.approx(0.5, rel=0.05)
    assert pace.first_token(SHORT, at(14.0)) == 4.0
    pace.spoke(waiting[0], at(14.0))
    assert pace.first_token(SHORT, at(14.0)) == pytest.approx(0.5 + 3.5 / 2, rel=0.15)  # an observation now
    for trail in waiting[1:]:
        pace.ended(trail, None, at(14.0))
    assert pace.first_token(SHORT, at(300.0)) == QUICKEST  # nobody waits


def test_the_silence_of_whole_replies_is_another() -> None:
    """A whole reply is silent until its end; that says nothing about streams beside it."""
    pace = Pace()
    stream(pace, 0.5)
    pace.sent(SHORT, START, stream=False)
    assert pace.first_token(SHORT, at(0.6)) == pytest.approx(0.5, rel=0.05)
    assert pace.answer(SHORT, 100, at(60.0)) == 60.0


def test_a_wait_in_vain_counts_if_it_was_long() -> None:
    """A timeout tells that the first token takes longer than that; a refusal within milliseconds tells nothing."""
    pace = Pace()
    stream(pace, 1.0)
    pace.ended(pace.sent(SHORT, START, stream=True), None, at(0.01))
    assert pace.first_token(SHORT, at(0.01)) == pytest.approx(1.0, rel=0.01)
    pace.ended(pace.sent(SHORT, START, stream=True), None, at(9.0))
    assert pace.first_token(SHORT, START) == pytest.approx(5.0)


def test_tokens_after_the_first_have_a_gap() -> None:
    """Time after the first token over the number of the others; what broke off or is unknown does not count."""
    pace = Pace()
    pace.ended(stream(pace, 1.0), 101, at(3.0))
    assert pace.gap(SHORT) == pytest.approx(0.02)
    for tokens in (None, 0, 1):
        pace.ended(stream(pace, 1.0), tokens, at(500.0))
    assert pace.gap(SHORT) == pytest.approx(0.02)
    assert pace.answer(SHORT, 50, START) == pytest.approx(1.0 + 50 * 0.02)


def test_a_whole_reply_is_measured_by_its_length() -> None:
    """Ten seconds for 1,000 tokens are faster than five for 100: duration is output length, not health."""
    long, short = Pace(), Pace()
    for pace, seconds, tokens in ((long, 10.0, 1000), (short, 5.0, 100)):
        trail = pace.sent(SHORT, START, stream=False)
        pace.spoke(trail, at(seconds))
        pace.ended(trail, tokens, at(seconds))
    assert long.answer(SHORT, 500, START) == pytest.approx(5.0)
    assert short.answer(SHORT, 500, START) == pytest.approx(25.0)


def test_classes_of_prompt_size() -> None:
    """Each class has averages of its own; one without any borrows from the nearest, of two from the shorter."""
    assert [size_class(tokens) for tokens in (0, 999, 1000, 7999, 8000, 63_999, 64_000)] == [0, 0, 1, 1, 2, 2, 3]
    pace = Pace()
    stream(pace, 9.0, prompt=SIZES[1])
    assert pace.first_token(1, START) == pytest.approx(9.0)
    stream(pace, 1.0, prompt=1)
    assert [pace.first_token(size, START) for size in (1, SIZES[0], SIZES[1], SIZES[2])] == [
        pytest.approx(seconds) for seconds in (1.0, 1.0, 9.0, 9.0)
    ]


@given(
    st.lists(
        st.tuples(st.floats(0, 5), st.floats(0.001, 20), st.booleans(), st.sampled_from(["ok", "fails", "late"])),
        max_size=40,
    )
)
@settings(deadline=None)
def test_every_attempt_is_counted_out_again(story: list[tuple[float, float, bool, str]]) -> None:
    """However attempts end, afterwards nobody is taken to wait: an idle target is never said to hang."""
    pace = Pace()
    now = 0.0
    observed: list[float] = []
    for pause, seconds, streamed, end in story:
        now += pause
        trail = pace.sent(SHORT, at(now), stream=streamed)
        now += seconds
        if end != "fails":
            pace.spoke(trail, at(now))
            observed += [seconds] if streamed else []
        pace.ended(trail, 10 if end == "ok" else None, at(now))
    found = pace.first_token(SHORT, at(now + 1000))
    assert found == (QUICKEST if observed else None)
    if observed:
        most = max(seconds for _, seconds, streamed, _ in story if streamed)
        assert pace.first_token(SHORT, at(now)) <= max(most, QUICKEST) * (1 + 1e-9)  # type: ignore[operator]
