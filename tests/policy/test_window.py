"""The sliding windows, beside a naive list of all outcomes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.canon.instants import Monotonic
from standfast.policy.window import CountWindow, TimeWindow

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


LIVES = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 2.9, 3.0, 40.0]), st.sampled_from(["admit", "ok", "failed", "slow", "gone"])),
    max_size=80,
)


@given(LIVES, st.floats(0, 1e4))
@settings(deadline=None)
def test_seconds_count_what_came_in_them(lives: list[tuple[float, str]], start: float) -> None:
    """Calls, failures, slow calls and admissions of the last seconds, as a list would count them.

    A call that is cancelled counts against the instant at which it is.
    """
    window, now, history = TimeWindow(LENGTH, SLOTS), start, []
    for seconds, what in lives:
        now += seconds
        _live(window, now, what)
        history.append((int(now / WIDTH), what))
        inside = [each for slot, each in history if slot > int(now / WIDTH) - SLOTS]
        results = [each for each in inside if each in ("ok", "failed", "slow")]
        assert window.counts(Monotonic(now)) == (len(results), results.count("failed"))
        assert window.slow(Monotonic(now)) == results.count("slow")
        assert window.load(Monotonic(now)) == max(len(results), inside.count("admit") - inside.count("gone"))


@given(LIVES, st.integers(1, 12))
@settings(deadline=None)
def test_calls_count_the_last_of_them(lives: list[tuple[float, str]], size: int) -> None:
    """Calls, failures and slow calls among the last N results, and what was admitted since the oldest of them came."""
    window, history = CountWindow(size), []
    for _, what in lives:
        _live(window, 0.0, what)
        history.append(what)
        places = [at for at, each in enumerate(history) if each in ("ok", "failed", "slow")]
        results = [history[at] for at in places[-size:]]
        since = history[places[-size] :] if len(places) >= size else history
        assert window.counts(Monotonic(0.0)) == (len(results), results.count("failed"))
        assert window.slow(Monotonic(0.0)) == results.count("slow")
        assert window.load(Monotonic(0.0)) == max(len(results), since.count("admit") - since.count("gone"))


def _live(window: TimeWindow | CountWindow, now: float, what: str) -> None:
    """One thing happens to a window."""
    if what == "admit":
        window.admitted += 1
    elif what == "gone":
        window.cancelled += 1
    elif what == "slow":
        window.record_slow(Monotonic(now))
    else:
        window.record(Monotonic(now), ok=what == "ok")


def test_what_was_admitted_since_the_last_look_belongs_to_the_newest_bucket() -> None:
    """After a pause a burst sets off: the first result comes in a new bucket, and the burst counts in it."""
    window = TimeWindow(LENGTH)
    window.record(Monotonic(100.0), ok=True)
    window.admitted += 50
    window.record(Monotonic(500.0), ok=False)
    assert window.counts(Monotonic(500.0)) == (1, 1)
    assert window.load(Monotonic(500.0)) == 50
    assert window.load(Monotonic(600.0)) == 0


def test_a_window_of_calls_begins_anew_when_it_is_cleared() -> None:
    """What was admitted before counts no more."""
    window = CountWindow(3)
    window.admitted = 7
    window.record(Monotonic(0.0), ok=False)
    window.clear()
    assert (window.counts(Monotonic(0.0)), window.load(Monotonic(0.0))) == ((0, 0), 0)
    window.admitted += 2
    window.record_slow(Monotonic(0.0))
    assert (window.counts(Monotonic(0.0)), window.load(Monotonic(0.0))) == ((1, 0), 2)
