"""Run a load and keep the books: what was answered, and whose CPU time it took."""

import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from time import perf_counter

from bench import plan, procfs
from bench.figures import MOCK
from bench.processes import BenchError
from bench.stack import ROOT, Stack

_LINE = re.compile(r"^BENCH ((?:\w+=[\d.]+ ?)+)$", re.MULTILINE)
PATIENCE = 20.0  # seconds beyond its own that a load tool may take


@dataclass(slots=True)
class Account:
    """What a stretch of time cost. Seconds.

    Attributes:
        cpu: user and system time of the party under test.
        elapsed: wall time.
        foreign: CPU time that neither the party, the mocks nor the load tool used, as a share of one CPU; what
            the host gave to other guests (steal) belongs to it.
    """

    cpu: float = 0.0
    elapsed: float = 0.0
    foreign: float = 0.0


@dataclass(frozen=True, slots=True)
class WrkResult:
    """What wrk counted; latencies in seconds. `account` covers the same time."""

    requests: int
    seconds: float
    p50: float
    p99: float
    account: Account
    resident: int = 0

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def cpu_each(self) -> float:
        """CPU seconds for one request."""
        return self.account.cpu / self.requests


@dataclass(slots=True)
class StreamsResult:
    """What `streams` counted. `resident` holds pairs of open streams and the party's resident bytes."""

    chunks: int
    ended: int
    first_tokens: list[float]
    account: Account
    resident: list[tuple[int, int]] = field(default_factory=list)


def parse_wrk(text: str) -> dict[str, int]:
    """The pairs of the line that `chat.lua` prints.

    Raises:
        BenchError: there is none, or a request was refused or broken: such a run is void, for refusals are cheap.
    """
    match = _LINE.search(text)
    if match is None:
        raise BenchError(f"wrk gave no result:\n{text[-800:]}")
    pairs = dict(pair.split("=") for pair in match[1].split())
    values = {name: int(float(value)) for name, value in pairs.items()}
    if values["refused"] or values["broken"] or not values["requests"]:
        raise BenchError(
            f"a run is void: of {values['requests']} requests {values['refused']} got an error status "
            f"and {values['broken']} broke"
        )
    return values


class Meter:
    """Reads a party's CPU time, and how much of the machine's others have used, since it was made."""

    def __init__(self, stack: Stack, party: str) -> None:
        self._mine = stack.pids(party)
        self._others = [] if party == MOCK else stack.pids(MOCK)
        self._began = self._now()

    def _now(self) -> tuple[float, float, float, float]:
        machine = procfs.machine()
        known = procfs.cpu_seconds(self._others) + _load_seconds()
        busy = (machine.busy + machine.steal) / procfs.TICKS_PER_SECOND
        return perf_counter(), procfs.cpu_seconds(self._mine), known, busy

    def read(self, load: float = 0.0) -> Account:
        """What was used so far; `load` are CPU seconds of a load tool that still runs."""
        elapsed, cpu, known, busy = (now - then for now, then in zip(self._now(), self._began, strict=True))
        return Account(cpu, elapsed, max(0.0, busy - cpu - known - load) / elapsed)


@contextmanager
def accounting(stack: Stack, party: str) -> Iterator[Account]:
    """Charge the party's CPU time to the account while the block runs."""
    account, meter = Account(), Meter(stack, party)
    yield account
    used = meter.read()
    account.cpu, account.elapsed, account.foreign = used.cpu, used.elapsed, used.foreign


def _load_seconds() -> float:
    """CPU time of this process and of the load tools that it has started and that have ended."""
    ours, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return ours.ru_utime + ours.ru_stime + ended.ru_utime + ended.ru_stime


def _run(command: list[str], environment: dict[str, str], seconds: float, each_line: Callable[[str], None]) -> None:
    """Run a load tool, handing on its lines as they come. It is ended if it takes too long, and on every error."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        start_new_session=True,
    )
    lines = process.stdout
    if lines is None:
        raise BenchError("no pipe")

    def read() -> None:
        for line in lines:
            each_line(line)

    reader = Thread(target=read, daemon=True)
    try:
        reader.start()
        code = process.wait(seconds + PATIENCE)
        reader.join(PATIENCE)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{command[0]} did not end within {seconds + PATIENCE:g} s") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if code:
        raise BenchError(f"{' '.join(command)} ended with code {code}")


def wrk(stack: Stack, party: str, model: str, connections: int, seconds: float) -> WrkResult:
    """Load with wrk for whole seconds; a warm-up of the profile's length goes before.

    Raises:
        BenchError: wrk failed, or an answer was none.
    """
    stream = "1" if model == plan.WHOLE else "0"
    environment = {"BENCH_MODEL": model, "BENCH_KEY": plan.KEY, "BENCH_STREAM": stream}
    script = Path(__file__).with_name("chat.lua")
    url = f"http://127.0.0.1:{stack.port(party, model)}"

    def command(length: float) -> list[str]:
        return [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{max(1, round(length))}s",
            "--timeout",
            "5s",
            "-s",
            str(script),
            url,
        ]

    out: list[str] = []
    if stack.profile.warmup >= 1:
        _run(command(stack.profile.warmup), environment, stack.profile.warmup, out.append)
        out.clear()
    with accounting(stack, party) as account:
        _run(command(seconds), environment, seconds, out.append)
    values = parse_wrk("".join(out))
    resident = sum(procfs.resident_bytes(pid) for pid in stack.pids(party))
    return WrkResult(
        values["requests"], values["micros"] / 1e6, values["p50"] / 1e6, values["p99"] / 1e6, account, resident
    )


def streams(stack: Stack, party: str, model: str, options: list[str], seconds: float) -> StreamsResult:
    """Load with `bench.streams`; each time it tells how many streams are open, the party's memory is read.

    Raises:
        BenchError: it failed, or a stream did.
    """
    command = [sys.executable, "-m", "bench.streams", "--port", str(stack.port(party, model)), "--model", model]
    command += ["--key", plan.KEY, "--seconds", str(seconds), *options]
    last = ""
    resident: list[tuple[int, int]] = []

    def take(line: str) -> None:
        nonlocal last
        last = line
        if line.startswith('{"open"'):
            resident.append((json.loads(line)["open"], sum(procfs.resident_bytes(pid) for pid in stack.pids(party))))

    with accounting(stack, party) as account:
        _run(command, {}, seconds, take)
    try:
        values = json.loads(last)
    except ValueError:
        raise BenchError(f"bench.streams gave no result: {last[:400]}") from None
    if values["errors"] or not values["chunks"]:
        raise BenchError(f"a run is void: {values['errors']} of {values['begun']} streams failed at {party}")
    return StreamsResult(values["chunks"], values["ended"], values["first_tokens"], account, resident)


def flowing(stack: Stack, party: str) -> tuple[int, Account]:
    """Chunks of dripping streams of which none begins or ends meanwhile, and what they cost.

    Raises:
        BenchError: the load tool failed, or not all streams flowed all the time.
    """
    profile = stack.profile
    command = [sys.executable, "-m", "bench.streams", "--port", str(stack.port(party, plan.FLOW))]
    command += ["--model", plan.FLOW, "--key", plan.KEY, "--streams", str(profile.drip_streams)]
    command += ["--settle", str(profile.begin), "--seconds", str(profile.begin + profile.flow)]
    lines: list[dict[str, float]] = []
    used = Account()
    meter: Meter | None = None

    def take(line: str) -> None:
        nonlocal meter, used
        if not line.startswith('{"open"'):
            return
        lines.append(json.loads(line))
        if meter is None:
            meter = Meter(stack, party)
        else:
            used = meter.read(lines[-1]["cpu"] - lines[0]["cpu"])

    _run(command, {}, profile.begin + profile.flow, take)
    if len(lines) < 2 or {(line["open"], line["turns"]) for line in lines} != {(profile.drip_streams,) * 2}:
        raise BenchError(f"a run is void: {profile.drip_streams} streams were to flow at {party}, but: {lines[-3:]}")
    return int(lines[-1]["chunks"] - lines[0]["chunks"]), used
