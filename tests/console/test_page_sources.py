"""The console's page: what is committed is what its sources say, and what its sources say is tested."""

import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "web"


def script(name: str) -> ModuleType:
    """A script of web/ as a module."""
    spec = importlib.util.spec_from_file_location(f"web_{name}", WEB / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    """web/build.py."""
    return script("build")


@pytest.fixture(scope="module")
def modules(builder: ModuleType) -> Path:
    """node_modules as the lock has them, kept beside the interpreter's packages for the next run."""
    lock = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()[:12]
    folder = Path(sys.prefix) / "npm" / f"console-{lock}"
    if not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=folder.parent))
        for name in builder.MANIFESTS:
            shutil.copy(WEB / name, fresh)
        builder.install(fresh)
        try:
            fresh.rename(folder)
        except OSError:  # another run was faster
            shutil.rmtree(fresh)
    return folder / "node_modules"


@pytest.fixture
def web(builder: ModuleType, modules: Path, tmp_path: Path) -> Path:
    """A copy of the sources beside these modules, so that the work tree stays clean."""
    folder = tmp_path / "web"
    shutil.copytree(WEB / "src", folder / "src")
    for name in builder.SOURCES:
        shutil.copy(WEB / name, folder)
    (folder / "node_modules").symlink_to(modules)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its name there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Page(HTMLParser):
    """What an HTML page names, and what it holds that a strict policy would not let it run.

    Attributes:
        named: addresses in `src` and `href`.
        inline: scripts, styles and handlers that stand in the page itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self.named: list[str] = []
        self.inline: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what it names; `style=` and `on...=` are code in the page."""
        given = dict(attrs)
        self._inside = tag
        self.named += [value for name, value in given.items() if name in {"src", "href", "action"} and value]
        self.inline += [name for name in given if name == "style" or name.startswith("on")]

    def handle_data(self, data: str) -> None:
        """Text inside of a script or a style is code in the page."""
        if self._inside in {"script", "style"} and data.strip():
            self.inline.append(data)


def test_types_are_those_of_the_messages() -> None:
    """web/src/messages.ts is exactly what web/write_types.py writes now."""
    types = script("write_types")
    assert types.MODULE.read_text(encoding="utf-8") == types.module(), "stale: run `make page`"


def test_committed_page_is_built_from_the_sources(builder: ModuleType, web: Path, tmp_path: Path) -> None:
    """Building again gives the committed files, name for name and byte for byte."""
    out = tmp_path / "out"
    builder.build(out, web)
    built, committed = contents(out), contents(builder.STATIC)
    assert sorted(built) == sorted(committed), "stale: run `make page`"
    assert [name for name in built if built[name] != committed[name]] == [], "stale: run `make page`"


def test_page_names_only_its_own_files_and_holds_no_code(builder: ModuleType) -> None:
    """The page needs nothing from elsewhere, and runs where inline scripts and styles are forbidden."""
    page = Page()
    page.feed((builder.STATIC / "index.html").read_text(encoding="utf-8"))
    assert page.inline == []
    assert len(page.named) >= 3
    files = contents(builder.STATIC)
    assert [name for name in page.named if name.removeprefix("/console/") not in files] == []
    assert all(name.startswith("/console/") for name in page.named)


def test_nothing_that_is_served_names_a_foreign_address(builder: ModuleType) -> None:
    """No file of the page names a host, but for the namespaces of W3C, which nobody asks."""
    for name, content in contents(builder.STATIC).items():
        hosts = set(re.findall(r"(?:https?:)?//([\w.-]+\.[a-z]{2,})[/\"'` ]", content.decode()))
        assert hosts <= {"www.w3.org"}, name


def test_lock_names_no_registry() -> None:
    """The lock is good wherever packages come from: it pins versions and hashes, not addresses."""
    lock = (WEB / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in lock
    assert "http://" not in lock
    assert lock.count('"integrity"') > 10


def test_logic_of_the_page(builder: ModuleType) -> None:
    """The page's own tests pass: figures, tones, state, series, the map's geometry."""
    node, _ = builder.node()
    command = [node, "--test", "--test-reporter=dot", str(WEB / "src" / "**" / "*.test.ts")]
    done = subprocess.run(command, cwd=WEB, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_failing_step_says_what_its_tool_said(builder: ModuleType, tmp_path: Path) -> None:
    """Whoever breaks the page reads why, not a traceback."""
    with pytest.raises(builder.BuildFailed, match=r"(?s)tsc failed:.*no such thing"):
        builder.run("tsc", [sys.executable, "-c", "raise SystemExit('no such thing')"], tmp_path)


def test_a_type_without_a_spelling_is_refused() -> None:
    """A message of a new kind of type cannot reach the page unread."""
    types = script("write_types")
    with pytest.raises(LookupError, match="teach it"):
        types.spelled(object())
