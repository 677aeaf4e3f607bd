"""Options of the benchmark, and the order of things: check, start, measure, stop, show, write."""

import argparse
import contextlib
import importlib.util
import json
import resource
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import picture, plan, report
from bench.figures import Figure
from bench.processes import BenchError, require, require_free
from bench.scenarios import SCENARIOS, Book
from bench.stack import ROOT, Stack

BASE = 19400
FILES = 8192  # open files that a thousand streams need on both sides, with room


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="bench/run.py",
        description="Measure Standfast beside a plain nginx reverse proxy, in one run.",
        epilog="example: bench/run.py --only request --only chunk --rounds 9 --json figures.json",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run of about half a minute; its figures are rough"
    )
    parser.add_argument("--only", action="append", choices=SCENARIOS, metavar="NAME", help=", ".join(SCENARIOS))
    parser.add_argument("--rounds", type=int, help="how often nginx and the gateway take turns")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's figures")
    parser.add_argument(
        "--docs",
        type=Path,
        metavar="FOLDER",
        help="where performance.md and performance.png go; by default docs/ after a full run, nowhere otherwise",
    )
    parser.add_argument("--port-base", type=int, default=BASE, metavar="PORT", help=f"the first port ({BASE})")
    parser.add_argument("--gateway-command", default="", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.rounds is not None and chosen.rounds < 1:
        parser.error("--rounds must be at least 1")
    partly = chosen.quick or chosen.only or chosen.rounds is not None or chosen.gateway_command
    if chosen.docs is None and not partly:
        chosen.docs = ROOT / "docs"
    return chosen


def gateway_command(chosen: argparse.Namespace) -> list[str]:
    """How the gateway is started.

    Raises:
        BenchError: it is not installed.
    """
    if chosen.gateway_command:
        return shlex.split(chosen.gateway_command)
    script = Path(sys.executable).with_name("standfast")
    if not script.exists():
        raise BenchError(f"{script} is missing; `make bench` installs it")
    return [str(script), "serve"]


@contextlib.contextmanager
def progress(console: Console, steps: int) -> Iterator[Callable[[str], None]]:
    """Tells how far it is: a bar on a terminal, lines elsewhere."""
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("starting", total=steps)

            def move(text: str) -> None:
                bar.console.print(text, highlight=False)
                bar.update(task, advance=1, description=text.partition(":")[0])

            yield move
        return
    started, count = perf_counter(), 0

    def line(text: str) -> None:
        nonlocal count
        count += 1
        print(f"[{perf_counter() - started:5.0f} s] {count}/{steps} {text}", flush=True)

    yield line


def prepare(chosen: argparse.Namespace) -> str:
    """See to it that everything needed is there, before anything is started. Returns nginx' path.

    Raises:
        BenchError: something is missing, or a port is taken.
    """
    if not sys.platform.startswith("linux"):
        raise BenchError("the benchmark reads /proc and needs Linux")
    commands = require(("nginx", "wrk"))
    if chosen.docs and importlib.util.find_spec("matplotlib") is None:
        raise BenchError("matplotlib is missing; `make bench` installs it into .venv")
    require_free(plan.Ports(chosen.port_base).all)
    raise_file_limit()
    return commands["nginx"]


def raise_file_limit() -> None:
    """Allow as many open files as a thousand streams need, for us and for all that we start.

    Raises:
        BenchError: the hard limit is too low.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES:
        raise BenchError(f"at most {hard} open files are allowed; {FILES} are needed (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))


def _terminated(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def measure(chosen: argparse.Namespace, profile: plan.Profile, nginx: str, folder: Path) -> Book:
    """Start everything, run the scenarios, stop everything."""
    names = [name for name in SCENARIOS if not chosen.only or name in chosen.only]
    steps = sum(SCENARIOS[name].steps(profile) for name in names)
    book = Book()
    console = Console()
    with (
        Stack(plan.Ports(chosen.port_base), profile, folder, nginx, gateway_command(chosen)) as stack,
        progress(console, steps) as tell,
    ):
        for name in names:
            SCENARIOS[name].run(stack, book, tell)
    return book


def show(chosen: argparse.Namespace, profile: plan.Profile, book: Book, nginx: str) -> None:
    """Print the table; write what was asked for."""
    figures: list[Figure] = book.figures()
    where = report.environment(ROOT, nginx)
    print("\n" + report.table([report.cells(figure) for figure in figures]))
    print(report.noise(book.foreign))
    print(report.summary(figures))
    if chosen.json:
        content = {
            "environment": asdict(where),
            "profile": asdict(profile),
            "foreign_cpu": book.foreign,
            "figures": [figure.plain() for figure in figures],
        }
        chosen.json.write_text(json.dumps(content, indent=2) + "\n")
        print(f"wrote {chosen.json}")
    if chosen.docs:
        command = chosen.gateway_command or "standfast serve --config FILE --port PORT"
        chosen.docs.mkdir(parents=True, exist_ok=True)
        page = chosen.docs / "performance.md"
        page.write_text(report.page(figures, where, profile, book.foreign, command))
        caption = f"Standfast beside nginx, one worker each; {where.cpu}, {where.cores} cores; {where.date}"
        picture.draw(figures, page.with_suffix(".png"), caption)
        print(f"wrote {page} and {page.with_suffix('.png')}")


def main() -> int:
    """Run the benchmark; the exit code is 0 if it was completed, whatever the figures say."""
    chosen = options()
    profile = plan.QUICK if chosen.quick else plan.FULL
    if chosen.rounds is not None:
        profile = replace(profile, rounds=chosen.rounds)
    signal.signal(signal.SIGTERM, _terminated)
    try:
        nginx = prepare(chosen)
        with tempfile.TemporaryDirectory(prefix="standfast-bench-") as folder:
            Path(folder).chmod(0o755)  # nginx' workers may run as another user
            book = measure(chosen, profile, nginx, Path(folder))
        show(chosen, profile, book, nginx)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted; everything that was started has been stopped", file=sys.stderr)
        return 130
    return 0
