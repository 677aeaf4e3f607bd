"""Reading Linux' accounts."""

import os
import time

import pytest

from bench import procfs

STAT = "4242 (nginx: (worker) x) S 1 4242 4242 0 -1 4194560 100 0 0 0 125 75 30 20 20 0 1 0 999 1000000 500 0 0 0"


def test_stat_fields_begin_after_the_last_parenthesis() -> None:
    """A command's name with spaces and parentheses does not shift the fields."""
    assert procfs.parse_stat(STAT) == procfs.ProcessTimes(own=200, reaped=50)


def test_memory_is_told_in_bytes() -> None:
    """smaps_rollup counts in KiB; we count in bytes, and take exactly the field asked for."""
    text = "55d0-7ffe ---p 00000000 00:00 0  [rollup]\nRss:     1234 kB\nPss:      600 kB\nPss_Anon:  10 kB\n"
    assert procfs.parse_memory(text) == 1234 * 1024
    assert procfs.parse_memory(text, "Pss") == 600 * 1024


def test_a_missing_memory_field_is_an_error() -> None:
    """An absent field is never taken for zero."""
    with pytest.raises(ValueError, match="Swap"):
        procfs.parse_memory("Rss: 1 kB\n", "Swap")


def test_machine_times_leave_guest_time_out() -> None:
    """Guest time is inside user time already; iowait is idle; steal stands apart."""
    text = "cpu  100 5 50 1000 20 3 2 7 40 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n"
    assert procfs.parse_machine(text) == procfs.MachineTimes(busy=160, idle=1020, steal=7)


def test_cpu_model_is_unknown_where_it_is_not_told() -> None:
    """ARM machines name no model: that is said, not guessed."""
    assert procfs.parse_cpu_model("processor : 0\nmodel name\t: AMD EPYC\n") == "AMD EPYC"
    assert procfs.parse_cpu_model("processor : 0\n") == "unknown"


def test_this_process_has_memory_and_a_tree() -> None:
    """The readers work on the running kernel: this very process is found and weighs something."""
    assert os.getpid() in procfs.tree(os.getpid())
    assert procfs.resident_bytes(os.getpid()) > 1_000_000
    before = time.process_time()
    clock = procfs.cpu_clock(os.getpid())
    assert before <= clock <= time.process_time()
    assert procfs.cpu_seconds([os.getpid()]) >= clock


def test_a_process_that_is_gone_costs_nothing() -> None:
    """A pid that does not exist has no tree, no time and no memory."""
    gone = 2**22 + 1  # above the kernel's highest pid
    assert procfs.tree(gone) == []
    assert procfs.cpu_seconds([gone]) == 0
    assert procfs.resident_bytes(gone) == 0
