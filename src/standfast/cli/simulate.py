"""`standfast simulate`: what would this configuration have done?"""

import os
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from standfast.cli import FAILED, OK, USAGE
from standfast.cli.output import fail, print_json, say, write
from standfast.cli.settings import Json
from standfast.config.schema import Config
from standfast.errors import ConfigError, Problem

if TYPE_CHECKING:
    from standfast.sim.house import House
    from standfast.sim.report import Report
    from standfast.sim.require import Judgement
    from standfast.sim.settings import Scenario
    from standfast.sim.stage import Progress

Texts = tuple[str, ...]
Option = Parameter(negative="")
Repeated = Parameter(negative="", consume_multiple=False, show_default=False)

PICTURES = (".svg", ".png")

LARGEST_SCALE = 1e6
"""Further on, numbers of requests overflow long before a run ends."""

TAKEN = {"--list": ("--json",), "--table": ("--seed", "--scale", "--json")}
"""What can take effect with the commands that play no scenario of yours."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run that is asked for."""

    config: Config
    scenario: "Scenario"
    label: str


def simulate(
    config: str | None = None,
    scenario: str | None = None,
    /,
    *,
    seed: Annotated[int | None, Option] = None,
    requests: Annotated[int | None, Option] = None,
    scale: Annotated[float | None, Option] = None,
    compare: Annotated[Path | None, Option] = None,
    sweep: Annotated[Texts, Repeated] = (),
    require: Annotated[Texts, Repeated] = (),
    picture: Annotated[Path | None, Option] = None,
    from_log: Annotated[Path | None, Option] = None,
    save: Annotated[Path | None, Option] = None,
    listing: Annotated[bool, Parameter(name="--list", negative="", show_default=False)] = False,
    table: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    as_json: Json = False,
) -> int:
    """Play a scenario in virtual time, with the policy that serves live traffic; nothing is sent.

    Args:
        config: configuration file; one argument alone is the scenario, played with its own configuration
        scenario: a name (see --list) or a YAML file
        seed: where chance begins; the same seed gives the same report
        requests: so many instead of the scenario's
        scale: so many times the scenario's requests
        compare: another configuration, side by side
        sweep: PATH=VALUE,VALUE... in the configuration, or in the scenario as scenario.PATH; repeatable
        require: FIGURE>=NUMBER, for instance availability>=99.9; repeatable; 1 if one does not hold
        picture: draw to FILE.svg or FILE.png
        from_log: make the scenario of an access log (JSON lines)
        save: write the scenario made of the log
        listing: list the scenarios that come with the package
        table: run all of them without a gateway, with retries only, and with the defaults; print Markdown, or JSON
        as_json: print JSON
    """
    if listing or table:
        given: dict[str, object] = {
            "CONFIG": config,
            "SCENARIO": scenario,
            "--seed": seed,
            "--requests": requests,
            "--scale": scale,
        }
        given |= {"--compare": compare, "--sweep": sweep or None, "--require": require or None, "--picture": picture}
        given |= {"--from-log": from_log, "--save": save, "--list": listing or None, "--table": table or None}
        _takes("--list" if listing else "--table", {name for name, value in given.items() if value is not None})
        return _list(as_json=as_json) if listing else _table(seed, scale, as_json=as_json)
    from standfast.cli import simulate_text  # noqa: PLC0415 - help needs nothing of this
    from standfast.sim import require as required  # noqa: PLC0415

    if picture is not None and picture.suffix.lower() not in PICTURES:
        fail(f"--picture {picture}: the name must end with {' or '.join(PICTURES)}")
        return USAGE
    for option, path in (("--picture", picture), ("--save", save)):
        if path is not None:
            _writable(option, path)
    requirements = required.parse(require)
    house, weather = _chosen(config, scenario, from_log, save)
    plans = _plans(house, _sized(weather, seed, requests, scale), compare, sweep)
    reports = [_play(plan) for plan in plans]
    judgements = [required.judge(requirements, each.figures, each.idle) for each in reports]
    if as_json:
        print_json(_data(reports, judgements))
    else:
        simulate_text.show(reports, compared=compare is not None, swept=bool(sweep))
        _tell(reports, judgements)
    if picture is not None and not _drawn(reports, picture):
        return USAGE
    return OK if all(verdict.met for verdicts in judgements for verdict in verdicts) else FAILED


def _tell(reports: "Sequence[Report]", judgements: "Sequence[Sequence[Judgement]]") -> None:
    for report, verdicts in zip(reports, judgements, strict=True):
        where = f" ({report.label})" if len(reports) > 1 else ""
        for verdict in verdicts:
            (say if verdict.met else fail)(f"{verdict}{where}")


def _takes(command: str, given: AbstractSet[str]) -> None:
    """Only what can take effect with it.

    Raises:
        ConfigError: with every other option.
    """
    taken = {command, *TAKEN[command]}
    message = f"can never take effect with {command}: it takes only {', '.join(TAKEN[command])}"
    if given - taken:
        raise ConfigError([Problem(name, message) for name in sorted(given - taken)], "standfast simulate")


def _writable(option: str, path: Path) -> None:
    """What is found only after the run costs the run.

    Raises:
        ConfigError: nothing can be written there.
    """
    there = path if path.exists() else path.parent
    if path.is_dir():
        raise _usage(option, f"cannot write {path}: it is a directory")
    if not there.exists():
        raise _usage(option, f"cannot write {path}: there is no directory {there}")
    if not os.access(there, os.W_OK) or (there != path and not there.is_dir()):
        raise _usage(option, f"cannot write {path}: no permission to write {there}")


def _list(*, as_json: bool) -> int:
    from standfast.sim import files  # noqa: PLC0415 - help needs nothing of this

    found = {name: files.shipped(name) for name in files.names()}
    if as_json:
        told = (
            {"name": name, "title": each.title, "about": each.about, "duration_s": each.duration}
            for name, each in found.items()
        )
        print_json(list(told))
        return OK
    width = max(map(len, found))
    for name, scenario in found.items():
        write(f"{name:<{width}}  {scenario.title}")
    return OK


def _chosen(
    first: str | None, second: str | None, from_log: Path | None, save: Path | None
) -> "tuple[House, Scenario]":
    """What the positional arguments and options name.

    Raises:
        ConfigError: something of it is missing or has problems.
    """
    from standfast.sim import files, house  # noqa: PLC0415 - help needs nothing of this

    if from_log is not None:
        if second is not None:
            raise _usage("SCENARIO", "--from-log makes the scenario; name only the configuration")
        under = house.from_file(_config_file(first))
        return under, _from_log(from_log, under, save)
    if save is not None:
        raise _usage("--save", "can never take effect without --from-log")
    if first is None:
        raise _usage("SCENARIO", f"is missing; there are: {', '.join(files.names())}; or name a YAML file")
    if second is not None:
        return house.from_file(Path(first)), files.find(second)
    scenario = files.find(first)
    own = house.from_scenario(scenario, f"{first}'s own configuration")
    return house.from_file(_config_file(None)) if own is None else own, scenario


def _config_file(name: str | None) -> Path:
    from standfast.config.load import find  # noqa: PLC0415 - help needs nothing of this

    path = Path(name) if name is not None else find(Path())
    if path is None:
        raise _usage("CONFIG", "is missing: name a configuration file; `standfast config init` writes one")
    return path


def _usage(place: str, message: str) -> ConfigError:
    return ConfigError([Problem(place, message)], "standfast simulate")


def _from_log(path: Path, under: "House", save: Path | None) -> "Scenario":
    from standfast.sim import files, recorded  # noqa: PLC0415 - help needs nothing of this

    if save is not None and save.exists() and path.exists() and save.samefile(path):
        raise _usage("--save", f"{save} is the log itself: name another file")
    record = recorded.read(path, under.config)
    for note in record.notes:
        say(note)
    if save is not None:
        try:
            save.write_text(files.write(record.scenario), encoding="utf-8")
        except OSError as error:
            raise _usage("--save", f"cannot write {save}: {error.strerror}") from None
        say(f"wrote {save}. Rehearse it again with: standfast simulate {under.label} {save}")
    return record.scenario


def _sized(scenario: "Scenario", seed: int | None, requests: int | None, scale: float | None) -> "Scenario":
    """The scenario as the options change it."""
    workload = scenario.workload
    if requests is not None:
        if requests < 1:
            raise _usage("--requests", "must be at least 1")
        workload = workload.model_copy(update={"requests": requests, "rate": None})
    if scale is not None:
        if not 0 < scale <= LARGEST_SCALE:
            raise _usage("--scale", f"must be greater than 0 and at most {LARGEST_SCALE:,.0f}")
        if workload.requests is not None:
            workload = workload.model_copy(update={"requests": max(1, round(workload.requests * scale))})
        elif workload.rate is not None:
            workload = workload.model_copy(update={"rate": workload.rate * scale})
    return scenario.model_copy(update={"workload": workload, "seed": scenario.seed if seed is None else seed})


def _plans(house: "House", scenario: "Scenario", compare: Path | None, axes: Texts) -> list[Plan]:
    from standfast.sim import house as houses  # noqa: PLC0415 - help needs nothing of this
    from standfast.sim.sweep import sweep  # noqa: PLC0415 - the same

    under = [house] if compare is None else [house, houses.from_file(compare)]
    for each in under:
        for note in each.notes:
            say(note)
    if not axes:
        return [Plan(each.config, scenario, each.label) for each in under]
    several = len(under) > 1
    return [
        Plan(variant.config, variant.scenario, f"{each.label}: {variant.label}" if several else variant.label)
        for each in under
        for variant in sweep(each, scenario, axes)
    ]


def _play(plan: Plan) -> "Report":
    from standfast.sim.report import report_of  # noqa: PLC0415 - help needs nothing of this
    from standfast.sim.stage import Stage  # noqa: PLC0415 - the same

    stage = Stage(plan.config, plan.scenario, plan.scenario.seed)
    for note in stage.cast.notes:
        say(f"note: {note}")
    with _progress(plan.label, stage.expected) as progress:
        tally = stage.run(progress)
    return report_of(tally, plan.scenario, plan.label, plan.scenario.seed, stage.cast.notes, idle=stage.cast.idle)


@contextmanager
def _progress(label: str, total: float) -> "Iterator[Progress]":
    """A bar on the terminal, on standard error."""
    from rich.console import Console  # noqa: PLC0415 - help needs no rich
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=round(total))
        yield lambda arrived: bar.update(task, completed=arrived)


def _drawn(reports: "Sequence[Report]", path: Path) -> bool:
    """The report is out by now: what goes wrong is said beside it."""
    from standfast.sim.canvas import CannotDraw  # noqa: PLC0415 - help needs nothing of this
    from standfast.sim.picture import draw  # noqa: PLC0415 - the same

    canvas = draw(reports)
    try:
        path.write_bytes(canvas.png() if path.suffix.lower() == ".png" else canvas.svg().encode())
    except (OSError, CannotDraw) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        fail(f"--picture: cannot write {path}: {reason}")
        return False
    say(f"drew {path}")
    return True


def _data(reports: "Sequence[Report]", judgements: "Sequence[Sequence[Judgement]]") -> dict[str, object]:
    rows = [
        {
            **report.as_json(),
            "requirements": [
                {"requirement": str(each.requirement), "value": each.value, "met": each.met} for each in verdicts
            ],
        }
        for report, verdicts in zip(reports, judgements, strict=True)
    ]
    return rows[0] if len(rows) == 1 else {"reports": rows}


def _table(seed: int | None, scale: float | None, *, as_json: bool) -> int:
    from standfast.sim import matrix  # noqa: PLC0415 - help needs nothing of this

    cells = matrix.cells()
    rows = []
    for cell in cells:
        scenario = _sized(cell.scenario, seed, None, scale)
        stage = cell.stage(scenario)
        with _progress(f"{cell.name}: {cell.label}", stage.expected) as progress:
            rows.append(cell.row(stage.run(progress), scenario))
    if as_json:
        told = (
            {"scenario": name, "served_by": each.label, "seed": each.seed, "figures": each.figures}
            for name, each in rows
        )
        print_json(list(told))
    else:
        write(matrix.markdown(rows))
    return OK
