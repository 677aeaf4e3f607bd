"""The figures as text: a table for the terminal and the page for the documentation. Pure but for `environment`."""

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from time import gmtime, strftime

from bench import procfs
from bench.figures import GATEWAY, MOCK, NGINX, Figure, Spread
from bench.plan import Profile

LIBRARIES = ("uvloop", "httptools", "msgspec", "uvicorn", "pydantic", "prometheus-client")
COLUMNS = ("figure", "unit", "nginx", "standfast", "ratio (least-greatest)", "budget", "met")
NOISY = 0.2  # foreign CPU above which latencies say little


@dataclass(frozen=True, slots=True)
class Environment:
    """Where and when, and with what."""

    date: str
    commit: str
    cpu: str
    cores: int
    versions: Mapping[str, str]


def _output(command: list[str], cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=10,
            cwd=cwd,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except OSError:
        return ""
    return (done.stdout + done.stderr).strip() if done.returncode in (0, 1) else ""


def environment(root: Path, nginx: str) -> Environment:
    """Ask the machine, git and the installed packages."""
    commit = _output(["git", "rev-parse", "--short=12", "HEAD"], root) or "unknown"
    changed = _output(["git", "status", "--porcelain", "--", "src", "bench"], root)
    versions = {"Python": platform.python_version(), "Linux": platform.release()}
    versions["nginx"] = _output([nginx, "-v"]).rpartition("/")[2].split(" ")[0] or "unknown"
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return Environment(
        date=strftime("%Y-%m-%d", gmtime()),
        commit=commit + (" with uncommitted changes" if changed else ""),
        cpu=procfs.cpu_model(),
        cores=os.cpu_count() or 0,
        versions=versions,
    )


def number(value: float, digits: int) -> str:
    """A figure with its decimals; thousands are set apart."""
    return f"{value:,.{digits}f}"


def span(spread: Spread | None, digits: int) -> str:
    """A median with its least and greatest, for instance `1.2 (1.1-1.4)`; `-` for nothing."""
    if spread is None:
        return "-"
    middle = number(spread.median, digits)
    if spread.rounds == 1:
        return middle
    return f"{middle} ({number(spread.low, digits)} to {number(spread.high, digits)})"


def verdict(met: bool | None) -> str:
    """`yes`, `**no**`, or empty where nothing was promised."""
    return "" if met is None else "yes" if met else "**no**"


def cells(figure: Figure) -> tuple[str, ...]:
    """One line of the table."""
    return (
        figure.title,
        figure.unit,
        span(figure.of(NGINX), figure.digits),
        span(figure.of(GATEWAY), figure.digits),
        span(figure.ratio(), 2),
        figure.budget.text(figure.unit) if figure.budget is not None else "",
        verdict(figure.met()),
    )


def table(rows: Sequence[Sequence[str]], columns: Sequence[str] = COLUMNS) -> str:
    """A Markdown table, its columns aligned so that it reads well as plain text too."""
    lines = [list(columns), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    ruled = [lines[0], ["-" * width for width in widths], *lines[1:]]
    padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in ruled)
    return "\n".join("| " + " | ".join(line) + " |" for line in padded) + "\n"


def noise(foreign: Sequence[float]) -> str:
    """How much others used the machine, in one sentence."""
    if not foreign:
        return "How much else the machine did was not measured in this run."
    middle, worst = median(foreign), max(foreign)
    text = (
        f"CPU time used by anything that does not belong to the benchmark: {middle:.0%} of one CPU in the median of "
        f"the counted runs, {worst:.0%} at worst."
    )
    if middle > NOISY:
        text += " That is a lot: requests a second and latencies say little in this run; CPU times and ratios stand."
    return text


def summary(figures: Sequence[Figure]) -> str:
    """How many budgets were met, and which were not, in one or two sentences."""
    judged = [figure for figure in figures if figure.met() is not None]
    missed = [figure.title for figure in judged if not figure.met()]
    if not judged:
        return "No budget was judged in this run."
    if not missed:
        return f"All {len(judged)} budgets are met."
    return f"{len(judged) - len(missed)} of {len(judged)} budgets are met. Not met: {'; '.join(missed)}."


def _alone(figures: Sequence[Figure]) -> str:
    rows = [(figure.title, figure.unit, span(figure.of(MOCK), figure.digits)) for figure in figures if figure.of(MOCK)]
    if not rows:
        return ""
    text = "The mock alone, asked without anything in between (it is part of every latency above):\n\n"
    return text + table(rows, ("figure", "unit", "mock")) + "\n"


def page(
    figures: Sequence[Figure], where: Environment, profile: Profile, foreign: Sequence[float], command: str
) -> str:
    """The whole page. `command` is how the gateway was started."""
    versions = ", ".join(f"{name} {version}" for name, version in where.versions.items())
    return f"""# Performance

<!-- Written by `make bench`; edit bench/report.py instead. -->

{summary(figures)}

![Bars of nginx and Standfast for each budget](performance.png)

{table([cells(figure) for figure in figures])}
Each figure is the median of its rounds, with the least and the greatest in parentheses. A ratio is the median of the
ratios of each round, in which nginx and Standfast took turns: what drifts between rounds cancels out. Every budget is
judged by the median.

{_alone(figures)}## Measured on

* {where.date}, commit {where.commit}
* {where.cpu}, {where.cores} cores; load, mock and servers share them, nothing is pinned
* {versions}
* gateway started with `{command}`; {profile.rounds} rounds; in each of them nginx and the gateway took turns
  {profile.turns} times at requests with 32 connections, for {profile.loaded} s each, and as often at chunks, for
  {profile.flow:g} s each
* {noise(foreign)}

## What the figures mean

Everything runs on this one machine, over loopback. **nginx** is a plain reverse proxy with one worker, kept-alive
upstream connections and buffering off; it checks no keys and understands nothing, so it is the practical floor.
**Standfast** is one worker with the client's key checked, an access log written to a file, and three deployments: two
weighted ones in tier 1, one in tier 2. The upstream is a mock that costs less than either.

* **CPU per request** is user and system time of the whole process tree (its CPU clock) over the requests that were
  answered: the figure to trust, because it does not depend on what else shares the machine. Load: wrk, 32
  connections, a prompt of about 300 bytes, a reply of about 500. A run in which any request fails is void.
* **Requests a second** and the latencies at **32 connections** are measured at saturation: they show queueing. What a
  server adds shows at **1 connection**, less what the mock alone takes.
* **CPU per streamed chunk**: {profile.drip_streams} streams at a time, a chunk of each every {profile.drip_ms} ms,
  so that every chunk is a packet of its own, counted while no stream begins or ends. **CPU of a dripping stream, per
  chunk** is the same with streams of {profile.drip_chunks} chunks, one after the other: requests and connections are in
  it, spread over the chunks (until November 2026 this was the figure that the budget judged). The difference of the
  two, times {profile.drip_chunks}, is the CPU **of a dripping stream, without its chunks**: a request whose caches
  are cold, because it comes alone. **CPU per whole stream** is the opposite case: all events of a stream in one write.
* **Many streams**: {profile.rate:g} streams begin every second whatever happens, {profile.long_chunks} chunks each,
  one every {profile.long_ms} ms, which keeps about {profile.long_streams:,} open. **Memory per open stream** is the
  resident memory with them open, less the memory at rest, over their number (1 KB is 1,000 bytes). The **first
  token** is timed from the instant at which a stream was due to begin, to its first content; **added** is the quantile
  measured through the server less the same quantile measured against the mock directly, in the same round. A
  difference of quantiles is not the quantile of differences; with one upstream that answers at once they are close.
* **Start to first answer** runs from the start of the process to the end of the first chat completion, byte code
  compiled. **Memory** is resident memory of the process tree (`smaps_rollup`); 1 MB is 1,000,000 bytes.
* **Failover adds**: at one connection, the quantile with a first target that refuses connections, less the same
  quantile of a model whose first target answers, on the same process one after the other. *Breaker closed*: a breaker
  that never opens, so that every request meets the dead port. *Breaker open*: the default breaker after it has opened.
  Wasted attempts are the sum of `x-standfast-attempts` less the number of requests; while a breaker is open the only
  ones are its half-open trials and, in rests of more than ten seconds, its looks (`policy/look.py`).

## Measure it yourself

Linux, nginx and wrk are needed (Debian, Ubuntu: `apt-get install nginx wrk`); the benchmark installs neither.

```
make bench                                     # everything; writes this page and its picture
.venv/bin/python bench/run.py --quick          # a smoke run of about half a minute; writes nothing
.venv/bin/python bench/run.py --only request --rounds 9 --json request.json
```

It refuses to start while one of its ports is taken (`--port-base` moves them), and it ends every process that it
started, on Ctrl-C too. Compare figures of one run only: a shared or virtual machine drifts by 10 to 20 percent.
"""
