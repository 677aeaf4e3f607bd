"""A configuration without a file: from the provider keys in the environment. And configurations as text."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from standfast import plugins
from standfast.config.load import from_mapping
from standfast.config.providers import plugin
from standfast.config.schema import NO_KEY, Config
from standfast.config.yaml_text import read_yaml

CLIENT_KEY = "STANDFAST_KEY"
CONSOLE_KEY = "STANDFAST_CONSOLE_KEY"
FALLBACK_MODEL = "default"
"""The model that all providers serve together, one after the other."""

MASK = "***"
"""What stands where a secret is."""

_HERE = Path(__file__).parent


def from_environment(environ: Mapping[str, str], *, server: Mapping[str, object] | None = None) -> Config | None:
    """A configuration of all providers whose key is in the environment; None if there is none.

    Each provider file names its variable; `default_models.yaml` names the models. `STANDFAST_KEY` becomes the client
    key, `STANDFAST_CONSOLE_KEY` that of the console.

    Raises:
        ConfigError: a key or an override is not usable.
    """
    offered = _default_models()
    variables = key_variables()
    present = [name for name in offered if name in variables and environ.get(variables[name], "").strip()]
    if not present:
        return None
    models: dict[str, list[str]] = {FALLBACK_MODEL: []}
    for name in present:
        lines = [(model, f"{name}/{upstream}") for model, upstream in offered[name].items()]
        models[FALLBACK_MODEL].append(lines[0][1])
        for model, target in lines:
            models.setdefault(model, []).append(target)
    data: dict[str, object] = {
        "providers": {name: {"keys": [environ[variables[name]].strip().replace("${", "$${")]} for name in present},
        "models": models,
    }
    if environ.get(CLIENT_KEY):
        data["keys"] = [{"name": "environment", "key": f"${{{CLIENT_KEY}}}"}]
    data.update(console_of(environ))
    return from_mapping(data, environ, server=server)


def console_of(environ: Mapping[str, str]) -> dict[str, object]:
    """The section `console`, if the environment has a key for it; else nothing."""
    key = {"name": "environment", "key": f"${{{CONSOLE_KEY}}}"}
    return {"console": {"keys": [key]}} if environ.get(CONSOLE_KEY) else {}


def key_variables() -> dict[str, str]:
    """Provider file -> the environment variable of its key, for those that have one and an address of their own."""
    found: dict[str, str] = {}
    for name in plugins.names("providers"):
        provider = plugin(name)
        if provider is not None and provider.key_variable and provider.base_url:
            found[name] = provider.key_variable
    return found


def init_text() -> str:
    """A commented example, for `standfast config init`."""
    return (_HERE / "example.yaml").read_text(encoding="utf-8")


def redacted(config: Config) -> dict[str, object]:
    """The effective configuration as plain values; keys, and the values of headers, as `***`."""
    shown: dict[str, object] = config.model_dump(mode="json")
    shown["keys"] = [{"name": entry.name, "key": MASK} for entry in config.keys]
    keys = [{"name": entry.name, "key": MASK, "role": entry.role} for entry in config.console.keys]
    shown["console"] = {**config.console.model_dump(mode="json"), "keys": keys}
    providers = config.model_dump(mode="json", include={"providers"})["providers"]
    for name, entry in config.providers.items():
        providers[name]["keys"] = [_shown(key.get_secret_value()) for key in entry.keys]
        providers[name]["headers"] = dict.fromkeys(entry.headers, MASK)
        providers[name]["type"] = entry.type or name
    shown["providers"] = providers
    return shown


def _shown(key: str) -> str:
    return key if key == NO_KEY else MASK


@cache
def _default_models() -> Mapping[str, Mapping[str, str]]:
    data = read_yaml((_HERE / "default_models.yaml").read_text(encoding="utf-8")).data
    if not isinstance(data, dict):
        raise TypeError("default_models.yaml: expected provider -> {name: upstream name}")
    return data
