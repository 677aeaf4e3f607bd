"""The sliding window, beside a naive list of all outcomes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.canon.instants import Monotonic
from standfast.policy.window import TimeWindow

LENGTH, SLOTS = 30.0, 10
WIDTH = LENGTH / SLOTS

STEPS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.001, 1.0, 2.9, 3.0, 7.5, 29.9, 30.0, 1e6]) | st.floats(0, 100), st.booleans()),
    max_size=60,
)


def test_it_begins_empty() -> None:
    """Nothing has been counted yet, at whatever instant one begins to look."""
    assert TimeWindow(LENGTH).counts(Monotonic(987_654.3)) == (0, 0)


@given(STEPS, st.floats(0, 1e6))
@settings(deadline=None)
def test_it_counts_what_a_list_would_count(steps: list[tuple[float, bool]], start: float) -> None:
    """The running sums always equal a count over the whole history."""
    window, now, history = TimeWindow(LENGTH, SLOTS), start, []
    for seconds, ok in steps:
        now += seconds
        window.record(Monotonic(now), ok=ok)
        history.append((int(now / WIDTH), ok))
        inside = [ok for slot, ok in history if slot > int(now / WIDTH) - SLOTS]
        assert window.counts(Monotonic(now)) == (len(inside), inside.count(False))


@given(STEPS, st.floats(0, 1e6), st.floats(0, 200))
@settings(deadline=None)
def test_its_edge_is_one_slot_wide(steps: list[tuple[float, bool]], start: float, idle: float) -> None:
    """All that is younger than the length less one slot counts, nothing older than the length does."""
    window, now, times = TimeWindow(LENGTH, SLOTS), start, []
    for seconds, ok in steps:
        now += seconds
        window.record(Monotonic(now), ok=ok)
        times.append(now)
    now += idle
    calls, failures = window.counts(Monotonic(now))
    assert sum(now - at < LENGTH - WIDTH - 1e-6 for at in times) <= calls
    assert calls <= sum(now - at <= LENGTH + 1e-6 for at in times)
    assert 0 <= failures <= calls


def test_looking_does_not_count() -> None:
    """Asking moves the window and changes nothing else."""
    window = TimeWindow(LENGTH)
    window.record(Monotonic(100.0), ok=False)
    assert [window.counts(Monotonic(at)) for at in (100.0, 110.0, 126.0, 132.0)] == [(1, 1), (1, 1), (1, 1), (0, 0)]


def test_a_reading_from_before_belongs_to_the_newest_slot() -> None:
    """Two readings of the clock may arrive in the wrong order; neither is lost and nothing is counted twice."""
    window = TimeWindow(LENGTH)
    window.record(Monotonic(100.0), ok=True)
    window.record(Monotonic(95.0), ok=False)
    assert window.counts(Monotonic(95.0)) == (2, 1)
    assert window.counts(Monotonic(100.0)) == (2, 1)
    assert window.counts(Monotonic(130.0)) == (0, 0)


def test_clearing_forgets_everything() -> None:
    """After clearing, what was recorded before never comes back, and recording goes on."""
    window = TimeWindow(LENGTH)
    for at in (100.0, 104.0, 108.0):
        window.record(Monotonic(at), ok=False)
    window.clear()
    assert window.counts(Monotonic(108.0)) == (0, 0)
    window.record(Monotonic(109.0), ok=True)
    assert window.counts(Monotonic(120.0)) == (1, 0)
