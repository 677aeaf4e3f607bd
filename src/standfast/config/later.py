"""What the plan has and this version has not. A rule that can never take effect is an error, not a no-op."""

from collections.abc import Mapping

from standfast.config.interpolation import join
from standfast.errors import Problem

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
        problems += _take(defaults, "defaults", _DEFAULTS)
    models = data.get("models")
    if isinstance(models, dict):
        for name, model in models.items():
            if isinstance(model, dict):
                problems += _take(model, join("models", name), _MODEL)
    return problems


def _take(data: dict[str, object], path: str, table: Mapping[str, str]) -> list[Problem]:
    found = [name for name in data if name in table]
    for name in found:
        del data[name]
    return [Problem(join(path, name), f"{table[name]} in a later version; remove it") for name in found]
