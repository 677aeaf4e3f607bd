"""Reads a configuration file: whole and checked, or not at all."""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from standfast.config.check import check
from standfast.config.interpolation import interpolate
from standfast.config.schema import Config
from standfast.config.yaml_text import YamlText, read_yaml
from standfast.errors import ConfigError, Problem

FILE_NAMES = ("standfast.yaml", "standfast.yml", "standfast.toml")
"""What the command line looks for in the working directory, in this order."""

MAX_BYTES = 8 * 1024 * 1024
_WHOLE = "(file)"
_QUOTED = re.compile(r"(['\"]).{13,}?\1")


def load(
    path: str | Path, environ: Mapping[str, str] | None = None, *, server: Mapping[str, object] | None = None
) -> Config:
    """Read a YAML (`.yaml`, `.yml`) or TOML (`.toml`) file.

    Args:
        path: the file.
        environ: where `${NAME}` comes from; None for the process's environment.
        server: settings of `server` that override the file's (options of the command line).

    Raises:
        ConfigError: with every problem of the file; also when it is missing, unreadable, empty or half-written.
    """
    path = Path(path)
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise ConfigError([Problem(_WHOLE, f"the name must end with one of {', '.join(_READERS)}")], str(path))
    text = _text(path)
    try:
        document = read(text)
    except _Syntax as error:
        raise ConfigError([Problem(error.place, str(error))], str(path)) from None
    if document.data is None and not document.problems:
        raise ConfigError([Problem(_WHOLE, "is empty; `standfast config init` writes an example")], str(path))
    problems, config = _judge(document.data, environ, server)
    if config is None or document.problems:
        found = sorted((*document.problems, *problems), key=lambda problem: _line(problem.path, document.lines))
        raise ConfigError([_with_line(problem, document.lines) for problem in found], str(path))
    return config


def from_mapping(
    data: Mapping[str, object],
    environ: Mapping[str, str] | None = None,
    *,
    server: Mapping[str, object] | None = None,
) -> Config:
    """A configuration from a mapping of the file's shape; arguments and errors as `load`."""
    problems, config = _judge(data, environ, server)
    if config is None:
        raise ConfigError(problems)
    return config


def find(directory: Path) -> Path | None:
    """The configuration file of a directory, None if it has none."""
    return next((directory / name for name in FILE_NAMES if (directory / name).exists()), None)


def _judge(
    data: object, environ: Mapping[str, str] | None, server: Mapping[str, object] | None
) -> tuple[list[Problem], Config | None]:
    try:
        filled = interpolate(data, os.environ if environ is None else environ)
    except RecursionError:
        return [Problem(_WHOLE, "is nested too deeply")], None
    content = filled.data
    if server and isinstance(content, dict):
        written = content.get("server")
        if written is None or isinstance(written, dict):
            content["server"] = {**(written or {}), **server}
    verdict = check(content, hidden=filled.values, known=filled.problems)
    return verdict.problems, verdict.config


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        message = "does not exist; `standfast config init` writes an example"
        raise ConfigError([Problem(_WHOLE, message)], str(path)) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "no usable path"
        raise ConfigError([Problem(_WHOLE, f"cannot be read: {reason}")], str(path)) from None
    if len(content) > MAX_BYTES:
        raise ConfigError([Problem(_WHOLE, f"is larger than {MAX_BYTES // 1024 // 1024} MiB")], str(path))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(f"line {line}", "is no UTF-8 text")], str(path)) from None


class _Syntax(Exception):
    """The text is no document; the message shows nothing long of it, it may be a key."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(_QUOTED.sub(r"\1...\1", message))
        self.place = f"line {line}" if line else _WHOLE


def _yaml(text: str) -> YamlText:
    try:
        return read_yaml(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = ", ".join(part for part in (error.context, error.problem) if part)
        raise _Syntax(message or "is no YAML", mark.line + 1 if mark else None) from None
    except yaml.reader.ReaderError as error:
        raise _Syntax("holds a control character", text.count("\n", 0, error.position) + 1) from None
    except yaml.YAMLError as error:
        raise _Syntax(str(error)) from None
    except RecursionError:
        raise _Syntax("is nested too deeply") from None
    except (ValueError, ArithmeticError):
        raise _Syntax("holds a value that cannot be read") from None


def _toml(text: str) -> YamlText:
    try:
        return YamlText(tomllib.loads(text) or None)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        line = re.search(r" \(at line (\d+), column \d+\)$", message)
        raise _Syntax(message[: line.start()] if line else message, int(line[1]) if line else None) from None
    except RecursionError:
        raise _Syntax("is nested too deeply") from None
    except (ValueError, ArithmeticError):
        raise _Syntax("holds a value that cannot be read") from None


def _line(path: str, lines: Mapping[str, int]) -> int:
    """The line of the nearest thing that is written in the file; 0 if nothing of the path is."""
    while path and path not in lines:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return lines[path] if path else 0


def _with_line(problem: Problem, lines: Mapping[str, int]) -> Problem:
    line = _line(problem.path, lines)
    if not line:
        return problem
    return Problem(problem.path, f"{problem.message} (line {line})", problem.suggestion)


_READERS: Mapping[str, Callable[[str], YamlText]] = {".yaml": _yaml, ".yml": _yaml, ".toml": _toml}
