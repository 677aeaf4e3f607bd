"""The figures as a picture: one small panel for each budget, nginx beside Standfast, the budget as a line."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import GATEWAY, NGINX, Figure
from bench.report import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {NGINX: "#9aa3ad", GATEWAY: "#1f6feb"}
LINE, MISSED = "#2e7d32", "#c62828"
COLUMNS = 4
PANEL = (3.0, 2.9)  # inches


def limit(figure: Figure) -> float | None:
    """Where the budget line stands, in the figure's unit; None without a budget or what it is relative to."""
    if figure.budget is None:
        return None
    if not figure.budget.relative:
        return figure.budget.limit
    floor = figure.of(NGINX)
    return None if floor is None else figure.budget.limit * floor.median


def drawn(figures: Sequence[Figure]) -> list[Figure]:
    """The figures that get a panel: those with a budget that were measured."""
    return [figure for figure in figures if figure.budget is not None and figure.of(GATEWAY) is not None]


def _panel(axes: "Axes", figure: Figure) -> None:
    bars = [(who, spread) for who in (NGINX, GATEWAY) if (spread := figure.of(who)) is not None]
    line = limit(figure)
    highest = max([spread.high for _, spread in bars] + ([line] if line is not None else []))
    lowest = min([spread.low for _, spread in bars] + [0.0])
    for at, (who, spread) in enumerate(bars):
        reach = [[spread.median - spread.low], [spread.high - spread.median]]
        axes.bar(at, spread.median, width=0.62, color=COLOURS[who], yerr=reach, capsize=4, ecolor="#444444")
        axes.text(
            at,
            max(spread.high, 0.0) + 0.03 * highest,
            number(spread.median, figure.digits),
            ha="center",
            va="bottom",
            fontsize=10,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8},
        )
    if line is not None and figure.budget is not None:
        colour = LINE if figure.met() else MISSED
        axes.axhline(line, color=colour, linestyle="--", linewidth=1.4)
        words = f"budget {figure.budget.text(figure.unit)}" + ("" if figure.met() else ": not met")
        ground = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.8}
        axes.annotate(
            words,
            (0.02, line),
            (0, 4),
            ("axes fraction", "data"),
            "offset points",
            fontsize=8,
            color=colour,
            bbox=ground,
        )
    axes.set_xticks(range(len(bars)), [who for who, _ in bars])
    axes.set_xlim(-0.7, max(len(bars), 2) - 0.3)
    axes.set_ylim(lowest * 1.1, highest * 1.25)
    axes.set_ylabel(figure.unit)
    axes.set_title(figure.title, fontsize=9.5)
    axes.spines[["top", "right"]].set_visible(False)


def draw(figures: Sequence[Figure], path: Path, caption: str) -> None:
    """Write the picture. Needs matplotlib.

    Raises:
        ValueError: nothing with a budget was measured.
    """
    import matplotlib as mpl  # noqa: PLC0415 - only `make bench` has it, and it is slow to import

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the choice of the backend

    panels = drawn(figures)
    if not panels:
        raise ValueError("no figure with a budget was measured")
    rows = -(-len(panels) // COLUMNS)
    columns = min(COLUMNS, len(panels))
    sheet, grid = plt.subplots(rows, columns, figsize=(PANEL[0] * columns, PANEL[1] * rows + 0.4), squeeze=False)
    for axes, figure in zip(grid.flat, panels, strict=False):
        _panel(axes, figure)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_visible(False)
    sheet.suptitle(caption, fontsize=10)
    sheet.tight_layout(rect=(0, 0, 1, 0.97))
    sheet.savefig(path, dpi=120)
    plt.close(sheet)
