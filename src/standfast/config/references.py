"""Checks what one part of a configuration says about another, and rules that could never take effect."""

import hashlib
import ipaddress
import re
from collections.abc import Iterator, Mapping

from standfast import plugins
from standfast.canon.settings import parse_duration
from standfast.config.interpolation import join
from standfast.config.providers import provider_names
from standfast.errors import Problem
from standfast.policy.breaker import BreakerSettings
from standfast.policy.retry import BackoffSettings

SHORTEST_KEY = 16
"""Characters of a client key that others than this machine can try; 128 random bits are 22 of them in base64."""

_KEY = re.compile(r"[\x21-\x7e]+")
_NOT_OURS = ("messages", "model", "stream")
"""Request fields that `params` must not set: they are the client's, or the target's name says them."""


def is_loopback(host: str) -> bool:
    """Can only this machine reach `host`?"""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_keys(data: Mapping[str, object]) -> list[Problem]:
    """Client keys and those of the console, and whether the door may stand open without."""
    server = _mapping(data.get("server"))
    host = server.get("host", "127.0.0.1")
    loopback = not isinstance(host, str) or is_loopback(host)
    keys = data.get("keys")
    known: dict[bytes, str] = {}
    problems = list(_keys(keys, "keys", known, lenient=loopback)) if isinstance(keys, list) else []
    console = _mapping(data.get("console")).get("keys")
    problems += _keys(console, "console.keys", known, lenient=False) if isinstance(console, list) else []
    if not loopback and not keys and str(server.get("open_door", False)).lower() not in ("true", "1", "yes", "on"):
        problems.append(
            Problem(
                "server.host",
                "others can reach this address and no client keys are configured; add some under `keys`, listen on"
                " 127.0.0.1, or set server.open_door: true",
            )
        )
    return problems


def _keys(keys: list[object], where: str, known: dict[bytes, str], *, lenient: bool) -> Iterator[Problem]:
    """Client keys or console keys; `known` has the digests of those before. Short ones are for the lenient."""
    names: dict[str, str] = {}
    for at, entry in enumerate(keys):
        path = join(where, at)
        entry = _mapping(entry)  # noqa: PLW2901 - the same thing with its type known
        name, key = entry.get("name"), entry.get("key")
        if isinstance(name, str):
            if name in names:
                yield Problem(join(path, "name"), f"is the name of {names[name]} already")
            names.setdefault(name, path)
        if not isinstance(key, str):
            continue
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
        if not key:
            yield Problem(join(path, "key"), "is empty; is its environment variable set?")
        elif not _KEY.fullmatch(key):
            yield Problem(join(path, "key"), "must be printable ASCII without blanks")
        elif digest in known:
            yield Problem(join(path, "key"), f"is the key of {known[digest]} already")
        elif len(key) < SHORTEST_KEY and not lenient:
            yield Problem(
                join(path, "key"), f"is shorter than {SHORTEST_KEY} characters; too short where others can try it"
            )
        known.setdefault(digest, path)


def check_models(data: Mapping[str, object]) -> list[Problem]:
    """Names, strategies, targets."""
    models = data.get("models")
    if models is None or models == {}:
        return [Problem("models", "at least one model is needed, written as name: [provider/upstream-model]")]
    if not isinstance(models, Mapping):
        return []
    defaults = _mapping(data.get("defaults"))
    strategy = defaults.get("strategy") or "priority"
    providers = provider_names(data)
    backoff = _mapping(_mapping(defaults.get("retry")).get("backoff"))
    problems: list[Problem] = []
    for name, model in models.items():
        problems += _model(str(name), model, strategy, providers)
        problems += _retry(_mapping(_mapping(model).get("retry")), join(join("models", str(name)), "retry"), backoff)
    return problems


def _retry(retry: Mapping[str, object], path: str, backoff: Mapping[str, object]) -> Iterator[Problem]:
    """`backoff` is the default that the model's is laid over."""
    for name in ("budget", "budget_floor"):
        if name in retry:
            message = "can never take effect: the budget is one for all models; set it under defaults.retry"
            yield Problem(join(path, name), message)
    own = _mapping(retry.get("backoff"))
    if own:
        yield from _caps({**backoff, **own}, join(path, "backoff"))


def _model(name: str, model: object, strategy: object, providers: tuple[str, ...]) -> Iterator[Problem]:
    path = join("models", name)
    if not name or re.search(r"[\s\x00-\x1f\x7f]", name):
        yield Problem(path, "a model's name must not be empty or contain blanks")
    listed = path
    targets: object = model
    if isinstance(model, Mapping):
        targets, listed = model.get("targets"), join(path, "targets")
        if "strategy" in model:
            strategy = model["strategy"] or strategy
            yield from _strategy(strategy, join(path, "strategy"))
    if model is None or targets == []:
        yield Problem(listed, "at least one target is needed, written as provider/upstream-model")
    if not isinstance(targets, list):
        return
    first: dict[str, int] = {}
    for at, entry in enumerate(targets):
        place = join(listed, at)
        target = entry if isinstance(entry, str) else _mapping(entry).get("target")
        if isinstance(target, str):
            if target in first:
                yield Problem(place, f"is the same target as {join(listed, first[target])}")
            first.setdefault(target, at)
            yield from _target(target, place if isinstance(entry, str) else join(place, "target"), providers)
        if isinstance(entry, Mapping):
            yield from _details(entry, place, strategy)


def _target(target: str, path: str, providers: tuple[str, ...]) -> Iterator[Problem]:
    provider, slash, upstream = target.partition("/")
    if slash and providers and provider not in providers:
        near = plugins.nearest(provider, providers)
        listed = ", ".join(sorted(providers))
        message = f"there is no provider {provider!r} under `providers`; there are: {listed}"
        yield Problem(path, message, f"{near}/{upstream}" if near else "")


def _details(entry: Mapping[str, object], path: str, strategy: object) -> Iterator[Problem]:
    params = entry.get("params")
    for name in params if isinstance(params, Mapping) else ():
        if name in _NOT_OURS:
            yield Problem(join(join(path, "params"), str(name)), "cannot be set by a target; it is the request's own")
    weight = entry.get("weight", 1)
    if str(weight) not in ("1", "1.0") and _goes_in_order(strategy):
        message = (
            f"can never take effect: strategy {strategy!r} goes by the order written; remove it, or choose another"
        )
        yield Problem(join(path, "weight"), message)


def _goes_in_order(strategy: object) -> bool:
    if not isinstance(strategy, str) or strategy not in plugins.names("strategies"):
        return False
    return bool(plugins.load("strategies", strategy).STRATEGY.tiered)


def check_defaults(data: Mapping[str, object]) -> list[Problem]:
    """The default strategy, and caps that cap everything."""
    defaults = _mapping(data.get("defaults"))
    problems = list(_strategy(defaults["strategy"], "defaults.strategy")) if "strategy" in defaults else []
    problems += _caps(_mapping(defaults.get("retry")).get("backoff"), "defaults.retry.backoff")
    breaker = _mapping(defaults.get("breaker"))
    first = _seconds(breaker.get("open"), BreakerSettings().open)
    if _seconds(breaker.get("open_cap"), BreakerSettings().open_cap) < first:
        problems.append(Problem("defaults.breaker.open_cap", f"must not be below `open` ({first:g} s)"))
    return problems


def _caps(backoff: object, path: str) -> list[Problem]:
    settings, standard = _mapping(backoff), BackoffSettings()
    base = _seconds(settings.get("base"), standard.base)
    if _seconds(settings.get("cap"), standard.cap) < base:
        return [Problem(join(path, "cap"), f"must not be below `base` ({base:g} s)")]
    return []


def _strategy(name: object, path: str) -> Iterator[Problem]:
    known = plugins.names("strategies")
    if isinstance(name, str) and name not in known:
        message = f"there is no strategy {name!r}; there are: {', '.join(known) or 'none'}"
        yield Problem(path, message, plugins.nearest(name, known))


def _seconds(value: object, default: float) -> float:
    try:
        return default if value is None else parse_duration(value)
    except (ValueError, OverflowError):
        return default


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
