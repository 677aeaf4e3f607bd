"""Play all shipped scenarios and write the table of docs/availability.md: `make availability`, about twenty seconds.

The prose beside the table is written by hand: read it again after a play that differs.
"""  # noqa: INP001 - a script, not a package

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).with_name("availability.md")
TABLE = re.compile(r"(<!-- table: written by docs/availability.py -->\n).*?(\n<!-- /table -->)", re.DOTALL)


def played() -> str:
    """The table, as `standfast simulate --table` prints it."""
    command = [sys.executable, "-m", "standfast.cli", "simulate", "--table"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()  # noqa: S603 - our own


if __name__ == "__main__":
    table = played()
    page, found = TABLE.subn(lambda match: match[1] + table + match[2], PAGE.read_text("utf-8"))
    if not found or not table.startswith("| scenario |"):
        sys.exit("docs/availability.md has lost the markers of its table, or there is no table")
    PAGE.write_text(page, "utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
