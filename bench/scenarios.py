"""What is measured. Each scenario lets nginx and the gateway take turns and writes its rounds into the book."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter, sleep

from bench import client, load, plan, procfs
from bench.figures import GATEWAY, MOCK, NGINX, Budget, Figure, quantile
from bench.processes import BenchError
from bench.stack import Stack

Tell = Callable[[str], None]
BOTH = (NGINX, GATEWAY)
ALL = (MOCK, NGINX, GATEWAY)
MANY = 32
CALM = 0.3  # seconds between the first answer and the reading of idle memory
OPENING = 200  # requests within which a breaker must have opened
OPEN_SIGN = 5  # answers in a row without a wasted attempt: the breaker is open


@dataclass(slots=True)
class Book:
    """Rounds by figure and party, and how noisy the machine was (foreign CPU as a share of one CPU, per run)."""

    rounds: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    foreign: list[float] = field(default_factory=list)

    def add(self, key: str, party: str, value: float) -> None:
        """One more round."""
        self.rounds[key][party].append(value)

    def figures(self) -> list[Figure]:
        """Every figure that was measured, in the order of the table below."""
        return [figure.with_values(self.rounds[figure.key]) for figure in FIGURES if figure.key in self.rounds]


def request(stack: Stack, book: Book, tell: Tell) -> None:
    """Requests that are not streamed: 32 connections, then one."""
    stack.ready(GATEWAY)
    for number in range(stack.profile.rounds):
        for party in BOTH * stack.profile.turns:
            result = load.wrk(stack, party, plan.CHAT, MANY, stack.profile.loaded)
            book.add("request.cpu", party, result.cpu_each * 1e6)
            book.add("request.rate", party, result.rate)
            book.add("request.many_p50", party, result.p50 * 1e3)
            book.add("request.many_p99", party, result.p99 * 1e3)
            book.add("memory.loaded", party, result.resident / 1e6)
            book.foreign.append(result.account.foreign)
            tell(f"requests, round {number + 1}: {party} {result.cpu_each * 1e6:.1f} us CPU, {result.rate:,.0f}/s")
        for party in ALL:
            result = load.wrk(stack, party, plan.CHAT, 1, stack.profile.single)
            book.add("request.one_p50", party, result.p50 * 1e3)
            book.add("request.one_p99", party, result.p99 * 1e3)
            tell(f"one connection, round {number + 1}: {party} p50 {result.p50 * 1e3:.3f} ms")


def stream(stack: Stack, book: Book, tell: Tell) -> None:
    """Streams that arrive in one write: what a whole stream costs at least."""
    stack.ready(GATEWAY)
    for number in range(stack.profile.rounds):
        for party in BOTH:
            result = load.wrk(stack, party, plan.WHOLE, MANY, stack.profile.loaded)
            book.add("stream.cpu", party, result.cpu_each * 1e6)
            book.foreign.append(result.account.foreign)
            tell(f"whole streams, round {number + 1}: {party} {result.cpu_each * 1e6:.1f} us CPU")


def chunk(stack: Stack, book: Book, tell: Tell) -> None:
    """Dripping streams: what one chunk in a packet of its own costs, and what the stream around its chunks does."""
    profile = stack.profile
    stack.ready(GATEWAY)
    options = ["--streams", str(profile.drip_streams)]
    for number in range(profile.rounds):
        flowing: dict[str, list[float]] = defaultdict(list)
        for party in BOTH * profile.turns:
            chunks, account = load.flowing(stack, party)
            flowing[party].append(account.cpu / chunks * 1e6)
            book.add("chunk.cpu", party, flowing[party][-1])
            book.foreign.append(account.foreign)
            tell(f"chunks, round {number + 1}: {party} {flowing[party][-1]:.1f} us CPU")
        for party in BOTH:
            result = load.streams(stack, party, plan.DRIP, options, profile.drip)
            spread = result.account.cpu / result.chunks * 1e6
            book.add("chunk.spread", party, spread)
            book.add("stream.around", party, (spread - statistics.median(flowing[party])) * profile.drip_chunks)
            book.foreign.append(result.account.foreign)
            tell(f"chunks, round {number + 1}: {party} {spread:.1f} us CPU with the stream around them")


def thousand(stack: Stack, book: Book, tell: Tell) -> None:
    """An open load of long streams: memory for each, and what is added to the first token."""
    profile = stack.profile
    options = ["--rate", str(profile.rate), "--settle", str(profile.settle)]
    seconds = profile.settle + profile.opened
    for number in range(profile.rounds):
        alone: dict[str, float] = {}
        for party in ALL:
            if party != MOCK:
                stack.fresh(party)  # memory that an earlier load left behind would hide what streams need
            sleep(CALM)
            idle = sum(procfs.resident_bytes(pid) for pid in stack.pids(party))
            result = load.streams(stack, party, plan.LONG, options, seconds)
            times = {"p50": quantile(result.first_tokens, 0.5), "p99": quantile(result.first_tokens, 0.99)}
            alone = times if party == MOCK else alone
            for name, value in times.items():
                book.add(f"first_token.{name}", party, value * 1e3)
                if party != MOCK:
                    book.add(f"first_token.added_{name}", party, (value - alone[name]) * 1e3)
            if party != MOCK:
                each = quantile([(now - idle) / streams for streams, now in result.resident if streams], 0.5)
                book.add("stream.memory", party, each / 1e3)
            book.add("stream.open", party, quantile([float(streams) for streams, _ in result.resident], 0.5))
            tell(f"many streams, round {number + 1}: {party} first token p50 {times['p50'] * 1e3:.2f} ms")


def start(stack: Stack, book: Book, tell: Tell) -> None:
    """From the start of the process to its first answer, and memory at rest after that."""
    stack.fresh(GATEWAY)  # compiles what is not compiled yet
    sleep(CALM)
    for number in range(stack.profile.starts):
        stack.parties.pop(GATEWAY).stop()
        stack.parties[GATEWAY], seconds = stack.start_gateway()
        sleep(CALM)
        book.add("start.seconds", GATEWAY, seconds)
        for party in BOTH:
            book.add("memory.idle", party, sum(procfs.resident_bytes(pid) for pid in stack.pids(party)) / 1e6)
        tell(f"start {number + 1}: {seconds:.2f} s")


def _ask(asking: client.Client, seconds: float) -> tuple[list[float], int]:
    """Times of every request within so many seconds, and the attempts that they took."""
    times: list[float] = []
    attempts = 0
    end = perf_counter() + seconds
    while perf_counter() < end:
        answer = asking.ask()
        if answer.status != 200:
            raise BenchError(f"failover: an answer has status {answer.status}")
        times.append(answer.seconds)
        attempts += answer.attempts
    return times, attempts


def _open(asking: client.Client) -> int:
    """Ask until the breaker is open; returns the attempts that were wasted on the way."""
    wasted = calm = 0
    for _ in range(OPENING):
        extra = asking.ask().attempts - 1
        wasted += extra
        calm = 0 if extra else calm + 1
        if calm == OPEN_SIGN and wasted:
            return wasted
    raise BenchError(f"failover: after {OPENING} requests the breaker has not opened ({wasted} attempts wasted)")


def failover(stack: Stack, book: Book, tell: Tell) -> None:
    """The first target is a dead port: what that adds while the breaker is closed, and once it is open."""
    profile = stack.profile
    patient, _ = stack.start_gateway(patient=True)
    try:
        for number in range(profile.rounds):
            stack.fresh(GATEWAY)  # with its breaker closed
            for name, port in (("closed", stack.ports.patient), ("open", stack.ports.gateway)):
                healthy, broken = (client.Client(port, model, plan.KEY) for model in (plan.CHAT, plan.FAILOVER))
                if name == "open":
                    book.add("failover.opening", GATEWAY, _open(broken))
                base, _ = _ask(healthy, profile.failover)
                times, attempts = _ask(broken, profile.failover)
                for label, share in (("p50", 0.5), ("p99", 0.99)):
                    added = quantile(times, share) - quantile(base, share)
                    book.add(f"failover.{name}_{label}", GATEWAY, added * 1e3)
                if name == "closed" and attempts != 2 * len(times):
                    raise BenchError(f"failover: {attempts} attempts for {len(times)} requests; two each were expected")
                if name == "open":
                    book.add("failover.wasted", GATEWAY, (attempts - len(times)) / len(times) * 1000)
                healthy.close()
                broken.close()
                tell(f"failover, round {number + 1}: breaker {name}, p50 {quantile(times, 0.5) * 1e3:.3f} ms")
    finally:
        patient.stop()


@dataclass(frozen=True, slots=True)
class Scenario:
    """One entry of the table: how to run it, and of how many steps it tells."""

    run: Callable[[Stack, Book, Tell], None]
    steps: Callable[[plan.Profile], int]


SCENARIOS: Mapping[str, Scenario] = {
    "start": Scenario(start, lambda profile: profile.starts),
    "request": Scenario(request, lambda profile: profile.rounds * (2 * profile.turns + 3)),
    "stream": Scenario(stream, lambda profile: profile.rounds * 2),
    "chunk": Scenario(chunk, lambda profile: profile.rounds * 2 * (profile.turns + 1)),
    "thousand": Scenario(thousand, lambda profile: profile.rounds * 3),
    "failover": Scenario(failover, lambda profile: profile.rounds * 2),
}

FIGURES: Sequence[Figure] = (
    Figure("request.cpu", "CPU per request", "us", budget=Budget(3, relative=True)),
    Figure("request.rate", "requests a second, 32 connections", "1/s", digits=0),
    Figure("request.many_p50", "latency p50, 32 connections", "ms", digits=2),
    Figure("request.many_p99", "latency p99, 32 connections", "ms", digits=2),
    Figure("request.one_p50", "latency p50, 1 connection", "ms", digits=3),
    Figure("request.one_p99", "latency p99, 1 connection", "ms", digits=3),
    Figure("chunk.cpu", "CPU per streamed chunk", "us", budget=Budget(1.3, relative=True)),
    Figure("chunk.spread", "CPU of a dripping stream, per chunk", "us"),
    Figure("stream.around", "CPU of a dripping stream, without its chunks", "us", digits=0),
    Figure("stream.cpu", "CPU per whole stream, one write", "us"),
    Figure("stream.open", "streams open at a time", "", digits=0),
    Figure("stream.memory", "memory per open stream", "KB", budget=Budget(40)),
    Figure("first_token.p50", "first token p50, many streams", "ms", digits=2),
    Figure("first_token.p99", "first token p99, many streams", "ms", digits=2),
    Figure("first_token.added_p50", "added to the first token, p50", "ms", budget=Budget(5), digits=2),
    Figure("first_token.added_p99", "added to the first token, p99", "ms", budget=Budget(5), digits=2),
    Figure("start.seconds", "start to first answer", "s", budget=Budget(1, strict=True), digits=2),
    Figure("memory.idle", "memory, idle", "MB", budget=Budget(70, strict=True)),
    Figure("memory.loaded", "memory after load, 32 connections", "MB"),
    Figure("failover.closed_p50", "failover adds p50, breaker closed", "ms", budget=Budget(5), digits=2),
    Figure("failover.closed_p99", "failover adds p99, breaker closed", "ms", budget=Budget(5), digits=2),
    Figure("failover.open_p50", "failover adds p50, breaker open", "ms", budget=Budget(5), digits=2),
    Figure("failover.open_p99", "failover adds p99, breaker open", "ms", budget=Budget(5), digits=2),
    Figure("failover.opening", "attempts wasted until the breaker opens", "", digits=0),
    Figure("failover.wasted", "attempts wasted per 1,000 requests, open", ""),
)
