"""Listeners: everybody is told the same, in the order in which it happened."""

import threading
from itertools import pairwise

import pytest

from standfast import CircuitBreaker
from standfast.canon.record import Change


def test_a_listener_may_move_the_breaker() -> None:
    """What follows from a change is told after it, to all."""
    heard: list[tuple[str, str]] = []
    breaker = CircuitBreaker()

    def react(change: Change) -> None:
        if change.after == "forced_open":
            breaker.force_closed()

    breaker.listen(react)
    breaker.listen(lambda change: heard.append((change.before, change.after)))
    breaker.force_open()
    assert heard == [("closed", "forced_open"), ("forced_open", "forced_closed")]


def test_threads_tell_in_the_true_order() -> None:
    """Each change begins where the one before it ended, for every listener, and none is lost."""
    first: list[Change] = []
    second: list[Change] = []
    breaker = CircuitBreaker(on_change=first.append)
    breaker.listen(second.append)

    def work() -> None:
        for _ in range(300):
            breaker.force_open()
            breaker.release()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert first == second
    assert all(one.after == two.before for one, two in pairwise(first))
    assert (first[0].before, first[-1].after) == ("closed", "closed")


def test_another_thread_does_not_wait_for_a_listener() -> None:
    """It leaves what it has to tell to the one who tells already."""
    inside, go = threading.Event(), threading.Event()
    heard: list[str] = []
    breaker = CircuitBreaker()

    def slow(change: Change) -> None:
        inside.set()
        assert go.wait(5)
        heard.append(change.after)

    breaker.listen(slow)
    thread = threading.Thread(target=breaker.force_open)
    thread.start()
    assert inside.wait(5)
    breaker.force_closed()
    assert heard == []
    go.set()
    thread.join()
    assert heard == ["forced_open", "forced_closed"]


def test_an_interrupt_loses_nothing() -> None:
    """Whoever was not told yet is told at the next occasion."""
    heard: list[str] = []
    breaker = CircuitBreaker()

    def interrupt(_: Change) -> None:
        forget()
        raise KeyboardInterrupt

    forget = breaker.listen(interrupt)
    breaker.listen(lambda change: heard.append(change.after))
    with pytest.raises(KeyboardInterrupt):
        breaker.force_open()
    assert heard == []
    assert breaker.state == "forced_open"
    assert heard == ["forced_open"]


def test_who_comes_later_is_not_told_of_before() -> None:
    """A listener that is added by a listener hears what comes after that."""
    late: list[str] = []
    breaker = CircuitBreaker(on_change=lambda _: late or breaker.listen(lambda change: late.append(change.after)))
    breaker.force_open()
    breaker.force_closed()
    assert late == ["forced_closed"]
