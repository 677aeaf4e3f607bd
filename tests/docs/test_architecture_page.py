"""docs/architecture.md tells what the code's tables say."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_generated_parts_are_up_to_date() -> None:
    """Run `python docs/diagrams.py` after changing a table; a stale page fails here."""
    page = (DOCS / "architecture.md").read_text("utf-8")
    assert runpy.run_path(str(DOCS / "diagrams.py"))["render"](page) == page


def test_a_changed_table_would_be_noticed() -> None:
    """The comparison can fail: a page with another diagram is not taken for up to date."""
    page = (DOCS / "architecture.md").read_text("utf-8").replace("closed --> open", "closed --> closed")
    assert runpy.run_path(str(DOCS / "diagrams.py"))["render"](page) != page
