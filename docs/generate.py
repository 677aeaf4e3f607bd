"""Write docs/configuration.md from the settings classes and the plug-ins, so that the page cannot go stale.

`python docs/generate.py` writes it; `tests/docs/test_configuration_reference.py` compares.
"""  # noqa: INP001 - a script, not a package

import re
import sys
from collections.abc import Iterator, Mapping
from inspect import getdoc
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, SecretStr
from pydantic.fields import FieldInfo

from standfast import plugins
from standfast.canon.settings import parse_duration
from standfast.config.schema import Config

PAGE = Path(__file__).with_name("configuration.md")

MEANINGS: Mapping[tuple[str, str], str] = {
    ("Config", "server"): "the door: address, limits, draining.",
    ("Config", "keys"): "client keys. Without any, and listening on loopback, requests need none.",
    ("Config", "providers"): "where requests can go; the name is the provider's file unless `type` says otherwise.",
    ("Config", "models"): "what clients may name, and where it can be served.",
    ("Config", "defaults"): "what holds where nothing else is written.",
    ("Config", "log"): "one line for each request.",
    ("Config", "console"): "the page at `/console`, and what it is made of (`/admin`): docs/console.md.",
    ("Config", "cache"): "where kept answers live; which models keep any is said under `models` and `defaults`.",
    ("ClientKey", "name"): "stands for the key in logs and metrics.",
    ("ClientKey", "key"): "what clients send as `Authorization: Bearer ...`; best from the environment.",
    ("Defaults", "timeouts"): "how long to wait for what.",
    ("Defaults", "retry"): "how hard to try.",
    ("Defaults", "breaker"): "when a deployment is given a rest.",
    ("Defaults", "strategy"): "how to choose among a model's targets.",
    ("TimeoutSettings", "connect"): "until the connection to the provider stands.",
    ("TimeoutSettings", "tls"): "for the TLS handshake.",
    ("TimeoutSettings", "first_token"): (
        "until the first content; comments and pings do not count. `auto` begins with 12 s (60 s for a reply that is "
        "not streamed, 300 s for reasoning) and follows the target's own history: 3 x its p95, but at least 5 s "
        "(20 s). A whole reply that was late at one target has three times as long at the next."
    ),
    ("TimeoutSettings", "gap"): "silence between two pieces of content.",
    ("TimeoutSettings", "total"): "the whole attempt.",
    ("BackoffSettings", "base"): "upper end of the first wait.",
    ("BackoffSettings", "cap"): "upper end of every wait.",
}
"""Meanings of settings whose class tells them only in prose. A docstring's `Attributes` go before; nothing here may be
left over."""

INTRODUCTION = """# Configuration

<!-- Written by docs/generate.py from the settings classes; edit their docstrings instead. -->

One file, YAML or TOML by its suffix. `standfast config check FILE` reports every problem at once, each with its path
and, where there is one, the right spelling; an unknown name is an error. `${NAME}` and `${NAME:-default}` in values
come from the environment; `$${` is a plain `${`.

Durations are numbers of seconds or text with a unit: `250ms`, `3s`, `1m30s`, `2h`. A default of `-` means that the
setting is required; *absent* means that it may be left out and what then holds stands under its meaning.

```yaml
server: {host: 127.0.0.1, port: 8000}
keys:
  - {name: dev, key: "${STANDFAST_KEY}"}
providers:
  openai:    {keys: ["${OPENAI_API_KEY}"]}
  anthropic: {keys: ["${ANTHROPIC_API_KEY}"]}
  local:     {type: openai_like, base_url: "http://127.0.0.1:9100/v1", keys: [none]}
models:
  gpt-4.1:
    strategy: priority
    targets:
      - openai/gpt-4.1
      - {target: anthropic/claude-sonnet-4-5, params: {max_tokens: 4096}, timeouts: {total: 45s}}
defaults:
  timeouts: {connect: 3s, first_token: auto, gap: 30s, total: 15m}
```
"""


def attributes(model: type[BaseModel]) -> dict[str, str]:
    """The `Attributes` of a class' docstring: name to meaning; `a, b: text` tells of both."""
    section = re.search(r"^Attributes:\n((?:[ ]{4}.*\n?|\n)+)", getdoc(model) or "", re.MULTILINE)
    found: dict[str, str] = {}
    names: list[str] = []
    for line in section[1].splitlines() if section else ():
        entry = re.fullmatch(r" {4}([\w, ]+): (.*)", line)
        if entry:
            names = [name.strip() for name in entry[1].split(",")]
            found.update(dict.fromkeys(names, entry[2].strip()))
        elif line.strip():
            found.update({name: f"{found[name]} {line.strip()}" for name in names})
    return found


def prose(model: type[BaseModel]) -> str:
    """A class' docstring without its `Attributes`."""
    return re.split(r"^Attributes:$", getdoc(model) or "", maxsplit=1, flags=re.MULTILINE)[0].strip()


def meaning(model: type[BaseModel], name: str) -> str:
    """What a setting does.

    Raises:
        LookupError: neither its class nor this file says.
    """
    text = attributes(model).get(name) or MEANINGS.get((model.__name__, name))
    if text is None and model.__name__ == "TimeoutOverrides":
        return "absent: what the next level above says."
    if text is None:
        raise LookupError(f"{model.__name__}.{name} has no meaning: write it into the class' Attributes")
    return text


def _flat(metadata: tuple[object, ...] | list[object]) -> Iterator[object]:
    for item in metadata:
        if isinstance(item, FieldInfo):
            yield from _flat(item.metadata)
        else:
            yield item


def is_duration(metadata: tuple[object, ...] | list[object]) -> bool:
    """Is a number with this metadata read as a duration?"""
    return any(isinstance(item, BeforeValidator) and item.func is parse_duration for item in _flat(metadata))


def bounds(metadata: tuple[object, ...] | list[object]) -> str:
    """The range of a number, for instance ` > 0, <= 1`; empty if there is none."""
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    found = [
        f"{sign} {getattr(item, name):g}"
        for item in _flat(metadata)
        for name, sign in signs.items()
        if hasattr(item, name)
    ]
    return " " + ", ".join(found) if found else ""


_PLAIN: Mapping[object, str] = {str: "text", bool: "true or false", SecretStr: "secret text", int: "integer"}


def kind(annotation: object, metadata: tuple[object, ...] | list[object] = ()) -> str:  # noqa: PLR0911 - a case for each kind of type
    """A type in words."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind(inside[0], [*inside[1:], *metadata])
    if annotation is float or annotation is int:
        word = "duration" if is_duration(metadata) else "number" if annotation is float else "integer"
        return word + bounds(metadata)
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inside)
    if origin in (Union, UnionType):
        return " or ".join(kind(item, metadata) for item in inside if item is not NoneType)
    if origin is tuple:
        return f"list of {kind(inside[0])}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"name to {kind(inside[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return "any value"


_MINUTE, _SECOND = 60, 1
_STEPS = ((1024 * 1024, "MiB"), (1024, "KiB"))


def duration(seconds: float) -> str:
    """Seconds as people write them."""
    if seconds and seconds < _SECOND:
        return f"{seconds * 1000:g}ms"
    return f"{seconds / _MINUTE:g}m" if seconds >= _MINUTE and seconds % _MINUTE == 0 else f"{seconds:g}s"


def default(field: FieldInfo) -> str:  # noqa: PLR0911 - a case for each kind of value
    """A default in words; `-` for a required setting."""
    value = field.default
    if field.is_required():
        return "-"
    if value is None:
        return "*absent*"
    if isinstance(value, BaseModel) or value in ((), {}, ""):
        return "" if isinstance(value, BaseModel) else "*empty*"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float) and "duration" in kind(field.annotation, field.metadata):
        return f"`{duration(value)}`"
    if isinstance(value, int):
        size = next((f" ({value // step} {word})" for step, word in _STEPS if value >= step and not value % step), "")
        return f"`{value}`{size}"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def sections(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every section with its path, from the outside in, each class as often as it occurs."""
    yield path, model
    for name, field in model.model_fields.items():
        for step, inner in nested(field.annotation):
            yield from sections(inner, f"{path}.{field.alias or name}{step}".lstrip("."))


def nested(annotation: object) -> Iterator[tuple[str, type[BaseModel]]]:
    """The sections inside a type, each with what its path adds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield "", annotation
        return
    origin = get_origin(annotation)
    step = "[]" if origin is tuple else ".NAME" if isinstance(origin, type) and issubclass(origin, Mapping) else ""
    for inner in get_args(annotation):
        for more, model in nested(inner):
            yield step + more, model


def row(*cells: str) -> str:
    """One line of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def section(path: str, model: type[BaseModel], first: dict[type[BaseModel], str]) -> str:
    """One section: a class told before is referred to, not told again."""
    title = f"## `{path}`" if path else "## The file"
    if first.setdefault(model, path) != path:
        return f"{title}\n\nAs [`{first[model]}`](#{anchor(first[model])}).\n"
    lines = [row("setting", "type", "default", "meaning"), row("---", "---", "---", "---")]
    lines += [
        row(f"`{field.alias or name}`", kind(field.annotation, field.metadata), default(field), meaning(model, name))
        for name, field in model.model_fields.items()
    ]
    return "\n".join([title, "", prose(model), "", *lines, ""])


def anchor(path: str) -> str:
    """The link that Markdown viewers give to a section's heading."""
    return re.sub(r"[^\w-]", "", path.lower())


def first_line(text: str | None) -> str:
    """The first paragraph of a docstring, in one line."""
    return " ".join((text or "").strip().split("\n\n")[0].split())


def plugin_tables() -> str:
    """The words that `type` and `strategy` may have."""
    lines = ["## Providers", "", "What `type` (or the name of an entry under `providers`) may be.", ""]
    lines += [row("provider", "public address", "key variable by custom"), row("---", "---", "---")]
    for name in plugins.names("providers"):
        provider = plugins.load("providers", name).PROVIDER
        lines.append(row(f"`{name}`", provider.base_url or "none: set `base_url`", f"`{provider.key_variable}`"))
    lines += ["", "## Strategies", "", "How the targets of one tier are put in order.", ""]
    lines += [row("strategy", "what it does"), row("---", "---")]
    for name in plugins.names("strategies"):
        lines.append(row(f"`{name}`", first_line(plugins.load("strategies", name).__doc__)))
    return "\n".join(lines) + "\n"


def reference() -> str:
    """The whole page."""
    first: dict[type[BaseModel], str] = {}
    return "\n".join(
        [INTRODUCTION, *(section(path, model, first) for path, model in sections(Config)), plugin_tables()]
    )


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
