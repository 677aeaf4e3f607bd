"""What the plan has and this version has not. A rule that can never take effect is an error, not a no-op."""

from collections.abc import Mapping

from standfast.config.interpolation import join
from standfast.errors import Problem

_ON_BREAK = ("resume",)
_SECTIONS = {
    "stores": "stores arrive",
    "hooks": "configurable hooks arrive",
    "budgets": "budgets arrive",
}
_MODEL = {
    "max_cost_usd": "cost limits arrive",
}
_DEFAULTS = _MODEL


def take_later(data: dict[str, object]) -> list[Problem]:
    """Remove what does not exist yet from `data` (its own copy) and name each."""
    problems = _take(data, "", _SECTIONS)
    defaults = data.get("defaults")
    if isinstance(defaults, dict):
        problems += _take(defaults, "defaults", _DEFAULTS) + _take_on_break(defaults, "defaults")
    models = data.get("models")
    if isinstance(models, dict):
        for name, model in models.items():
            if isinstance(model, dict):
                path = join("models", name)
                problems += _take(model, path, _MODEL) + _take_on_break(model, path)
    return problems


def _take(data: dict[str, object], path: str, table: Mapping[str, str]) -> list[Problem]:
    found = [name for name in data if name in table]
    for name in found:
        del data[name]
    return [Problem(join(path, name), f"{table[name]} in a later version; remove it") for name in found]


def _take_on_break(data: dict[str, object], path: str) -> list[Problem]:
    value = data.get("on_break")
    if not isinstance(value, str) or value not in _ON_BREAK:
        return []
    del data["on_break"]
    return [Problem(join(path, "on_break"), f"{value!r} arrives in a later version; this one has: replay, error")]
