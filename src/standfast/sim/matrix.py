"""Every shipped scenario, served in several ways: what the gateway is worth, as one table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from standfast.config.load import from_mapping
from standfast.config.schema import Config
from standfast.errors import ConfigError
from standfast.sim import files
from standfast.sim.house import put
from standfast.sim.report import Report, report_of
from standfast.sim.settings import Scenario
from standfast.sim.stage import Stage, Way
from standfast.sim.tally import Tally

HEDGING: tuple[str, Mapping[str, object]] = ("defaults.hedge", {"after": "p95"})
"""Where the configuration switches hedging on."""

COLUMNS: Mapping[str, str] = {
    "availability": "answered, %",
    "p50_first_token_ms": "first token p50, ms",
    "p99_first_token_ms": "p99, ms",
    "p99_total_ms": "whole answer p99, ms",
    "attempts_per_request": "attempts per request",
    "cost": "cost, $",
    "waste": "waste, $",
}
"""The table's figures and their headings."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One scenario, served in one way.

    Attributes:
        name: the scenario's.
        label: the way's.
        scenario, config, way: what is played.
    """

    name: str
    label: str
    scenario: Scenario
    config: Config
    way: Way

    def stage(self, scenario: Scenario | None = None) -> Stage:
        """Ready to be played; `scenario` in place of the cell's own, another size for instance."""
        played = scenario or self.scenario
        return Stage(self.config, played, played.seed, self.way)

    def row(self, tally: Tally, scenario: Scenario | None = None) -> tuple[str, Report]:
        """What came of it."""
        played = scenario or self.scenario
        return self.name, report_of(tally, played, self.label, played.seed)


def cells(names: Sequence[str] = ()) -> list[Cell]:
    """Every scenario (of these, or of all that are shipped), in every way to serve; with its own configuration."""
    return [cell for name in names or files.names() for cell in _cells(name)]


def _cells(name: str) -> Iterator[Cell]:
    scenario = files.shipped(name)
    if scenario.config is None:
        return
    config = from_mapping(scenario.config, {})
    yield Cell(name, "no gateway", scenario, config, Way.ALONE)
    yield Cell(name, "retries only", scenario, config, Way.RETRIES)
    yield Cell(name, "default", scenario, config, Way.GATEWAY)
    hedged = _with_hedging(scenario.config)
    if hedged is not None:
        yield Cell(name, "default with hedging", scenario, hedged, Way.GATEWAY)


def _with_hedging(data: Mapping[str, object]) -> Config | None:
    """The same configuration with hedging on; None where the schema has no such thing."""
    path, value = HEDGING
    changed = put(data, path, value)
    try:
        return from_mapping(changed, {}) if isinstance(changed, Mapping) else None
    except ConfigError:
        return None


def markdown(rows: Sequence[tuple[str, Report]]) -> str:
    """The table, and under it what would be needed to make it again."""
    lines = [
        "| scenario | served by | " + " | ".join(COLUMNS.values()) + " |",
        "|---|---|" + "---:|" * len(COLUMNS),
    ]
    before = ""
    for name, report in rows:
        cells = [_cell(report.figures.get(figure)) for figure in COLUMNS]
        lines.append(f"| {name if name != before else ''} | {report.label} | {' | '.join(cells)} |")
        before = name
    seeds = sorted({report.seed for _, report in rows})
    requests = sum(report.figures["requests"] or 0 for _, report in rows)
    lines += ["", f"Seeds: {', '.join(map(str, seeds))}. {requests:,.0f} requests in virtual time."]
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    decimals = 4 if 99.0 <= value < 100.0 else 2  # noqa: PLR2004 - nines
    return f"{value:,.{decimals}f}" if value < 1000 else f"{value:,.0f}"  # noqa: PLR2004 - decimals say nothing there
