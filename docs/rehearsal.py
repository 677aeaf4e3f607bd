"""What a rehearsal costs: `python docs/rehearsal.py` plays a day of up to ten million requests (some minutes).

Each size is a process of its own; the CPU time and the largest resident memory are the kernel's (`wait4`).
"""  # noqa: INP001 - a script, not a package

import json
import os
import subprocess
import sys
import tempfile

from measured import measured_with, rewrite

SIZES = (100_000, 1_000_000, 10_000_000)
DAY = "tutorial-day"


def play(requests: int) -> tuple[dict[str, float], float, float]:
    """The figures of the day with so many requests, seconds of CPU, and megabytes at most."""
    command = [sys.executable, "-m", "standfast.cli", "simulate", DAY, "--requests", str(requests), "--json"]
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out)  # noqa: S603 - our own
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{' '.join(command)} has ended with {process.returncode}")
        out.seek(0)
        return json.load(out)["figures"], used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6


def table() -> str:
    """All sizes."""
    lines = ["| requests | answered, % | CPU, s | requests a minute | memory, MB |", "|---:|---:|---:|---:|---:|"]
    for size in SIZES:
        figures, seconds, memory = play(size)
        minute = size / seconds * 60
        row = f"{size:,} | {figures['availability']:.4f} | {seconds:.0f} | {minute / 1e6:.1f} million | {memory:.0f}"
        sys.stderr.write(f"{row}\n")
        lines.append(f"| {row} |")
    return "\n".join([*lines, "", measured_with()])


if __name__ == "__main__":
    rewrite("rehearsal.py", {"cost": table()})
