"""Checks the entries under `providers:`."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from standfast import plugins
from standfast.config.interpolation import join
from standfast.config.schema import NO_KEY
from standfast.errors import Problem
from standfast.providers.base import Provider

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_KEY = re.compile(r"[\x21-\x7e]+")
_OURS = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that belong to the connection or the body; the gateway writes them itself."""


def check_providers(data: Mapping[str, object]) -> list[Problem]:
    """All problems of the entries: type, address, keys, headers."""
    entries = data.get("providers")
    if entries is None or entries == {}:
        return [Problem("providers", "at least one provider is needed, written as name: {keys: [...]}")]
    if not isinstance(entries, Mapping):
        return []
    return [problem for name, entry in entries.items() for problem in _entry(str(name), entry)]


def provider_names(data: Mapping[str, object]) -> tuple[str, ...]:
    """The entries' names, right or wrong."""
    entries = data.get("providers")
    return tuple(str(name) for name in entries) if isinstance(entries, Mapping) else ()


def plugin(name: str) -> Provider | None:
    """The provider file of that name, None if there is none."""
    if name not in plugins.names("providers"):
        return None
    provider: Provider = plugins.load("providers", name).PROVIDER
    return provider


def _entry(name: str, entry: object) -> Iterator[Problem]:
    path = join("providers", name)
    if not name or re.search(r"[\s/]", name):
        yield Problem(path, "a provider's name must not be empty or contain blanks or slashes")
    if entry is None:
        entry = {}
    if not isinstance(entry, Mapping):
        return  # the schema says so
    kind = entry.get("type") or name
    provider = plugin(kind) if isinstance(kind, str) else None
    if isinstance(kind, str) and provider is None:
        yield _unknown(path, kind, entry)
    base_url = entry.get("base_url") or ""
    if provider is not None and not base_url and not provider.base_url:
        yield Problem(join(path, "base_url"), f"type {kind!r} has no address of its own; say where it is served")
    if isinstance(base_url, str) and base_url:
        reason = url_problem(base_url)
        if reason:
            yield Problem(join(path, "base_url"), reason)
    yield from _keys(path, entry.get("keys"))
    yield from _headers(path, entry.get("headers"))
    ca_file = entry.get("ca_file")
    if isinstance(ca_file, str) and ca_file and not _is_file(ca_file):
        yield Problem(join(path, "ca_file"), "there is no such file")


def _unknown(path: str, kind: str, entry: Mapping[str, object]) -> Problem:
    known = plugins.names("providers")
    listed = f"known types: {', '.join(known) or 'none'}"
    if entry.get("type"):
        return Problem(join(path, "type"), f"unknown provider type {kind!r}; {listed}", plugins.nearest(kind, known))
    generic = next((name for name in known if not _address(name)), "")
    message = f"{kind!r} is no provider type; say which `type` it is; {listed}"
    return Problem(path, message, plugins.nearest(kind, known) or (f"type: {generic}" if generic else ""))


def _address(name: str) -> str:
    provider = plugin(name)
    return provider.base_url if provider is not None else ""


def url_problem(text: str) -> str:
    """Why `text` cannot be a base URL; empty if it can. Never repeats it."""
    if re.search(r"[^\x21-\x7e]", text):
        return "must not contain blanks or characters outside ASCII"
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:
        return "is no URL; write http(s)://host[:port][/path]"
    if url.scheme not in ("http", "https") or not host:
        return "must be http:// or https:// with a host"
    if "@" in url.netloc:
        return "must not contain a user or password; use keys or headers"
    if "?" in text or "#" in text:
        return "must not contain a query or fragment"
    return "the port must be at least 1" if port == 0 else ""


def _keys(path: str, keys: object) -> Iterator[Problem]:
    path = join(path, "keys")
    if keys is None or keys in ([], ()):
        yield Problem(path, f"is missing; list at least one key, or `{NO_KEY}` for a server without keys")
    if not isinstance(keys, list):
        return
    seen: dict[str, int] = {}
    for at, key in enumerate(keys):
        if not isinstance(key, str):
            continue
        place = join(path, at)
        if not key:
            yield Problem(place, f"is empty; is its environment variable set? (`{NO_KEY}` for a server without keys)")
        elif not _KEY.fullmatch(key):
            yield Problem(place, "must be printable ASCII without blanks")
        elif key in seen:
            yield Problem(place, f"is the same key as {join(path, seen[key])}; limits are counted per key")
        elif key == NO_KEY and len(keys) > 1:
            yield Problem(place, f"`{NO_KEY}` must stand alone")
        seen.setdefault(key, at)


def _headers(path: str, headers: object) -> Iterator[Problem]:
    if not isinstance(headers, Mapping):
        return
    seen: set[str] = set()
    for name, value in headers.items():
        place = join(join(path, "headers"), str(name))
        lower = str(name).lower()
        if not _HEADER_NAME.fullmatch(str(name)):
            yield Problem(place, "is no header name")
        elif lower in _OURS:
            yield Problem(place, "is written by the gateway itself; remove it")
        elif lower in seen:
            yield Problem(place, "is the same header as one above; upper and lower case do not differ")
        elif isinstance(value, str) and (not _HEADER_VALUE.fullmatch(value) or value != value.strip()):
            yield Problem(place, "the value must be one line of Latin-1 text without blanks around it")
        seen.add(lower)


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False
