"""How commands speak: data on standard output, everything else on standard error."""

import json
import sys


def say(text: str) -> None:
    """A line for the person at the terminal."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - the command line speaks


def fail(text: str) -> None:
    """What went wrong and what to do about it."""
    say(f"standfast: {text}" if not text.startswith(" ") else text)


def write(text: str) -> None:
    """Data."""
    print(text, flush=True)  # noqa: T201 - the command line speaks


def write_part(text: str) -> None:
    """A piece of data, without a line's end."""
    print(text, end="", flush=True)  # noqa: T201 - the command line speaks


def print_json(data: object) -> None:
    """Data for machines."""
    write(json.dumps(data, indent=2, ensure_ascii=False))
