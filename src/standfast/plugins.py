"""Plug-in rooms: the file name is the configuration word, the metric label and the docs page.

A room is a package whose modules are plug-ins; adding one is adding one file. Modules whose name begins with an
underscore, and `base`, are not plug-ins.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Iterable
from types import ModuleType

_ONE_OF = {"strategies": "strategy"}


def names(room: str) -> tuple[str, ...]:
    """All plug-ins of a room (`strategies`, `providers`, `formats`, `stores`, `hooks`), sorted."""
    package = importlib.import_module(f"standfast.{room}")
    found = (module.name for module in pkgutil.iter_modules(package.__path__))
    return tuple(sorted(name for name in found if not name.startswith("_") and name != "base"))


def load(room: str, name: str) -> ModuleType:
    """The module of a plug-in.

    Raises:
        LookupError: there is none of that name; the message lists what there is and suggests the nearest.
    """
    if name in names(room):
        return importlib.import_module(f"standfast.{room}.{name}")
    raise LookupError(unknown(_ONE_OF.get(room, room.removesuffix("s")), name, names(room)))


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """A sentence for a name that is not known: what there is, and what was probably meant."""
    known = sorted(known)
    near = nearest(name, known)
    meant = f" Did you mean {near!r}?" if near else ""
    return f"unknown {what} {name!r}.{meant} Known: {', '.join(known) or 'none'}."


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name most like `name`, or the empty string."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)), "")
