"""The measured parts of docs/availability.md: each stands between marks that name it and the script that writes it."""  # noqa: INP001 - beside scripts, not a package

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).with_name("availability.md")


def measured_with() -> str:
    """The last commit of the code, and the interpreter, in words."""
    command = ["git", "log", "-1", "--format=%h", "--", "src"]
    root = PAGE.parent.parent
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=root)  # noqa: S603 - our own
    commit = found.stdout.strip()
    return f"Commit {commit}, Python {sys.version.split()[0]}."


def rewrite(script: str, parts: dict[str, str]) -> None:
    """Write parts of the page anew, by name.

    Raises:
        SystemExit: the marks of one of them are gone; nothing is written.
    """
    page = PAGE.read_text("utf-8")
    for part, text in parts.items():
        begin, end = f"<!-- {part}: written by docs/{script} -->\n", f"\n<!-- /{part} -->"
        between = re.compile(f"(?<={re.escape(begin)}).*?(?={re.escape(end)})", re.DOTALL)
        page, found = between.subn(lambda _, text=text: text, page)
        if not found:
            sys.exit(f"docs/availability.md has lost the marks of its {part}; put them back:\n{begin}{end}")
    PAGE.write_text(page, "utf-8")
