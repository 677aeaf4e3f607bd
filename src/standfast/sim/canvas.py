"""A drawing in four kinds of strokes, written as SVG text, or as PNG by matplotlib if that is installed.

Coordinates are pixels, the origin is the upper left corner.
"""

import importlib
from collections.abc import Sequence
from html import escape
from io import BytesIO
from typing import Any, NamedTuple

from standfast.errors import Fault, StandfastError

Points = Sequence[tuple[float, float]]

FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
_DPI = 200
_PIXELS_PER_INCH = 100.0
_POINTS_PER_PIXEL = 0.72


class CannotDraw(StandfastError):
    """A picture in this form needs something that is not installed."""

    code = "cannot_draw"
    fault = Fault.OPERATOR


class _Box(NamedTuple):
    x: float
    y: float
    width: float
    height: float
    fill: str
    opacity: float
    title: str


class _Area(NamedTuple):
    points: Points
    fill: str
    opacity: float


class _Line(NamedTuple):
    points: Points
    stroke: str
    width: float
    dashed: bool


class _Text(NamedTuple):
    x: float
    y: float
    text: str
    size: float
    anchor: str
    fill: str
    bold: bool


class Canvas:
    """What has been drawn, in order.

    Args:
        width, height: pixels.
    """

    def __init__(self, width: float, height: float) -> None:
        self.width = width
        self.height = height
        self._strokes: list[_Box | _Area | _Line | _Text] = []

    def box(
        self, x: float, y: float, width: float, height: float, fill: str, *, opacity: float = 1.0, title: str = ""
    ) -> None:
        """A filled rectangle; `title` is shown when a mouse rests on it."""
        self._strokes.append(_Box(x, y, width, height, fill, opacity, title))

    def area(self, points: Points, fill: str, *, opacity: float = 1.0) -> None:
        """A filled polygon."""
        if points:
            self._strokes.append(_Area(points, fill, opacity))

    def line(self, points: Points, stroke: str, *, width: float = 1.5, dashed: bool = False) -> None:
        """A line through points."""
        if len(points) > 1:
            self._strokes.append(_Line(points, stroke, width, dashed))

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 12,
        anchor: str = "start",
        fill: str = "#1f2933",
        bold: bool = False,
    ) -> None:
        """One line; `anchor` is `start`, `middle` or `end`, `y` its base line."""
        self._strokes.append(_Text(x, y, text, size, anchor, fill, bold))

    def svg(self) -> str:
        """The drawing as SVG."""
        size = f'width="{_short(self.width)}" height="{_short(self.height)}"'
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {_short(self.width)} {_short(self.height)}"'
        )
        strokes = "\n".join(_svg(stroke) for stroke in self._strokes)
        return f'{head} font-family="{FONT}">\n<rect width="100%" height="100%" fill="#ffffff"/>\n{strokes}\n</svg>\n'

    def png(self) -> bytes:
        """The drawing as PNG.

        Raises:
            CannotDraw: matplotlib is not installed.
        """
        try:
            figures: Any = importlib.import_module("matplotlib.figure")
            patches: Any = importlib.import_module("matplotlib.patches")
        except ImportError:
            raise CannotDraw(
                "a PNG picture needs matplotlib: `pip install matplotlib`, or choose a name that ends with .svg"
            ) from None
        figure = figures.Figure(figsize=(self.width / _PIXELS_PER_INCH, self.height / _PIXELS_PER_INCH), dpi=_DPI)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, self.width)
        axes.set_ylim(self.height, 0)
        axes.axis("off")
        for stroke in self._strokes:
            _plot(axes, patches, stroke)
        out = BytesIO()
        figure.savefig(out, format="png", metadata={"Software": None})
        return out.getvalue()


def _svg(stroke: _Box | _Area | _Line | _Text) -> str:
    if isinstance(stroke, _Box):
        place = f'x="{_short(stroke.x)}" y="{_short(stroke.y)}"'
        size = f'width="{_short(stroke.width)}" height="{_short(stroke.height)}"'
        shape = f'<rect {place} {size} fill="{stroke.fill}"{_opacity(stroke.opacity)}'
        return f"{shape}><title>{escape(stroke.title)}</title></rect>" if stroke.title else f"{shape}/>"
    if isinstance(stroke, _Area):
        return f'<polygon points="{_points(stroke.points)}" fill="{stroke.fill}"{_opacity(stroke.opacity)}/>'
    if isinstance(stroke, _Line):
        dashes = ' stroke-dasharray="4 3"' if stroke.dashed else ""
        style = f'fill="none" stroke="{stroke.stroke}" stroke-width="{_short(stroke.width)}" stroke-linejoin="round"'
        return f'<polyline points="{_points(stroke.points)}" {style}{dashes}/>'
    weight = ' font-weight="600"' if stroke.bold else ""
    place = f'x="{_short(stroke.x)}" y="{_short(stroke.y)}" font-size="{_short(stroke.size)}"'
    return f'<text {place} text-anchor="{stroke.anchor}" fill="{stroke.fill}"{weight}>{escape(stroke.text)}</text>'


def _plot(axes: Any, patches: Any, stroke: _Box | _Area | _Line | _Text) -> None:  # noqa: ANN401 - matplotlib is untyped here
    if isinstance(stroke, _Box):
        shape = patches.Rectangle((stroke.x, stroke.y), stroke.width, stroke.height)
        shape.set(facecolor=stroke.fill, alpha=stroke.opacity, linewidth=0)
        axes.add_patch(shape)
    elif isinstance(stroke, _Area):
        axes.add_patch(patches.Polygon(list(stroke.points), facecolor=stroke.fill, alpha=stroke.opacity, linewidth=0))
    elif isinstance(stroke, _Line):
        across, down = zip(*stroke.points, strict=True)
        style = "--" if stroke.dashed else "-"
        axes.plot(across, down, color=stroke.stroke, linewidth=stroke.width * _POINTS_PER_PIXEL, linestyle=style)
    else:
        axes.text(
            stroke.x,
            stroke.y,
            stroke.text.replace("$", r"\$"),
            fontsize=stroke.size * _POINTS_PER_PIXEL,
            ha={"start": "left", "middle": "center", "end": "right"}[stroke.anchor],
            va="baseline",
            color=stroke.fill,
            fontweight="bold" if stroke.bold else "normal",
        )


def _points(points: Points) -> str:
    return " ".join(f"{_short(x)},{_short(y)}" for x, y in points)


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _opacity(opacity: float) -> str:
    return f' opacity="{opacity:g}"' if opacity < 1 else ""
