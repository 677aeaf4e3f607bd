"""The picture of a run."""

import sys
import xml.etree.ElementTree as ET

import pytest

from standfast.sim.canvas import CannotDraw, Canvas
from standfast.sim.picture import FAILED, PALETTE, TROUBLE, draw
from standfast.sim.report import Report
from support.rehearsal import config, report, scenario

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def run() -> Report:
    """A minute with a trouble that both targets notice."""
    weather = scenario(
        title="One <bad> minute & more",
        workload={"requests": 300},
        troubles=[
            {"at": 10, "lasts": 20, "where": "primary", "errors": "connect_failed"},
            {"at": 15, "lasts": 5, "where": "*", "errors": "connect_failed"},
        ],
    )
    return report(weather, config())


def elements(reports: list[Report], kind: str) -> list[ET.Element]:
    """All of a kind in the SVG; parsing it proves that it is well-formed."""
    return list(ET.fromstring(draw(reports).svg()).iter(f"{SVG}{kind}"))  # noqa: S314 - written by ourselves


def test_the_picture_shows_who_answered_and_what_failed(run: Report) -> None:
    """One area for each target that answered, a red one for what nobody did, a shade for each trouble in each panel."""
    fills = [each.get("fill") for each in elements([run], "polygon")]
    assert fills == [PALETTE[0], PALETTE[1], FAILED]
    shades = [each for each in elements([run], "rect") if each.get("fill") == TROUBLE]
    assert len(shades) == 2 * 3


def test_a_breaker_that_was_open_has_a_bar(run: Report) -> None:
    """From its opening to its closing, under the target's colour."""
    bars = [
        each for each in elements([run], "rect") if each.find(f"{SVG}title") is not None and each.get("opacity") is None
    ]
    titles = [str(each.findtext(f"{SVG}title")) for each in bars]
    assert any(title.startswith("openai/a: ") for title in titles)
    assert all(float(str(each.get("width"))) >= 1 for each in bars)


def test_words_are_escaped(run: Report) -> None:
    """A scenario's title is text, whatever is in it."""
    assert any(each.text == "One <bad> minute & more - test" for each in elements([run], "text"))


def test_several_runs_stand_below_each_other(run: Report) -> None:
    """A comparison is one picture: twice as high, everything twice."""
    one, two = draw([run]), draw([run, run])
    assert two.height == 2 * one.height
    assert len(elements([run, run], "polyline")) == 2 * len(elements([run], "polyline"))


def test_everything_lies_inside(run: Report) -> None:
    """Nothing is drawn outside of the picture."""
    canvas = draw([run])
    for line in elements([run], "polyline") + elements([run], "polygon"):
        for point in str(line.get("points")).split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= canvas.width
            assert 0 <= y <= canvas.height


def test_a_run_without_requests_can_be_drawn() -> None:
    """Nothing happened: no division by it."""
    quiet = scenario(workload={"requests": None, "rate": 1e-9, "arrivals": "poisson"})
    assert draw([report(quiet)]).svg()


def test_png_needs_matplotlib_and_says_so(run: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain install draws SVG; for PNG the message says what to install and what to do instead."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(CannotDraw, match=r"pip install matplotlib.*\.svg"):
        draw([run]).png()


def test_png_is_the_same_drawing(run: Report) -> None:
    """With matplotlib every kind of stroke becomes a PNG."""
    pytest.importorskip("matplotlib")
    canvas = Canvas(50, 40)
    canvas.box(1, 1, 10, 10, "#ff0000", opacity=0.5)
    canvas.area([(0, 0), (5, 5), (0, 5)], "#00ff00")
    canvas.line([(0, 0), (5, 5)], "#0000ff", dashed=True)
    canvas.text(1, 30, "$5 & more", bold=True)
    assert canvas.png().startswith(b"\x89PNG")
    assert draw([run]).png().startswith(b"\x89PNG")
