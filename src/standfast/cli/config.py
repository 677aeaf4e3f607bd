"""`standfast config check | show | init`."""

import contextlib
from pathlib import Path
from typing import Annotated

import yaml
from cyclopts import Parameter

from standfast.cli import FAILED, OK, USAGE
from standfast.cli.output import fail, print_json, say, write
from standfast.cli.settings import ConfigFile, Json, configuration
from standfast.config.environment import init_text, redacted
from standfast.config.load import FILE_NAMES

Force = Annotated[bool, Parameter(name="--force", negative="")]


def check(file: Path | None = None, /, *, as_json: Json = False) -> int:
    """Report every problem of a configuration file.

    Args:
        file: YAML or TOML; without it what `serve` would use
        as_json: print JSON
    """
    config, path = configuration(file)
    targets = sum(len(model.targets) for model in config.models.values())
    source = str(path) if path is not None else "environment"
    if as_json:
        print_json({"ok": True, "source": source, "problems": [], "models": len(config.models), "targets": targets})
    else:
        write(f"ok: {_count(len(config.models), 'model')}, {_count(targets, 'target')}")
    return OK


def show(file: Path | None = None, /, *, config: ConfigFile = None, as_json: Json = False) -> int:
    """Show the effective configuration, secrets hidden.

    Args:
        file: YAML or TOML; without it what `serve` would use
        config: the same
        as_json: print JSON instead of YAML
    """
    effective, _ = configuration(file or config)
    shown = redacted(effective)
    if as_json:
        print_json(shown)
    else:
        write(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True).rstrip())
    return OK


def init(file: Path = Path(FILE_NAMES[0]), /, *, force: Force = False, as_json: Json = False) -> int:
    """Write a commented example to start from.

    Args:
        file: where to; the name ends with .yaml or .yml
        force: overwrite a file that is there
        as_json: print JSON
    """
    if file.suffix.lower() not in (".yaml", ".yml"):
        fail(f"the example is YAML; {str(file)!r} must end with .yaml")
        return USAGE
    try:
        with file.open("w" if force else "x", encoding="utf-8") as out:
            out.write(init_text())
    except FileExistsError:
        fail(f"{file} is there already; choose another name, or overwrite it with --force")
        return USAGE
    except OSError as error:
        fail(f"cannot write {file}: {error.strerror}")
        return FAILED
    with contextlib.suppress(ValueError):
        file = file.relative_to(Path.cwd())
    if as_json:
        print_json({"ok": True, "written": str(file)})
    else:
        say(f"wrote {file}. Edit it, then: standfast config check {file}")
    return OK


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
