"""The house keeps its plan: who imports whom, what is pure, how large things may grow, where provider names stand.

Every check is a function from one parsed module to complaints, so that it is proven here on modules that offend.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from standfast import plugins

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "standfast"

# Who may import whom, besides itself. A name with a dot allows that module alone. "front" is standfast/__init__.py.
ROOMS: dict[str, str] = {
    "canon": "",
    "plugins": "",
    "errors": "canon",
    "clock": "canon",
    "redact": "canon",
    "circuit": "canon errors clock policy",
    "framing": "canon errors",
    "policy": "canon errors",
    "ledger": "canon errors",
    "strategies": "canon errors policy",
    "formats": "canon errors framing",
    "providers": "canon errors framing redact",
    "http1": "canon errors clock framing",
    "hooks": "canon errors clock redact",
    "stores": "canon errors clock ledger",
    "lab": "canon.settings",
    "sim": "canon errors clock plugins policy strategies ledger config",
    "drill": "canon errors policy config sim lab",
    "config": "canon errors plugins redact policy strategies providers http1.settings stores.base",
    "engine": "canon errors clock plugins redact framing policy ledger strategies formats providers config http1 hooks "
    "stores",
    "server": "front canon errors clock plugins redact formats config http1 hooks engine",
    "console": "front canon errors clock plugins redact formats config http1 hooks engine",
    "cli": "front canon errors clock plugins redact framing policy ledger strategies formats providers config http1 "
    "hooks stores engine server console sim lab drill",
    "front": "canon errors clock circuit engine",
}

PURE = {"canon", "errors", "redact", "framing", "policy", "ledger", "strategies", "formats", "providers"}

# All that a pure room may import from elsewhere: values, text and arithmetic; nothing that waits, listens or looks.
# fmt: off
PURE_IMPORTS = {
    "abc", "array", "base64", "bisect", "collections", "dataclasses", "datetime", "decimal", "difflib", "email.utils",
    "enum", "functools", "hashlib", "heapq", "itertools", "json", "jsonschema_rs", "math", "msgspec", "operator",
    "pydantic", "random", "re", "string", "struct", "types", "typing", "urllib.parse",
}
# fmt: on
BANNED_NAMES = {"open", "print", "input", "eval", "exec", "__import__", "breakpoint"}
BANNED_MEMBERS = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}

LONGEST_MODULE, LONGEST_FUNCTION = 350, 70

# Rooms that may say a provider's name: the providers, their wire formats, their stand-ins, and the command's examples.
KNOW_PROVIDERS = {"providers", "formats", "lab", "cli"}
PROVIDER_NAMES = plugins.names("providers")
FORMAT_NAMES = set(plugins.names("formats")) - set(PROVIDER_NAMES)


class Module:
    """One parsed module; `name` is its path inside the package, for instance `policy/breaker`."""

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.room = "front" if name == "__init__" else name.split("/", maxsplit=1)[0]
        self.lines = source.count("\n")
        self.nodes = list(ast.walk(ast.parse(source)))

    def imports(self) -> Iterator[str]:
        """Every module that it imports, absolute and dotted; of `from a import b` both `a` and `a.b`."""
        package = ["standfast", *self.name.split("/")[:-1]]
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = package[: len(package) + 1 - node.level] if node.level else []
                base = ".".join([*above, *([node.module] if node.module else [])])
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)


def dependencies(module: Module) -> Iterator[str]:
    """Imports of our own that point up or sideways."""
    if module.room not in ROOMS:
        yield f"room {module.room!r} has no row in ROOMS"
        return
    allowed = {module.room, *ROOMS[module.room].split()}
    for imported in module.imports():
        parts = imported.split(".")
        if parts[0] != "standfast" or (len(parts) > 1 and parts[1] not in ROOMS and parts[1] != "__version__"):
            continue
        if imported == "standfast" and any(other.startswith("standfast.") for other in module.imports()):
            continue  # `from standfast import x` is judged by x
        room = "front" if len(parts) == 1 or parts[1] == "__version__" else parts[1]
        fine = room in allowed or any(
            imported == f"standfast.{a}" or imported.startswith(f"standfast.{a}.") for a in allowed
        )
        whole = len(parts) == 2 and any(
            a.startswith(f"{room}.") for a in allowed
        )  # the package on the way to the module
        if not fine and not whole:
            yield f"imports {imported}"


def impurities(module: Module) -> Iterator[str]:
    """Whatever in a pure room could read a clock, chance, a socket or the environment."""
    if module.room not in PURE:
        return
    for imported in module.imports():
        top = imported.split(".")[0]
        if top != "standfast" and not any(imported == ok or imported.startswith(f"{ok}.") for ok in PURE_IMPORTS):
            yield f"imports {imported}"
        if top == "random" and imported not in {"random", "random.Random"}:
            yield f"imports {imported}"
    for node in module.nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            pair = (node.value.id, node.attr)
            if pair in BANNED_MEMBERS or (pair[0] == "random" and pair[1] != "Random"):
                yield f"uses {'.'.join(pair)}"
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in BANNED_NAMES or called in {"random.Random", "Random"}:
                yield f"calls {called}"


def oversize(module: Module) -> Iterator[str]:
    """Modules and functions that have outgrown one job."""
    if module.lines > LONGEST_MODULE:
        yield f"{module.lines} lines, at most {LONGEST_MODULE}"
    for node in module.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            length = node.end_lineno - node.lineno + 1
            if length > LONGEST_FUNCTION:
                yield f"{node.name} has {length} lines, at most {LONGEST_FUNCTION}"


def _words(node: ast.AST) -> Iterator[str]:
    """The identifiers in a node, and its text if that is one word: prose decides nothing."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
        text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
        if not re.search(r"\s", text):
            yield text
    for field in ("id", "attr", "name", "arg", "asname", "module"):
        value = getattr(node, field, None)
        if isinstance(value, str):
            yield value


def provider_names(module: Module) -> Iterator[str]:
    """Provider names outside the rooms that may know them, environment variables and web addresses included."""
    if module.room in KNOW_PROVIDERS:
        return
    for node in module.nodes:
        for word in _words(node):
            if word not in FORMAT_NAMES and any(name in word.lower() for name in PROVIDER_NAMES):
                yield f"says {word!r}"


def undocumented_tests(module: Module) -> Iterator[str]:
    """Tests that do not say which rule they protect."""
    for node in module.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            text = ast.get_docstring(node) or ""
            if len(text.split()) < 3:  # a word or two names no rule
                yield f"{node.name} has no docstring"


Check = Callable[[Module], Iterator[str]]


def complaints(check: Check, root: Path = PACKAGE) -> list[str]:
    """What a check finds in a tree."""
    found = []
    for path in sorted(root.rglob("*.py")):
        module = Module(path.relative_to(root).with_suffix("").as_posix(), path.read_text("utf-8"))
        found += [f"{module.name}: {complaint}" for complaint in dict.fromkeys(check(module))]
    return found


def test_dependencies_point_down_only() -> None:
    """A room imports only the rooms below it, as the table of this file and of docs/architecture.md says."""
    assert complaints(dependencies) == []


def test_the_table_itself_has_no_cycle() -> None:
    """No pair of rooms can come to depend on each other, not even by way of others."""
    open_rooms = {room: {entry.split(".")[0] for entry in row.split()} - {"front"} for room, row in ROOMS.items()}
    while free := {room for room, below in open_rooms.items() if not below}:
        open_rooms = {room: below - free for room, below in open_rooms.items() if room not in free}
    assert open_rooms == {}


def test_judgement_is_pure() -> None:
    """Pure rooms read no clock, no chance, no socket, no file and no environment."""
    assert complaints(impurities) == []


def test_modules_and_functions_stay_small() -> None:
    """One module has one job: at most 350 lines, and no function above 70."""
    assert complaints(oversize) == []


def test_provider_names_stay_in_their_rooms() -> None:
    """Adding a provider is adding one file: nobody else branches on a provider's name."""
    assert {"openai", "anthropic", "gemini", "deepseek", "holysheep"} <= set(PROVIDER_NAMES)
    assert complaints(provider_names) == []


def test_every_test_names_its_rule() -> None:
    """Each test in the tree has a docstring that names the rule it protects."""
    assert complaints(undocumented_tests, ROOT / "tests") == []


def test_the_tree_is_really_read() -> None:
    """The checks see every room that stands, so an empty list of complaints means something."""
    seen = {Module(path.relative_to(PACKAGE).with_suffix("").as_posix(), "").room for path in PACKAGE.rglob("*.py")}
    assert {"front", "canon", "policy", "strategies", "formats", "providers", "http1", "engine", "server"} <= seen
    assert seen <= set(ROOMS)


LONG_FUNCTION = "def f():\n" + "    pass\n" * LONGEST_FUNCTION

OFFENDERS: list[tuple[Check, str, str, str]] = [
    (dependencies, "policy/x", "from standfast.engine import drive", "imports standfast.engine"),
    (dependencies, "policy/x", "from standfast import plugins", "imports standfast.plugins"),
    (dependencies, "policy/x", "from ..clock import SystemClock", "imports standfast.clock"),
    (dependencies, "policy/x", "def f():\n    import standfast.http1.client", "imports standfast.http1.client"),
    (dependencies, "providers/x", "from standfast.formats.base import Format", "imports standfast.formats.base"),
    (dependencies, "lab/x", "from standfast.canon.failure import MEANING", "imports standfast.canon.failure"),
    (dependencies, "config/x", "from standfast.http1.client import Client", "imports standfast.http1.client"),
    (dependencies, "canon/x", "import standfast", "imports standfast"),
    (dependencies, "engine/x", "from standfast import __version__", "imports standfast.__version__"),
    (dependencies, "sim/x", "from standfast.engine.gateway import Gateway", "imports standfast.engine"),
    (dependencies, "cellar/x", "", "room 'cellar' has no row in ROOMS"),
    (impurities, "policy/x", "import time", "imports time"),
    (impurities, "policy/x", "from asyncio import sleep", "imports asyncio"),
    (impurities, "canon/x", "import os", "imports os"),
    (impurities, "formats/x", "import logging", "imports logging"),
    (impurities, "policy/x", "import random\nx = random.uniform(0, 1)", "uses random.uniform"),
    (impurities, "policy/x", "import random\nrng = random.Random()", "calls random.Random"),
    (impurities, "strategies/x", "from random import choice", "imports random.choice"),
    (impurities, "providers/x", "from datetime import datetime\nx = datetime.now()", "uses datetime.now"),
    (impurities, "providers/x", "x = open('/etc/hosts')", "calls open"),
    (oversize, "engine/x", "\n" * (LONGEST_MODULE + 1), "351 lines, at most 350"),
    (oversize, "engine/x", LONG_FUNCTION, "f has 71 lines, at most 70"),
    (provider_names, "engine/x", "if provider == 'openai': pass", "says 'openai'"),
    (provider_names, "config/x", "KEY = 'HOLYSHEEP_API_KEY'", "says 'HOLYSHEEP_API_KEY'"),
    (provider_names, "engine/x", "def ask_gemini(): pass", "says 'ask_gemini'"),
    (provider_names, "engine/x", "x = registry.anthropic", "says 'anthropic'"),
    (provider_names, "server/x", "HOST = b'api.deepseek.com'", "says 'api.deepseek.com'"),
    (undocumented_tests, "x", "def test_x(): pass", "test_x has no docstring"),
    (undocumented_tests, "x", "class TestX:\n    async def test_y(self): pass", "test_y has no docstring"),
]

GOOD: list[tuple[Check, str, str]] = [
    (dependencies, "policy/x", "from standfast.canon.instants import Monotonic\nfrom standfast.policy import breaker"),
    (dependencies, "lab/x", "from standfast.canon.settings import Settings\nfrom standfast.canon import settings"),
    (dependencies, "server/x", "from standfast import __version__, plugins"),
    (dependencies, "policy/x", "import standfastidious"),
    (impurities, "policy/x", "import random\ndef f(rng: random.Random) -> float:\n    return rng.uniform(0.0, 1.0)"),
    (impurities, "engine/x", "import time\nimport asyncio"),
    (oversize, "engine/x", "\n" * (LONGEST_MODULE - LONGEST_FUNCTION) + LONG_FUNCTION.replace("    pass\n", "", 1)),
    (provider_names, "engine/x", "'''As in OpenAI's API.'''\nF = 'openai_chat'"),
    (provider_names, "providers/x", "NAME = 'openai'"),
    (undocumented_tests, "x", "def test_x():\n    '''B3: refused at once.'''"),
]


@pytest.mark.parametrize(("check", "name", "source", "complaint"), OFFENDERS)
def test_each_check_can_fail(check: Check, name: str, source: str, complaint: str) -> None:
    """A module that breaks a rule is found by its check, with the words that help to mend it."""
    assert any(found.startswith(complaint) for found in check(Module(name, source)))


@pytest.mark.parametrize(("check", "name", "source"), GOOD)
def test_no_check_cries_wolf(check: Check, name: str, source: str) -> None:
    """What the rules allow raises no complaint."""
    assert list(check(Module(name, source))) == []
