"""Linux' own accounts of processes. Parsing is pure; only the `read` functions and what uses them touch /proc."""

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_SCHEDULED = 2  # of the kernel's three CPU clocks the one of the scheduler, which is exact


class ProcessTimes(NamedTuple):
    """One line of /proc/PID/stat, in clock ticks.

    Attributes:
        own: user and system time of the process.
        reaped: the same of its children that have ended and were waited for.
    """

    own: int
    reaped: int


class MachineTimes(NamedTuple):
    """The first line of /proc/stat, in clock ticks over all CPUs."""

    busy: int
    idle: int
    steal: int


def parse_stat(text: str) -> ProcessTimes:
    """Times out of /proc/PID/stat. The command may hold spaces and parentheses: fields begin after the last `)`."""
    fields = text.rpartition(")")[2].split()
    utime, stime, cutime, cstime = (int(field) for field in fields[11:15])
    return ProcessTimes(utime + stime, cutime + cstime)


def parse_memory(text: str, field: str = "Rss") -> int:
    """One field of /proc/PID/smaps_rollup, in bytes.

    Raises:
        ValueError: there is no such field.
    """
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name == field:
            return int(rest.split()[0]) * 1024
    raise ValueError(f"no {field} in smaps_rollup")


def parse_machine(text: str) -> MachineTimes:
    """The whole machine's times out of /proc/stat; guest time is inside user time and not added again."""
    user, nice, system, idle, iowait, irq, softirq, steal = (
        int(field) for field in text.split("\n", 1)[0].split()[1:9]
    )
    return MachineTimes(user + nice + system + irq + softirq, idle + iowait, steal)


def parse_cpu_model(text: str) -> str:
    """The processor's name out of /proc/cpuinfo; `unknown` if it does not say."""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return "unknown"


def tree(root: int) -> list[int]:
    """A process and all its living descendants; empty if it is gone."""
    found: list[int] = []
    queue = [root]
    while queue:
        pid = queue.pop()
        if not (PROC / str(pid)).exists():
            continue
        found.append(pid)
        for task in (PROC / str(pid) / "task").glob("*/children"):
            try:
                queue += [int(child) for child in task.read_text().split()]
            except OSError:  # the thread ended while we looked
                continue
    return found


def cpu_clock(pid: int) -> float:
    """User and system time of a process that runs, to the nanosecond (clock_getcpuclockid(3): what Linux calls it).

    Raises:
        OSError: there is none of this number, or its clock may not be read.
    """
    return time.clock_gettime(~pid << 3 | _SCHEDULED)


def cpu_seconds(roots: Iterable[int]) -> float:
    """User and system time of whole process trees, those of the roots' ended children included."""
    seconds = 0.0
    for root in roots:
        for pid in tree(root):
            try:
                times = parse_stat((PROC / str(pid) / "stat").read_text())
            except OSError:
                continue
            try:
                seconds += cpu_clock(pid)
            except OSError:  # it ended while we looked, or is another user's
                seconds += times.own / TICKS_PER_SECOND
            if pid == root:
                seconds += times.reaped / TICKS_PER_SECOND
    return seconds


def resident_bytes(root: int) -> int:
    """Resident memory of a process tree; pages that its processes share count for each."""
    total = 0
    for pid in tree(root):
        try:
            total += parse_memory((PROC / str(pid) / "smaps_rollup").read_text())
        except (OSError, ValueError):  # ended while we looked
            continue
    return total


def machine() -> MachineTimes:
    """The whole machine's times now."""
    return parse_machine((PROC / "stat").read_text())


def cpu_model() -> str:
    """The processor's name."""
    return parse_cpu_model((PROC / "cpuinfo").read_text())
