"""The command line. `main` is all that the outside needs; each command lives in its own file.

Exit codes: 0 all is well, 1 what was asked failed (a check, a request, a busy port), 2 wrong usage or configuration.
"""

import sys
from collections.abc import Sequence

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: without the program's name; None for the process's own.

    Returns:
        The exit code.
    """
    from standfast.cli.app import run  # noqa: PLC0415 - `import standfast.cli` costs nothing

    try:
        return run(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has left; nothing more to say, not even at exit
        return FAILED
