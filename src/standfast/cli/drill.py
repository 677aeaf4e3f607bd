"""`standfast drill`."""

import asyncio
import contextlib
import math
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from cyclopts import Parameter

from standfast.cli import FAILED, OK
from standfast.cli.output import print_json, say
from standfast.cli.settings import Json
from standfast.errors import ConfigError, Problem

if TYPE_CHECKING:
    from standfast.drill.agreement import Verdict
    from standfast.drill.live import Drilled
    from standfast.drill.way import Leg
    from standfast.sim.house import House
    from standfast.sim.settings import Scenario

Option = Parameter(negative="")

LONGEST = 24 * 60.0
"""Minutes."""


def drill(
    config: str | None = None,
    scenario: str | None = None,
    /,
    *,
    minutes: Annotated[float, Option] = 2.0,
    rate: Annotated[float | None, Option] = None,
    seed: Annotated[int | None, Option] = None,
    gateway: Annotated[str | None, Option] = None,
    agree: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    as_json: Json = False,
) -> int:
    """Perform a scenario for real on this machine: a gateway, stand-in providers in the scenario's weather, callers.

    The report stands beside the rehearsal's of the same requests. Nothing leaves the machine.

    Args:
        config: configuration file; one argument alone is the scenario, performed with its own configuration
        scenario: a name (see standfast simulate --list) or a YAML file
        minutes: for how long requests come; a longer scenario is squeezed into that, and the rehearsal with it. Answers
            under way then run to their end: where streams are twenty times slower, that takes minutes more
        rate: requests a second on average; the scenario's own, but 5 at least
        seed: where chance begins
        gateway: address of one that runs with this configuration, its providers at http://127.0.0.1:PORT; without it
            the drill starts one
        agree: 1 if the two differ by more than 0.1 points of availability, 10 % of the median first token, or 3 % of
            the attempts per request
        as_json: print JSON
    """
    from standfast.drill.live import drill as perform  # noqa: PLC0415 - help needs nothing of this
    from standfast.drill.live import length  # noqa: PLC0415 - the same
    from standfast.drill.squeeze import squeeze  # noqa: PLC0415 - the same

    _sensible(minutes, rate, gateway)
    house, weather = _chosen(config, scenario)
    if seed is not None:
        weather = weather.model_copy(update={"seed": seed})
    squeezed = squeeze(weather, minutes, rate)
    for note in (*house.notes, *squeezed.notes):
        say(f"note: {note}")
    with _progress(squeezed.scenario.title, length(squeezed.scenario)) as told:
        done = asyncio.run(_ended_well(perform(house, squeezed.scenario, squeezed.notes, gateway=gateway, told=told)))
    verdicts = done.verdicts
    if as_json:
        print_json(_data(done) | {"agreement": [_row(each) for each in verdicts]})
    else:
        from standfast.cli import drill_text  # noqa: PLC0415 - the same

        drill_text.show(done)
    if done.lies:
        say(f"{len(done.lies)} answers were called whole and were not; requests {', '.join(map(str, done.lies[:10]))}")
        return FAILED
    return FAILED if agree and not all(each.met for each in verdicts) else OK


async def _ended_well(work: "Coroutine[object, object, Drilled]") -> "Drilled":
    """SIGTERM ends it as Ctrl-C does: the gateway that was started is stopped first."""
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
    with contextlib.suppress(NotImplementedError, RuntimeError):  # no signals here
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _sensible(minutes: float, rate: float | None, gateway: str | None) -> None:
    """Stop what cannot be meant.

    Raises:
        ConfigError: wrong usage.
    """
    if not 0 < minutes <= LONGEST:
        raise _usage("--minutes", f"must be above 0 and at most {LONGEST:g}")
    if rate is not None and not (rate > 0 and math.isfinite(rate)):
        raise _usage("--rate", "must be above 0")
    if gateway is not None:
        address = urlsplit(gateway)
        if address.scheme != "http" or address.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise _usage("--gateway", "must be an address on this machine, for instance http://127.0.0.1:8000")


def _chosen(first: str | None, second: str | None) -> "tuple[House, Scenario]":
    """What the positional arguments name.

    Raises:
        ConfigError: something of it is missing or has problems.
    """
    from standfast.config.load import find  # noqa: PLC0415 - help needs nothing of this
    from standfast.sim import files, house  # noqa: PLC0415 - the same

    if first is None:
        raise _usage("SCENARIO", f"is missing; there are: {', '.join(files.names())}; or name a YAML file")
    if second is not None:
        return house.from_file(Path(first)), files.find(second)
    scenario = files.find(first)
    own = house.from_scenario(scenario, f"{first}'s own configuration")
    if own is not None:
        return own, scenario
    path = find(Path())
    if path is None:
        raise _usage("CONFIG", "is missing: name a configuration file; `standfast config init` writes one")
    return house.from_file(path), scenario


def _usage(place: str, message: str) -> ConfigError:
    return ConfigError([Problem(place, message)], "standfast drill")


@contextmanager
def _progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on the terminal, on standard error."""
    from rich.console import Console  # noqa: PLC0415 - help needs no rich
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=total)
        yield lambda ended: bar.update(task, completed=ended)


def _data(done: "Drilled") -> dict[str, object]:
    return {
        "drill": done.report.as_json(),
        "rehearsal": done.rehearsal.as_json(),
        "plain": done.plain.as_json(),
        "way": {name: _leg(leg) for name, leg in done.way.legs().items()},
        "false_successes": len(done.lies),
        "clock_late_ms": round(done.late * 1e3, 3),
    }


def _leg(leg: "Leg") -> dict[str, object]:
    return {
        "attempts": len(leg),
        "mean_ms": round(leg.mean() * 1e3, 3),
        "p99_ms": round(leg.quantile(0.99) * 1e3, 3),
    }


def _row(verdict: "Verdict") -> dict[str, object]:
    return {
        "figure": verdict.bar.figure,
        "text": str(verdict),
        "drill": verdict.drill,
        "rehearsals": verdict.rehearsal,
        "plain": verdict.plain,
        "made_by_way": verdict.made_by_way,
        "difference": verdict.difference,
        "chance": verdict.chance,
        "met": verdict.met,
        "by_chance": verdict.by_chance,
    }
